package commondb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"longhaul/internal/results"
)

// sharedPrecision is how far two floats may differ, relative to their size, and
// still mean the same in a shared row. Two versions of a program may compute
// the start of one observation with different last bits; the first stays. In
// an MJD it is half a millisecond.
const sharedPrecision = 1e-13

// reference returns the key of the shared row that column name of t refers to.
func (w *writer) reference(ctx context.Context, t *table, name string, r results.Record) (int64, error) {
	c, err := t.column(name)
	if err != nil {
		return 0, err
	}
	if c.parent != r.Table || r.Table == uploadsTable {
		what := "does not refer to another table"
		if c.parent != "" {
			what = "refers to " + c.parent
		}
		return 0, rejected("%s.%s %s; it cannot hold the key of a shared row of %.80q", t.name, name, what, r.Table)
	}
	return w.sharedRow(ctx, r)
}

// sharedRow finds the row by its unique columns and compares the others, or
// makes it, and returns its key.
func (w *writer) sharedRow(ctx context.Context, r results.Record) (int64, error) {
	digest := digestOf(r)
	if id, ok := w.shared[digest]; ok {
		return id, nil
	}
	t, err := w.catalog.table(r.Table)
	if err != nil {
		return 0, err
	}
	vals, err := w.values(ctx, t, r)
	if err != nil {
		return 0, err
	}
	key, err := t.naturalKey(vals)
	if err != nil {
		return 0, err
	}
	id, err := w.findShared(ctx, t, key, vals)
	if errors.Is(err, sql.ErrNoRows) {
		id, err = w.insert(ctx, t, vals)
	}
	if err != nil {
		return 0, err
	}
	w.shared[digest] = id
	return id, nil
}

// findShared returns the key of the row that has the key columns of vals, and
// refuses it if it says something else in the other columns. sql.ErrNoRows:
// there is none.
func (w *writer) findShared(ctx context.Context, t *table, key []string, vals map[string]any) (int64, error) {
	columns := slices.Sorted(maps.Keys(vals))
	where := make([]string, len(key))
	args := make([]any, len(key))
	for i, k := range key {
		where[i] = w.dialect.quote(k) + " = " + w.dialect.param(i+1)
		args[i] = vals[k]
	}
	stmt, err := w.prepare(ctx, w.selectFrom(t, columns)+" WHERE "+strings.Join(where, " AND "))
	if err != nil {
		return 0, err
	}
	var id int64
	there := make([]any, len(columns))
	dest := []any{&id}
	for i := range there {
		dest = append(dest, &there[i])
	}
	if err := stmt.QueryRowContext(ctx, args...).Scan(dest...); err != nil {
		return 0, fmt.Errorf("find a shared row of %s: %w", t.name, err)
	}
	for i, c := range columns {
		if !agree(vals[c], there[i]) {
			return 0, rejected("the shared row of %s with %s has %s %s in the common database, and %s here",
				t.name, describe(key, vals), c, show(there[i]), show(vals[c]))
		}
	}
	return id, nil
}

// agree is equal, but for the last bits of floats.
func agree(here, there any) bool {
	if equal(here, there) {
		return true
	}
	a, ok := here.(float64)
	b, ok2 := there.(float64)
	return ok && ok2 && math.Abs(a-b) <= sharedPrecision*math.Max(math.Abs(a), math.Abs(b))
}

func describe(key []string, vals map[string]any) string {
	var parts []string
	for _, k := range key {
		parts = append(parts, k+" "+show(vals[k]))
	}
	return strings.Join(parts, ", ")
}

// selectFrom begins a SELECT of the key and some columns as they are stored.
func (w *writer) selectFrom(t *table, columns []string) string {
	list := []string{w.dialect.quote(t.key)}
	for _, c := range columns {
		list = append(list, w.dialect.asStored(c))
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM " + w.dialect.quote(t.name)
}

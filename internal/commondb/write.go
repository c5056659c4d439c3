package commondb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"

	"longhaul/internal/crashpoint"
	"longhaul/internal/results"
)

// sharedPrecision is how far two floats may differ, relative to their size, and
// still mean the same in a shared row. Two versions of a program may compute
// the start of one observation with different last bits; the first stays. In
// an MJD it is half a millisecond.
const sharedPrecision = 1e-13

// store writes all rows of a plan and reads them back. Shared rows come first,
// before anything that takes long: another upload that makes the same ones
// waits for this one's end.
func (s *session) store(ctx context.Context, p *plan) error {
	var made []*row
	for _, r := range p.shared {
		isNew, err := s.share(ctx, r)
		if err != nil {
			return err
		}
		if isNew {
			made = append(made, &r.row)
		}
	}
	crashpoint.Reach(crashpoint.Insert)
	if err := s.insertUpload(ctx, p.upload); err != nil {
		return err
	}
	for _, g := range p.groups {
		if err := s.dialect.insertMany(ctx, s, g); err != nil {
			return err
		}
	}
	// After the last insert, so that what a trigger changes in earlier rows is
	// seen too.
	for _, r := range made {
		if err := s.readBack(ctx, []*row{r}); err != nil {
			return err
		}
	}
	if err := s.readBack(ctx, []*row{p.upload}); err != nil {
		return err
	}
	for _, g := range p.groups {
		if err := s.readBack(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

// insertUpload writes the upload's own row. When another upload of the same
// submit or work was quicker, that is found by the next try.
func (s *session) insertUpload(ctx context.Context, r *row) error {
	err := s.insert(ctx, r)
	if s.dialect.duplicate(err) {
		return fmt.Errorf("%w: %w", errRace, outage(Contended, err))
	}
	return err
}

// insert writes one row and gives it its key.
func (s *session) insert(ctx context.Context, r *row) error {
	id, stored, err := s.dialect.insertOne(ctx, s, r)
	if err != nil {
		return fmt.Errorf("insert into %s: %w", r.table.name, err)
	}
	if !stored {
		return notKept(r.table)
	}
	r.id = id
	return nil
}

func notKept(t *table) error {
	return mismatch("%s: the database took a row and did not keep it; is there a trigger?", t.name)
}

// share finds a shared row by its unique columns and compares the others, or
// makes it.
func (s *session) share(ctx context.Context, r *sharedRow) (isNew bool, err error) {
	id, err := s.findShared(ctx, r)
	if !errors.Is(err, sql.ErrNoRows) {
		r.id = id
		return false, err
	}
	err = s.insert(ctx, &r.row)
	if s.dialect.duplicate(err) {
		return false, fmt.Errorf("%w: %w", errRace, err)
	}
	return true, err
}

// findShared returns the key of the row that has r's unique columns, and
// refuses it if it says something else in the other columns. sql.ErrNoRows:
// there is none.
func (s *session) findShared(ctx context.Context, r *sharedRow) (int64, error) {
	where := make([]string, len(r.key))
	args := make([]any, len(r.key))
	for i, k := range r.key {
		where[i] = s.dialect.quote(r.columns[k].name) + " = " + s.dialect.param(i+1)
		args[i] = known(r.values[k])
	}
	stmt, err := s.prepare(ctx, s.selectFrom(r.shape)+" WHERE "+strings.Join(where, " AND "))
	if err != nil {
		return 0, err
	}
	var id int64
	there := make([]any, len(r.columns))
	dest := []any{&id}
	for i := range there {
		dest = append(dest, &there[i])
	}
	if err := stmt.QueryRowContext(ctx, args...).Scan(dest...); err != nil {
		return 0, fmt.Errorf("find a shared row of %s: %w", r.table.name, err)
	}
	for i, c := range r.columns {
		if here := known(r.values[i]); !agree(here, there[i]) {
			return 0, rejected("the shared row of %s with %s has %s %s in the common database, and %s here",
				r.table.name, r.describe(), c.name, show(plain(there[i])), show(here))
		}
	}
	return id, nil
}

func (r *sharedRow) describe() string {
	var parts []string
	for _, k := range r.key {
		parts = append(parts, r.columns[k].name+" "+show(known(r.values[k])))
	}
	return strings.Join(parts, ", ")
}

// agree is equal, but for the last bits of floats.
func agree(here, there any) bool {
	if equal(here, there) {
		return true
	}
	a, ok := here.(float64)
	b, ok2 := plain(there).(float64)
	return ok && ok2 && math.Abs(a-b) <= sharedPrecision*math.Max(math.Abs(a), math.Abs(b))
}

// selectFrom begins a SELECT of the key and the columns of a shape as they are
// stored.
func (s *session) selectFrom(of *shape) string {
	list := []string{s.dialect.quote(of.table.key)}
	for _, c := range of.columns {
		list = append(list, s.dialect.asStored(c))
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM " + s.dialect.quote(of.table.name)
}

// insertInto is the text of an INSERT of n rows of a shape.
func insertInto(d dialect, of *shape, n int) string {
	names := make([]string, len(of.columns))
	for i, c := range of.columns {
		names[i] = d.quote(c.name)
	}
	rows := make([]string, n)
	for i := range rows {
		params := make([]string, len(of.columns))
		for j := range params {
			params[j] = d.param(i*len(params) + j + 1)
		}
		rows[i] = "(" + strings.Join(params, ", ") + ")"
	}
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES %s", d.quote(of.table.name), strings.Join(names, ", "), strings.Join(rows, ", "))
}

// inMemory replaces the blobs among arguments by their bytes.
func inMemory(ctx context.Context, r *row, args []any) error {
	for i, v := range args {
		b, ok := v.(results.Blob)
		if !ok {
			continue
		}
		data, err := b.ReadAll(ctx)
		if err != nil {
			return blobError(r, r.columns[i], err)
		}
		args[i] = data
	}
	return nil
}

// blobError says of which column a file could not be sent.
func blobError(r *row, c *column, err error) error {
	if errors.Is(err, results.ErrInvalid) {
		return rejected("%s.%s: %w", r.table.name, c.name, err)
	}
	return err
}

// ours refuses a database that lost a table of ours since it was opened.
func (c catalog) ours() error {
	for _, name := range []string{uploadsTable, "versions"} {
		if c[name] == nil {
			return outage(NoTables, fmt.Errorf("there is no table %s", name))
		}
	}
	return nil
}

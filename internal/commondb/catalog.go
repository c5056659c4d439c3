package commondb

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"longhaul/internal/results"
)

// uploadsTable is the table of which each upload is a row. Records cannot name it.
const uploadsTable = "uploads"

// catalog is the schema of the database, by table.
type catalog map[string]*table

type table struct {
	name    string
	key     string // the column of its integer primary key; "" if it has none
	columns map[string]*column
	unique  [][]string // sets of columns that are unique together
}

type column struct {
	name    string
	kind    kind
	notNull bool
	parent  string // table that it refers to by a foreign key; "" if none
}

// kind is what a column can hold.
type kind int

const (
	kindAny kind = iota
	kindInteger
	kindReal
	kindText
	kindBlob
)

func (k kind) String() string {
	return [...]string{"any value", "integers", "numbers", "text", "the bytes of files"}[k]
}

// table finds a table by the name in a record.
func (c catalog) table(name string) (*table, error) {
	t, ok := c[name]
	if !ok {
		return nil, rejected("%.80q: no such table; there are %s", name, strings.Join(slices.Sorted(maps.Keys(c)), ", "))
	}
	if t.key == "" {
		return nil, rejected("table %s has no integer primary key, by which its rows could be read back", name)
	}
	return t, nil
}

// column finds a column by the name in a record.
func (t *table) column(name string) (*column, error) {
	c, ok := t.columns[name]
	if !ok {
		return nil, rejected("%s.%.80q: no such column; %s has %s", t.name, name, t.name, strings.Join(slices.Sorted(maps.Keys(t.columns)), ", "))
	}
	return c, nil
}

// columnTo is the column in which a row of t carries the key of its parent.
func (t *table) columnTo(parent string) (string, error) {
	var found, parents []string
	for _, name := range slices.Sorted(maps.Keys(t.columns)) {
		switch p := t.columns[name].parent; p {
		case "":
		case parent:
			found = append(found, name)
		default:
			parents = append(parents, p)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", rejected("a row of %s cannot hang on one of %s: several columns refer to it (%s)", t.name, parent, strings.Join(found, ", "))
	case parent == uploadsTable:
		return "", rejected("a row of %s cannot stand alone: no column refers to %s; its rows hang on %s", t.name, parent, orNothing(parents))
	default:
		return "", rejected("a row of %s cannot hang on one of %s: no column refers to it; its rows hang on %s", t.name, parent, orNothing(parents))
	}
}

func orNothing(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// naturalKey is the first unique set of columns for which vals has values.
func (t *table) naturalKey(vals map[string]any) ([]string, error) {
	for _, set := range t.unique {
		if !slices.ContainsFunc(set, func(c string) bool { return vals[c] == nil }) {
			return set, nil
		}
	}
	var sets []string
	for _, set := range t.unique {
		sets = append(sets, strings.Join(set, " + "))
	}
	return nil, rejected("a shared row of %s is found by its unique columns (%s), which are not given", t.name, orNothing(sets))
}

// check refuses a value that the column cannot hold as it is. It is stricter
// than the database, which may convert.
func (t *table) check(c *column, v any) error {
	ok := c.kind == kindAny
	switch v := v.(type) {
	case nil:
		if c.notNull {
			return rejected("%s.%s: null, but it must have a value", t.name, c.name)
		}
		return nil
	case int64:
		ok = ok || c.kind == kindInteger || c.kind == kindReal && exactFloat(v)
	case float64:
		ok = ok || c.kind == kindReal || c.kind == kindInteger && exactInt(v)
	case bool:
		ok = ok || c.kind == kindInteger
	case string:
		ok = ok || c.kind == kindText
	case results.Blob:
		ok = ok || c.kind == kindBlob
	}
	if !ok {
		return rejected("%s.%s holds %s, not %s", t.name, c.name, c.kind, show(v))
	}
	return nil
}

// exactFloat reports whether a float can hold n as it is.
func exactFloat(n int64) bool { return exactInt(float64(n)) && int64(float64(n)) == n }

// exactInt reports whether an int64 can hold f as it is.
func exactInt(f float64) bool {
	return f == math.Trunc(f) && f >= math.MinInt64 && f < math.MaxInt64
}

// show prints a value for a message, with its type visible and not endless.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		if len(v) > 80 {
			return fmt.Sprintf("%.80q… (%d bytes)", v, len(v))
		}
		return fmt.Sprintf("%q", v)
	case []byte:
		return fmt.Sprintf("%d bytes", len(v))
	case results.Blob:
		return fmt.Sprintf("the file %.80q", v.Name)
	case float64:
		if s := fmt.Sprint(v); strings.ContainsAny(s, ".e") {
			return s
		}
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprint(v)
	}
}

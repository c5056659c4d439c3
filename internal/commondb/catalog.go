package commondb

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"longhaul/internal/results"
)

// uploadsTable is the table of which each upload is a row. Records cannot name it.
const uploadsTable = "uploads"

// catalog is the schema of the database, by table.
type catalog map[string]*table

type table struct {
	name     string
	key      string // the column of its integer primary key; "" if it has none
	columns  map[string]*column
	unique   [][]string // sets of columns that are unique together
	sequence string     // PostgreSQL's, that gives its key
	unfit    error      // why nothing can be uploaded to it; nil if it can
}

type column struct {
	name     string
	kind     kind
	notNull  bool
	parent   string // table that it refers to by a foreign key; "" if none
	declared string // its type, in the words of the database
	min, max int64  // of a kindInteger, where both are not 0
	typeID   uint32 // PostgreSQL's OID of its type
}

// kind is what a column can hold.
type kind int

const (
	kindAny kind = iota
	kindInteger
	kindReal
	kindText
	kindBlob
	kindBool
	kindTime
	kindOther // a type that nothing here has a value for
)

func (k kind) String() string {
	return [...]string{"any value", "integers", "numbers", "text", "the bytes of files", "true or false",
		"times as 2006-01-02T15:04:05.999Z", "what cannot be uploaded"}[k]
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
	if t.unfit != nil {
		return nil, rejected("table %s: %w", name, t.unfit)
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

// check refuses a value that the column cannot hold as it is, and returns it as
// the column's kind: int64, float64, string, bool or time.Time. It is stricter
// than the database, which may convert. Files and rows pass as they are.
func (t *table) check(c *column, v any) (any, error) {
	if v == nil {
		if c.notNull {
			return nil, rejected("%s.%s: null, but it must have a value", t.name, c.name)
		}
		return nil, nil
	}
	as, ok := c.kind.hold(v)
	if !ok {
		return nil, rejected("%s.%s holds %s, not %s", t.name, c.name, c.holds(), show(v))
	}
	if n, isInt := as.(int64); isInt && (c.min != 0 || c.max != 0) && (n < c.min || n > c.max) {
		return nil, rejected("%s.%s holds integers from %d to %d, not %d", t.name, c.name, c.min, c.max, n)
	}
	return as, nil
}

func (c *column) holds() string {
	if c.kind == kindOther {
		return fmt.Sprintf("%s (%s)", c.kind, c.declared)
	}
	return c.kind.String()
}

// hold returns a value as one of the kind, and whether that is the same value.
func (k kind) hold(v any) (any, bool) {
	switch v := v.(type) {
	case *row:
		return v, k == kindInteger || k == kindAny
	case results.Blob:
		return v, k == kindBlob || k == kindAny
	case string:
		if k == kindTime {
			at, err := time.Parse(time.RFC3339Nano, v)
			return at.UTC(), err == nil
		}
		return v, k == kindText || k == kindAny
	case bool:
		if k == kindInteger {
			return map[bool]int64{true: 1}[v], true
		}
		return v, k == kindBool || k == kindAny
	case int64:
		if k == kindReal {
			return float64(v), exactFloat(v)
		}
		return v, k == kindInteger || k == kindAny
	case float64:
		if k == kindInteger {
			return int64(v), exactInt(v)
		}
		return v, k == kindReal || k == kindAny
	}
	return v, false
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
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case float64:
		if s := fmt.Sprint(v); strings.ContainsAny(s, ".e") {
			return s
		}
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprint(v)
	}
}

package commondb

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"longhaul/internal/results"
)

// row is one that is to be written.
type row struct {
	*shape
	values []any // as kind.holds, a results.Blob, or a *row for its key
	id     int64 // once it is written
	parent *row  // that it hangs on; nil: it is shared, or the upload itself
	index  int   // among the records of its parent
}

// shape is what many rows have in common: their table and the columns they give.
type shape struct {
	table   *table
	columns []*column // in the order of their names
}

// args are the values with the keys of other rows in place, which are written.
func (r *row) args() []any {
	args := make([]any, len(r.values))
	for i, v := range r.values {
		args[i] = known(v)
	}
	return args
}

// known is a value, or the key of the row that it stands for.
func known(v any) any {
	if r, ok := v.(*row); ok {
		return r.id
	}
	return v
}

func (s *shape) hasBlob() bool {
	return slices.ContainsFunc(s.columns, func(c *column) bool { return c.kind == kindBlob })
}

// place is where a record stands in the tree, for messages.
func place(parent *row, index int) string {
	if parent.parent == nil {
		return fmt.Sprintf("records[%d]", index)
	}
	return fmt.Sprintf("%s.children[%d]", place(parent.parent, parent.index), index)
}

func (r *row) place() string {
	if r.parent == nil {
		return "a row of " + r.table.name
	}
	return place(r.parent, r.index)
}

// plan is all rows of an upload, in the order in which they are written.
type plan struct {
	shared []*sharedRow // in an order that is the same for every uploader
	upload *row
	groups [][]*row // of one shape each, parents before children
}

// sharedRow is one that is found by its unique columns, or made.
type sharedRow struct {
	row
	key   []int  // the columns by which it is found
	level int    // above that of all shared rows that it refers to
	order string // among those of its level
}

// planner makes a plan of records. It checks all that can be without a
// question to the database.
type planner struct {
	catalog catalog
	maxRow  int64
	shapes  map[string]*shape
	last    map[*table]*shape     // of the last row of each table, which the next one mostly has too
	shared  map[string]*sharedRow // by the record's digest
	levels  []level
}

// level is the rows at one depth of the tree, by shape.
type level struct {
	order []*shape
	rows  map[*shape][]*row
}

// newPlan makes the plan of an upload whose own row has these values.
func newPlan(cat catalog, maxRow int64, version string, own map[string]any, records []results.Record) (*plan, error) {
	p := &planner{catalog: cat, maxRow: maxRow, shapes: make(map[string]*shape), last: make(map[*table]*shape), shared: make(map[string]*sharedRow)}
	vals := maps.Clone(own)
	if version != "" {
		v, err := p.sharedRow(results.Record{Table: "versions", Values: map[string]any{"version_number": version}})
		if err != nil {
			return nil, fmt.Errorf("version: %w", err)
		}
		vals["version_id"] = &v.row
	}
	t, err := cat.table(uploadsTable)
	if err != nil {
		return nil, err
	}
	for name, v := range vals {
		c, err := t.column(name)
		if err != nil {
			return nil, err
		}
		if vals[name], err = t.check(c, v); err != nil {
			return nil, err
		}
	}
	upload := p.row(t, vals)
	for i, r := range records {
		if err := p.record(r, upload, uploadsTable, i, 0); err != nil {
			return nil, err
		}
	}
	return &plan{p.inOrder(), upload, p.groups()}, nil
}

// inOrder returns the shared rows such that two uploads never wait for each
// other: every one that makes the same rows makes them in this order.
func (p *planner) inOrder() []*sharedRow {
	return slices.SortedFunc(maps.Values(p.shared), func(a, b *sharedRow) int {
		return cmp.Or(cmp.Compare(a.level, b.level), cmp.Compare(a.table.name, b.table.name), cmp.Compare(a.order, b.order))
	})
}

func (p *planner) groups() (list [][]*row) {
	for _, l := range p.levels {
		for _, s := range l.order {
			list = append(list, l.rows[s])
		}
	}
	return list
}

// record plans a record and what hangs on it.
func (p *planner) record(r results.Record, parent *row, parentTable string, index, depth int) error {
	one, err := p.single(r, parent, parentTable)
	if err != nil {
		return fmt.Errorf("%s: %w", place(parent, index), err)
	}
	one.parent, one.index = parent, index
	if depth == len(p.levels) {
		p.levels = append(p.levels, level{rows: make(map[*shape][]*row)})
	}
	l := &p.levels[depth]
	if _, ok := l.rows[one.shape]; !ok {
		l.order = append(l.order, one.shape)
	}
	l.rows[one.shape] = append(l.rows[one.shape], one)
	for i, c := range r.Children {
		if err := p.record(c, one, r.Table, i, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// single plans the row of one record.
func (p *planner) single(r results.Record, parent *row, parentTable string) (*row, error) {
	if r.Table == uploadsTable {
		return nil, rejected("rows of %s are written by the upload itself", uploadsTable)
	}
	t, err := p.catalog.table(r.Table)
	if err != nil {
		return nil, err
	}
	up, err := t.columnTo(parentTable)
	if err != nil {
		return nil, err
	}
	vals, err := p.values(t, r)
	if err != nil {
		return nil, err
	}
	if _, ok := vals[up]; ok {
		return nil, rejected("%s.%s is the key of the row above, and cannot be given", t.name, up)
	}
	vals[up] = parent
	return p.row(t, vals), nil
}

// row makes a row of values for columns that exist.
func (p *planner) row(t *table, vals map[string]any) *row {
	s := p.last[t]
	if s == nil || !s.fits(vals) {
		s = p.shapeOf(t, vals)
		p.last[t] = s
	}
	r := &row{shape: s, values: make([]any, len(s.columns))}
	for i, c := range s.columns {
		r.values[i] = vals[c.name]
	}
	return r
}

// fits reports whether vals are of the columns of s and no others.
func (s *shape) fits(vals map[string]any) bool {
	if len(vals) != len(s.columns) {
		return false
	}
	for _, c := range s.columns {
		if _, ok := vals[c.name]; !ok {
			return false
		}
	}
	return true
}

func (p *planner) shapeOf(t *table, vals map[string]any) *shape {
	names := sortedKeys(vals)
	id := t.name + "\x00" + strings.Join(names, "\x00")
	s := p.shapes[id]
	if s == nil {
		s = &shape{table: t}
		for _, n := range names {
			s.columns = append(s.columns, t.columns[n])
		}
		p.shapes[id] = s
	}
	return s
}

// values puts together the columns that a record gives, with the shared rows
// that it refers to.
func (p *planner) values(t *table, r results.Record) (map[string]any, error) {
	vals := make(map[string]any, len(r.Values)+len(r.Blobs)+len(r.Refs)+1)
	add := func(name string, v any) error {
		c, err := t.column(name)
		if err != nil {
			return err
		}
		if _, twice := vals[name]; twice {
			return rejected("%s.%s is given twice", t.name, name)
		}
		if _, isKey := r.Refs[name]; name == t.key || c.parent != "" && !isKey {
			return rejected("%s.%s is a key, which the database gives", t.name, name)
		}
		vals[name], err = t.check(c, v)
		return err
	}
	for _, name := range sortedKeys(r.Values) {
		if err := add(name, r.Values[name]); err != nil {
			return nil, err
		}
	}
	room := p.maxRow
	for _, name := range sortedKeys(r.Blobs) {
		b := r.Blobs[name]
		if err := add(name, b); err != nil {
			return nil, err
		}
		if room -= b.Size; room < 0 {
			return nil, rejected("%s.%s: the file %.80q has %d bytes; the database holds at most %d in a row", t.name, name, b.Name, b.Size, p.maxRow)
		}
	}
	for _, name := range sortedKeys(r.Refs) {
		ref, err := p.reference(t, name, r.Refs[name])
		if err != nil {
			return nil, err
		}
		if err := add(name, ref); err != nil {
			return nil, err
		}
	}
	return vals, nil
}

// reference plans the shared row that column name of t refers to.
func (p *planner) reference(t *table, name string, r results.Record) (*row, error) {
	c, err := t.column(name)
	if err != nil {
		return nil, err
	}
	if c.parent != r.Table || r.Table == uploadsTable {
		what := "does not refer to another table"
		if c.parent != "" {
			what = "refers to " + c.parent
		}
		return nil, rejected("%s.%s %s; it cannot hold the key of a shared row of %.80q", t.name, name, what, r.Table)
	}
	shared, err := p.sharedRow(r)
	if err != nil {
		return nil, err
	}
	return &shared.row, nil
}

// sharedRow plans a row that is shared, once for all that refer to it.
func (p *planner) sharedRow(r results.Record) (*sharedRow, error) {
	digest := digestOf(r)
	if s, ok := p.shared[digest]; ok {
		return s, nil
	}
	t, err := p.catalog.table(r.Table)
	if err != nil {
		return nil, err
	}
	vals, err := p.values(t, r)
	if err != nil {
		return nil, err
	}
	key, err := t.naturalKey(vals)
	if err != nil {
		return nil, err
	}
	s := &sharedRow{row: *p.row(t, vals)}
	for _, k := range key {
		i := slices.IndexFunc(s.columns, func(c *column) bool { return c.name == k })
		s.key = append(s.key, i)
		if _, isRow := s.values[i].(*row); !isRow {
			s.order += show(s.values[i]) + "\x00"
		}
	}
	s.order += digest
	for _, ref := range r.Refs {
		s.level = max(s.level, p.shared[digestOf(ref)].level+1)
	}
	p.shared[digest] = s
	return s, nil
}

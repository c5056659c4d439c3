package commondb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"longhaul/internal/crashpoint"
	"longhaul/internal/pipeline"
	"longhaul/internal/results"
)

// timeFormat is how times are stored: UTC, and in order as text.
const timeFormat = "2006-01-02T15:04:05.000Z"

// Meta says what an upload is of.
type Meta struct {
	Submit      string // its key: the submit's unique name
	Work        string // the same for every submit of the same work; "" if that is not known
	Job         string // the job's name, for people
	Stage       string
	Institution string
	Pipeline    string
	Survey      string
	Version     string // version number of all software that made the results; "" if not known
}

// Receipt is what the common database holds after an upload.
type Receipt struct {
	Already bool   // it was there before
	By      string // the submit that uploaded the same work before, if that was another one
	Rows    int    // without shared ones, such as observations and types
	Bytes   int64  // of all blobs
	Digest  string // SHA-256 over all records and blobs, hex
}

// Upload writes the records in one transaction, reads every row and blob back,
// compares, and commits. An upload under the same m.Submit that is there
// already is not repeated: if it has the same content, Already says so; if not,
// ErrMismatch. Nor is an upload of the same work by another submit, whatever
// came out of it this time: By names the one that is there. After an error of any kind, calling it again is safe: when the
// connection was lost during the commit, this is how to learn what became of it.
// One blob at a time is held in memory, with SQLite three copies of it.
func (db *DB) Upload(ctx context.Context, m Meta, records []results.Record) (Receipt, error) {
	var receipt Receipt
	err := db.within(ctx, func(ctx context.Context) (err error) {
		receipt, err = db.upload(ctx, m, records)
		return err
	})
	if err != nil {
		return Receipt{}, fmt.Errorf("upload %q: %w", m.Submit, err)
	}
	return receipt, nil
}

func (db *DB) upload(ctx context.Context, m Meta, records []results.Record) (Receipt, error) {
	if m.Submit == "" {
		return Receipt{}, rejected("the upload has no submit's name")
	}
	size, err := measureTree(records)
	if err != nil {
		return Receipt{}, err
	}
	receipt := Receipt{Rows: size.rows, Bytes: size.bytes, Digest: size.digest}
	err = db.transaction(ctx, func(tx *sql.Tx) error {
		at, digest, err := db.find(ctx, tx, m.Submit)
		if err == nil {
			receipt.Already = true
			return sameUpload(at, digest, size.digest)
		} else if !errors.Is(err, pipeline.ErrNotFound) {
			return err
		}
		receipt.By, err = db.findWork(ctx, tx, m.Work)
		if err == nil {
			receipt.Already = true
			return nil
		} else if !errors.Is(err, pipeline.ErrNotFound) {
			return err
		}
		return db.store(ctx, tx, m, size, records)
	})
	return receipt, err
}

// sameUpload compares an upload that is there with the one to be made.
func sameUpload(at time.Time, there, here string) error {
	if there == here {
		return nil
	}
	return mismatch("it was uploaded at %s with other content (digest %.12s…, now %.12s…); nothing was changed: compare the output directory with that upload",
		at.Format(time.RFC3339), there, here)
}

// store writes an upload and reads it back.
func (db *DB) store(ctx context.Context, tx *sql.Tx, m Meta, size measure, records []results.Record) error {
	cat, err := db.dialect.catalog(ctx, tx)
	if err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	w := &writer{tx: tx, dialect: db.dialect, catalog: cat, stmts: make(map[string]*sql.Stmt), shared: make(map[string]int64)}
	row := map[string]any{
		"submit": m.Submit, "job": m.Job, "stage": m.Stage, "institution": m.Institution,
		"pipeline": m.Pipeline, "survey": m.Survey, "digest": size.digest,
		"records": int64(size.rows), "bytes": size.bytes, "created_at": db.now().UTC().Format(timeFormat),
	}
	if m.Work != "" {
		row["work"] = m.Work
	}
	if m.Version != "" {
		v := results.Record{Table: "versions", Values: map[string]any{"version_number": m.Version}}
		if row["version_id"], err = w.sharedRow(ctx, v); err != nil {
			return fmt.Errorf("version: %w", err)
		}
	}
	t, err := cat.table(uploadsTable)
	if err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.Insert)
	id, err := w.insert(ctx, t, row)
	if err != nil {
		return err
	}
	for i, r := range records {
		if err := w.record(ctx, r, uploadsTable, id); err != nil {
			return fmt.Errorf("records[%d]%w", i, err)
		}
	}
	return w.readBack(ctx)
}

// writer writes one upload within its transaction and remembers what it wrote.
type writer struct {
	tx      *sql.Tx
	dialect dialect
	catalog catalog
	stmts   map[string]*sql.Stmt
	shared  map[string]int64 // keys of shared rows, by the record's digest
	written []row
}

// row is one that was inserted; a value may be a results.Blob.
type row struct {
	table   *table
	id      int64
	columns []string
	values  []any
}

// record writes a record and what hangs on it. Its errors start with what
// completes the record's place in the tree.
func (w *writer) record(ctx context.Context, r results.Record, parent string, parentID int64) error {
	id, err := w.single(ctx, r, parent, parentID)
	if err != nil {
		return fmt.Errorf(": %w", err)
	}
	for i, c := range r.Children {
		if err := w.record(ctx, c, r.Table, id); err != nil {
			return fmt.Errorf(".children[%d]%w", i, err)
		}
	}
	return nil
}

// single writes the row of one record.
func (w *writer) single(ctx context.Context, r results.Record, parent string, parentID int64) (int64, error) {
	if r.Table == uploadsTable {
		return 0, rejected("rows of %s are written by the upload itself", uploadsTable)
	}
	t, err := w.catalog.table(r.Table)
	if err != nil {
		return 0, err
	}
	up, err := t.columnTo(parent)
	if err != nil {
		return 0, err
	}
	vals, err := w.values(ctx, t, r)
	if err != nil {
		return 0, err
	}
	if _, ok := vals[up]; ok {
		return 0, rejected("%s.%s is the key of the row above, and cannot be given", t.name, up)
	}
	vals[up] = parentID
	return w.insert(ctx, t, vals)
}

// values puts together the columns that a record gives, with the keys of the
// shared rows that it refers to.
func (w *writer) values(ctx context.Context, t *table, r results.Record) (map[string]any, error) {
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
		vals[name] = v
		return t.check(c, v)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Values)) {
		if err := add(name, r.Values[name]); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Blobs)) {
		if err := add(name, r.Blobs[name]); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Refs)) {
		id, err := w.reference(ctx, t, name, r.Refs[name])
		if err != nil {
			return nil, err
		}
		if err := add(name, id); err != nil {
			return nil, err
		}
	}
	return vals, nil
}

// insert writes one row, whose columns are known to exist.
func (w *writer) insert(ctx context.Context, t *table, vals map[string]any) (int64, error) {
	r := row{table: t, columns: slices.Sorted(maps.Keys(vals))}
	names := make([]string, len(r.columns))
	params := make([]string, len(r.columns))
	args := make([]any, len(r.columns))
	for i, c := range r.columns {
		r.values = append(r.values, vals[c])
		names[i], params[i] = w.dialect.quote(c), w.dialect.param(i+1)
		var err error
		if args[i], err = w.argument(ctx, t, c, vals[c]); err != nil {
			return 0, err
		}
	}
	stmt, err := w.prepare(ctx, fmt.Sprintf(`INSERT INTO %s (%s) VALUES (%s)`,
		w.dialect.quote(t.name), strings.Join(names, ", "), strings.Join(params, ", ")))
	if err != nil {
		return 0, err
	}
	id, stored, err := w.dialect.insert(ctx, stmt, args)
	if err != nil {
		return 0, fmt.Errorf("insert into %s: %w", t.name, err)
	}
	if !stored {
		return 0, mismatch("%s: the database took a row and did not keep it; is there a trigger?", t.name)
	}
	r.id = id
	w.written = append(w.written, r)
	return id, nil
}

// argument is what the driver is given for a value.
func (w *writer) argument(ctx context.Context, t *table, column string, v any) (any, error) {
	b, ok := v.(results.Blob)
	if !ok {
		return v, nil
	}
	if most := w.dialect.maxBlob(); b.Size > most {
		return nil, rejected("%s.%s: the file %.80q has %d bytes; the database holds at most %d", t.name, column, b.Name, b.Size, most)
	}
	data, err := b.ReadAll(ctx)
	if errors.Is(err, results.ErrInvalid) {
		return nil, rejected("%s.%s: %w", t.name, column, err)
	}
	return data, err
}

// maxStatements bounds how many statements one upload keeps prepared. Records
// of one table usually have the same columns; hostile ones need not.
const maxStatements = 64

func (w *writer) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := w.stmts[query]; ok {
		return s, nil
	}
	if len(w.stmts) == maxStatements {
		for q, s := range w.stmts {
			s.Close() // only frees memory
			delete(w.stmts, q)
		}
	}
	s, err := w.tx.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	w.stmts[query] = s
	return s, nil
}

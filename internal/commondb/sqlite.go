package commondb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"longhaul/internal/disk"
	"longhaul/internal/pipeline"
	"longhaul/schema"
)

const (
	// applicationID marks the file as a common database of ours ("LHcd"); the
	// first migration sets it.
	applicationID = 0x4c486364
	// quickCheckMax is the size up to which Open looks at every page, bytes.
	// Larger files would hold up every start.
	quickCheckMax = 64 << 20
	// maxBusy bounds how long SQLite itself waits for a lock.
	maxBusy = 10 * time.Second
	readers = 4
)

// sqliteDialect is SQLite, in one file on a local disk.
type sqliteDialect struct {
	path   string
	opened os.FileInfo // the file as it was when it was opened
}

var _ dialect = (*sqliteDialect)(nil)

// initSQLite makes the file and applies the migrations.
func initSQLite(ctx context.Context, o Options) (created bool, err error) {
	if err := disk.MakeDir(filepath.Dir(o.Database)); err != nil {
		return false, pipeline.Outage(pipeline.CommonDatabase, err)
	}
	if err := refuseNetwork(filepath.Dir(o.Database)); err != nil {
		return false, err
	}
	if err := touch(o.Database); err != nil {
		return false, pipeline.Outage(pipeline.CommonDatabase, err)
	}
	db, err := sql.Open("sqlite", sqliteDSN(o, false))
	if err != nil {
		return false, err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	created, err = migrate(ctx, db, o.Database)
	return created, sqliteError(err)
}

// touch makes an empty file, readable by the group only, if there is none.
// SQLite would make it readable by the world.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, disk.FileMode)
	if errors.Is(err, fs.ErrExist) {
		return nil // never opened here: closing it would drop SQLite's locks
	} else if err != nil {
		return err
	}
	return errors.Join(f.Close(), disk.SyncDir(filepath.Dir(path)))
}

// migrate fills an empty file and leaves alone one that is right.
func migrate(ctx context.Context, db *sql.DB, path string) (created bool, err error) {
	migrations, err := sqliteMigrations()
	if err != nil {
		return false, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback() // does nothing after Commit
	var tables int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema`).Scan(&tables); err != nil {
		return false, err
	}
	if tables > 0 {
		return false, checkVersion(ctx, tx, path)
	}
	for _, text := range migrations {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return false, err
		}
	}
	if _, err := tx.ExecContext(ctx, `PRAGMA user_version = `+strconv.Itoa(len(migrations))); err != nil {
		return false, err
	}
	return true, tx.Commit()
}

// sqliteMigrations returns the text of the migrations in their order.
func sqliteMigrations() ([]string, error) {
	names, err := fs.Glob(schema.CommonDB, "commondb/sqlite/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	texts := make([]string, len(names))
	for i, name := range names {
		text, err := fs.ReadFile(schema.CommonDB, name)
		if err != nil {
			return nil, err
		}
		texts[i] = string(text)
	}
	return texts, nil
}

// openSQLite opens a file that Init has made.
func openSQLite(ctx context.Context, o Options) (_ *DB, err error) {
	info, err := os.Stat(o.Database)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w; \"longhaul init\" makes it, with the job-tracker; if it should be there, look whether its disk is mounted", pipeline.ErrNotFound)
	case err != nil:
		return nil, pipeline.Outage(pipeline.CommonDatabase, err)
	case !info.Mode().IsRegular():
		return nil, pipeline.Fatal(errors.New("it is not a file; commondb.database must name one"))
	}
	if err := refuseNetwork(o.Database); err != nil {
		return nil, err
	}
	db := &DB{dialect: &sqliteDialect{o.Database, info}, timeout: o.Timeout, now: o.Now}
	if db.write, err = sql.Open("sqlite", sqliteDSN(o, false)); err != nil {
		return nil, err
	}
	db.write.SetMaxOpenConns(1)
	if db.read, err = sql.Open("sqlite", sqliteDSN(o, true)); err != nil {
		return nil, errors.Join(err, db.write.Close())
	}
	db.read.SetMaxOpenConns(readers)
	err = checkVersion(ctx, db.write, o.Database)
	if err == nil && info.Size() <= quickCheckMax {
		err = quickCheck(ctx, db.write)
	}
	if err != nil {
		return nil, errors.Join(sqliteError(err), db.Close())
	}
	return db, nil
}

// checkVersion refuses a file that is not a common database of this version.
func checkVersion(ctx context.Context, q querier, path string) error {
	migrations, err := sqliteMigrations()
	if err != nil {
		return err
	}
	var id, version, tables int
	err = q.QueryRowContext(ctx, `
		SELECT (SELECT application_id FROM pragma_application_id),
		       (SELECT user_version FROM pragma_user_version),
		       (SELECT count(*) FROM sqlite_schema)`).Scan(&id, &version, &tables)
	switch want := len(migrations); {
	case err != nil:
		return err
	case tables == 0:
		return fmt.Errorf("%w: the file is empty; \"longhaul init\" makes its tables", pipeline.ErrNotFound)
	case id != applicationID:
		return pipeline.Fatal(fmt.Errorf("%s is another program's database; set commondb.database to a file of its own", path))
	case version > want:
		return pipeline.Fatal(fmt.Errorf("it has version %d, this program knows up to %d; use the newer longhaul that made it", version, want))
	case version < want:
		return pipeline.Fatal(fmt.Errorf("it has version %d, this program needs %d; use the program that wrote it, or a new file", version, want))
	}
	return nil
}

// quickCheck looks for damage in all pages.
func quickCheck(ctx context.Context, db *sql.DB) error {
	var found string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&found); err != nil {
		return err
	}
	if found != "ok" {
		return damaged(errors.New(found))
	}
	return nil
}

func damaged(err error) error {
	return pipeline.Fatal(fmt.Errorf("the file is damaged, or no SQLite database: %w; keep a copy of it with its -wal, and put a backup in its place", err))
}

func refuseNetwork(path string) error {
	name, err := disk.Network(path)
	if err != nil {
		return pipeline.Outage(pipeline.CommonDatabase, err)
	}
	if name != "" {
		return pipeline.Fatal(fmt.Errorf("it is on %s, over which SQLite is not safe; set commondb.database to a file on a local disk", name))
	}
	return nil
}

// sqliteDSN has the pragmas in it, so that every connection has them. The file
// is never made by opening it.
func sqliteDSN(o Options, readOnly bool) string {
	q := url.Values{
		"mode":    {"rw"},
		"_txlock": {"immediate"},
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", min(maxBusy, o.Timeout/2).Milliseconds()),
			"foreign_keys(1)", "journal_mode(WAL)", "synchronous(FULL)",
		},
	}
	if readOnly {
		q.Set("_query_only", "1")
	}
	path := o.Database
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// ready notices that the file was removed or replaced: SQLite would go on
// writing into a file that nobody can find any more.
func (s *sqliteDialect) ready() error {
	now, err := os.Stat(s.path)
	if err != nil {
		return pipeline.Outage(pipeline.CommonDatabase, err)
	}
	if !os.SameFile(s.opened, now) {
		return pipeline.Outage(pipeline.CommonDatabase, fmt.Errorf("%s was replaced while it was open; start the uploader again", s.path))
	}
	return nil
}

func (*sqliteDialect) quote(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

func (*sqliteDialect) param(int) string { return "?" }

// asStored has a + in front: an expression has no declared type, by which the
// driver would turn text into a time.
func (s *sqliteDialect) asStored(column string) string { return "+" + s.quote(column) }

func (s *sqliteDialect) size(column string) string { return "length(" + s.quote(column) + ")" }

func (*sqliteDialect) insert(ctx context.Context, stmt *sql.Stmt, args []any) (int64, bool, error) {
	res, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, false, err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, false, err
	}
	id, err := res.LastInsertId()
	return id, n == 1, err
}

// maxBlob is SQLITE_MAX_LENGTH, which bounds the whole row, less room for the
// other columns.
func (*sqliteDialect) maxBlob() int64 { return 1_000_000_000 - 1<<20 }

func (*sqliteDialect) classify(err error) error { return sqliteError(err) }

// sqliteError sorts by SQLite's primary result code.
func sqliteError(err error) error {
	var se *sqlite.Error
	switch {
	case err == nil || sorted(err):
		return err
	case !errors.As(err, &se):
		return pipeline.Outage(pipeline.CommonDatabase, err)
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_RANGE:
		return rejected("%w", err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return damaged(err)
	}
	return pipeline.Outage(pipeline.CommonDatabase, err)
}

// catalog reads the schema from SQLite's own tables.
func (*sqliteDialect) catalog(ctx context.Context, q querier) (catalog, error) {
	c := make(catalog)
	if err := sqliteColumns(ctx, q, c); err != nil {
		return nil, err
	}
	if err := sqliteParents(ctx, q, c); err != nil {
		return nil, err
	}
	return c, sqliteUnique(ctx, q, c)
}

// sqliteTables is the tables of the schema, without SQLite's own.
const sqliteTables = `sqlite_schema AS m WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\'`

func sqliteColumns(ctx context.Context, q querier, c catalog) error {
	rows, err := q.QueryContext(ctx, `
		SELECT m.name, x.name, upper(x.type), x."notnull", x.pk
		  FROM (SELECT m.name FROM `+sqliteTables+`) AS m, pragma_table_xinfo(m.name) AS x
		 WHERE x.hidden = 0
		 ORDER BY m.name, x.cid`)
	if err != nil {
		return err
	}
	defer rows.Close()
	keys := make(map[string]int)
	for rows.Next() {
		var name, col, typ string
		var notNull bool
		var pk int
		if err := rows.Scan(&name, &col, &typ, &notNull, &pk); err != nil {
			return err
		}
		t := c[name]
		if t == nil {
			t = &table{name: name, columns: make(map[string]*column)}
			c[name] = t
		}
		t.columns[col] = &column{name: col, kind: sqliteKind(typ), notNull: notNull}
		if pk > 0 {
			keys[name]++
			t.key = ""
			if typ == "INTEGER" && keys[name] == 1 {
				t.key = col
			}
		}
	}
	return rows.Err()
}

// sqliteKind follows SQLite's rules of affinity.
func sqliteKind(declared string) kind {
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(declared, w) })
	}
	switch {
	case has("INT"):
		return kindInteger
	case has("CHAR", "CLOB", "TEXT"):
		return kindText
	case has("BLOB"):
		return kindBlob
	case has("REAL", "FLOA", "DOUB"):
		return kindReal
	}
	return kindAny
}

// sqliteParents reads the foreign keys of one column that refer to a primary key.
func sqliteParents(ctx context.Context, q querier, c catalog) error {
	rows, err := q.QueryContext(ctx, `
		SELECT m.name, f."table", f."from", coalesce(f."to", '')
		  FROM (SELECT m.name FROM `+sqliteTables+`) AS m, pragma_foreign_key_list(m.name) AS f
		 WHERE NOT EXISTS (SELECT 1 FROM pragma_foreign_key_list(m.name) AS g WHERE g.id = f.id AND g.seq > 0)`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name, parent, from, to string
		if err := rows.Scan(&name, &parent, &from, &to); err != nil {
			return err
		}
		col, up := c[name].columns[from], c[parent]
		if col != nil && up != nil && (to == "" || to == up.key) {
			col.parent = parent
		}
	}
	return rows.Err()
}

// sqliteUnique reads the sets of columns that are unique together, other than
// primary keys and those that hold for some rows only.
func sqliteUnique(ctx context.Context, q querier, c catalog) error {
	rows, err := q.QueryContext(ctx, `
		SELECT m.name, i.name, coalesce(x.name, '')
		  FROM (SELECT m.name FROM `+sqliteTables+`) AS m, pragma_index_list(m.name) AS i, pragma_index_info(i.name) AS x
		 WHERE i."unique" AND NOT i.partial AND i.origin <> 'pk'
		 ORDER BY m.name, i.name, x.seqno`)
	if err != nil {
		return err
	}
	defer rows.Close()
	last := ""
	for rows.Next() {
		var name, index, col string
		if err := rows.Scan(&name, &index, &col); err != nil {
			return err
		}
		t := c[name]
		if index != last {
			t.unique, last = append(t.unique, nil), index
		}
		set := &t.unique[len(t.unique)-1]
		*set = append(*set, col)
	}
	return rows.Err()
}

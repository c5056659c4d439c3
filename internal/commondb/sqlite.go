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
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"longhaul/internal/disk"
	"longhaul/internal/pipeline"
)

const (
	// applicationID marks the file as a common database of ours ("LHcd").
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
	db := &DB{name: o.String(), dialect: &sqliteDialect{o.Database, info}, timeout: o.Timeout, now: o.Now}
	if db.write, err = sql.Open("sqlite", sqliteDSN(o, false)); err != nil {
		return nil, err
	}
	db.write.SetMaxOpenConns(1)
	if db.read, err = sql.Open("sqlite", sqliteDSN(o, true)); err != nil {
		return nil, errors.Join(err, db.write.Close())
	}
	db.read.SetMaxOpenConns(readers)
	err = checkVersion(ctx, db.write, o)
	if err == nil && info.Size() <= quickCheckMax {
		err = quickCheck(ctx, db.write)
	}
	if err != nil {
		return nil, errors.Join(sqliteError(err), db.Close())
	}
	return db, nil
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
func (s *sqliteDialect) asStored(c *column) string { return "+" + s.quote(c.name) }

func (s *sqliteDialect) size(column string) string { return "length(" + s.quote(column) + ")" }

// isolation is none that would have to be asked for: the DSN makes every
// transaction take the one write lock when it begins.
func (*sqliteDialect) isolation() *sql.TxOptions { return nil }

func (s *sqliteDialect) among(key string, ids []int64) (string, []any) { return amongList(s, key, ids) }

func (s *sqliteDialect) insertOne(ctx context.Context, ses *session, r *row) (int64, bool, error) {
	stmt, err := ses.prepare(ctx, insertInto(s, r.shape, 1))
	if err != nil {
		return 0, false, err
	}
	args := r.args()
	if err := inMemory(ctx, r, args); err != nil {
		return 0, false, err
	}
	return lastInsert(stmt.ExecContext(ctx, args...))
}

// insertMany writes one row at a time: there is no way to the server to save.
func (*sqliteDialect) insertMany(ctx context.Context, ses *session, rows []*row) error {
	for _, r := range rows {
		if err := ses.insert(ctx, r); err != nil {
			return fmt.Errorf("%s: %w", r.place(), err)
		}
	}
	return nil
}

// maxRow is SQLITE_MAX_LENGTH, which bounds the whole row, less room for the
// other columns.
func (*sqliteDialect) maxRow() int64 { return 1_000_000_000 - 1<<20 }

// contended is never so: who waits for the lock longer than allowed is busy.
func (*sqliteDialect) contended(error) bool { return false }

func (*sqliteDialect) duplicate(err error) bool {
	var se *sqlite.Error
	return errors.As(err, &se) && se.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE
}

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
	case sqlite3.SQLITE_FULL:
		return outage(DiskFull, err)
	case sqlite3.SQLITE_READONLY:
		return outage(ReadOnly, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return damaged(err)
	}
	return pipeline.Outage(pipeline.CommonDatabase, err)
}

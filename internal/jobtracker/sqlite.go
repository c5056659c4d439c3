package jobtracker

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"longhaul/internal/disk"
	"longhaul/internal/pipeline"
)

// applicationID in the file's header tells a job-tracker from any other SQLite
// database: "Lnhl".
const applicationID = 0x4c6e686c

// lockPatience is how long a writer waits for the others. A transaction takes
// milliseconds; a wait this long means that somebody holds the lock by hand.
const lockPatience = 30 * time.Second

// busyTimeout is how long SQLite waits by itself. It does not notice meanwhile
// that a context is done, so a longer wait is made of several short ones.
const busyTimeout = time.Second

// sqliteDialect is a job-tracker in a file.
type sqliteDialect struct {
	path   string
	schema fs.FS
	rw, ro *sql.DB
	file   os.FileInfo // which file it is, to find another in its place; nil until it is open
}

var _ dialect = (*sqliteDialect)(nil)

// connectFile makes the handles without looking at the file.
func connectFile(path string, opt Options) *Store {
	d := &sqliteDialect{path: path, schema: opt.schema}
	d.rw = sql.OpenDB(opt.between(fileConnector(path, false)))
	d.rw.SetMaxOpenConns(1)
	d.ro = sql.OpenDB(opt.between(fileConnector(path, true)))
	d.ro.SetMaxOpenConns(4)
	return newStore(path, d.rw, d.ro, d, opt)
}

// openFile opens a job-tracker in a file.
func openFile(ctx context.Context, path string, opt Options) (*Store, error) {
	if err := refuseUnsafe(path); err != nil {
		return nil, err
	}
	s := connectFile(path, opt)
	if err := s.refuseOther(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	st, err := os.Stat(path)
	if err == nil {
		s.dialect.(*sqliteDialect).file = st
		if st.Size() <= smallSize {
			err = s.Check(ctx)
		}
	}
	if err == nil {
		err = useLog(ctx, s)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// fileConnector makes the connections; each is made when it is needed.
func fileConnector(path string, readOnly bool) driver.Connector {
	c, err := sqlite.NewConnector(dsn(path, readOnly))
	if err != nil {
		panic(err) // the DSN is our own, and well-formed whatever the path
	}
	return keeper{c}
}

// dsn carries the pragmas, so that they reach every connection. Writers lock at
// BEGIN: a deferred transaction that reads and then writes fails with
// SQLITE_BUSY at once whenever another has written in between.
func dsn(path string, readOnly bool) string {
	v := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
			"foreign_keys(1)",
			"synchronous(FULL)",
		},
	}
	if readOnly {
		v.Set("_txlock", "deferred")
		v.Add("_pragma", "query_only(1)")
	}
	v.Set("mode", "rw") // never make an empty database where one is missing
	escaped := (&url.URL{Path: filepath.Clean(path)}).EscapedPath()
	return (&url.URL{Scheme: "file", Opaque: escaped, RawQuery: v.Encode()}).String()
}

func refuseNetwork(path string) error {
	name, err := disk.Network(filepath.Dir(path))
	if err != nil {
		return err
	}
	if name != "" {
		return fmt.Errorf("it is on %s, where SQLite's locks do not hold; put background.jobtracker_db on a local disk, or the job-tracker on a PostgreSQL server (docs/sites.md)", name)
	}
	return nil
}

func (d *sqliteDialect) steps() ([]migration, error) { return migrations(d.schema, "sqlite") }

// ready finds that the file was deleted, or another put in its place, while it
// was open. What is written then goes to a file without a name: an intent that
// nobody will find again.
func (d *sqliteDialect) ready() error {
	if d.file == nil { // not open yet
		return nil
	}
	now, err := os.Stat(d.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(now, d.file) {
		return pipeline.Fatal(fmt.Errorf("job-tracker %s was moved or replaced while it was open; see that the right file is there and start again", d.path))
	} else if err != nil {
		return pipeline.Outage(pipeline.LocalDisk, err)
	}
	return nil
}

// begin takes the write lock. It waits for it until ctx is done, but not for ever.
func (d *sqliteDialect) begin(ctx context.Context) (*transaction, error) {
	for giveUp := time.Now().Add(lockPatience); ; {
		tx, err := d.rw.BeginTx(ctx, nil)
		if resultCode(err) == sqlite3.SQLITE_BUSY && time.Now().Before(giveUp) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &transaction{Tx: tx, commit: tx.Commit, end: func() { _ = tx.Rollback() }}, nil
	}
}

// insert does without RETURNING, which would have SQLite read the whole of a
// table that refers to the new row.
func (d *sqliteDialect) insert(ctx context.Context, tx *sql.Tx, text string, args ...any) (int64, error) {
	res, err := tx.ExecContext(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// contended: whoever has the lock has it until the end.
func (d *sqliteDialect) contended(error) bool { return false }

// resultCode is SQLite's primary result code; SQLITE_OK if err is not SQLite's.
func resultCode(err error) int {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return sqlite3.SQLITE_OK
	}
	return se.Code() & 0xff
}

// classify: a full, failing or read-only disk is an outage, a damaged file is
// the end, and a context that is done is neither, whatever the statement said
// that it cut short.
func (d *sqliteDialect) classify(ctx context.Context, err error) error {
	code := resultCode(err)
	if ctx.Err() != nil && (code == sqlite3.SQLITE_INTERRUPT || errors.Is(err, sql.ErrTxDone)) {
		return ctx.Err()
	}
	switch code {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return pipeline.Fatal(damaged(d.path, err))
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL:
		return pipeline.Outage(pipeline.LocalDisk, fmt.Errorf("job-tracker %s: %w", d.path, err))
	}
	return err
}

// version reads the file's header.
func (d *sqliteDialect) version(ctx context.Context, q querier) (int, error) {
	var app, version int
	if err := q.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&app); err != nil {
		return 0, d.classify(ctx, err)
	}
	err := q.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version)
	if err == nil && app != applicationID {
		return 0, d.notTracker()
	}
	return version, d.classify(ctx, err)
}

func (d *sqliteDialect) setVersion(ctx context.Context, tx *sql.Tx, version int) error {
	_, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, version))
	return err
}

// notTracker tells an empty file, which a full disk or a crash can leave, from
// a database of something else.
func (d *sqliteDialect) notTracker() error {
	if st, err := os.Stat(d.path); err == nil && st.Size() == 0 {
		return pipeline.Fatal(errors.New("it is empty; put the newest backup in its place or, if there never was anything in it, remove it and run 'longhaul init'"))
	}
	return pipeline.Fatal(errors.New("this is not a job-tracker; check background.jobtracker_db"))
}

func (d *sqliteDialect) check(ctx context.Context) error {
	var verdict string
	if err := d.ro.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&verdict); err != nil {
		return d.classify(ctx, err)
	}
	if verdict != "ok" {
		return pipeline.Fatal(damaged(d.path, errors.New(verdict)))
	}
	return nil
}

func (d *sqliteDialect) problems(ctx context.Context) ([]string, error) {
	problems, err := d.lines(ctx, fmt.Sprintf(`PRAGMA integrity_check(%d)`, mostProblems))
	if err != nil {
		return damage(problems, err)
	}
	if slices.Equal(problems, []string{"ok"}) {
		problems = nil
	}
	lost, err := d.lines(ctx, `
		SELECT "table" || ' row ' || rowid || ' refers to a row of ' || parent || ' that is missing'
		  FROM pragma_foreign_key_check LIMIT ?`, mostProblems)
	if err != nil {
		return damage(problems, err)
	}
	return append(problems, lost...), nil
}

func (d *sqliteDialect) lines(ctx context.Context, text string, args ...any) ([]string, error) {
	rows, err := d.ro.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, d.classify(ctx, err)
	}
	all, err := scanAll(rows, func(rows *sql.Rows, line *string) error { return rows.Scan(line) })
	return all, d.classify(ctx, err)
}

// damage makes a problem of an error by which SQLite says that the file is damaged.
func damage(problems []string, err error) ([]string, error) {
	var said *sqlite.Error
	if code := resultCode(err); code != sqlite3.SQLITE_CORRUPT && code != sqlite3.SQLITE_NOTADB || !errors.As(err, &said) {
		return problems, err
	}
	return append(problems, said.Error()), nil
}

package jobtracker

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"longhaul/internal/crashpoint"
	"longhaul/internal/disk"
	"longhaul/internal/pipeline"
)

// timeLayout is how times are kept: UTC, fixed width, so that text sorts as time.
const timeLayout = "2006-01-02T15:04:05.000Z"

// applicationID in the file's header tells a job-tracker from any other SQLite
// database: "Lnhl".
const applicationID = 0x4c6e686c

// lockPatience is how long a writer waits for the others. A transaction takes
// milliseconds; a wait this long means that somebody holds the lock by hand.
const lockPatience = 30 * time.Second

// busyTimeout is how long SQLite waits by itself. It does not notice meanwhile
// that a context is done, so a longer wait is made of several short ones.
const busyTimeout = time.Second

// Store is an open job-tracker. It is safe for concurrent use.
type Store struct {
	path  string
	actor string
	now   func() time.Time
	wants func(pipeline.NoticeKind) bool
	rw    *sql.DB // one connection: SQLite has one writer at a time
	ro    *sql.DB
	file  os.FileInfo // which file it is, to find another in its place
}

// Options say who uses the store.
type Options struct {
	// Actor is the name under which changes enter the history: the daemon's,
	// or the operator's user name.
	Actor string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Wants says which kinds of notice anyone wants to be mailed; nil means all.
	Wants func(pipeline.NoticeKind) bool
	// driver is the name of the database/sql driver; tests replace it.
	driver string
}

// Open opens an existing job-tracker. It refuses one that is missing, of
// another version, on a network file system, or damaged, and its error tells
// the way out.
func Open(ctx context.Context, path string, opt Options) (*Store, error) {
	s, err := open(ctx, path, opt)
	if err != nil {
		return nil, fmt.Errorf("open job-tracker %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string, opt Options) (*Store, error) {
	if err := refuseUnsafe(path); err != nil {
		return nil, err
	}
	s := connect(path, opt)
	err := s.checkVersion(ctx)
	if err == nil {
		s.file, err = os.Stat(path)
	}
	if err == nil {
		err = s.checkSmall(ctx)
	}
	if err == nil {
		err = s.useLog(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// connect makes the handles without looking at the file.
func connect(path string, opt Options) *Store {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Wants == nil {
		opt.Wants = func(pipeline.NoticeKind) bool { return true }
	}
	if opt.driver == "" {
		opt.driver = "sqlite"
	}
	s := &Store{path: path, actor: opt.Actor, now: opt.Now, wants: opt.Wants}
	s.rw = mustHandle(opt.driver, dsn(path, false))
	s.rw.SetMaxOpenConns(1)
	s.ro = mustHandle(opt.driver, dsn(path, true))
	s.ro.SetMaxOpenConns(4)
	return s
}

// mustHandle makes a handle; sql.Open connects to nothing yet and fails only
// for a driver that is not linked in.
func mustHandle(driver, dsn string) *sql.DB {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		panic(err)
	}
	return db
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
		return fmt.Errorf("it is on %s, where SQLite's locks do not hold; put background.jobtracker_db on a local disk", name)
	}
	return nil
}

// Close ends all connections.
func (s *Store) Close() error { return errors.Join(s.rw.Close(), s.ro.Close()) }

// Path returns the path of the database file.
func (s *Store) Path() string { return s.path }

// Actor returns the name under which changes enter the history.
func (s *Store) Actor() string { return s.actor }

// txn is one write transaction with what every change in it shares.
type txn struct {
	*sql.Tx
	at    string // now
	actor string
	wants func(pipeline.NoticeKind) bool
}

// write runs fn in one write transaction and commits if fn returns nil.
func (s *Store) write(ctx context.Context, op string, fn func(*txn) error) error {
	if err := s.refuseReplaced(); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	tx, err := s.begin(ctx)
	if err != nil {
		return fmt.Errorf("%s: begin: %w", op, s.classify(ctx, err))
	}
	defer tx.Rollback() // does nothing after Commit
	if err := fn(&txn{tx, formatTime(s.now()), s.actor, s.wants}); err != nil {
		return fmt.Errorf("%s: %w", op, s.classify(ctx, err))
	}
	crashpoint.Reach(crashpoint.Commit)
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%s: commit: %w", op, s.classify(ctx, err))
	}
	return nil
}

// begin takes the write lock. It waits for it until ctx is done, but not for ever.
func (s *Store) begin(ctx context.Context) (*sql.Tx, error) {
	for giveUp := time.Now().Add(lockPatience); ; {
		tx, err := s.rw.BeginTx(ctx, nil)
		if resultCode(err) != sqlite3.SQLITE_BUSY || time.Now().After(giveUp) {
			return tx, err
		}
	}
}

// resultCode is SQLite's primary result code; SQLITE_OK if err is not SQLite's.
func resultCode(err error) int {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return sqlite3.SQLITE_OK
	}
	return se.Code() & 0xff
}

// classify tells what the caller must decide by: a full, failing or read-only
// disk is an outage, a damaged file is the end, and a context that is done is
// neither, whatever the statement said that it cut short.
func (s *Store) classify(ctx context.Context, err error) error {
	code := resultCode(err)
	if ctx.Err() != nil && (code == sqlite3.SQLITE_INTERRUPT || errors.Is(err, sql.ErrTxDone)) {
		return ctx.Err()
	}
	switch code {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return pipeline.Fatal(damaged(s.path, err))
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL:
		return pipeline.Outage(pipeline.LocalDisk, fmt.Errorf("job-tracker %s: %w", s.path, err))
	}
	return err
}

// move changes the status of one row, checks where it comes from, and writes
// the event. It returns pipeline.ErrForbidden if the state machine has no such
// transition, pipeline.ErrStale if the row has left from, and
// pipeline.ErrNotFound if there is none.
func (tx *txn) move(ctx context.Context, e pipeline.Entity, id int64, from, to pipeline.Status, details string) error {
	if !pipeline.MachineOf(e).Allows(from, to) {
		return fmt.Errorf("%s %d from %s to %s: %w", e, id, from, to, pipeline.ErrForbidden)
	}
	table := tableOf(e)
	res, err := tx.ExecContext(ctx, `
		UPDATE `+table+` SET status = ?, details = ?, updated_at = ?
		 WHERE id = ? AND status = ?`, to, details, tx.at, id, from)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil {
		return err
	} else if n == 0 {
		return tx.notIn(ctx, e, id, from)
	}
	return tx.record(ctx, e, id, from, to, details)
}

// notIn tells a missing row from one that has moved on.
func (tx *txn) notIn(ctx context.Context, e pipeline.Entity, id int64, from pipeline.Status) error {
	var got pipeline.Status
	err := tx.QueryRowContext(ctx, `SELECT status FROM `+tableOf(e)+` WHERE id = ?`, id).Scan(&got)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s %d: %w", e, id, pipeline.ErrNotFound)
	} else if err != nil {
		return err
	}
	return fmt.Errorf("%s %d is %s, not %s: %w", e, id, got, from, pipeline.ErrStale)
}

// tableOf is the only place where a table's name enters a query by a variable.
func tableOf(e pipeline.Entity) string {
	switch e {
	case pipeline.EntityRequest:
		return "requests"
	case pipeline.EntityFile:
		return "files"
	case pipeline.EntityAttempt:
		return "download_attempts"
	case pipeline.EntityJob:
		return "jobs"
	case pipeline.EntitySubmit:
		return "job_submits"
	}
	panic("no table for entity " + string(e))
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeLayout)
}

// timeScanner reads a time as the tables keep it.
type timeScanner struct{ t *time.Time }

func (s timeScanner) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("time is %T, want text", v)
	}
	if text == "" {
		*s.t = time.Time{}
		return nil
	}
	t, err := time.Parse(timeLayout, text)
	*s.t = t
	return err
}

func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", op, err)
}

package jobtracker

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"longhaul/internal/crashpoint"
	"longhaul/internal/pipeline"
	"longhaul/schema"
)

// timeLayout is how times are kept: UTC, fixed width, so that text sorts as time.
const timeLayout = "2006-01-02T15:04:05.000Z"

// Store is an open job-tracker. It is safe for concurrent use.
type Store struct {
	dialect
	name  string // for messages: a path, or an address without a password
	db    string // what was opened, perhaps with a password
	actor string
	now   func() time.Time
	wants func(pipeline.NoticeKind) bool
	rw    *sql.DB // one connection: one writer at a time
	ro    *sql.DB // may read only
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

	// between, if set, comes between database/sql and the connections; tests
	// look on there.
	between func(driver.Connector) driver.Connector
	schema  fs.FS    // the migrations; nil: ours
	pace    patience // zero: the usual one
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wants == nil {
		o.Wants = func(pipeline.NoticeKind) bool { return true }
	}
	if o.between == nil {
		o.between = func(c driver.Connector) driver.Connector { return c }
	}
	if o.schema == nil {
		o.schema = schema.JobTracker
	}
	if o.pace == (patience{}) {
		o.pace = usualPatience()
	}
	return o
}

// Open opens an existing job-tracker: db is the path of its file, or the address
// of its database, postgres://user@host/name. It refuses one that is missing, of
// another version, on a network file system, or damaged, and its error tells
// the way out.
func Open(ctx context.Context, db string, opt Options) (s *Store, err error) {
	opt = opt.withDefaults()
	if OnServer(db) {
		s, err = openServer(ctx, db, opt)
	} else {
		s, err = openFile(ctx, db, opt)
	}
	if err != nil {
		return nil, fmt.Errorf("open job-tracker %s: %w", address(db), err)
	}
	s.db = db
	return s, nil
}

func newStore(name string, rw, ro *sql.DB, d dialect, opt Options) *Store {
	return &Store{dialect: d, name: name, actor: opt.Actor, now: opt.Now, wants: opt.Wants, rw: rw, ro: ro}
}

// Close ends all connections.
func (s *Store) Close() error { return errors.Join(s.rw.Close(), s.ro.Close()) }

// Path returns the path of the database file, or the address of the database
// without a password.
func (s *Store) Path() string { return s.name }

// Actor returns the name under which changes enter the history.
func (s *Store) Actor() string { return s.actor }

// txn is one write transaction with what every change in it shares.
type txn struct {
	*sql.Tx
	dialect dialect
	at      string // now
	actor   string
	wants   func(pipeline.NoticeKind) bool
}

// write runs fn in one write transaction and commits if fn returns nil. It runs
// fn again if the database gave the transaction up in favour of another's.
func (s *Store) write(ctx context.Context, op string, fn func(*txn) error) (err error) {
	for range tries {
		if err = s.try(ctx, fn); !s.contended(err) {
			break
		}
	}
	return wrap(op, s.classify(ctx, err))
}

func (s *Store) try(ctx context.Context, fn func(*txn) error) error {
	if err := s.ready(); err != nil {
		return err
	}
	tx, err := s.begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.end()
	if err := fn(&txn{tx.Tx, s.dialect, formatTime(s.now()), s.actor, s.wants}); err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.Commit)
	return wrap("commit", tx.commit())
}

// insert runs an INSERT and returns the ID of its one row.
func (tx *txn) insert(ctx context.Context, text string, args ...any) (id int64, err error) {
	return tx.dialect.insert(ctx, tx.Tx, text, args...)
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

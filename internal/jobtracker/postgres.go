package jobtracker

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"longhaul/internal/pipeline"
)

// postgresDialect is a job-tracker on a PostgreSQL server, since version 12, for
// daemons on several hosts. The one row of the table tracker is the write lock:
// every change begins by locking it, and reads there whether the schema is still
// the one it knows, and whether its daemon is still the one of its kind.
type postgresDialect struct {
	name   string
	schema fs.FS
	pace   patience
	rw, ro *sql.DB
	needs  int // that changes need; 0: any
	lease  atomic.Pointer[lease]
}

var _ dialect = (*postgresDialect)(nil)

const (
	// transactionTimeout bounds a change, with the wait for the others' changes.
	transactionTimeout = 2 * time.Minute
	// commitTimeout is how long the reply to a commit may take.
	commitTimeout = 30 * time.Second
	// settleEvery is the time between two questions.
	settleEvery = 250 * time.Millisecond
)

// connectServer makes the handles without asking the server anything.
func connectServer(db string, opt Options) (*Store, error) {
	d := &postgresDialect{name: address(db), schema: opt.schema, pace: opt.pace}
	who := fmt.Sprintf("longhaul %s on %s, process %d", opt.Actor, hostname(), os.Getpid())
	writer, err := postgresConfig(db, who, false)
	if err != nil {
		return nil, pipeline.Fatal(err)
	}
	reader, err := postgresConfig(db, who, true)
	if err != nil {
		return nil, pipeline.Fatal(err)
	}
	d.rw = sql.OpenDB(opt.between(serverConnector(writer)))
	d.rw.SetMaxOpenConns(1)
	d.ro = sql.OpenDB(opt.between(serverConnector(reader)))
	d.ro.SetMaxOpenConns(4)
	return newStore(d.name, d.rw, d.ro, d, opt), nil
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown host"
	}
	return name
}

// openServer opens a job-tracker on a server.
func openServer(ctx context.Context, db string, opt Options) (*Store, error) {
	s, err := connectServer(db, opt)
	if err != nil {
		return nil, err
	}
	steps, err := s.steps()
	if err == nil {
		err = s.refuseOther(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.dialect.(*postgresDialect).needs = len(steps)
	return s, nil
}

// createOnServer makes the tables, all or none, in the schema that comes first
// in the search path.
func createOnServer(ctx context.Context, db string, opt Options) (created bool, err error) {
	s, err := connectServer(db, opt)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	steps, err := s.steps()
	if err != nil {
		return false, err
	}
	tx, err := s.rw.BeginTx(ctx, nil)
	if err != nil {
		return false, s.classify(ctx, err)
	}
	defer tx.Rollback() // does nothing after Commit
	// Of two who make it, one waits for the other.
	var place sql.NullString
	var exists bool
	err = tx.QueryRowContext(ctx, `SELECT current_schema(), pg_advisory_xact_lock($1)::text`, int64(applicationID)).Scan(&place, new(any))
	if err == nil && !place.Valid {
		return false, pipeline.Fatal(errors.New("the search path names no schema that exists; make it: CREATE SCHEMA …"))
	}
	if err == nil {
		err = tx.QueryRowContext(ctx, `SELECT to_regclass(quote_ident(current_schema()) || '.tracker') IS NOT NULL`).Scan(&exists)
	}
	if err != nil || exists {
		return false, s.classify(ctx, err)
	}
	for _, m := range steps {
		if _, err := tx.ExecContext(ctx, m.sql); err != nil {
			return false, fmt.Errorf("migration %s: %w; give the job-tracker a database or a schema of its own", m.name, s.classify(ctx, err))
		}
	}
	if err := s.setVersion(ctx, tx, len(steps)); err != nil {
		return false, s.classify(ctx, err)
	}
	return true, s.classify(ctx, tx.Commit())
}

func (d *postgresDialect) steps() ([]migration, error) { return migrations(d.schema, "postgres") }

func (d *postgresDialect) ready() error { return nil }

func (d *postgresDialect) insert(ctx context.Context, tx *sql.Tx, text string, args ...any) (id int64, err error) {
	err = tx.QueryRowContext(ctx, text+` RETURNING id`, args...).Scan(&id)
	return id, err
}

// begin begins a transaction. A connection may have died since it was last used,
// as they all do when the server starts again; nothing is done yet, so another is
// tried once.
func (d *postgresDialect) begin(ctx context.Context) (*transaction, error) {
	tx, err := d.beginOn(ctx)
	if errors.Is(d.classify(ctx, err), pipeline.ErrOutage) && sqlState(err) != "55P03" {
		return d.beginOn(ctx)
	}
	return tx, err
}

// beginOn locks the row that all who change anything lock first. Each statement
// after it sees what the others have committed before.
func (d *postgresDialect) beginOn(ctx context.Context) (*transaction, error) {
	// The context that the transaction hangs on is its own, since a commit must
	// not be cut short: then nobody would know what became of it.
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), transactionTimeout)
	unlink := context.AfterFunc(ctx, cancel)
	tx, err := d.rw.BeginTx(own, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	end := func() {
		_ = tx.Rollback() // does nothing after Commit
		cancel()
	}
	mark, err := d.lock(ctx, tx)
	if err != nil {
		end()
		return nil, err
	}
	return &transaction{Tx: tx, end: end, commit: func() error {
		if !unlink() { // ctx is done, and the transaction rolled back
			return ctx.Err()
		}
		defer time.AfterFunc(commitTimeout, cancel).Stop()
		return d.settle(ctx, mark, tx.Commit())
	}}, nil
}

// mark is by what a transaction is known to the server.
type mark struct {
	xid, pid int64
}

// lock takes the write lock and checks that what is there is still ours to change.
func (d *postgresDialect) lock(ctx context.Context, tx *sql.Tx) (m mark, err error) {
	var version int
	var holder string
	us := d.lease.Load()
	if us == nil {
		us = new(lease)
	}
	err = tx.QueryRowContext(ctx, `
		SELECT version, coalesce(leases ->> ?::text, ''), txid_current(), pg_backend_pid()
		  FROM tracker FOR UPDATE`, us.kind).Scan(&version, &holder, &m.xid, &m.pid)
	switch {
	case err != nil:
		return m, err
	case d.needs != 0 && version != d.needs:
		return m, wrongVersion(version, d.needs)
	case us.kind != "" && holder != us.token:
		return m, pipeline.Fatal(fmt.Errorf("%w: another %s has taken over", ErrLockLost, us.kind))
	}
	return m, nil
}

// settle finds out what became of a commit that returned an error. Only if the
// server itself refused it is that an answer: with the connection, the reply
// was lost.
func (d *postgresDialect) settle(ctx context.Context, m mark, failed error) error {
	var said *pgconn.PgError
	if failed == nil || errors.Is(failed, pgx.ErrTxCommitRollback) || errors.As(failed, &said) && said.Severity == "ERROR" {
		return failed
	}
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.pace.settle)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(d.pace.stopping, cancel) })()
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for {
		switch status, err := d.outcome(asking, m); {
		case err != nil: // ask again
		case status == "committed":
			return nil
		case status == "aborted":
			return d.outage(failed, "")
		case status == "":
			return pipeline.Fatal(fmt.Errorf("the server has forgotten what became of a change: %w; start again", failed))
		}
		select {
		case <-asking.Done():
			return pipeline.Fatal(fmt.Errorf("nobody knows whether a change was committed: %w; the next start finds out", failed))
		case <-tick.C:
		}
	}
}

// outcome asks the server what became of a transaction. One that still hangs,
// since the server has not noticed yet that nobody is there, is ended.
func (d *postgresDialect) outcome(ctx context.Context, m mark) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	var status sql.NullString
	err := d.ro.QueryRowContext(ctx, `SELECT txid_status(?)`, m.xid).Scan(&status)
	if err == nil && status.String == "in progress" {
		_, err = d.ro.ExecContext(ctx, `
			SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			 WHERE pid = ? AND backend_xid::text::bigint = ? & 4294967295`, m.pid, m.xid)
	}
	return status.String, err
}

// contended: a serialization failure or a deadlock, with a stranger's transaction.
func (d *postgresDialect) contended(err error) bool {
	code := sqlState(err)
	return code == "40001" || code == "40P01"
}

// sqlState is the server's code for an error; "" if it is not the server's.
func sqlState(err error) string {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return said.Code
	}
	return ""
}

// classify: a server that does not answer, or has no room or no time, is an
// outage. A refused login is one too: the server may be in the middle of a change
// of passwords, and nothing is lost by waiting.
func (d *postgresDialect) classify(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, pipeline.ErrOutage) || errors.Is(err, pipeline.ErrFatal) {
		return err
	}
	code, lost := sqlState(err), connectionLost(err)
	if ctx.Err() != nil && (lost || code == "57014" || errors.Is(err, sql.ErrTxDone) || errors.Is(err, context.Canceled)) {
		return ctx.Err()
	}
	switch {
	case lost, errors.Is(err, sql.ErrTxDone): // by our own time-out
		return d.outage(err, "")
	case code == "":
		return err
	}
	switch code[:2] {
	case "08", "40", "53", "55", "57", "58":
		return d.outage(err, "")
	case "28":
		return d.outage(err, "; see to the user and the password: docs/sites.md")
	case "XX":
		return pipeline.Fatal(fmt.Errorf("job-tracker %s: %w; its administrator must look", d.name, err))
	}
	switch code {
	case "25006":
		return d.outage(err, "; is this a standby server?")
	case "3D000":
		return pipeline.Fatal(fmt.Errorf("%w; make it: createdb, then 'longhaul init'", err))
	case "42P01":
		return pipeline.Fatal(fmt.Errorf("%w; if there is no job-tracker yet, 'longhaul init' makes it", err))
	case "42501":
		return pipeline.Fatal(fmt.Errorf("%w; the job-tracker's tables must belong to the user of the daemons", err))
	}
	return err
}

func (d *postgresDialect) outage(err error, hint string) error {
	return pipeline.Outage(pipeline.JobTracker, fmt.Errorf("%s: %w%s", d.name, err, hint))
}

// connectionLost reports that the server cannot be reached, or is no more. An
// answer of the server to a connection is its answer.
func connectionLost(err error) bool {
	var dial *pgconn.ConnectError
	var network net.Error
	switch {
	case sqlState(err) != "":
		return false
	case errors.As(err, &dial), errors.As(err, &network), pgconn.SafeToRetry(err):
		return true
	}
	for _, sign := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, sql.ErrConnDone, driver.ErrBadConn, context.DeadlineExceeded} {
		if errors.Is(err, sign) {
			return true
		}
	}
	return pgconn.Timeout(err)
}

func (d *postgresDialect) version(ctx context.Context, q querier) (version int, err error) {
	err = q.QueryRowContext(ctx, `SELECT version FROM tracker`).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, pipeline.Fatal(errors.New("this is not a job-tracker; check background.jobtracker_db"))
	}
	return version, d.classify(ctx, err)
}

func (d *postgresDialect) setVersion(ctx context.Context, tx *sql.Tx, version int) error {
	_, err := tx.ExecContext(ctx, `UPDATE tracker SET version = ?`, version)
	return err
}

func (d *postgresDialect) check(ctx context.Context) error {
	_, err := d.version(ctx, d.ro)
	return err
}

func (d *postgresDialect) problems(context.Context) ([]string, error) { return nil, nil }

package commondb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"longhaul/internal/crashpoint"
	"longhaul/internal/pipeline"
)

// Errors by which the uploader decides. Besides these there are
// pipeline.ErrOutage, pipeline.ErrFatal (the database is damaged or not ours),
// pipeline.ErrNotFound (Open: there is none yet) and that of a cancelled context.
// Problem tells causes apart, for people.
var (
	// ErrRejected: the database cannot hold these records: an unknown table or
	// column, a value of the wrong type, a constraint, a shared row that says
	// something else, a file that changed while it was read. This job fails.
	ErrRejected = errors.New("rejected by the common database")
	// ErrMismatch: what the database holds is not what was sent. The
	// transaction was rolled back; or an upload under the same submit, made
	// earlier, has other content. This job fails, and a person should look.
	ErrMismatch = errors.New("the common database does not hold what was sent")
)

// DB is the common database. It is safe for concurrent use. Uploads to a file
// take turns; those to a server run side by side.
type DB struct {
	name    string // for messages
	write   *sql.DB
	read    *sql.DB
	dialect dialect
	timeout time.Duration
	now     func() time.Time
}

// Init makes the tables of the common database, with what is missing above its
// file, or brings them to this program's version. It leaves alone what is right
// and refuses what is something else. An Init that was killed is completed by
// the next. made says that there was nothing before.
func Init(ctx context.Context, o Options) (made bool, err error) {
	from, to, err := Migrate(ctx, o)
	return from == 0 && to > 0, err
}

// Migrate is Init, and says from which version to which it went; 0: none.
func Migrate(ctx context.Context, o Options) (from, to int, err error) {
	if o, err = o.withDefaults(); err != nil {
		return 0, 0, err
	}
	within, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	classify := sqliteError
	switch o.Driver {
	case Postgres:
		classify = postgresError
		from, to, err = migratePostgres(within, o)
	case MySQL:
		classify = mysqlError
		from, to, err = migrateMySQL(within, o)
	default:
		from, to, err = migrateSQLite(within, o)
	}
	return from, to, wrap(sortError(ctx, within, err, classify), "make the common database %s", o)
}

// Open opens the common database, after a look at whether it is whole and of
// the version that this program knows.
func Open(ctx context.Context, o Options) (*DB, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	var db *DB
	classify := sqliteError
	switch o.Driver {
	case Postgres:
		classify = postgresError
		db, err = openPostgres(within, o)
	case MySQL:
		classify = mysqlError
		db, err = openMySQL(within, o)
	default:
		db, err = openSQLite(within, o)
	}
	if err != nil {
		return nil, wrap(sortError(ctx, within, err, classify), "open the common database %s", o)
	}
	return db, nil
}

// Close closes the database. Calls in progress are waited for.
func (db *DB) Close() error {
	if db.read == db.write {
		return db.write.Close()
	}
	return errors.Join(db.read.Close(), db.write.Close())
}

// within runs fn with the time-out and sorts its error.
func (db *DB) within(ctx context.Context, fn func(context.Context) error) error {
	in, cancel := context.WithTimeout(ctx, db.timeout)
	defer cancel()
	err := db.dialect.ready()
	if err == nil {
		err = fn(in)
	}
	return sortError(ctx, in, err, db.dialect.classify)
}

// tries is how often a transaction is begun that others get in the way of.
const tries = 4

// errRace marks an error that another upload of the same rows explains, which
// committed them in between: the next try finds them.
var errRace = errors.New("another upload wrote the same row at the same time")

// transaction runs fn in a write transaction and commits if it returns nil.
// fn may read the files of the results, but asks nobody else. When others were
// in the way it is run again, with a new session, a few times.
func (db *DB) transaction(ctx context.Context, fn func(*session) error) error {
	for try := 1; ; try++ {
		err := db.once(ctx, fn)
		again := errors.Is(err, errRace) || db.dialect.contended(err)
		// A connection that was found dead before anything was said.
		again = again || errors.Is(err, driver.ErrBadConn) && try == 1
		if err == nil || !again || try == tries {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(rand.N(time.Duration(try) * 50 * time.Millisecond)):
		}
	}
}

func (db *DB) once(ctx context.Context, fn func(*session) error) error {
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close() // gives it back
	tx, err := conn.BeginTx(ctx, db.dialect.isolation())
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() // does nothing after Commit
	if err := fn(&session{dialect: db.dialect, conn: conn, tx: tx, stmts: make(map[string]*sql.Stmt)}); err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.DBCommit)
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return db.dialect.ready()
}

// session is one transaction with its statements.
type session struct {
	dialect dialect
	conn    *sql.Conn
	tx      *sql.Tx
	stmts   map[string]*sql.Stmt
}

// maxStatements bounds how many statements one upload keeps prepared. Records
// of one table usually have the same columns; hostile ones need not.
const maxStatements = 64

func (s *session) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt, ok := s.stmts[query]; ok {
		return stmt, nil
	}
	if len(s.stmts) == maxStatements {
		for q, stmt := range s.stmts {
			stmt.Close() // only frees memory
			delete(s.stmts, q)
		}
	}
	stmt, err := s.tx.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	s.stmts[query] = stmt
	return stmt, nil
}

// sortError gives err one of the meanings that callers know. outer is the
// caller's context, inner the one with our time-out.
func sortError(outer, inner context.Context, err error, classify func(error) error) error {
	switch {
	case err == nil:
		return nil
	case sorted(err):
		return err
	case outer.Err() != nil:
		return fmt.Errorf("stopped: %w", context.Cause(outer))
	case inner.Err() != nil:
		return outage(Unreachable, fmt.Errorf("no answer in time: %w", err))
	}
	return classify(err)
}

// sorted reports whether err has a meaning that callers know already.
func sorted(err error) bool {
	for _, known := range []error{ErrRejected, ErrMismatch, pipeline.ErrOutage, pipeline.ErrFatal, pipeline.ErrNotFound} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// wrap puts the operation before an error; nil stays nil.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}

// rejected is an ErrRejected.
func rejected(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrRejected, fmt.Errorf(format, args...))
}

// mismatch is an ErrMismatch.
func mismatch(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrMismatch, fmt.Errorf(format, args...))
}

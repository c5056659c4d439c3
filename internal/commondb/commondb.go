package commondb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"longhaul/internal/crashpoint"
	"longhaul/internal/pipeline"
)

// Errors by which the uploader decides. Besides these there are
// pipeline.ErrOutage, pipeline.ErrFatal (the database is damaged or not ours),
// pipeline.ErrNotFound (Open: there is none yet) and that of a cancelled context.
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

// DefaultTimeout bounds one whole upload, and every other call, unless Options
// says otherwise.
const DefaultTimeout = 5 * time.Minute

// Options say where the common database is.
type Options struct {
	Driver   string           // sqlite; "" means that too
	Database string           // path of the file (sqlite)
	Timeout  time.Duration    // for each call, such as one whole upload; 0: DefaultTimeout
	Now      func() time.Time // nil: time.Now
}

func (o Options) withDefaults() (Options, error) {
	switch {
	case o.Driver != "" && o.Driver != "sqlite":
		return o, pipeline.Fatal(fmt.Errorf("common database: no driver %q; there is sqlite", o.Driver))
	case o.Database == "":
		return o, pipeline.Fatal(errors.New("common database: no file is named; set commondb.database"))
	}
	o.Driver = "sqlite"
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

// DB is the common database. It is safe for concurrent use; uploads through
// one DB take turns.
type DB struct {
	write   *sql.DB // one connection, whose transactions lock at once
	read    *sql.DB
	dialect dialect
	timeout time.Duration
	now     func() time.Time
}

// Init makes the common database, with what is missing above its file. It does
// nothing to one that exists, and refuses what is something else. An Init that
// was killed is completed by the next.
func Init(ctx context.Context, o Options) (created bool, err error) {
	if o, err = o.withDefaults(); err != nil {
		return false, err
	}
	within, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	created, err = initSQLite(within, o)
	return created, wrap(err, "make the common database %s", o.Database)
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
	db, err := openSQLite(within, o)
	return db, wrap(err, "open the common database %s", o.Database)
}

// Close closes the database. Calls in progress are waited for.
func (db *DB) Close() error {
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

// transaction runs fn in a write transaction and commits if it returns nil.
// fn may read the files of the results, but asks nobody else.
func (db *DB) transaction(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() // does nothing after Commit
	if err := fn(tx); err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.DBCommit)
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return db.dialect.ready()
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
		return pipeline.Outage(pipeline.CommonDatabase, fmt.Errorf("no answer in time: %w", err))
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

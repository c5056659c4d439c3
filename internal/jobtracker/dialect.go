package jobtracker

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// dialect is what differs between the database systems that can keep a
// job-tracker: sqliteDialect and postgresDialect. The SQL of this package is
// what both understand; postgresConn translates the few words that differ.
type dialect interface {
	// steps are the migrations, in order.
	steps() ([]migration, error)
	// ready says whether what was opened is still what is configured.
	ready() error
	// begin begins a transaction that may read and then write: no changes of
	// others come between.
	begin(ctx context.Context) (*transaction, error)
	// insert runs an INSERT and returns the ID of its one row.
	insert(ctx context.Context, tx *sql.Tx, text string, args ...any) (int64, error)
	// contended reports whether a transaction was given up in favour of
	// another, so that it may go through if it is begun again.
	contended(err error) bool
	// classify tells what the caller must decide by: an outage, the end, or a
	// context that is done. Errors that are not the database's stay as they are.
	classify(ctx context.Context, err error) error
	// version returns the version of the schema.
	version(ctx context.Context, q querier) (int, error)
	// setVersion records the version of the schema.
	setVersion(ctx context.Context, tx *sql.Tx, version int) error
	// check returns an error that wraps pipeline.ErrFatal if what is stored is damaged.
	check(ctx context.Context) error
	// problems returns a line for each thing that is damaged.
	problems(ctx context.Context) ([]string, error)
}

// transaction is a write transaction that was begun.
type transaction struct {
	*sql.Tx
	// commit commits it. After an error nothing was changed, unless the error
	// is fatal and says that nobody knows.
	commit func() error
	// end rolls it back if it was not committed.
	end func()
}

// querier is a transaction or a handle.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// tries is how often a transaction is begun that is given up for others'.
const tries = 3

// ErrServer: this is for a job-tracker that is a file.
var ErrServer = errors.New("the job-tracker is a database on a PostgreSQL server, and no file; use pg_dump, pg_restore and the server's own checks (docs/sites.md)")

// OnServer reports whether the value of background.jobtracker_db is the address
// of a database on a server, and not the path of a file.
func OnServer(db string) bool {
	return strings.HasPrefix(db, "postgres://") || strings.HasPrefix(db, "postgresql://")
}

// refuseServer is for what only a file can do.
func refuseServer(db string) error {
	if OnServer(db) {
		return fmt.Errorf("job-tracker %s: %w", address(db), ErrServer)
	}
	return nil
}

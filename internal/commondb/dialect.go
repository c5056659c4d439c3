package commondb

import (
	"context"
	"database/sql"
)

// dialect is what differs between database systems. It is safe for concurrent
// use; what it does in a session it does for one upload.
type dialect interface {
	// ready says whether the database that was opened is still the one that is
	// configured. It is asked before each call and after each commit.
	ready() error
	// isolation is how an upload's transaction begins. It must let a statement
	// see what others have committed before it, and hide what they have not.
	isolation() *sql.TxOptions
	// catalog reads the schema.
	catalog(context.Context, querier) (catalog, error)
	// quote makes an identifier of any name.
	quote(name string) string
	// param is the placeholder of the i-th argument, from 1.
	param(i int) string
	// asStored is an expression for a column's value, as one of the types of
	// kind.holds, free of conversions that the driver makes by declared types.
	asStored(*column) string
	// size is an expression for the length of a blob in bytes.
	size(column string) string
	// among is a condition for a key to be one of ids, and its arguments.
	among(key string, ids []int64) (condition string, args []any)
	// insertOne writes one row, without blobs, and returns its key; stored is
	// false if the database took the statement and kept no row.
	insertOne(ctx context.Context, s *session, r *row) (id int64, stored bool, err error)
	// insertMany writes rows of one shape and gives each its key.
	insertMany(ctx context.Context, s *session, rows []*row) error
	// maxRow is what the blobs of one row may have together, bytes.
	maxRow() int64
	// contended reports whether the transaction was given up in favour of
	// another, so that it may go through if it is begun again.
	contended(error) bool
	// duplicate reports whether a row was refused for a unique column.
	duplicate(error) bool
	// classify gives an error of the driver its meaning: ErrRejected,
	// pipeline.ErrFatal, or an outage for all that may pass.
	classify(error) error
}

// querier is a transaction or a pool of connections.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

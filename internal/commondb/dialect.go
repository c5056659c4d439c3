package commondb

import (
	"context"
	"database/sql"
)

// dialect is what differs between database systems. Its methods are called
// from one transaction at a time or are safe for concurrent use.
type dialect interface {
	// ready says whether the database that was opened is still the one that is
	// configured. It is asked before each call and after each commit.
	ready() error
	// catalog reads the schema.
	catalog(context.Context, querier) (catalog, error)
	// quote makes an identifier of any name.
	quote(name string) string
	// param is the placeholder of the i-th argument, from 1.
	param(i int) string
	// asStored is an expression for a column's value free of conversions that
	// the driver makes by the declared type.
	asStored(column string) string
	// size is an expression for the length of a blob in bytes.
	size(column string) string
	// insert runs an INSERT of one row and returns its key; stored is false if
	// the database took the statement and kept no row.
	insert(ctx context.Context, stmt *sql.Stmt, args []any) (id int64, stored bool, err error)
	// maxBlob is the largest blob that the database can hold, bytes.
	maxBlob() int64
	// classify gives an error of the driver its meaning: ErrRejected,
	// pipeline.ErrFatal, or an outage for all that may pass.
	classify(error) error
}

// querier is a transaction or a pool of connections.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

package jobtracker_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"maps"
	"sync"
)

// recorder comes between database/sql and the connections of a store, and
// remembers all statements, each with the arguments of its first use.
type recorder struct {
	mu   sync.Mutex
	seen map[string][]any
}

// between is for jobtracker.Between.
func (r *recorder) between(c driver.Connector) driver.Connector { return recordingConnector{c, r} }

func (r *recorder) record(query string, args []driver.NamedValue) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.seen[query]; known {
		return
	}
	values := make([]any, len(args))
	for i, a := range args {
		values[i] = a.Value
	}
	r.seen[query] = values
}

// statements returns what was recorded.
func (r *recorder) statements() map[string][]any {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.seen)
}

type recordingConnector struct {
	driver.Connector
	r *recorder
}

func (c recordingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	under, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := under.(anyConn)
	if !ok {
		return nil, errors.Join(errors.New("the driver lacks an interface"), under.Close())
	}
	return recordingConn{conn, c.r}, nil
}

// anyConn is what database/sql uses of all our connections.
type anyConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.SessionResetter
}

type recordingConn struct {
	anyConn
	r *recorder
}

func (c recordingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.r.record(query, args)
	return c.anyConn.ExecContext(ctx, query, args)
}

func (c recordingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.r.record(query, args)
	return c.anyConn.QueryContext(ctx, query, args)
}

// CheckNamedValue implements driver.NamedValueChecker as the real connection does.
func (c recordingConn) CheckNamedValue(nv *driver.NamedValue) error {
	if checker, ok := c.anyConn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(nv)
	}
	return driver.ErrSkip // as database/sql does by itself
}

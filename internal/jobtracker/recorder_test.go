package jobtracker_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
)

// recorder is a database/sql driver that remembers all statements, each with
// the arguments of its first use.
type recorder struct {
	driver.Driver
	mu   sync.Mutex
	seen map[string][]any
}

// newRecorder registers a recorder and returns the name of its driver.
func newRecorder(t *testing.T) (*recorder, string) {
	t.Helper()
	db, err := sql.Open("sqlite", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	r := &recorder{Driver: db.Driver(), seen: make(map[string][]any)}
	name := fmt.Sprintf("recording %p", r)
	sql.Register(name, r)
	return r, name
}

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

func (r *recorder) Open(dsn string) (driver.Conn, error) {
	c, err := r.Driver.Open(dsn)
	if err != nil {
		return nil, err
	}
	under, ok := c.(sqliteConn)
	if !ok {
		return nil, errors.Join(errors.New("the driver lacks an interface"), c.Close())
	}
	return recordingConn{under, r}, nil
}

// sqliteConn is what database/sql uses of the real connection.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

type recordingConn struct {
	sqliteConn
	r *recorder
}

func (c recordingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.r.record(query, args)
	return c.sqliteConn.ExecContext(ctx, query, args)
}

func (c recordingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.r.record(query, args)
	return c.sqliteConn.QueryContext(ctx, query, args)
}

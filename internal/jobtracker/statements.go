package jobtracker

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"
)

// mostStatements bounds what one connection keeps. There are about a hundred
// and fifty different texts; only lists with a choice of statuses add to them.
const mostStatements = 500

// keeper makes connections to SQLite that keep their prepared statements. SQLite
// parses each text anew otherwise, which takes longer than to run it.
type keeper struct{ driver.Connector }

// Connect implements driver.Connector.
func (k keeper) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := k.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	under, ok := c.(sqliteConn)
	if !ok {
		return nil, errors.Join(errors.New("the driver lacks an interface"), c.Close())
	}
	return &keepingConn{sqliteConn: under, kept: make(map[string]sqliteStmt)}, nil
}

// sqliteConn is what database/sql uses of the driver's connection.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

// sqliteStmt is what database/sql uses of the driver's statements.
type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// keepingConn is used by one goroutine at a time, as all of its kind.
type keepingConn struct {
	sqliteConn
	kept map[string]sqliteStmt // those that nobody uses now
}

// keeps reports whether a text is one that comes again. Some pragmas act when
// they are prepared.
func keeps(text string) bool {
	verb, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	switch verb {
	case "SELECT", "INSERT", "UPDATE", "DELETE":
		return true
	}
	return false
}

// take returns a statement that is nobody else's until it is given back.
func (c *keepingConn) take(ctx context.Context, text string) (sqliteStmt, error) {
	if s, ok := c.kept[text]; ok {
		delete(c.kept, text)
		return s, nil
	}
	s, err := c.sqliteConn.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	under, ok := s.(sqliteStmt)
	if !ok {
		return nil, errors.Join(errors.New("the driver lacks an interface"), s.Close())
	}
	return under, nil
}

// giveBack keeps a statement for the next who has the same text.
func (c *keepingConn) giveBack(text string, s sqliteStmt) error {
	if _, twice := c.kept[text]; twice || len(c.kept) >= mostStatements {
		return s.Close()
	}
	c.kept[text] = s
	return nil
}

// ExecContext implements driver.ExecerContext.
func (c *keepingConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	if !keeps(text) {
		return c.sqliteConn.ExecContext(ctx, text, args)
	}
	s, err := c.take(ctx, text)
	if err != nil {
		return nil, err
	}
	result, err := s.ExecContext(ctx, args)
	return result, errors.Join(err, c.giveBack(text, s))
}

// QueryContext implements driver.QueryerContext.
func (c *keepingConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	if !keeps(text) {
		return c.sqliteConn.QueryContext(ctx, text, args)
	}
	s, err := c.take(ctx, text)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, errors.Join(err, c.giveBack(text, s))
	}
	return &keptRows{Rows: rows, done: func() error { return c.giveBack(text, s) }}, nil
}

// Close implements driver.Conn.
func (c *keepingConn) Close() error {
	var errs []error
	for _, s := range c.kept {
		errs = append(errs, s.Close())
	}
	clear(c.kept)
	return errors.Join(append(errs, c.sqliteConn.Close())...)
}

// keptRows give their statement back when they are closed.
type keptRows struct {
	driver.Rows
	done func() error
}

// Close implements driver.Rows.
func (r *keptRows) Close() error {
	err := r.Rows.Close()
	if r.done != nil {
		err = errors.Join(err, r.done())
		r.done = nil
	}
	return err
}

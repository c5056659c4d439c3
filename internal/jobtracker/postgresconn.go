package jobtracker

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// connectTimeout bounds how long the server may take to let us in.
	connectTimeout = 10 * time.Second
	// callTimeout bounds one statement. A change takes milliseconds; what reads
	// the whole history for a person takes longer.
	callTimeout = 5 * time.Minute
	// idleTransaction is when the server ends the transaction of a client from
	// which it has heard nothing: others wait for it.
	idleTransaction = time.Minute
)

// postgresConfig is how connections are made. What the address leaves out comes
// from where PostgreSQL's own programs have it: PGHOST and the other variables,
// the file of passwords, the file of services.
func postgresConfig(db, who string, readOnly bool) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(db)
	if err != nil {
		return nil, err // without the password
	}
	c.ConnectTimeout = connectTimeout
	for name, value := range map[string]string{
		"application_name": who, "client_encoding": "UTF8", "timezone": "UTC",
		"lock_timeout":                        fmt.Sprint(lockPatience.Milliseconds()),
		"idle_in_transaction_session_timeout": fmt.Sprint(idleTransaction.Milliseconds()),
		// A host that is gone is noticed within half a minute, and its locks are free.
		"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "4",
	} {
		c.RuntimeParams[name] = value
	}
	if readOnly {
		c.RuntimeParams["default_transaction_read_only"] = "on"
	}
	return c, nil
}

// address is the address of a database, or a path, without a password.
func address(db string) string {
	if !OnServer(db) {
		return db
	}
	u, err := url.Parse(db)
	if err != nil {
		return "postgres://(an address that cannot be read)" // it may hold a password
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	q := u.Query()
	q.Del("password")
	q.Del("sslpassword")
	u.RawQuery = q.Encode()
	return u.String()
}

// serverConnector makes connections that understand the SQL of this package.
func serverConnector(c *pgx.ConnConfig) driver.Connector {
	return translating{stdlib.GetConnector(*c, stdlib.OptionAfterConnect(wholeCommits)), new(sync.Map)}
}

// wholeCommits makes a commit wait for the disk where the server's default is
// not to: a batch job is submitted on its word. A stricter default stays.
func wholeCommits(ctx context.Context, c *pgx.Conn) error {
	_, err := c.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`)
	return err
}

type translating struct {
	driver.Connector
	known *sync.Map // from a text to its translation
}

// Connect implements driver.Connector.
func (t translating) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := t.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	under, ok := c.(*stdlib.Conn)
	if !ok {
		return nil, errors.Join(errors.New("the driver lacks an interface"), c.Close())
	}
	return &postgresConn{under, t.known}, nil
}

// postgresConn is a connection that takes SQLite's placeholders and its names
// for functions. The driver keeps the prepared statements.
type postgresConn struct {
	*stdlib.Conn
	known *sync.Map
}

// CheckNamedValue implements driver.NamedValueChecker: truth is 0 or 1, and text
// is what the server takes as text. A job's last words need not be.
func (c *postgresConn) CheckNamedValue(nv *driver.NamedValue) error {
	v, err := driver.DefaultParameterConverter.ConvertValue(nv.Value)
	switch v := v.(type) {
	case bool:
		nv.Value = int64(0)
		if v {
			nv.Value = int64(1)
		}
	case string:
		nv.Value = strings.ToValidUTF8(strings.ReplaceAll(v, "\x00", "\uFFFD"), "\uFFFD")
	default:
		nv.Value = v
	}
	return err
}

// ExecContext implements driver.ExecerContext.
func (c *postgresConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.Conn.ExecContext(ctx, c.translate(text, args), args)
}

// QueryContext implements driver.QueryerContext.
func (c *postgresConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	rows, err := c.Conn.QueryContext(ctx, c.translate(text, args), args)
	if err != nil {
		cancel()
		return nil, err
	}
	return &timedRows{rows, cancel}, nil
}

// timedRows must be read within the time of their statement.
type timedRows struct {
	driver.Rows
	cancel context.CancelFunc
}

// Close implements driver.Rows.
func (r *timedRows) Close() error {
	defer r.cancel()
	return r.Rows.Close()
}

// translate leaves texts without arguments as they are: migrations, which are
// PostgreSQL's own.
func (c *postgresConn) translate(text string, args []driver.NamedValue) string {
	if len(args) == 0 {
		return text
	}
	if known, ok := c.known.Load(text); ok {
		return known.(string)
	}
	translated := toPostgres(text)
	c.known.Store(text, translated)
	return translated
}

var (
	hint        = regexp.MustCompile(` INDEXED BY \w+`)
	placeholder = regexp.MustCompile(`\?\d*`)
	words       = strings.NewReplacer(
		"instr(", "strpos(",
		"json_each(?)", "json_array_elements_text(?::text::json) AS value",
	)
)

// toPostgres translates what SQLite has another word for. No text of this
// package has a question mark in a constant.
func toPostgres(text string) string {
	n := 0
	return placeholder.ReplaceAllStringFunc(words.Replace(hint.ReplaceAllString(text, "")), func(mark string) string {
		if mark != "?" { // it is numbered
			return "$" + mark[1:]
		}
		n++
		return fmt.Sprint("$", n)
	})
}

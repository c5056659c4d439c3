package commondb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"longhaul/internal/archive/archivetest"
	"longhaul/tests/engines"
)

// noon is when the tests happen.
var noon = time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) {
	if path := os.Getenv("LONGHAUL_TEST_KILL"); path != "" {
		uploadAndDie(path)
	}
	code := m.Run()
	for _, s := range started {
		if err := s(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// started is how what the tests started is ended.
var started []func() error

// backend is a kind of database system in the tests.
type backend string

// everywhere runs a test on all of them.
func everywhere(t *testing.T, test func(*testing.T, backend)) {
	t.Parallel()
	for _, name := range Drivers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, backend(name))
		})
	}
}

// onServers runs a test on those that are servers.
func onServers(t *testing.T, test func(*testing.T, backend)) {
	t.Parallel()
	for _, name := range []string{Postgres, MySQL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, backend(name))
		})
	}
}

// options are those of a database of the test's own, which is empty.
func (b backend) options(t testing.TB) Options {
	t.Helper()
	if b == SQLite {
		return options(t)
	}
	o := b.server(t).options
	o.Database = fmt.Sprintf("test_%d", databases.Add(1))
	b.administer(t, "CREATE DATABASE "+o.Database)
	t.Cleanup(func() { b.administer(t, "DROP DATABASE "+o.Database+map[backend]string{Postgres: " WITH (FORCE)"}[b]) })
	return o
}

var databases atomic.Int64

func options(t testing.TB) Options {
	return Options{Database: filepath.Join(t.TempDir(), "common.db"), Now: func() time.Time { return noon }}
}

// testServer is a real server.
type testServer struct {
	engine  engine
	options Options // of its administrator
	db      *sql.DB
	stop    func() error
}

type engine interface {
	Start(context.Context) error
	Restart(context.Context) error
	Stop() error
	Crash() error
}

// administer does something in the server's own database.
func (b backend) administer(t testing.TB, query string) {
	t.Helper()
	if _, err := b.server(t).db.ExecContext(context.Background(), query); err != nil {
		t.Fatal(err)
	}
}

func (b backend) server(t testing.TB) *testServer {
	t.Helper()
	start, programs := sharedPostgres, engines.PostgresPrograms()
	if b == MySQL {
		start, programs = sharedMySQL, engines.MariaDBPrograms()
	}
	engines.Need(t, programs...)
	s, err := start()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// testNow is when tests on servers happen.
func testNow() time.Time { return noon }

var sharedPostgres = sync.OnceValues(func() (*testServer, error) { return keep(startPostgres(true)) })

var sharedMySQL = sync.OnceValues(func() (*testServer, error) { return keep(startMySQL(true)) })

// keep ends a server after the last test.
func keep(s *testServer, err error) (*testServer, error) {
	if err == nil {
		startedLock.Lock()
		defer startedLock.Unlock()
		started = append(started, s.stop)
	}
	return s, err
}

var startedLock sync.Mutex

// own starts a server that the test may treat as it likes.
func (b backend) own(t testing.TB, tls bool) *testServer {
	t.Helper()
	start, programs := startPostgres, engines.PostgresPrograms()
	if b == MySQL {
		start, programs = startMySQL, engines.MariaDBPrograms()
	}
	engines.Need(t, programs...)
	s, err := start(tls)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// startPostgres starts a server, with a certificate for localhost and 127.0.0.1
// if it is to have TLS.
func startPostgres(tls bool) (*testServer, error) {
	dir, err := engines.PostgresDir()
	if err != nil {
		return nil, err
	}
	remove := func() error { return os.RemoveAll(dir) }
	ca, cert, err := certificates(dir)
	if err == nil {
		err = engines.Own("postgres", cert)
	}
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	var settings []string
	if tls {
		settings = []string{"ssl=on", "ssl_cert_file=" + cert, "ssl_key_file=" + cert}
	}
	p, err := engines.NewPostgres(context.Background(), dir, settings...)
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	o := Options{Driver: Postgres, Host: p.Host, Port: p.Port, Username: p.User, Password: Password(p.Password), Database: p.Database,
		CAFile: ca, Now: testNow, Timeout: time.Minute}
	return newTestServer(p, o, connectPostgres, remove)
}

func startMySQL(tls bool) (*testServer, error) {
	dir, err := os.MkdirTemp("", "mariadb-")
	if err != nil {
		return nil, err
	}
	remove := func() error { return os.RemoveAll(dir) }
	ca, cert, err := certificates(dir)
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	var settings []string
	if tls {
		settings = []string{"ssl-cert=" + cert, "ssl-key=" + cert}
	}
	m, err := engines.NewMariaDB(context.Background(), dir, settings...)
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	o := Options{Driver: MySQL, Host: m.Host, Port: m.Port, Username: m.User, Password: Password(m.Password), Database: m.Database,
		CAFile: ca, Now: testNow, Timeout: time.Minute}
	return newTestServer(m, o, connectMySQL, remove)
}

func newTestServer(e engine, o Options, connect func(Options) (*sql.DB, error), remove func() error) (*testServer, error) {
	plain := o
	plain.TLS = "off"
	db, err := connect(plain)
	stop := func() error { return errors.Join(e.Stop(), remove()) }
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	return &testServer{engine: e, options: o, db: db, stop: func() error { return errors.Join(db.Close(), stop()) }}, nil
}

// certificates makes those of a server: of who issued it, and its own with its key.
func certificates(dir string) (ca, server string, err error) {
	own := filepath.Join(dir, "tls")
	if err := os.Mkdir(own, 0o700); err != nil {
		return "", "", err
	}
	authority, err := archivetest.OpenCA(own)
	if err != nil {
		return "", "", err
	}
	ca = filepath.Join(dir, "ca.pem")
	// Of a directory that only its owner may enter, into one that the server may.
	pem, err := os.ReadFile(filepath.Join(own, "server.pem"))
	if err != nil {
		return "", "", err
	}
	server = filepath.Join(dir, "server.pem")
	return ca, server, errors.Join(authority.WritePEM(ca), os.WriteFile(server, pem, 0o600))
}

// alter changes the database behind the back of the package. The words of the
// schema may be used.
func alter(t testing.TB, db *DB, query string, args ...any) {
	t.Helper()
	w := sqliteWords()
	switch db.dialect.(type) {
	case postgresDialect:
		w = postgresWords()
	case mysqlDialect:
		w = mysqlWords("MariaDB")
	}
	if _, err := db.write.ExecContext(t.Context(), strings.TrimSpace(w.translate(query)), args...); err != nil {
		t.Fatal(err)
	}
}

// bare is a connection to a database that has no tables.
func bare(connect func(Options) (*sql.DB, error), d dialect) func(Options) (*DB, error) {
	return func(o Options) (*DB, error) {
		conns, err := connect(o)
		return &DB{read: conns, write: conns, dialect: d, timeout: o.Timeout}, err
	}
}

package jobtracker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/tests/engines"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// backend is a kind of database that keeps job-trackers.
type backend string

const (
	onSQLite   backend = "sqlite"
	onPostgres backend = "postgres"
)

// everywhere runs a test on all of them.
func everywhere(t *testing.T, test func(*testing.T, backend)) {
	t.Parallel()
	for _, on := range []backend{onSQLite, onPostgres} {
		t.Run(string(on), func(t *testing.T) {
			t.Parallel()
			test(t, on)
		})
	}
}

func (on backend) open(t testing.TB) *jobtracker.Store {
	t.Helper()
	return on.openWith(t, jobtracker.Options{Actor: "test"})
}

func (on backend) openWith(t testing.TB, opt jobtracker.Options) *jobtracker.Store {
	t.Helper()
	if on == onPostgres {
		return jobtrackertest.OpenOn(t, shared(t).address(), opt)
	}
	return jobtrackertest.OpenFile(t, opt)
}

func openFile(t testing.TB) *jobtracker.Store {
	t.Helper()
	return onSQLite.open(t)
}

// server is a PostgreSQL server.
type server struct {
	*engines.Postgres
	dir string
}

func startServer(settings ...string) (*server, error) {
	dir, err := engines.PostgresDir()
	if err != nil {
		return nil, err
	}
	p, err := engines.NewPostgres(context.Background(), dir, settings...)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &server{p, dir}
	line := fmt.Sprintf("*:*:*:%s:%s\n", p.User, p.Password)
	return s, os.WriteFile(s.passwords(), []byte(line), 0o600)
}

func (s *server) stop() error { return errors.Join(s.Stop(), os.RemoveAll(s.dir)) }

func (s *server) passwords() string { return filepath.Join(s.dir, "pgpass") }

// address is that of the server's first database, without the password.
func (s *server) address() string {
	return (&url.URL{
		Scheme: "postgres", User: url.User(s.User), Host: net.JoinHostPort(s.Host, strconv.Itoa(s.Port)),
		Path: "/" + s.Database, RawQuery: url.Values{"passfile": {s.passwords()}, "sslmode": {"disable"}}.Encode(),
	}).String()
}

var (
	sharedLock   sync.Mutex
	sharedServer *server
	sharedErr    error
)

// shared is the server that the tests share; each has a schema of its own.
func shared(t testing.TB) *server {
	t.Helper()
	engines.Need(t, engines.PostgresPrograms()...)
	sharedLock.Lock()
	defer sharedLock.Unlock()
	if sharedServer == nil && sharedErr == nil {
		sharedServer, sharedErr = startServer()
	}
	if sharedErr != nil {
		t.Fatal(sharedErr)
	}
	return sharedServer
}

func stopShared() error {
	sharedLock.Lock()
	defer sharedLock.Unlock()
	if sharedServer == nil {
		return nil
	}
	return sharedServer.stop()
}

// own starts a server that the test may treat as it likes.
func own(t testing.TB, settings ...string) *server {
	t.Helper()
	engines.Need(t, engines.PostgresPrograms()...)
	s, err := startServer(settings...)
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

package jobtrackertest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the database of a job-tracker on a server

	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
)

// Server is the variable that names a PostgreSQL server, as the address of a
// database there, on which Open makes job-trackers instead of in files. The
// user must be allowed to make schemas.
const Server = "LONGHAUL_TEST_TRACKER"

// OpenOn makes an empty job-tracker on a PostgreSQL server, in a schema of its
// own, and closes it at the end of the test.
func OpenOn(t testing.TB, server string, opt jobtracker.Options) *jobtracker.Store {
	t.Helper()
	return openAt(t, NewSchema(t, server), opt)
}

// NewSchema makes a job-tracker as OpenOn does, and returns its address.
func NewSchema(t testing.TB, server string) string {
	t.Helper()
	db := EmptySchema(t, server)
	if _, err := jobtracker.Create(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	return db
}

// EmptySchema makes a schema that is removed at the end of the test, and returns
// the address of a job-tracker that could be there.
func EmptySchema(t testing.TB, server string) string {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	schema := "test_" + strings.ToLower(rand.Text())
	execute(t, server, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { execute(t, server, "DROP SCHEMA "+schema+" CASCADE") })
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

// execute runs one statement as the administrator.
func execute(t testing.TB, server, text string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // which is done in a cleanup
	db, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(ctx, text)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Error(err)
	}
}

// Dir is a directory of the test's own: that of the job-tracker's file or, if it
// is on a server, one that is made for it.
func Dir(t testing.TB, store *jobtracker.Store) string {
	t.Helper()
	if !jobtracker.OnServer(store.Path()) {
		return filepath.Dir(store.Path())
	}
	u, err := url.Parse(store.Path())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(os.TempDir(), "longhaul-"+u.Query().Get("search_path"))
	if err := os.Mkdir(dir, disk.DirMode); err == nil {
		t.Cleanup(func() {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		})
	} else if !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	return dir
}

// look opens the database of a job-tracker for a look at it that nobody changes.
func look(path string) (*sql.DB, *sql.TxOptions, error) {
	if jobtracker.OnServer(path) {
		db, err := sql.Open("pgx", path)
		return db, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}, err
	}
	dsn := url.URL{
		Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(),
		RawQuery: url.Values{"mode": {"rw"}, "_pragma": {"busy_timeout(10000)", "query_only(1)"}}.Encode(),
	}
	db, err := sql.Open("sqlite", dsn.String())
	return db, nil, err
}

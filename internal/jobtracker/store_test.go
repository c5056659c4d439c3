package jobtracker_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
)

func TestAnyPathIsGood(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"plain.db", "with space.db", "100%.db", "%41.db", "what?.db", "a#b.db", "a&b=c;d.db", "a+b.db",
		"a:b.db", "é \xff.db", "*", "?mode=memory", "'quoted\".db",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), name+".dir")
			if err := os.Mkdir(dir, disk.DirMode); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, name)
			if created, err := jobtracker.Create(t.Context(), path); err != nil || !created {
				t.Fatal(created, err)
			}
			s, err := jobtracker.Open(t.Context(), path, jobtracker.Options{Actor: "test"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.BeginRequest(t.Context(), 1, 4, "mock"); err != nil {
				t.Error(err)
			}
			jobtrackertest.AssertInvariants(t, s)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			left, err := os.ReadDir(dir)
			if err != nil || len(left) != 1 || left[0].Name() != name {
				t.Errorf("the directory holds %v, %v, want only %q", left, err, name)
			}
		})
	}
}

func TestAPathMayBeginWithTwoSlashesOrBeRelative(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, path := range []string{"/" + filepath.Join(dir, "a.db"), "b.db", "./c.db"} {
		if _, err := jobtracker.Create(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		s, err := jobtracker.Open(t.Context(), path, jobtracker.Options{Actor: "test"})
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestConnectionsHaveTheirPragmas: each one of them, not only the first.
func TestConnectionsHaveTheirPragmas(t *testing.T) {
	t.Parallel()
	s := openFile(t)
	for name, db := range map[string]*sql.DB{"writer": s.Writer(), "reader": s.Reader()} {
		for range db.Stats().MaxOpenConnections {
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close() // at the end, so that each Conn is another
			for pragma, want := range map[string]string{
				"foreign_keys": "1", "synchronous": "2", "journal_mode": "wal", "busy_timeout": "1000",
			} {
				var got string
				if err := conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
					t.Errorf("%s: %s is %s, %v, want %s", name, pragma, got, err, want)
				}
			}
			_, err = conn.ExecContext(t.Context(), `DELETE FROM events`)
			if canWrite := err == nil; canWrite != (name == "writer") {
				t.Errorf("%s: a write gave %v", name, err)
			}
		}
	}
}

func TestErrorsSortThemselves(t *testing.T) {
	t.Parallel()
	s := openFile(t)
	ctx := t.Context()

	// A full disk: the file may not grow.
	if _, err := s.Writer().ExecContext(ctx, `PRAGMA max_page_count = 1`); err != nil {
		t.Fatal(err)
	}
	var err error
	for i := 0; i < 1000 && err == nil; i++ {
		_, err = s.BeginRequest(ctx, 1, 4, "mock")
	}
	var out *pipeline.OutageError
	if !errors.As(err, &out) || out.System != pipeline.LocalDisk {
		t.Errorf("a full disk gave %v, want an outage of the disk", err)
	}
	jobtrackertest.AssertInvariants(t, s)

	// A disk that was remounted read-only.
	if _, err := s.Writer().ExecContext(ctx, `PRAGMA query_only = 1`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.BeginRequest(ctx, 1, 4, "mock"); !errors.Is(err, pipeline.ErrOutage) {
		t.Errorf("a read-only disk gave %v, want %v", err, pipeline.ErrOutage)
	}

	// A mistake of ours is neither an outage nor fatal.
	_, err = s.Reader().ExecContext(ctx, `SELECT nonsense FROM files`)
	if err = s.Classify(ctx, err); err == nil || errors.Is(err, pipeline.ErrOutage) || errors.Is(err, pipeline.ErrFatal) {
		t.Errorf("a wrong query gave %v", err)
	}
}

func TestAContextThatIsDoneIsNoOutage(t *testing.T) {
	t.Parallel()
	s := openFile(t)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.WaitingRequests(done); !errors.Is(err, context.Canceled) {
		t.Errorf("reading: %v", err)
	}
	if err := s.Note(done, pipeline.EntitySystem, 0, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("writing: %v", err)
	}
	// Ended in the middle of a query that takes for ever, and between two
	// statements of a transaction.
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	tx, err := s.Writer().BeginTx(short, nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	err = s.Reader().QueryRowContext(short, `WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c`).Scan(&n)
	if err = s.Classify(short, err); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, pipeline.ErrOutage) {
		t.Errorf("a query that was cut short gave %v", err)
	}
	for err = nil; err == nil; { // until database/sql has ended the transaction
		_, err = tx.ExecContext(context.WithoutCancel(short), `SELECT 1`)
	}
	if err = s.Classify(short, err); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a transaction that was cut short gave %v", err)
	}
	if err := s.Note(t.Context(), pipeline.EntitySystem, 0, "x"); err != nil {
		t.Errorf("the next write: %v", err)
	}
}

func TestAFileThatVanishedIsNotMadeAnew(t *testing.T) {
	t.Parallel()
	s := openFile(t)
	if err := os.Remove(s.Path()); err != nil {
		t.Fatal(err)
	}
	if err := s.Note(t.Context(), pipeline.EntitySystem, 0, "x"); !errors.Is(err, pipeline.ErrFatal) {
		t.Errorf("writing to a file without a name: %v, want %v", err, pipeline.ErrFatal)
	}
	var err error
	for range s.Reader().Stats().MaxOpenConnections { // some are open, the next one is new
		var conn *sql.Conn
		if conn, err = s.Reader().Conn(t.Context()); err == nil {
			defer conn.Close()
			err = conn.PingContext(t.Context())
		}
	}
	if err = s.Classify(t.Context(), err); !errors.Is(err, pipeline.ErrOutage) {
		t.Errorf("a new connection: %v, want %v", err, pipeline.ErrOutage)
	}
	if _, err := os.Stat(s.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a file again: %v", err)
	}
}

func TestAFileThatWasReplacedIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	s := openFile(t)
	backup := s.Path() + ".backup"
	if err := s.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	if err := s.Note(t.Context(), pipeline.EntitySystem, 0, "before"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(backup, s.Path()); err != nil {
		t.Fatal(err)
	}
	if err := s.Note(t.Context(), pipeline.EntitySystem, 0, "after"); !errors.Is(err, pipeline.ErrFatal) {
		t.Errorf("writing when a backup was put in its place: %v, want %v", err, pipeline.ErrFatal)
	}
}

func TestTimesSortAsText(t *testing.T) {
	t.Parallel()
	clock := jobtrackertest.NewClock()
	s := jobtrackertest.OpenFile(t, jobtracker.Options{Actor: "test", Now: func() time.Time {
		return clock.Now().In(time.FixedZone("Arecibo", -4*3600))
	}})
	if err := s.Note(t.Context(), pipeline.EntitySystem, 0, "x"); err != nil {
		t.Fatal(err)
	}
	var text string
	if err := s.Reader().QueryRowContext(t.Context(), `SELECT at FROM events`).Scan(&text); err != nil {
		t.Fatal(err)
	}
	if want := "2026-03-14T12:00:00.000Z"; text != want {
		t.Errorf("the time is kept as %s, want %s", text, want)
	}
	if e, err := s.Events(t.Context(), pipeline.EntitySystem, 0); err != nil || !e[0].At.Equal(clock.Now()) || e[0].At.Location() != time.UTC {
		t.Errorf("the time is read as %v, %v", e, err)
	}
}

package jobtracker_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
	"longhaul/schema"
)

func TestCreateDoesNothingToOneThatExists(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "jobtracker.db")
	if created, err := jobtracker.Create(t.Context(), path); err != nil || !created {
		t.Fatal(created, err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != disk.FileMode {
		t.Errorf("its mode is %v, %v, want %v", st.Mode(), err, disk.FileMode)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if created, err := jobtracker.Create(t.Context(), path); err != nil || created {
		t.Errorf("the second time: %v, %v", created, err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the second time changed the file (%v)", err)
	}
	if err := os.WriteFile(path, []byte("something else"), disk.FileMode); err != nil {
		t.Fatal(err)
	}
	if created, err := jobtracker.Create(t.Context(), path); err != nil || created {
		t.Errorf("in place of something else: %v, %v", created, err)
	}
	if after, _ := os.ReadFile(path); string(after) != "something else" {
		t.Errorf("something else became %q", after)
	}
}

func TestCreateAtTheSameTime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "jobtracker.db")
	made := make([]bool, 4)
	var wg sync.WaitGroup
	for i := range made {
		wg.Go(func() {
			var err error
			if made[i], err = jobtracker.Create(t.Context(), path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	count := 0
	for _, m := range made {
		if m {
			count++
		}
	}
	if count != 1 {
		t.Errorf("%d of %d made it, want one", count, len(made))
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("the directory holds %v, %v, want only the job-tracker", left, err)
	}
}

func TestCreateLeavesNothingWhenItFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := jobtracker.Create(t.Context(), filepath.Join(dir, "missing", "jobtracker.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a missing directory: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("the directory holds %v, %v", left, err)
	}
}

// setVersion makes a job-tracker of another version.
func setVersion(t *testing.T, version int) (path string) {
	t.Helper()
	s := openFile(t)
	if _, err := s.Writer().ExecContext(t.Context(), fmt.Sprintf(`PRAGMA user_version = %d`, version)); err != nil {
		t.Fatal(err)
	}
	return s.Path()
}

func TestOpenRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	foreign := func(t *testing.T) string {
		s := openFile(t)
		if _, err := s.Writer().ExecContext(t.Context(), `PRAGMA application_id = 7`); err != nil {
			t.Fatal(err)
		}
		return s.Path()
	}
	for _, tt := range []struct {
		name   string
		path   func(*testing.T) string
		is     error
		wayOut string
	}{
		{"a missing file", func(t *testing.T) string { return filepath.Join(t.TempDir(), "x.db") }, fs.ErrNotExist, "longhaul init"},
		{"an older version", func(t *testing.T) string { return setVersion(t, 0) }, pipeline.ErrFatal, "longhaul migrate"},
		{"a newer version", func(t *testing.T) string { return setVersion(t, 99) }, pipeline.ErrFatal, "newer program"},
		{"another database", foreign, pipeline.ErrFatal, "background.jobtracker_db"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := tt.path(t)
			s, err := jobtracker.Open(t.Context(), path, jobtracker.Options{Actor: "test"})
			if err == nil {
				s.Close()
				t.Fatal("it was opened")
			}
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.wayOut) || !strings.Contains(err.Error(), path) {
				t.Errorf("%v\nwant %q, the path, and the way out: %s", err, tt.is, tt.wayOut)
			}
		})
	}
}

// steps returns the migrations of today and one more.
func steps(t *testing.T, next string) fs.FS {
	t.Helper()
	all := fstest.MapFS{"jobtracker/sqlite/002_next.sql": {Data: []byte(next)}}
	first, err := fs.ReadFile(schema.JobTracker, "jobtracker/sqlite/001_initial.sql")
	if err != nil {
		t.Fatal(err)
	}
	all["jobtracker/sqlite/001_initial.sql"] = &fstest.MapFile{Data: first}
	return all
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	s := openFile(t)
	jobtrackertest.MakeJob(t, s, pipeline.Processed)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, path := t.Context(), s.Path()

	from, to, backup, err := jobtracker.Migrate(ctx, path)
	if err != nil || from != to || backup != "" {
		t.Fatalf("one that is current: from %d to %d, backup %q, %v", from, to, backup, err)
	}

	// A step that fails half way changes nothing.
	broken := steps(t, `ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0; UPDATE nothing SET x = 1;`)
	from, to, backup, err = jobtracker.MigrateWith(ctx, path, broken)
	if err == nil || from != 1 || to != 2 {
		t.Fatalf("a broken step: from %d to %d, %v", from, to, err)
	}
	openAndClose(t, path)
	if err := os.Remove(backup); err != nil {
		t.Fatal(err)
	}

	next := steps(t, `ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0; UPDATE jobs SET priority = priority + 1;`)
	from, to, backup, err = jobtracker.MigrateWith(ctx, path, next)
	if err != nil || from != 1 || to != 2 || backup == "" {
		t.Fatalf("from %d to %d, backup %q, %v", from, to, backup, err)
	}
	if _, _, again, err := jobtracker.MigrateWith(ctx, path, next); err != nil || again != "" {
		t.Errorf("the second time: backup %q, %v", again, err)
	}
	if _, _, _, err := jobtracker.Migrate(ctx, path); !errors.Is(err, pipeline.ErrFatal) || !strings.Contains(err.Error(), "newer program") {
		t.Errorf("by the older program: %v", err)
	}
	if _, err := jobtracker.Open(ctx, path, jobtracker.Options{}); !errors.Is(err, pipeline.ErrFatal) {
		t.Errorf("opened by the older program: %v", err)
	}
	openAndClose(t, backup) // as it was before
	if _, _, _, err := jobtracker.Migrate(ctx, filepath.Join(t.TempDir(), "x.db")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "longhaul init") {
		t.Errorf("a missing one: %v", err)
	}
}

// openAndClose opens a job-tracker of this version which holds a job, and checks it.
func openAndClose(t *testing.T, path string) {
	t.Helper()
	s, err := jobtracker.Open(t.Context(), path, jobtracker.Options{Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Job(t.Context(), 1); err != nil {
		t.Error(err)
	}
	jobtrackertest.AssertInvariants(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestTwoMigrationsAtTheSameTimeMigrateOnce(t *testing.T) {
	t.Parallel()
	s := openFile(t)
	jobtrackertest.MakeJob(t, s, pipeline.New)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	next := steps(t, `CREATE TABLE IF NOT EXISTS times (n INTEGER); INSERT INTO times VALUES (1);`)
	errs := make([]error, 2)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, _, _, errs[i] = jobtracker.MigrateWith(t.Context(), s.Path(), next) })
	}
	wg.Wait()
	for _, err := range errs { // the second may find it done, or come in between, or want the same backup's name
		if err != nil && !errors.Is(err, pipeline.ErrStale) && !errors.Is(err, fs.ErrExist) {
			t.Error(err)
		}
	}
	db := jobtrackerDB(t, s.Path())
	var n int
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM times`).Scan(&n); err != nil || n != 1 {
		t.Errorf("the step was done %d times (%v), want once", n, err)
	}
}

func TestMigrationsAreNumberedWithoutGaps(t *testing.T) {
	t.Parallel()
	s := openFile(t)
	gap := fstest.MapFS{"jobtracker/sqlite/001_a.sql": {}, "jobtracker/sqlite/003_b.sql": {}}
	if _, _, _, err := jobtracker.MigrateWith(t.Context(), s.Path(), gap); err == nil || !strings.Contains(err.Error(), "want number 002") {
		t.Errorf("a gap gave %v", err)
	}
}

package jobtracker_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite"

	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
)

// jobtrackerDB opens a database without package jobtracker.
func jobtrackerDB(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?mode=rw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// TestABackupIsWhole also takes it while a writer is in the middle of something.
func TestABackupIsWhole(t *testing.T) {
	t.Parallel()
	s := openFile(t)
	ctx := t.Context()
	job := jobtrackertest.MakeJob(t, s, pipeline.Uploaded)
	dir := t.TempDir()
	path := filepath.Join(dir, "back up?.db")

	tx, err := jobtrackertest.Another(t, s, jobtracker.Options{Actor: "other"}).Hold(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `UPDATE jobs SET status = 'failed'`); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(ctx, path); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("the directory holds %v, %v, want only the backup", left, err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != disk.FileMode {
		t.Errorf("its mode is %v, %v, want %v", st.Mode(), err, disk.FileMode)
	}
	copied, err := jobtracker.Open(ctx, path, jobtracker.Options{Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	if got, err := copied.Job(ctx, job.ID); err != nil || got.Status != pipeline.Uploaded || got.Name != job.Name {
		t.Errorf("the job in the backup is %+v, %v", got, err)
	}
	// It works like any other, with a write-ahead log.
	jobtrackertest.MakeJob(t, copied, pipeline.Processed)
	jobtrackertest.AssertInvariants(t, copied)
	var mode string
	if err := copied.Reader().QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("the journal mode of a restored backup is %s, %v", mode, err)
	}
}

func TestABackupReplacesNothing(t *testing.T) {
	t.Parallel()
	s := openFile(t)
	path := filepath.Join(t.TempDir(), "backup.db")
	if err := os.WriteFile(path, []byte("mine"), disk.FileMode); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("in place of a file: %v, want %v", err, fs.ErrExist)
	}
	if text, _ := os.ReadFile(path); string(text) != "mine" {
		t.Errorf("the file holds %q", text)
	}
	if err := s.Backup(t.Context(), filepath.Join(t.TempDir(), "missing", "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a missing directory: %v, want %v", err, fs.ErrNotExist)
	}
}

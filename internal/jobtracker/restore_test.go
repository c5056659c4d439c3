package jobtracker_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
)

// TestARestoreThatWasKilledIsRepeated begins where a restore was killed after
// it moved the database and before it moved its -wal.
func TestARestoreThatWasKilledIsRepeated(t *testing.T) {
	t.Parallel()
	backup := sound(t)
	path := killed(t)
	if err := os.Rename(path, path+".damaged-20260314T000000Z"); err != nil {
		t.Fatal(err)
	}
	if _, err := jobtracker.Open(t.Context(), path, jobtracker.Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half way it can be opened: %v", err)
	}
	r, err := jobtracker.Restore(t.Context(), path, backup, jobtracker.Options{Actor: "ann"})
	if err != nil || len(r.Aside) != 2 || !strings.HasSuffix(r.Aside[0], "-wal") || !strings.HasSuffix(r.Aside[1], "-shm") {
		t.Fatalf("Restore = %+v, %v, want the -wal and -shm moved aside", r, err)
	}
	s, err := jobtracker.Open(t.Context(), path, jobtracker.Options{Actor: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n, err := s.CountIn(t.Context(), pipeline.EntityJob, pipeline.New, pipeline.Uploaded, pipeline.TerminalFailure); err != nil || n != 3 {
		t.Errorf("%d jobs, %v, want those of the backup", n, err)
	}
	jobtrackertest.AssertInvariants(t, s)
	for _, name := range []string{".tmp", ".tmp-journal"} {
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*"+name)); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
}

func TestAHoldLastsUntilItIsReleased(t *testing.T) {
	t.Parallel()
	backup, path := sound(t), filepath.Join(t.TempDir(), "jobtracker.db")
	restore := func(from string) *jobtracker.Store {
		t.Helper()
		if _, err := jobtracker.Restore(t.Context(), path, from, jobtracker.Options{Actor: "ann"}); err != nil {
			t.Fatal(err)
		}
		s, err := jobtracker.Open(t.Context(), path, jobtracker.Options{Actor: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	want := func(s *jobtracker.Store, what string, held bool) {
		t.Helper()
		if h, got, err := s.Held(t.Context()); err != nil || got != held || held && (h.LastKnown.IsZero() || h.At.Before(h.LastKnown)) {
			t.Errorf("%s: %+v, %v, %v, want held %v", what, h, got, err, held)
		}
	}
	s := restore(backup)
	want(s, "restored", true)
	if err := s.Release(t.Context(), "looked into"); err != nil {
		t.Fatal(err)
	}
	want(s, "released", false)
	later := filepath.Join(t.TempDir(), "later.db")
	if err := errors.Join(s.Backup(t.Context(), later), s.Close(), os.Remove(path)); err != nil {
		t.Fatal(err)
	}
	want(restore(later), "restored once more, from a backup made since", true)
}

func TestADamagedBackupIsNotRestored(t *testing.T) {
	t.Parallel()
	backup, path := sound(t), sound(t)
	change(t, backup, func(b []byte) []byte { clear(b[3*pageSize : 4*pageSize]); return b })
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := jobtracker.Restore(t.Context(), path, backup, jobtracker.Options{}); err == nil || len(r.Aside) > 0 {
		t.Errorf("Restore = %+v, %v", r, err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the job-tracker changed (%v)", err)
	}
	if problems, err := jobtracker.Examine(t.Context(), backup); err != nil || len(problems) == 0 {
		t.Errorf("Examine = %q, %v", problems, err)
	}
	if problems, err := jobtracker.Examine(t.Context(), path); err != nil || len(problems) > 0 {
		t.Errorf("of a sound one: %q, %v", problems, err)
	}
}

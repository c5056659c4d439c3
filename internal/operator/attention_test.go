package operator

import (
	"path/filepath"
	"testing"

	"longhaul/internal/config"
	"longhaul/internal/jobtracker"
)

// A job-tracker that was restored and not reconciled stops the daemons; status
// must say so first.
func TestARestoredJobTrackerNeedsAPerson(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "jobtracker.db")
	if _, err := jobtracker.Create(ctx, path); err != nil {
		t.Fatal(err)
	}
	store, err := jobtracker.Open(ctx, path, jobtracker.Options{Actor: "somebody"})
	if err != nil {
		t.Fatal(err)
	}
	attention := func(s *jobtracker.Store) []Attention {
		t.Helper()
		op, err := New(Options{Config: config.Default(), Store: s})
		if err != nil {
			t.Fatal(err)
		}
		st := &Status{}
		if err := op.statusAttention(ctx, st); err != nil {
			t.Fatal(err)
		}
		return st.Attention
	}
	if got := attention(store); len(got) != 0 {
		t.Errorf("a new job-tracker needs a person: %+v", got)
	}
	backup := path + ".backup"
	if err := store.Backup(ctx, backup); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := jobtracker.Restore(ctx, path, backup, jobtracker.Options{Actor: "somebody"}); err != nil {
		t.Fatal(err)
	}
	if store, err = jobtracker.Open(ctx, path, jobtracker.Options{Actor: "somebody"}); err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if got := attention(store); len(got) != 1 || got[0].Command != "longhaul doctor --repair" {
		t.Errorf("after a restore status says %+v, want doctor --repair", got)
	}
	if err := store.Release(ctx, "reconciled"); err != nil {
		t.Fatal(err)
	}
	if got := attention(store); len(got) != 0 {
		t.Errorf("after the repair status still says %+v", got)
	}
}

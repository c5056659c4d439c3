package local

import (
	"path/filepath"
	"slices"
	"testing"

	"longhaul/internal/queue"
)

func TestListTellsWhatItRemembersAndNobodyKnows(t *testing.T) {
	t.Parallel()
	m, dir := open(t, options(t)), t.TempDir()
	await(t, m, submit(t, m, shell(t, dir, "known", "true")), queue.Finished)
	await(t, m, submit(t, m, shell(t, dir, "ended", "exit 3")), queue.Finished)
	live := submit(t, m, shell(t, dir, "live", "while [ ! -e \"$DIR/go\" ]; do sleep 0.01; done"))
	await(t, m, live, queue.Running)
	// What is no job's record does not hide the others.
	if err := writeRecord(filepath.Join(m.dir, endedDir), "notes.txt", "mine"); err != nil {
		t.Fatal(err)
	}
	all, err := m.List(t.Context(), func(name string) bool { return name == "known" })
	if err != nil || len(all) != 2 {
		t.Fatalf("List = %+v, %v, want two", all, err)
	}
	slices.SortFunc(all, func(a, b queue.Listed) int { return a.Submitted.Compare(b.Submitted) })
	ended, running := all[0], all[1]
	if ended.Name != "ended" || ended.State.Phase != queue.Finished || ended.State.ExitCode != 3 ||
		ended.Env["DIR"] != dir || !slices.Equal(ended.Command, []string{"/bin/sh", "-c", "exit 3"}) {
		t.Errorf("the one that ended: %+v", ended)
	}
	if running.Name != "live" || running.ID != live.ID || running.State.Phase != queue.Running || running.Submitted.IsZero() {
		t.Errorf("the one that runs: %+v", running)
	}
	if err := m.Delete(t.Context(), live.ID); err != nil {
		t.Error(err)
	}
}

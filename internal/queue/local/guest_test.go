package local

import (
	"path/filepath"
	"testing"
)

// A command that a person runs, perhaps from a program that is gone tomorrow,
// must not become the supervisor of the jobs to come.
func TestAGuestLeavesTheSettings(t *testing.T) {
	t.Parallel()
	spool := filepath.Join(t.TempDir(), "queue")
	host, err := New(Options{Spool: spool, MaxRunning: 7, Supervisor: []string{"/bin/true", "host"}})
	if err != nil {
		t.Fatal(err)
	}
	guest, err := New(Options{Spool: spool, MaxRunning: 1, Supervisor: []string{"/bin/false", "guest"}, Guest: true})
	if err != nil {
		t.Fatal(err)
	}
	saved, err := readRecord[settings](spool, settingsFile)
	if err != nil {
		t.Fatal(err)
	}
	for who, set := range map[string]settings{"saved": saved, "the guest's": guest.settings} {
		if set.MaxRunning != host.settings.MaxRunning || plain(set.Supervisor)[1] != "host" {
			t.Errorf("%s settings are %+v, want the host's", who, set)
		}
	}
	if _, err := New(Options{Spool: spool + "2", MaxRunning: 1, Supervisor: []string{"/bin/true"}, Guest: true}); err != nil {
		t.Errorf("a guest where nobody was before: %v", err)
	}
}

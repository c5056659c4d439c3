package main

import (
	"strings"
	"testing"
)

func TestCommonDBInitAndCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, want := range []string{"made, version", "already, left as it is"} {
		if out := w.ok("commondb", "init"); !strings.Contains(out, want) || !strings.Contains(out, "Next: longhaul commondb check") {
			t.Errorf("commondb init says %q, want %q", out, want)
		}
	}
	if out := w.ok("commondb", "check"); !strings.Contains(out, "14 tables of longhaul, 0 others") || !strings.Contains(out, "rolled back") {
		t.Errorf("commondb check says %q", out)
	}
	status, _, stderr := w.longhaul("commondb", "init", "--print")
	if status == exitOK || !strings.Contains(stderr, "needs no script") {
		t.Errorf("commondb init --print of a file: %d, %q", status, stderr)
	}
}

package queue

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	good := Spec{Name: "job-1_a", Command: []string{"true"}, Stdout: "/o", Stderr: "/e", Env: map[string]string{"A": "=\n"}}
	for _, tt := range []struct {
		name   string
		change func(*Spec)
		ok     bool
	}{
		{"a plain one passes", func(*Spec) {}, true},
		{"a name of 64 passes", func(s *Spec) { s.Name = strings.Repeat("x", 64) }, true},
		{"a name of 65 does not", func(s *Spec) { s.Name = strings.Repeat("x", 65) }, false},
		{"no name", func(s *Spec) { s.Name = "" }, false},
		{"a name that begins with a digit", func(s *Spec) { s.Name = "1st" }, false},
		{"a name that climbs", func(s *Spec) { s.Name = "a/../b" }, false},
		{"a name with a dot", func(s *Spec) { s.Name = "a.b" }, false},
		{"no command", func(s *Spec) { s.Command = nil }, false},
		{"an empty program", func(s *Spec) { s.Command = []string{""} }, false},
		{"a NUL in an argument", func(s *Spec) { s.Command = []string{"true", "a\x00b"} }, false},
		{"a relative output path", func(s *Spec) { s.Stdout = "o" }, false},
		{"no error path", func(s *Spec) { s.Stderr = "" }, false},
		{"a variable with = in its name", func(s *Spec) { s.Env = map[string]string{"A=B": "c"} }, false},
		{"a variable without a name", func(s *Spec) { s.Env = map[string]string{"": "c"} }, false},
		{"a NUL in a variable", func(s *Spec) { s.Env = map[string]string{"A": "\x00"} }, false},
		{"a negative time limit", func(s *Spec) { s.Resources.WallTime = -1 }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := good
			tt.change(&s)
			if err := s.Check(); tt.ok != (err == nil) || !tt.ok && !errors.Is(err, ErrRejected) {
				t.Errorf("Check = %v, want ok %v", err, tt.ok)
			}
		})
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 0)
	ref := Ref{ID: "7", Name: "job", Submitted: at.Unix()}
	for _, tt := range []struct {
		name      string
		ref       Ref
		known     string
		submitted time.Time
		want      bool
	}{
		{"the same", ref, "job", at, true},
		{"a clock that is off by an hour", ref, "job", at.Add(-time.Hour), true},
		{"another name", ref, "other", at, false},
		{"submitted days later", ref, "job", at.Add(48 * time.Hour), false},
		{"submitted days earlier", ref, "job", at.Add(-48 * time.Hour), false},
		{"the batch system does not tell the name", ref, "", at, true},
		{"the batch system does not tell the time", ref, "job", time.Time{}, true},
		{"we do not know the time", Ref{ID: "7", Name: "job"}, "job", at, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.ref.Matches(tt.known, tt.submitted); got != tt.want {
				t.Errorf("Matches(%q, %v) = %v, want %v", tt.known, tt.submitted, got, tt.want)
			}
		})
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	long := strings.Repeat("0123456789abcde\n", 3000)
	for name, tt := range map[string]struct{ text, want string }{
		"empty": {"", ""},
		"short": {"oh no\n", "oh no\n"},
		"long":  {long, long[len(long)-TailSize:]},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(tt.text), 0o640); err != nil {
			t.Fatal(err)
		}
		if got, err := Tail(path); err != nil || got != tt.want {
			t.Errorf("the tail of a file that is %s has %d bytes (%v), want %d", name, len(got), err, len(tt.want))
		}
	}
	if got, err := Tail(filepath.Join(dir, "missing")); got != "" || err != nil {
		t.Errorf("the tail of a missing file is %q, %v, want nothing", got, err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o640); err != nil {
		t.Fatal(err)
	}
	secret, link := filepath.Join(dir, "secret"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(secret, []byte("secret"), 0o600), os.Symlink(secret, link)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, link} {
		if got, err := Tail(path); err != nil || got != notAFile {
			t.Errorf("%s: %q, %v; want %q", path, got, err, notAFile)
		}
	}
}

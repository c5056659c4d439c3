package download_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"longhaul/internal/pipeline"
)

// TestSomethingInTheWayIsNeverReplaced has something else under the names that
// verified files are to get.
func TestSomethingInTheWayIsNeverReplaced(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(b *setup) { b.cfg.NumDownloads = 9 })
	content, elsewhere := noise(5000, 1), t.TempDir()
	places := map[string]func(path string) error{
		"raw.file":      func(p string) error { return os.WriteFile(p, []byte("precious"), 0o600) },
		"raw.same-size": func(p string) error { return os.WriteFile(p, noise(5000, 2), 0o600) },
		"raw.dangling":  func(p string) error { return os.Symlink(filepath.Join(elsewhere, "nothing"), p) },
		"raw.link-to-same": func(p string) error {
			target := filepath.Join(elsewhere, "target")
			return errors.Join(os.WriteFile(target, content, 0o600), os.Symlink(target, p))
		},
		"raw.directory": func(p string) error { return os.Mkdir(p, 0o750) },
		"raw.pipe":      mkfifo,
	}
	before := make(map[string]os.FileInfo)
	for name, place := range places {
		s.enter(name, content)
		check(t, place(s.final(name)))
		before[name] = must(os.Lstat(s.final(name)))(t)
	}
	s.rounds(2)
	for name, was := range before {
		s.wantStatus(name, pipeline.Retrying, 2)
		if f := s.file(name); !strings.Contains(f.Details, "move it away") || f.Digest != sha256Of(content) {
			t.Errorf("%s: digest %q, written down before the rename; details: %s", name, f.Digest, f.Details)
		}
		is := must(os.Lstat(s.final(name)))(t)
		if !os.SameFile(was, is) || !is.ModTime().Equal(was.ModTime()) || is.Size() != was.Size() {
			t.Errorf("%s: %v became %v", name, was, is)
		}
		if got := s.offsets(name); len(got) != 1 {
			t.Errorf("%s: fetched again: %d", name, got)
		}
		check(t, os.Rename(s.final(name), filepath.Join(elsewhere, name)))
	}
	s.rounds(1)
	for name := range places {
		s.wantWhole(name, content)
		s.wantStatus(name, pipeline.Downloaded, 2)
	}
}

func TestTheSameBytesInPlaceAreTheFile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	content := noise(5000, 1)
	s.enter("raw", content)
	check(t, os.WriteFile(s.final("raw"), content, 0o640))
	s.rounds(1)
	s.wantWhole("raw", content)
}

// TestThePartFileIsNothingElse has something else under the names of part
// files: it is neither written to nor removed, and holds up no other file.
func TestThePartFileIsNothingElse(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(b *setup) { b.cfg.NumDownloads = 3 })
	target := filepath.Join(t.TempDir(), "target")
	check(t, os.WriteFile(target, []byte("precious"), 0o600))
	content := noise(5000, 1)
	places := map[string]func(path string) error{
		"raw.link":      func(p string) error { return os.Symlink(target, p) },
		"raw.directory": func(p string) error { return os.Mkdir(p, 0o750) },
		"raw.pipe":      mkfifo,
	}
	for name, place := range places {
		s.enter(name, content)
		check(t, place(s.part(name)))
	}
	s.enter("raw.other", content)
	s.rounds(3)
	for name := range places {
		s.wantStatus(name, pipeline.TerminalFailure, 3)
		if f := s.file(name); !strings.Contains(f.Details, "move it away") {
			t.Errorf("%s: details: %s", name, f.Details)
		}
	}
	s.wantStatus("raw.other", pipeline.Downloaded, 0)
	if got, err := os.ReadFile(target); err != nil || string(got) != "precious" {
		t.Errorf("the link's target: %q, %v", got, err)
	}
	if got := s.parts(); len(got) != len(places) {
		t.Errorf("what was in the way: %q", got)
	}
}

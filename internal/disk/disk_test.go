package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestWriteFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "record")
	put := func(s string, fail error) error {
		return WriteFile(path, func(w io.Writer) error {
			_, err := io.WriteString(w, s)
			return errors.Join(err, fail)
		})
	}
	if err := put("first", nil); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	if err := put("second", boom); !errors.Is(err, boom) {
		t.Errorf("a failing writer gave %v, want %v", err, boom)
	}
	if got, _ := os.ReadFile(path); string(got) != "first" {
		t.Errorf("after a failed write the file holds %q, want what it held before", got)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("%d names in the directory (%v), want only the file", len(left), err)
	}
	if st, _ := os.Stat(path); st.Mode().Perm() != FileMode {
		t.Errorf("mode %v, want %v", st.Mode().Perm(), FileMode)
	}
}

// TestRenameNeverReplaces holds for both ways: not every file system has the
// first.
func TestRenameNeverReplaces(t *testing.T) {
	t.Parallel()
	file := func(path, content string) error { return os.WriteFile(path, []byte(content), FileMode) }
	tree := func(path, content string) error {
		if err := os.Mkdir(path, DirMode); err != nil || content == "" {
			return err
		}
		return file(filepath.Join(path, "x"), content)
	}
	read := func(path string) string {
		if st, err := os.Stat(path); err == nil && st.IsDir() {
			path = filepath.Join(path, "x")
		}
		text, _ := os.ReadFile(path)
		return string(text)
	}
	for _, tt := range []struct {
		name      string
		move      func(from, to string) error
		from      func(path, content string) error
		occupy    func(path, content string) error
		occupying string
	}{
		{"a file onto a file", RenameNew, file, file, "old"},
		{"a file onto a file, in steps", renameInSteps, file, file, "old"},
		{"a directory onto a full one", RenameNew, tree, tree, "old"},
		{"a directory onto a full one, in steps", renameInSteps, tree, tree, "old"},
		{"a directory onto an empty one", RenameNew, tree, tree, ""},
		{"a directory onto an empty one, in steps", renameInSteps, tree, tree, ""},
		{"a directory onto a file, in steps", renameInSteps, tree, file, "old"},
		{"a file onto a directory, in steps", renameInSteps, file, tree, "old"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			from, to, taken := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "taken")
			if err := errors.Join(tt.from(from, "new"), tt.occupy(taken, tt.occupying)); err != nil {
				t.Fatal(err)
			}
			if err := tt.move(from, taken); !errors.Is(err, fs.ErrExist) {
				t.Errorf("onto another: %v", err)
			}
			if got := read(taken); got != tt.occupying {
				t.Errorf("it became %q", got)
			}
			if err := tt.move(from, to); err != nil {
				t.Fatal(err)
			}
			if got := read(to); got != "new" {
				t.Errorf("renamed: %q", got)
			}
			if _, err := os.Lstat(from); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the old name is left: %v", err)
			}
		})
	}
}

func TestMarkersTellAnEmptyDirectoryFromAMissingDisk(t *testing.T) {
	t.Parallel()
	const m = Marker(".marker")
	base := filepath.Join(t.TempDir(), "base")
	below := filepath.Join(base, "a", "b", "c")
	if err := m.Check(base); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNoMarker) {
		t.Errorf("a directory that is not there: %v", err)
	}
	if err := os.MkdirAll(filepath.Dir(below), DirMode); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.Check(base), m.CheckAbove(below)); !errors.Is(err, ErrNoMarker) {
		t.Errorf("without: %v", err)
	}
	if err := m.Leave(base, "text"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.Check(base), m.CheckAbove(below)); err != nil {
		t.Errorf("with: %v", err)
	}
	if err := m.Check(filepath.Dir(below)); !errors.Is(err, ErrNoMarker) {
		t.Errorf("beneath: %v", err)
	}
}

func TestMakeDir(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	for range 2 { // again is no error
		if err := MakeDir(dir); err != nil {
			t.Fatal(err)
		}
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm()&^DirMode != 0 {
		t.Errorf("Stat = %v, %v, want a directory of mode %v", st, err, DirMode)
	}
}

func TestNetworkKnowsFileSystems(t *testing.T) {
	t.Parallel()
	if got := networkName(0x6969); got != "NFS" {
		t.Errorf("the magic number of NFS is %q", got)
	}
	if got, err := Network(t.TempDir()); got != "" || err != nil {
		t.Errorf("a temporary directory is on %q, %v, want a local file system", got, err)
	}
	if _, err := Network(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing path gave %v", err)
	}
}

func TestFree(t *testing.T) {
	t.Parallel()
	n, err := Free(t.TempDir())
	if err != nil || n <= 0 {
		t.Errorf("Free = %d, %v", n, err)
	}
}

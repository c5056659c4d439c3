package disk

import (
	"errors"
	"io"
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

package download

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"longhaul/internal/pipeline"
)

func TestPartPathFitsBesideEveryName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seen := make(map[string]string)
	for _, name := range []string{
		"a", strings.Repeat("n", 249), strings.Repeat("n", 250), strings.Repeat("n", 255),
		strings.Repeat("n", 254) + "m", strings.Repeat("ä", 127),
	} {
		part := PartPath(pipeline.File{Filename: name, Path: filepath.Join(dir, name)})
		if err := os.WriteFile(part, nil, 0o640); err != nil {
			t.Errorf("name of %d bytes: %v", len(name), err)
		}
		if other, twice := seen[part]; twice {
			t.Errorf("%q and %q share a part file", name, other)
		}
		seen[part] = name
		if base := filepath.Base(part); filepath.Dir(part) != dir || base[0] != '.' {
			t.Errorf("part file of %q is %s", name, part)
		}
	}
}

// TestRenameNeverReplaces holds for both ways: not every file system has the
// first.
func TestRenameNeverReplaces(t *testing.T) {
	t.Parallel()
	for name, move := range map[string]func(from, to string) error{"rename": rename, "link": link} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			from, to, taken := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "taken")
			if err := errors.Join(os.WriteFile(from, []byte("new"), 0o640), os.WriteFile(taken, []byte("old"), 0o640)); err != nil {
				t.Fatal(err)
			}
			if err := move(from, taken); !errors.Is(err, fs.ErrExist) {
				t.Errorf("onto another file: %v", err)
			}
			if got, err := os.ReadFile(taken); string(got) != "old" {
				t.Errorf("it became %q, %v", got, err)
			}
			if err := move(from, to); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(to); string(got) != "new" {
				t.Errorf("renamed: %q, %v", got, err)
			}
			if _, err := os.Lstat(from); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the old name is left: %v", err)
			}
		})
	}
}

func TestErrorsOfTheDiskAreSorted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err    error
		outage bool
	}{
		{unix.ENOSPC, true}, {unix.EDQUOT, true}, {unix.EIO, true}, {unix.EROFS, true}, {unix.EACCES, true}, {unix.ENOENT, true},
		{unix.ENAMETOOLONG, false}, {errInTheWay, false},
	} {
		if got := errors.Is(diskError(&fs.PathError{Op: "open", Path: "x", Err: tt.err}), pipeline.ErrOutage); got != tt.outage {
			t.Errorf("%v: outage is %v", tt.err, got)
		}
	}
	if err := diskError(nil); err != nil {
		t.Errorf("no error became %v", err)
	}
}

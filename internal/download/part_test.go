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

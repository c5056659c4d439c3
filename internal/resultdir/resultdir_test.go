package resultdir_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"longhaul/internal/pipeline"
	"longhaul/internal/resultdir"
)

func TestExists(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	dir := filepath.Join(base, "20120414", "P2030.G45.00100", "0", "260314T120000")
	never := filepath.Join(base, "20120415", "x", "0", "t")
	want := func(step, dir string, exists, outage bool) {
		t.Helper()
		got, err := resultdir.Exists(dir)
		if got != exists || errors.Is(err, pipeline.ErrOutage) != outage || (err != nil) != outage {
			t.Errorf("%s: %v, %v; want %v, outage %v", step, got, err, exists, outage)
		}
	}
	want("on a disk without its marker nothing is known to be missing", dir, false, true)
	if err := resultdir.Mark(base); err != nil {
		t.Fatal(err)
	}
	want("nothing was ever there", dir, false, false)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	want("it is there", dir, true, false)

	aside := base + ".aside"
	if err := os.Rename(base, aside); err != nil {
		t.Fatal(err)
	}
	want("the mount point is gone", dir, false, true)
	if err := os.Mkdir(base, 0o750); err != nil {
		t.Fatal(err)
	}
	want("the mount point is empty", dir, false, true)
	if err := errors.Join(os.Remove(base), os.Rename(aside, base)); err != nil {
		t.Fatal(err)
	}
	want("the disk is back", dir, true, false)
	want("other results are really missing", never, false, false)

	link := filepath.Join(base, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	want("a symbolic link is no output directory", link, false, false)
	want("a file in the way of the directory above", filepath.Join(link+"x", "t"), false, false)
	if err := os.WriteFile(filepath.Join(base, "file"), nil, 0o640); err != nil {
		t.Fatal(err)
	}
	want("a file where a directory should be", filepath.Join(base, "file", "t"), false, true)
}

func TestCheckTellsWhatToDo(t *testing.T) {
	t.Parallel()
	base := filepath.Join(t.TempDir(), "results")
	if err := resultdir.Check(base); !errors.Is(err, pipeline.ErrOutage) || errors.Is(err, resultdir.ErrNoMarker) {
		t.Errorf("a directory that is not there: %v, want an outage that is not about the marker", err)
	}
	if err := os.Mkdir(base, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := resultdir.Check(base); !errors.Is(err, pipeline.ErrOutage) || !errors.Is(err, resultdir.ErrNoMarker) {
		t.Errorf("a directory without its marker: %v, want %v", err, resultdir.ErrNoMarker)
	}
	if err := errors.Join(resultdir.Mark(base), resultdir.Check(base)); err != nil {
		t.Errorf("a directory with its marker: %v", err)
	}
}

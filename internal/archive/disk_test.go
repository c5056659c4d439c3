package archive_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"longhaul/internal/archive"
)

func newDisk(t *testing.T, root string) *archive.Disk {
	t.Helper()
	d, err := archive.NewDisk(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDiskServesRegularFilesOnly(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	content := noise(200_000)
	hostile(t, filepath.Join(root, "in"))
	writeFile(t, filepath.Join(root, "in", "good.fits"), content)
	if err := syscall.Mkfifo(filepath.Join(root, "in", "pipe"), 0o640); err != nil {
		t.Fatal(err)
	}
	d := newDisk(t, root)
	l, err := d.List(t.Context(), "/in")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := names(l), []string{"good.fits", "real -> not a link"}; !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	if len(l.Refused) != 5 {
		t.Errorf("refused %q", l.Refused)
	}
	for _, name := range []string{"in/none", "in/loop", "in/out", "in/in", "in/pipe", "in/directory", "in"} {
		_, err := d.Stat(t.Context(), name)
		wantKind(t, err, "no file")
		_, err = d.Fetch(t.Context(), name, 0, io.Discard)
		wantKind(t, err, "no file")
	}
	e, err := d.Stat(t.Context(), "in/good.fits")
	if err != nil || e != l.Entries[slices.IndexFunc(l.Entries, func(e archive.Entry) bool { return e.Name == "good.fits" })] {
		t.Errorf("Stat = %+v, %v", e, err)
	}
	var got bytes.Buffer
	if n, err := d.Fetch(t.Context(), "in/good.fits", 1000, &got); err != nil || n != 199_000 {
		t.Errorf("Fetch = %d, %v", n, err)
	}
	wantBytes(t, got.Bytes(), content[1000:])
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestDiskDoesNotLeaveItsRoot(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.Symlink("/etc", filepath.Join(root, "etc")); err != nil {
		t.Fatal(err)
	}
	d := newDisk(t, root)
	for _, name := range []string{"../x", "a/../../x", "etc/passwd"} {
		if _, err := d.Fetch(t.Context(), name, 0, io.Discard); err == nil {
			t.Errorf("%q was fetched", name)
		}
	}
	_, err := d.List(t.Context(), "none")
	wantKind(t, err, "no file")
}

func TestMissingRootIsAnOutageUntilItIsThere(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "mount")
	d := newDisk(t, root)
	_, err := d.List(t.Context(), "")
	wantKind(t, err, "outage")
	_, err = d.Fetch(t.Context(), "a", 0, io.Discard)
	wantKind(t, err, "outage")
	writeFile(t, filepath.Join(root, "a"), []byte("x"))
	if l, err := d.List(t.Context(), ""); err != nil || len(l.Entries) != 1 {
		t.Errorf("List = %+v, %v", l, err)
	}
	if _, err := archive.NewDisk("relative", nil); err == nil {
		t.Error("a relative root is accepted")
	}
}

func TestDiskObeysLimitAndContext(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	writeFile(t, filepath.Join(root, "a"), noise(200_000))
	d, err := archive.NewDisk(root, archive.NewLimiter(1000))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := d.Fetch(ctx, "a", 0, io.Discard); err != context.DeadlineExceeded {
		t.Errorf("Fetch = %v", err)
	}
	if _, err := d.List(ctx, ""); err != context.DeadlineExceeded {
		t.Errorf("List = %v", err)
	}
}

func TestLinkIsTheSameFileUnderAnotherName(t *testing.T) {
	t.Parallel()
	root, here := t.TempDir(), t.TempDir()
	content := noise(1000)
	hostile(t, filepath.Join(root, "in"))
	writeFile(t, filepath.Join(root, "in", "raw.fits"), content)
	d := newDisk(t, root)
	to := filepath.Join(here, ".raw.fits.part")
	if err := d.Link(t.Context(), "in/raw.fits", to); err != nil {
		t.Fatal(err)
	}
	a, b := must(os.Stat(filepath.Join(root, "in", "raw.fits")))(t), must(os.Stat(to))(t)
	if !os.SameFile(a, b) {
		t.Error("two files")
	}
	if err := d.Link(t.Context(), "in/raw.fits", to); !errors.Is(err, fs.ErrExist) {
		t.Errorf("what is there already: %v", err)
	}
	for _, name := range []string{"in/none", "in/out", "in/in", "in/directory"} {
		err := d.Link(t.Context(), name, filepath.Join(here, "x"))
		wantKind(t, err, "no file")
	}
	for _, name := range []string{"../x", "in/../../x", "/../etc/passwd"} {
		if err := d.Link(t.Context(), name, filepath.Join(here, "x")); err == nil {
			t.Errorf("%q was linked", name)
		}
	}
	err := d.Link(t.Context(), "in/raw.fits", filepath.Join(here, "none", "x"))
	wantKind(t, err, "outage")
}

func TestLinkToAnotherDiskIsToldApart(t *testing.T) {
	t.Parallel()
	const memory = "/dev/shm"
	root := t.TempDir()
	writeFile(t, filepath.Join(root, "raw.fits"), []byte("x"))
	other, err := os.MkdirTemp(memory, "longhaul-")
	if err != nil {
		t.Skipf("NOT TESTED: no second disk at %s: %v", memory, err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(other); err != nil {
			t.Error(err)
		}
	})
	if err := newDisk(t, root).Link(t.Context(), "raw.fits", filepath.Join(other, "raw.fits")); !errors.Is(err, archive.ErrNoLink) {
		t.Errorf("Link = %v", err)
	}
}

func TestEmptyDiskIsOneThatIsNotMounted(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := newDisk(t, root)
	_, err := d.List(t.Context(), "GUID")
	wantKind(t, err, "outage")
	_, err = d.Stat(t.Context(), "GUID/raw.fits")
	wantKind(t, err, "outage")
	wantWords(t, err, "is its disk mounted?")
	if l, err := d.List(t.Context(), ""); err != nil || len(l.Entries) != 0 {
		t.Errorf("List = %+v, %v", l, err)
	}
	writeFile(t, filepath.Join(root, "OTHER", "raw.fits"), nil)
	_, err = d.List(t.Context(), "GUID")
	wantKind(t, err, "no file")
}

func TestDiskNoticesAFileThatGrows(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	file := filepath.Join(root, "raw.fits")
	writeFile(t, file, noise(200_000))
	grown := false
	_, err := newDisk(t, root).Fetch(t.Context(), "raw.fits", 0, writerFunc(func(p []byte) (int, error) {
		if !grown {
			grown = true
			writeFile(t, file, noise(200_001))
		}
		return len(p), nil
	}))
	wantKind(t, err, "changed")
}

package rawdata_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
	"longhaul/internal/rawdata"
)

func sweep(t *testing.T, store *jobtracker.Store) error {
	t.Helper()
	return rawdata.Sweep(t.Context(), store, slog.New(slog.DiscardHandler))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// kept makes a file that nobody wants deleted.
func kept(t *testing.T, store *jobtracker.Store) pipeline.File {
	t.Helper()
	f := jobtrackertest.MakeFile(t, store, pipeline.Downloaded)
	jobtrackertest.WriteRaw(t, f)
	return f
}

// doomed makes a file that is to be deleted.
func doomed(t *testing.T, store *jobtracker.Store, change ...func(*pipeline.File)) pipeline.File {
	t.Helper()
	f := jobtrackertest.AddFile(t, store, change...)
	must(t, store.WantFileDeleted(t.Context(), f.ID, "test"))
	return f
}

// want checks a file's status and whether it is on the disk.
func want(t *testing.T, store *jobtracker.Store, f pipeline.File, status pipeline.Status, there bool) {
	t.Helper()
	now, err := store.File(t.Context(), f.ID)
	must(t, err)
	if now.Status != status {
		t.Errorf("file %d is %s, want %s", f.ID, now.Status, status)
	}
	if _, err := os.Lstat(f.Path); (err == nil) != there {
		t.Errorf("%s: %v; it should be there: %v", f.Path, err, there)
	}
}

func TestWhatIsMarkedIsDeletedAndNothingElse(t *testing.T) {
	t.Parallel()
	store := jobtrackertest.Open(t)
	marked, other := doomed(t, store), kept(t, store)
	jobtrackertest.WriteRaw(t, marked)
	stranger := marked.Path + ".sha256"
	must(t, os.WriteFile(stranger, nil, 0o640))
	must(t, sweep(t, store))
	want(t, store, marked, pipeline.Deleted, false)
	want(t, store, other, pipeline.Downloaded, true)
	if _, err := os.Stat(stranger); err != nil {
		t.Errorf("a file beside it is gone: %v", err)
	}
	must(t, sweep(t, store))
	want(t, store, other, pipeline.Downloaded, true)
	jobtrackertest.AssertInvariants(t, store)
}

func TestAFileThatIsGoneAlreadyIsRecorded(t *testing.T) {
	t.Parallel()
	store := jobtrackertest.Open(t)
	other := kept(t, store) // makes the directory
	must(t, rawdata.Mark(filepath.Dir(other.Path)))
	f := doomed(t, store)
	must(t, sweep(t, store))
	want(t, store, f, pipeline.Deleted, false)
	jobtrackertest.AssertInvariants(t, store)
}

// The sweep leaves the marker itself, also where an operator brought files from:
// a crash between the deletion of the last file and its record is no question.
func TestADirectoryIsMarkedBeforeItsFirstFileGoes(t *testing.T) {
	t.Parallel()
	store := jobtrackertest.Open(t)
	elsewhere := t.TempDir()
	f := doomed(t, store, func(f *pipeline.File) { f.Path = filepath.Join(elsewhere, f.Filename) })
	last := doomed(t, store, func(f *pipeline.File) { f.Path = filepath.Join(elsewhere, f.Filename) })
	jobtrackertest.WriteRaw(t, f)
	jobtrackertest.WriteRaw(t, last)
	must(t, sweep(t, store))
	want(t, store, f, pipeline.Deleted, false)
	want(t, store, last, pipeline.Deleted, false)
	if gone, err := rawdata.Gone(f.Path); !gone || err != nil {
		t.Errorf("Gone = %v, %v after the directory's last file was deleted", gone, err)
	}
}

// The mount point of a disk that is not mounted is there, and empty.
func TestAnEmptyMountPointDeletesNothing(t *testing.T) {
	t.Parallel()
	store := jobtrackertest.Open(t)
	files := []pipeline.File{doomed(t, store), doomed(t, store), kept(t, store)}
	dir := filepath.Dir(files[0].Path)
	for _, f := range files {
		jobtrackertest.WriteRaw(t, f)
	}
	must(t, rawdata.Mark(dir))
	must(t, os.Rename(dir, dir+".disk"))
	must(t, os.Mkdir(dir, 0o750))
	for range 2 {
		var out *pipeline.OutageError
		if err := sweep(t, store); !errors.As(err, &out) || out.System != pipeline.LocalDisk || !strings.Contains(err.Error(), rawdata.Marker) {
			t.Errorf("%v, want an outage of the disk that names the marker", err)
		}
	}
	must(t, errors.Join(os.Remove(dir), os.Rename(dir+".disk", dir)))
	for _, f := range files {
		want(t, store, f, f.Status, true)
	}
	must(t, sweep(t, store))
	want(t, store, files[0], pipeline.Deleted, false)
	want(t, store, files[1], pipeline.Deleted, false)
	want(t, store, files[2], pipeline.Downloaded, true)
}

func TestAFileOnADiskThatIsNotMountedIsNotTakenForDeleted(t *testing.T) {
	t.Parallel()
	store := jobtrackertest.Open(t)
	f := doomed(t, store)
	jobtrackertest.WriteRaw(t, f)
	dir := filepath.Dir(f.Path)
	must(t, os.Rename(dir, dir+".aside"))
	if err := sweep(t, store); !errors.Is(err, pipeline.ErrOutage) || !strings.Contains(err.Error(), "mounted") {
		t.Errorf("%v, want an outage that asks for the disk", err)
	}
	must(t, os.Rename(dir+".aside", dir))
	want(t, store, f, pipeline.Added, true)
	must(t, sweep(t, store))
	want(t, store, f, pipeline.Deleted, false)
}

func TestWhatCannotBeDeletedDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		path string // of the file, if not the usual one
		make func(path string) error
	}{
		{"a directory in its place", "", func(p string) error { return os.MkdirAll(p, 0o750) }},     // empty: it could be deleted
		{"a directory that allows no deletion", "/proc/version", func(string) error { return nil }}, // not even to root
		{"a file in place of its directory", "/proc/version/x.fits", func(string) error { return nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			store := jobtrackertest.Open(t)
			stuck := doomed(t, store, func(f *pipeline.File) {
				if tt.path != "" {
					f.Path = tt.path
				}
			})
			must(t, tt.make(stuck.Path))
			other := doomed(t, store)
			jobtrackertest.WriteRaw(t, other)
			err := sweep(t, store)
			var out *pipeline.OutageError
			if !errors.As(err, &out) || out.System != pipeline.LocalDisk || !strings.Contains(err.Error(), stuck.Path) {
				t.Errorf("%v, want an outage of the disk that names %s", err, stuck.Path)
			}
			want(t, store, stuck, pipeline.Added, tt.path != "/proc/version/x.fits")
			want(t, store, other, pipeline.Deleted, false)
		})
	}
}

func TestOnlyALinkInItsPlaceIsDeletedNotWhatItLeadsTo(t *testing.T) {
	t.Parallel()
	store := jobtrackertest.Open(t)
	target := kept(t, store)
	f := doomed(t, store)
	must(t, os.Symlink(target.Path, f.Path))
	must(t, sweep(t, store))
	want(t, store, f, pipeline.Deleted, false)
	want(t, store, target, pipeline.Downloaded, true)
}

func TestSweepsAtTheSameTimeDoNotDisturbEachOther(t *testing.T) {
	t.Parallel()
	store := jobtrackertest.Open(t)
	var files []pipeline.File
	for range 10 {
		f := doomed(t, store)
		jobtrackertest.WriteRaw(t, f)
		files = append(files, f)
	}
	var wg sync.WaitGroup
	for range 4 {
		another := jobtrackertest.Another(t, store, jobtracker.Options{Actor: "another"})
		wg.Go(func() {
			if err := sweep(t, another); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, f := range files {
		want(t, store, f, pipeline.Deleted, false)
	}
	jobtrackertest.AssertInvariants(t, store)
}

// A sweep that comes while another one is at work could have an old list: by
// the time it acts, a file of the same name may have been added again.
func TestASweepThatMeetsAnotherLeavesTheWorkToIt(t *testing.T) {
	t.Parallel()
	store := jobtrackertest.Open(t)
	f := doomed(t, store)
	jobtrackertest.WriteRaw(t, f)
	lock, err := store.TryLock(t.Context(), "rawdata")
	must(t, err)
	must(t, sweep(t, store))
	want(t, store, f, pipeline.Added, true)
	must(t, lock.Unlock())
	must(t, sweep(t, store))
	want(t, store, f, pipeline.Deleted, false)
}

func TestASweepEndsWithItsContext(t *testing.T) {
	t.Parallel()
	store := jobtrackertest.Open(t)
	f := doomed(t, store)
	jobtrackertest.WriteRaw(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := rawdata.Sweep(ctx, store, slog.New(slog.DiscardHandler)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	want(t, store, f, pipeline.Added, true)
}

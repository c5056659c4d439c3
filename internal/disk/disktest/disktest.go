// Package disktest gives tests small disks of their own, which can really be
// full. They need the right to mount; without it a test is skipped and says so.
package disktest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"longhaul/internal/disk"
)

// New returns the directory of a file system of so many bytes, which is
// unmounted at the end of the test.
func New(t testing.TB, size int64) string {
	t.Helper()
	dir := t.TempDir()
	Mount(t, dir, size)
	return dir
}

// Mount is New for a directory that is there already.
func Mount(t testing.TB, dir string, size int64) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("a disk of its own cannot be mounted here (it takes root): %v", err)
	}
	t.Cleanup(func() {
		if err := unmount(dir); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
}

// patience is how long what a test has started may take to let go of its disk.
const patience = 20 * time.Second

func unmount(dir string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for giveUp := time.Now().Add(patience); ; <-tick.C {
		err := unix.Unmount(dir, 0)
		if !errors.Is(err, unix.EBUSY) || time.Now().After(giveUp) {
			return err
		}
	}
}

// Fill writes to the file system of dir until so many bytes are left free, a
// page more or less, and returns what gives the space back.
func Fill(t testing.TB, dir string, leave int64) (empty func()) {
	t.Helper()
	free, err := disk.Free(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, ".filler")
	if err := os.WriteFile(path, make([]byte, max(free-leave, 0)), disk.FileMode); err != nil && !disk.IsFull(err) {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

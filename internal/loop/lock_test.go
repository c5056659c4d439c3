package loop

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestASecondInstanceIsToldWhoTheFirstIs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "downloader.lock")
	first, err := TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = TryLock(path)
	if !errors.Is(err, ErrLocked) {
		t.Fatalf("second TryLock = %v, want ErrLocked", err)
	}
	if want := fmt.Sprintf("process %d", os.Getpid()); !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
		t.Errorf("second TryLock = %q, want %q and the path in it", err, want)
	}
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	again, err := TryLock(path)
	if err != nil {
		t.Fatalf("TryLock after Unlock = %v", err)
	}
	if err := again.Unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestALockThatNamesNobodyIsStillALock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.lock")
	first, err := TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Unlock()
	if err := os.WriteFile(path, []byte("rubbish"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := TryLock(path); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("TryLock = %v, want ErrLocked by another process", err)
	}
}

func TestALockInNoDirectoryIsAnErrorOfItsOwn(t *testing.T) {
	t.Parallel()
	_, err := TryLock(filepath.Join(t.TempDir(), "none", "x.lock"))
	if !errors.Is(err, os.ErrNotExist) || errors.Is(err, ErrLocked) {
		t.Errorf("TryLock = %v, want os.ErrNotExist", err)
	}
}

// A child that outlives the daemon, as local jobs do, must not keep its lock.
func TestChildrenDoNotInheritTheLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.lock")
	l, err := TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), "sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	again, err := TryLock(path)
	if err != nil {
		t.Fatalf("TryLock while a child lives = %v", err)
	}
	if err := again.Unlock(); err != nil {
		t.Fatal(err)
	}
}

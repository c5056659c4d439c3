package operator

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"longhaul/internal/loop"
)

func TestADaemonRunsWhileItHoldsItsLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "uploader.lock")
	look := func() Daemon {
		locks, err := os.ReadFile("/proc/locks")
		if err != nil {
			t.Fatal(err)
		}
		return lockHolder("uploader", path, string(locks))
	}
	if d := look(); d.State != DaemonStopped {
		t.Errorf("before its first start: %+v", d)
	}
	lock, err := loop.TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := look(); d.State != DaemonRuns || d.PID != os.Getpid() {
		t.Errorf("running as %d: %+v", os.Getpid(), d)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	if d := look(); d.State != DaemonStopped || d.PID != 0 {
		t.Errorf("after its end: %+v", d)
	}
}

func TestALockIsToldFromOthers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "uploader.lock")
	if err := os.WriteFile(path, []byte("4711\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	on := fmt.Sprintf("%02x:%02x", unix.Major(st.Dev), unix.Minor(st.Dev))
	for name, c := range map[string]struct {
		line string
		want int // process, 0: nobody
	}{
		"ours":                        {"1: FLOCK  ADVISORY  WRITE 4711 DEV:INODE 0 EOF", 4711},
		"in a namespace of its own":   {"1: FLOCK  ADVISORY  WRITE 99 DEV:INODE 0 EOF", 99},
		"on a device of another name": {"1: FLOCK  ADVISORY  WRITE 4711 00:2f:INODE 0 EOF", 4711},
		"the same inode elsewhere":    {"1: FLOCK  ADVISORY  WRITE 99 00:2f:INODE 0 EOF", 0},
		"another inode":               {"1: FLOCK  ADVISORY  WRITE 4711 DEV:1 0 EOF", 0},
		"a record lock":               {"1: POSIX  ADVISORY  WRITE 4711 DEV:INODE 0 EOF", 0},
		"somebody who waits":          {"1: -> FLOCK  ADVISORY  WRITE 4711 DEV:INODE 0 EOF", 0},
		"a shared lock":               {"1: FLOCK  ADVISORY  READ 4711 DEV:INODE 0 EOF", 0},
		"nonsense":                    {"1: FLOCK WRITE", 0},
		"nothing":                     {"", 0},
	} {
		locks := strings.NewReplacer("DEV", on, "INODE", fmt.Sprint(st.Ino)).Replace(c.line) + "\n"
		if d := lockHolder("uploader", path, locks); d.PID != c.want || (d.State == DaemonRuns) != (c.want > 0) {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"longhaul/internal/resultdir"
)

// small mounts a file system of some bytes in the memory.
func (s *site) small(name string, bytes int, options string) string {
	s.Helper()
	if os.Getuid() != 0 {
		s.Skip("only root can mount a small file system")
	}
	dir := s.mkdir(name)
	if err := unix.Mount("longhaul-test", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0750%s", bytes, options)); err != nil {
		s.Skipf("no small file system can be mounted here: %v", err)
	}
	s.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			s.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// fill writes a file of some bytes.
func (s *site) fill(path string, bytes int) {
	s.Helper()
	s.write(path, strings.Repeat("x", bytes))
}

// TestAFullDiskIsTheSitesFault is about real disks of 8 MiB.
func TestAFullDiskIsTheSitesFault(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	for _, tt := range []struct {
		name   string
		script string
		change func(*site)
		status int
		text   string
	}{
		{"scratch that others have filled", "", func(s *site) {
			s.Base = s.small("mnt", size, "")
			s.fill(filepath.Join(s.Base, "other"), 7<<20)
			s.fill(s.Inputs[0], 2<<20)
		}, StatusSpace, "not enough space"},
		{"scratch without a name left", "", func(s *site) { s.Base = s.small("mnt", size, ",nr_inodes=3") }, StatusSpace, "no space left"},
		{"results that find no space", `head -c 3000000 /dev/zero > "$OUTDIR/x"; head -c 7000000 /dev/zero > "$DIR/mnt/other"`, func(s *site) {
			s.OutDir = filepath.Join(s.small("mnt", size, ""), "out")
		}, StatusSpace, "not enough space"},
		{"results that find no name", `for i in 1 2 3 4 5 6 7 8; do echo x > "$OUTDIR/$i"; done`, func(s *site) {
			s.OutDir = filepath.Join(s.small("mnt", size, ",nr_inodes=6"), "out")
		}, StatusSpace, "no space left"},
		{"a results disk that is read-only", `echo x > "$OUTDIR/x"; mount -o remount,ro "$DIR/mnt"`, func(s *site) {
			s.OutDir = filepath.Join(s.small("mnt", size, ""), "out")
		}, StatusDisk, "read-only"},
		{"a results disk that is unmounted", `echo x > "$OUTDIR/x"; umount "$DIR/mnt"; rm "$DIR/` + resultdir.Marker + `"; mount -t tmpfs longhaul-test "$DIR/mnt"`, func(s *site) {
			s.OutDir = filepath.Join(s.small("mnt", size, ""), "out")
			if err := resultdir.Mark(filepath.Dir(s.OutDir)); err != nil {
				s.Fatal(err)
			}
		}, StatusDisk, "may not be mounted"},
		{"results larger than their whole disk", `head -c 9000000 /dev/zero > "$OUTDIR/x"`, func(s *site) {
			s.OutDir = filepath.Join(s.small("mnt", size, ""), "out")
		}, StatusTooSmall, "too small"},
		{"a command that fills scratch itself", `head -c 9000000 /dev/zero > "$OUTDIR/x" || exit 3`, func(s *site) {
			s.Base = s.small("mnt", size, "")
			s.fill(s.Inputs[1], 100)
		}, 3, "exit status 3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, tt.script)
			tt.change(s)
			err := Run(t.Context(), s.Options)
			var e *Error
			if !errors.As(err, &e) || e.Status != tt.status || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("Run = %v, want status %d and %q", err, tt.status, tt.text)
			}
			if want := tt.status == StatusSpace || tt.status == StatusDisk; SiteFault(tt.status) != want {
				t.Errorf("SiteFault(%d) = %v", tt.status, !want)
			}
			if _, err := os.Lstat(s.OutDir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("there are results: %v", err)
			}
			for _, name := range s.names(s.Base) {
				if strings.HasPrefix(name, s.Submit) {
					t.Errorf("left on the node: %s", name)
				}
			}
		})
	}
}

// TestWhatAnErrorOfADiskMeans is about errors that no test can make a disk give.
func TestWhatAnErrorOfADiskMeans(t *testing.T) {
	t.Parallel()
	for errno, want := range map[unix.Errno]int{
		unix.EDQUOT: StatusSpace, unix.ENOSPC: StatusSpace,
		unix.EIO: StatusDisk, unix.EROFS: StatusDisk, unix.ESTALE: StatusDisk, unix.ENOTCONN: StatusDisk,
		unix.EACCES: StatusOutput, unix.EEXIST: StatusOutput, unix.ENOTDIR: StatusOutput, unix.ENOENT: StatusOutput,
	} {
		n, readErr, writeErr := copyAll(t.Context(), brokenDisk{errno}, strings.NewReader("some bytes"))
		if n != 0 || readErr != nil || !errors.Is(writeErr, errno) {
			t.Errorf("%v: copied %d bytes, %v, %v; want the error of the disk that was written", errno, n, readErr, writeErr)
		}
		var got *trouble
		if !errors.As(failed(StatusOutput, fmt.Errorf("copy the results: %w", writeErr)), &got) || got.status != want {
			t.Errorf("%v ends the worker with %d, want %d", errno, got.status, want)
		}
	}
}

// brokenDisk is a file on a disk that gives an error.
type brokenDisk struct{ errno unix.Errno }

func (b brokenDisk) Write([]byte) (int, error) {
	return 0, &fs.PathError{Op: "write", Path: "x", Err: b.errno}
}

// TestStoppingOnAFullDiskIsBeingStopped: what a person did is the reason.
func TestStoppingOnAFullDiskIsBeingStopped(t *testing.T) {
	t.Parallel()
	s := newSite(t, `sleep 600`)
	s.Inputs = []string{"/no/such/disk/a"}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.wantTrouble(Run(ctx, s.Options), 128+15, "canceled")
}

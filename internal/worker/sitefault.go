package worker

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"longhaul/internal/disk"
	"longhaul/internal/resultdir"
)

// SiteFault reports whether a worker that ended with this status met trouble of
// the site of which its job is not guilty: elsewhere, or later, the same job may
// go well. A command cannot end with such a status, see StatusOther.
func SiteFault(status int) bool {
	return status == StatusWorkspace || status == StatusSpace || status == StatusDisk
}

// NodeTrouble returns the statuses that speak against the node on which they
// came: on another one the same job may go well.
func NodeTrouble() []int {
	return []int{StatusInput, StatusWorkspace, StatusCommand, StatusSpace, StatusDisk}
}

// failed makes a trouble. Whatever found no room is a matter of space, and what
// a disk in trouble said is that of the disk.
func failed(status int, err error) error {
	switch {
	case disk.IsFull(err):
		status = StatusSpace
	case diskFault(err):
		status = StatusDisk
	}
	return &trouble{status, err}
}

// diskFault reports whether err says that a file system has failed, is
// read-only, or is gone: what a local disk, NFS, Lustre or FUSE say then.
func diskFault(err error) bool {
	for _, errno := range []unix.Errno{unix.EIO, unix.EROFS, unix.ESTALE, unix.EUCLEAN, unix.ENODEV, unix.ENXIO,
		unix.EREMOTEIO, unix.ENOTCONN, unix.ESHUTDOWN, unix.ETIMEDOUT, unix.EHOSTDOWN} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// resultsMounted finds that the results disk is not there: what is written then
// would be in a directory of the node that nobody looks into.
func resultsMounted(outDir string) error {
	if err := disk.Marker(resultdir.Marker).CheckAbove(outDir); err != nil {
		return &trouble{StatusDisk, err}
	}
	return nil
}

// missingInput says whose fault it is that an input is not there. A directory
// that is missing or empty is one of a disk that is not mounted here.
func missingInput(err error, path string) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return failed(StatusInput, err)
	}
	dir, dirErr := os.Open(filepath.Dir(path))
	if dirErr != nil {
		return &trouble{StatusDisk, fmt.Errorf("%w, nor is its directory: is its disk mounted?", err)}
	}
	defer dir.Close()
	if _, dirErr := dir.Readdirnames(1); errors.Is(dirErr, io.EOF) {
		return &trouble{StatusDisk, fmt.Errorf("%w, and its directory is empty: is its disk mounted?", err)}
	}
	return failed(StatusInput, err)
}

// checkSpace refuses what cannot fit into the file system of dir. What could
// not even if it were empty will not fit later.
func checkSpace(dir string, need int64, what string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return failed(StatusWorkspace, &fs.PathError{Op: "statfs", Path: dir, Err: err})
	}
	free, all := int64(st.Bavail)*st.Bsize, int64(st.Blocks)*st.Bsize
	switch {
	case need > all:
		return &trouble{StatusTooSmall, fmt.Errorf("the disk of %s is too small: %s needs %d bytes, it has %d", dir, what, need, all)}
	case need > free:
		return &trouble{StatusSpace, fmt.Errorf("not enough space in %s: %s needs %d bytes, %d are free", dir, what, need, free)}
	}
	return nil
}

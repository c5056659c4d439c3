// Package disk has what the standard library leaves out when files must
// survive a crash: writing a file so that it is whole or absent, making a
// rename durable, telling an empty directory from a disk that is not mounted,
// and asking a file system how full it is and whether it is shared over a
// network. Linux only, like the systems that Longhaul runs on.
package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The modes of what Longhaul makes: readable by the group, not by the world.
const (
	FileMode fs.FileMode = 0o640
	DirMode  fs.FileMode = 0o750
)

// WriteFile makes path hold what write wrote, wholly or not at all, and
// durably: a temporary file beside it, fsync, rename, fsync of the directory.
func WriteFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails harmlessly after the rename
	err = errors.Join(write(f), f.Chmod(FileMode), f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return Rename(f.Name(), path)
}

// Rename renames a file or directory within one file system and makes the new
// name durable. Its content must have been synced before.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncNames(from, to)
}

// RenameNew is Rename to a name that must be free: it never replaces anything,
// and then the error is fs.ErrExist.
func RenameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		err = renameInSteps(from, to) // network file systems do not know how
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return syncNames(from, to)
}

// renameInSteps is for file systems that cannot refuse to replace. A file is
// linked to its new name, which fails if that is taken; a crash before the old
// name is gone leaves one file with two names. A directory cannot be linked:
// rename itself replaces none with something in it, and the look is for an
// empty one.
func renameInSteps(from, to string) error {
	st, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		if err := os.Link(from, to); err != nil {
			return err
		}
		return os.Remove(from)
	}
	if _, err := os.Lstat(to); err == nil {
		return fs.ErrExist
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return unix.Rename(from, to)
}

// syncNames makes durable that a name has become another.
func syncNames(from, to string) error {
	if err := SyncDir(filepath.Dir(to)); err != nil {
		return err
	}
	if d := filepath.Dir(from); d != filepath.Dir(to) {
		return SyncDir(d)
	}
	return nil
}

// SyncDir makes the names in a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// MakeDir makes a directory and what is missing above it, durably.
func MakeDir(dir string) error {
	var missing []string
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		missing = append(missing, d)
	}
	if err := os.MkdirAll(dir, DirMode); err != nil {
		return err
	}
	for _, d := range missing {
		if err := SyncDir(filepath.Dir(d)); err != nil {
			return err
		}
	}
	return nil
}

// Free returns how many bytes an unprivileged user can still write to the file
// system that holds path.
func Free(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// Network returns the name of the network file system that holds path, or ""
// if it is on a local one. SQLite's write-ahead log needs shared memory and
// locks that these do not give.
func Network(path string) (string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return "", &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	return networkName(uint32(st.Type)), nil
}

// networkName knows the magic numbers of statfs(2) and of the file systems' sources.
func networkName(magic uint32) string {
	switch magic {
	case 0x6969:
		return "NFS"
	case 0x0bd00bd0:
		return "Lustre"
	case 0x517b, 0xfe534d42, 0xff534d42:
		return "SMB"
	case 0x47504653:
		return "GPFS"
	case 0x19830326:
		return "BeeGFS"
	case 0x00c36400:
		return "Ceph"
	case 0x01021997:
		return "9P"
	case 0x5346414f:
		return "AFS"
	}
	return ""
}

// IsFull reports whether err says that there is no room: the file system or a
// quota is full.
func IsFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

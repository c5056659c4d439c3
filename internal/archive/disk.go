package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"longhaul/internal/pipeline"
)

// Disk is a FileServer for files that arrive on a disk of this machine. Paths
// are relative to its root and cannot leave it; only regular files count,
// links do not.
type Disk struct {
	root    string
	limiter *rate.Limiter
}

var (
	_ FileServer = (*Disk)(nil)
	_ Linker     = (*Disk)(nil)
)

// NewDisk serves the files beneath a directory. The limiter, in bytes, may be
// nil. The directory need not be there yet: as long as it is missing, every
// call is an outage, and as long as it is empty, every call that finds nothing,
// since that is how a disk looks that is not mounted.
func NewDisk(root string, limiter *rate.Limiter) (*Disk, error) {
	if root == "" || !strings.HasPrefix(root, "/") {
		return nil, fmt.Errorf("directory %s is not absolute", quote(root))
	}
	return &Disk{root, limiter}, nil
}

// Close implements FileServer; there is nothing to close.
func (d *Disk) Close() error { return nil }

// List implements FileServer.
func (d *Disk) List(ctx context.Context, dir string) (Listing, error) {
	var c collector
	err := d.within(ctx, "list", dir, func(root *os.Root, name string) error {
		f, err := root.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		for ctx.Err() == nil {
			entries, err := f.ReadDir(1000)
			for _, e := range entries {
				c.addDisk(e)
			}
			if errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return Listing{}, err
	}
	return c.result(), nil
}

func (c *collector) addDisk(e fs.DirEntry) {
	if !e.Type().IsRegular() {
		return
	}
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return // gone since the directory was read
	} else if err != nil {
		c.refuse(e.Name(), err)
		return
	}
	c.add(entryOf(info))
}

func entryOf(info fs.FileInfo) Entry {
	return Entry{Name: info.Name(), Size: info.Size(), ModTime: info.ModTime().UTC().Truncate(time.Second)}
}

// Stat implements FileServer.
func (d *Disk) Stat(ctx context.Context, file string) (e Entry, err error) {
	err = d.within(ctx, "stat", file, func(root *os.Root, name string) error {
		info, err := root.Lstat(name)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%w: not a regular file", ErrNoFile)
		}
		e = entryOf(info)
		return nil
	})
	return e, err
}

// Fetch implements FileServer.
func (d *Disk) Fetch(ctx context.Context, file string, offset int64, w io.Writer) (n int64, err error) {
	err = d.within(ctx, "fetch", file, func(root *os.Root, name string) error {
		f, err := openRegular(root, name)
		if err != nil {
			return err
		}
		defer f.Close()
		before, err := f.Stat()
		if err != nil {
			return err
		}
		if offset > before.Size() {
			return fmt.Errorf("%w: it ends before offset %d", ErrNoResume, offset)
		}
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			return fmt.Errorf("%w: %w", ErrNoResume, err)
		}
		if n, err = pump(ctx, w, f.Read, d.limiter, new(meter)); err != nil {
			return fmt.Errorf("after %d bytes: %w", n, err)
		}
		after, err := f.Stat()
		if err == nil && (after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime())) {
			err = fmt.Errorf("%w while it was fetched", ErrChanged)
		}
		return err
	})
	return n, err
}

// Link implements Linker. It is of the file that was looked at, whatever has
// become of its name meanwhile.
func (d *Disk) Link(ctx context.Context, file, to string) error {
	return d.within(ctx, "link", file, func(root *os.Root, name string) error {
		f, err := openRegular(root, name)
		if err != nil {
			return err
		}
		defer f.Close()
		open := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
		err = unix.Linkat(unix.AT_FDCWD, open, unix.AT_FDCWD, to, unix.AT_SYMLINK_FOLLOW)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EXDEV), errors.Is(err, unix.EPERM), errors.Is(err, unix.EMLINK), errors.Is(err, unix.EOPNOTSUPP):
			return fmt.Errorf("%w: %w", ErrNoLink, err)
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR): // of the new name's directory
			err = pipeline.Outage(pipeline.LocalDisk, errors.New(err.Error()))
		}
		return &os.LinkError{Op: "link", Old: name, New: to, Err: err}
	})
}

// openRegular opens a file that is regular and is not reached by a link.
func openRegular(root *os.Root, name string) (*os.File, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: not a regular file", ErrNoFile)
	}
	// Should a pipe have taken its place, opening must not wait for a writer.
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	after, err := f.Stat()
	if err == nil && !os.SameFile(before, after) {
		err = ErrChanged
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// within runs an operation on a path beneath the root and sorts its errors. The
// root is opened each time, so that a file system may be mounted meanwhile.
func (d *Disk) within(ctx context.Context, what, name string, operation func(*os.Root, string) error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := checkPath(name); err != nil {
		return fmt.Errorf("%s %s: %w", what, quote(name), err)
	}
	root, err := os.OpenRoot(d.root)
	if err != nil {
		return pipeline.Outage(pipeline.FileServer, err)
	}
	defer root.Close()
	inside := strings.TrimPrefix(path.Clean("/"+name), "/")
	if inside == "" {
		inside = "."
	}
	err = operation(root, inside)
	if errors.Is(err, fs.ErrNotExist) {
		if empty(root) {
			return pipeline.Outage(pipeline.FileServer, fmt.Errorf("%s is empty: is its disk mounted?", d.root))
		}
		err = fmt.Errorf("%w: %w", ErrNoFile, err)
	}
	return describe(ctx, what, name, err)
}

// empty reports whether nothing is in a directory.
func empty(root *os.Root) bool {
	f, err := root.Open(".")
	if err != nil {
		return false
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	return errors.Is(err, io.EOF)
}

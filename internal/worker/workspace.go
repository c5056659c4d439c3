package worker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"longhaul/internal/disk"
	"longhaul/internal/queue"
)

// lockName is a file in every workspace that the worker and the command hold
// locked while they live. It contains the name of their host.
const lockName = ".longhaul-worker"

// workspace is a job's directory on the node.
type workspace struct {
	dir  string
	lock *os.File
}

func (w *workspace) data() string    { return filepath.Join(w.dir, "data") }
func (w *workspace) results() string { return filepath.Join(w.dir, "results") }
func (w *workspace) tmp() string     { return filepath.Join(w.dir, "tmp") }

// newWorkspace makes a workspace for a submit.
func newWorkspace(base, submit string) (_ *workspace, err error) {
	dir, err := os.MkdirTemp(base, submit+".")
	if err != nil {
		return nil, err
	}
	ws := &workspace{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, ws.remove())
		}
	}()
	if err := os.Chmod(dir, disk.DirMode); err != nil {
		return nil, err
	}
	if err := ws.takeLock(); err != nil {
		return nil, err
	}
	for _, d := range []string{ws.data(), ws.results(), ws.tmp()} {
		if err := os.Mkdir(d, disk.DirMode); err != nil {
			return nil, err
		}
	}
	return ws, nil
}

// takeLock makes the lock file appear with the lock already taken: another
// worker that saw it free would remove the workspace.
func (w *workspace) takeLock() (err error) {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	path := filepath.Join(w.dir, lockName)
	w.lock, err = os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_EXCL, disk.FileMode)
	if err != nil {
		return err
	}
	if err := flock(w.lock); err != nil {
		return err
	}
	if _, err := w.lock.WriteString(host); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// flock takes the lock on f, or returns an error if somebody has it.
func flock(f *os.File) error {
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return &fs.PathError{Op: "flock", Path: f.Name(), Err: err}
	}
	return nil
}

// remove removes the workspace, and gives back the lock only then.
func (w *workspace) remove() error {
	err := removeTree(w.dir)
	if w.lock != nil {
		err = errors.Join(err, w.lock.Close())
	}
	return err
}

// removeStale removes the workspaces of workers of this host and user that
// died without doing it themselves.
func removeStale(base string) error {
	entries, err := os.ReadDir(base)
	if err != nil {
		return fmt.Errorf("look for old workspaces: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		submit, random, _ := strings.Cut(e.Name(), ".")
		if !e.IsDir() || !queue.ValidName(submit) || strings.Trim(random, "0123456789") != "" {
			continue
		}
		if err := removeIfStale(filepath.Join(base, e.Name()), host); err != nil {
			errs = append(errs, fmt.Errorf("remove an old workspace: %w", err))
		}
	}
	return errors.Join(errs...)
}

// removeIfStale removes the workspace at dir if its worker is dead for sure:
// on another host its lock says nothing.
func removeIfStale(dir, host string) error {
	lock, err := os.Open(filepath.Join(dir, lockName))
	if err != nil {
		return nil // not a workspace, just being made, or just removed
	}
	defer lock.Close()
	st, err := lock.Stat()
	if err != nil {
		return err
	}
	owner, ok := st.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) != os.Getuid() || !st.Mode().IsRegular() {
		return nil
	}
	if text, err := os.ReadFile(lock.Name()); err != nil || string(text) != host {
		return nil
	}
	if flock(lock) != nil {
		return nil // it lives
	}
	return removeTree(dir)
}

// removeTree removes a directory, also when it holds some that their owner may
// not write, as commands leave them.
func removeTree(dir string) error {
	if err := os.RemoveAll(dir); err == nil {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	})
	if rmErr := os.RemoveAll(dir); rmErr != nil {
		return errors.Join(rmErr, err)
	}
	return nil
}

// Package backup keeps the newest few backups of the job-tracker in a
// directory, each a whole copy that was checked before it got its name.
//
// What a backup is, and how one is put in the place of a damaged job-tracker,
// is the business of package jobtracker; what a restored one no longer knows,
// that of package doctor.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/crashpoint"
	"longhaul/internal/disk"
	"longhaul/internal/loop"
	"longhaul/internal/pipeline"
)

// Dir is the directory of the backups.
func Dir(c *config.Config) string {
	if c.Background.BackupDir != "" {
		return c.Background.BackupDir
	}
	return filepath.Join(filepath.Dir(c.Background.JobtrackerDB), "backups")
}

const (
	prefix     = "jobtracker-"
	suffix     = ".db"
	timeLayout = "20060102T150405Z"
)

// Name is the name of a backup of that moment; by name backups sort by time.
func Name(at time.Time) string { return prefix + at.UTC().Format(timeLayout) + suffix }

// parse returns the moment of the backup with that name; ok is false if it is
// no backup's name.
func parse(name string) (at time.Time, ok bool) {
	stamp, _ := strings.CutPrefix(name, prefix)
	stamp, _ = strings.CutSuffix(stamp, suffix)
	at, err := time.Parse(timeLayout, stamp)
	return at, err == nil && name == Name(at)
}

// File is one backup.
type File struct {
	Path string
	At   time.Time // when it was begun, by its name
}

// List returns the backups in a directory, the newest first; none if there is
// no such directory.
func List(dir string) ([]File, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var all []File
	for _, e := range entries {
		if at, ok := parse(e.Name()); ok && e.Type().IsRegular() {
			all = append(all, File{filepath.Join(dir, e.Name()), at})
		}
	}
	slices.Reverse(all) // ReadDir sorts
	return all, nil
}

// Source is what is backed up: a job-tracker.
type Source interface {
	// Check reads all of it and returns an error that wraps pipeline.ErrFatal
	// if it is damaged.
	Check(ctx context.Context) error
	// Backup writes a whole and checked copy to a path that must not exist,
	// and after an error leaves nothing there.
	Backup(ctx context.Context, path string) error
}

// Options say where and how often.
type Options struct {
	Dir   string        // made if it is missing, but not what is above it
	Every time.Duration // more than 0
	Keep  int           // at least 1
	// Lock is a lock file: of all daemons that could, one makes the backup.
	Lock string
	Log  *slog.Logger
	Now  func() time.Time // nil means time.Now
}

// Rotation makes a backup whenever one is due, and removes the oldest.
type Rotation struct {
	source Source
	opt    Options
}

// New returns a Rotation.
func New(source Source, opt Options) *Rotation {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &Rotation{source, opt}
}

const (
	look  = time.Minute    // between two looks whether a backup is due
	again = time.Hour      // before another try after one that failed, at most
	stale = 24 * time.Hour // a temporary file this old is nobody's
)

// Run makes backups until ctx is done. A failure is logged and tried again
// later; only an error that wraps pipeline.ErrFatal, which says that the
// source is damaged, ends it.
func (r *Rotation) Run(ctx context.Context) error {
	for wait := time.Duration(0); ; {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		wait = min(look, r.opt.Every)
		switch err := r.Pass(ctx); {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, pipeline.ErrFatal):
			return err
		case err != nil:
			wait = min(again, r.opt.Every)
			r.opt.Log.Warn("no backup of the job-tracker was made", "err", err, "retry_in", wait)
		}
	}
}

// Pass makes a backup if one is due and nobody else is at it. When it was due
// is known by the names of those that are there, so that a restart changes
// nothing.
func (r *Rotation) Pass(ctx context.Context) (err error) {
	due, err := r.due()
	if err != nil || !due {
		return err
	}
	lock, err := loop.TryLock(r.opt.Lock)
	if errors.Is(err, loop.ErrLocked) {
		return nil
	} else if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if due, err = r.due(); err != nil || !due { // another daemon was quicker
		return err
	}
	return r.rotate(ctx)
}

// due reports whether the newest backup is old enough. One from the future was
// made before the clock was set back, and says nothing.
func (r *Rotation) due() (bool, error) {
	past, err := r.past()
	if err != nil || len(past) == 0 {
		return err == nil, err
	}
	return r.opt.Now().Sub(past[0].At) >= r.opt.Every, nil
}

// past are the backups that are not from the future, the newest first.
func (r *Rotation) past() ([]File, error) {
	all, err := List(r.opt.Dir)
	now := r.opt.Now()
	return slices.DeleteFunc(all, func(f File) bool { return f.At.After(now) }), err
}

// rotate makes a backup of a sound source and then removes what is too many:
// never before, so that the last good one stays.
func (r *Rotation) rotate(ctx context.Context) error {
	if err := os.Mkdir(r.opt.Dir, disk.DirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := r.removeStale(); err != nil {
		return err
	}
	if err := r.source.Check(ctx); err != nil {
		return err // a copy of a damaged one must not push out a good one
	}
	started := r.opt.Now()
	path := filepath.Join(r.opt.Dir, Name(started))
	crashpoint.Reach(crashpoint.Backup)
	if err := r.source.Backup(ctx, path); err != nil {
		return err
	}
	r.opt.Log.Info("job-tracker backed up", "path", path, "took", r.opt.Now().Sub(started).Round(time.Millisecond))
	past, err := r.past()
	if err != nil {
		return err
	}
	for _, f := range past[min(r.opt.Keep, len(past)):] {
		crashpoint.Reach(crashpoint.Backup)
		if err := os.Remove(f.Path); err != nil {
			return fmt.Errorf("remove an old backup: %w", err)
		}
		r.opt.Log.Info("old backup removed", "path", f.Path)
	}
	return nil
}

// removeStale removes what a backup left that was killed half way.
func (r *Rotation) removeStale() error {
	entries, err := os.ReadDir(r.opt.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		whole, rest, ok := strings.Cut(e.Name(), suffix+".")
		if _, backup := parse(whole + suffix); !ok || !backup || !strings.Contains(rest, "tmp") {
			continue
		}
		info, err := e.Info()
		if err != nil || r.opt.Now().Sub(info.ModTime()) < stale {
			continue // just gone, or another command's that is at work
		}
		if err := os.Remove(filepath.Join(r.opt.Dir, e.Name())); err != nil {
			return fmt.Errorf("remove what a killed backup left: %w", err)
		}
	}
	return nil
}

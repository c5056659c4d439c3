// Package rawdata deletes the raw data whose deletion is decided. The decision
// itself is a mark in the job-tracker, set in the transaction that records the
// upload, the giving up of a job, or an operator's wish; this package carries
// it out and never decides.
//
// A disk that is not mounted looks like an empty directory. So a file, Marker,
// is left in the download directory, and in every other from which something is
// deleted; a file that is not there counts as gone only beside the marker.
package rawdata

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"longhaul/internal/crashpoint"
	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
	"longhaul/internal/loop"
	"longhaul/internal/pipeline"
)

// Sweep deletes what is marked. A file that is gone already, because a sweep
// was cut short between the deletion and its record, is recorded as deleted. A
// file that cannot be deleted is an outage of the disk; the others are deleted
// all the same.
//
// One sweep runs at a time. A second one, still holding an old list, could
// delete a file that has come again under the same name; it returns at once
// instead, and leaves the work to the first.
func Sweep(ctx context.Context, store *jobtracker.Store, log *slog.Logger) (err error) {
	if files, err := store.FilesToDelete(ctx); err != nil || len(files) == 0 {
		return err
	}
	lock, err := store.TryLock(ctx, "rawdata")
	switch {
	case errors.Is(err, loop.ErrLocked):
		return nil
	case errors.Is(err, pipeline.ErrOutage):
		return err
	case err != nil:
		return pipeline.Outage(pipeline.LocalDisk, err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	files, err := store.FilesToDelete(ctx) // as it is now that nobody else deletes
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range files {
		if ctx.Err() != nil {
			break
		}
		if err := remove(f.Path); err != nil {
			errs = append(errs, fmt.Errorf("delete file %d: %w", f.ID, outage(err)))
			continue
		}
		if err := store.FileDeleted(ctx, f); errors.Is(err, pipeline.ErrStale) {
			continue
		} else if err != nil {
			return errors.Join(append(errs, err)...)
		}
		log.Info("raw data deleted", "file", f.ID, "path", f.Path, "bytes", f.Size)
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// remove unlinks one file for good. It never removes anything else that has
// taken its name. A directory that has no marker yet gets one before its first
// file goes, so that a crash afterwards does not leave an empty directory of
// which nobody knows whether it is the right one.
func remove(path string) error {
	gone, err := Gone(path)
	if gone || err != nil {
		return err
	}
	st, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() && st.Mode().Type() != fs.ModeSymlink {
		return fmt.Errorf("%s is no raw data file (%v); move it away", path, st.Mode())
	}
	dir := filepath.Dir(path)
	if errors.Is(Check(dir), disk.ErrNoMarker) {
		// Where it cannot be left, the deletion goes on: on a full disk it makes room.
		_ = Mark(dir)
	}
	crashpoint.Reach(crashpoint.Unlink)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return disk.SyncDir(dir)
}

// outage marks what the disk said, if it is not marked yet.
func outage(err error) error {
	if errors.Is(err, pipeline.ErrOutage) {
		return err
	}
	return pipeline.Outage(pipeline.LocalDisk, err)
}

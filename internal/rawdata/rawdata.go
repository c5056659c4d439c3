// Package rawdata deletes the raw data whose deletion is decided. The decision
// itself is a mark in the job-tracker, set in the transaction that records the
// upload, the giving up of a job, or an operator's wish; this package carries
// it out and never decides.
package rawdata

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
)

// Sweep deletes what is marked. A file that is gone already, because a sweep
// was cut short between the deletion and its record, is recorded as deleted.
func Sweep(ctx context.Context, store *jobtracker.Store, log *slog.Logger) error {
	files, err := store.FilesToDelete(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range files {
		if err := remove(f.Path); err != nil {
			errs = append(errs, pipeline.Outage(pipeline.LocalDisk, fmt.Errorf("delete file %d: %w", f.ID, err)))
			continue
		}
		err := store.FileDeleted(ctx, f)
		if errors.Is(err, pipeline.ErrStale) {
			continue // another daemon was quicker
		} else if err != nil {
			return err
		}
		log.Info("raw data deleted", "file", f.ID, "path", f.Path, "bytes", f.Size)
	}
	return errors.Join(errs...)
}

// remove unlinks one file for good. It never removes a directory.
func remove(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if st.IsDir() {
		return fmt.Errorf("%s is a directory, not a raw data file; move it away", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return disk.SyncDir(filepath.Dir(path))
}

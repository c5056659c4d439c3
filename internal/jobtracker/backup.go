package jobtracker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"longhaul/internal/disk"
)

// Backup writes a whole, consistent copy of the job-tracker to path, which
// must not exist, while the daemons go on. It is checked before it gets its name.
func (s *Store) Backup(ctx context.Context, path string) error {
	if err := s.backup(ctx, path); err != nil {
		return fmt.Errorf("back up job-tracker to %s: %w", path, err)
	}
	return nil
}

func (s *Store) backup(ctx context.Context, path string) error {
	if err := refuseServer(s.name); err != nil {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return err
	}
	temp := fmt.Sprintf("%s.%d.tmp", path, time.Now().UnixNano())
	defer removeDatabase(temp)
	if err := s.copyTo(ctx, temp); err != nil {
		return err
	}
	copied := connectFile(temp, Options{}.withDefaults())
	if err := errors.Join(copied.Check(ctx), copied.Close()); err != nil {
		return err
	}
	// Only now may the file be opened: closing it drops SQLite's locks.
	f, err := os.OpenFile(temp, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(disk.FileMode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return disk.Rename(temp, path)
}

// copyTo copies the job-tracker as it is at this moment. It has a connection
// of its own: a copy takes long, and query_only forbids it on the readers'.
func (s *Store) copyTo(ctx context.Context, path string) error {
	source := connectFile(s.name, Options{}.withDefaults())
	_, err := source.rw.ExecContext(ctx, `VACUUM INTO ?`, path)
	return errors.Join(s.classify(ctx, err), source.Close())
}

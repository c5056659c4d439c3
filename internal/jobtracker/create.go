package jobtracker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"longhaul/internal/disk"
	"longhaul/schema"
)

// Create makes an empty job-tracker at path, wholly or not at all. It does
// nothing to one that exists, and then returns false.
func Create(ctx context.Context, path string) (created bool, err error) {
	if _, err := os.Lstat(path); err == nil {
		return false, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	err = refuseNetwork(path)
	if err == nil {
		err = refuseRemains(path)
	}
	if err == nil {
		created, err = create(ctx, path)
	}
	if err != nil {
		return false, fmt.Errorf("create job-tracker %s: %w", path, err)
	}
	return created, nil
}

// refuseRemains finds the log of a job-tracker whose own file is gone, moved
// away or lost. SQLite would take it for the new one's.
func refuseRemains(path string) error {
	for _, suffix := range []string{"-wal", "-journal"} {
		if _, err := os.Lstat(path + suffix); err == nil {
			return fmt.Errorf("%s is there without its job-tracker; move it away, or put the job-tracker back ('longhaul restore-backup latest')", path+suffix)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// create builds the database under another name and links it to its own when
// it is whole, so that a crash leaves nothing that looks like a job-tracker.
func create(ctx context.Context, path string) (bool, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return false, err
	}
	temp := f.Name()
	defer removeDatabase(temp)
	if err := errors.Join(f.Chmod(disk.FileMode), f.Close()); err != nil {
		return false, err
	}
	if err := fill(ctx, temp); err != nil {
		return false, err
	}
	// Link and not rename: a job-tracker that appeared meanwhile is not replaced.
	if err := os.Link(temp, path); errors.Is(err, fs.ErrExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, disk.SyncDir(filepath.Dir(path))
}

// fill makes a job-tracker of an empty file.
func fill(ctx context.Context, path string) (err error) {
	steps, err := migrations(schema.JobTracker)
	if err != nil {
		return err
	}
	s := connect(path, Options{Actor: "init"})
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.migrate(ctx, 0, steps); err != nil {
		return err
	}
	if _, err := s.rw.ExecContext(ctx, fmt.Sprintf(`PRAGMA application_id = %d`, applicationID)); err != nil {
		return s.classify(ctx, err)
	}
	return s.useLog(ctx) // the last, so that all before is in the file itself
}

// useLog turns the write-ahead log on, which is a property of the file and
// lets readers and the writer not wait for each other. A backup has none until
// it is put in its place and opened.
func (s *Store) useLog(ctx context.Context) error {
	var mode string
	if err := s.rw.QueryRowContext(ctx, `PRAGMA journal_mode = WAL`).Scan(&mode); err != nil {
		return s.classify(ctx, err)
	}
	if mode != "wal" {
		return fmt.Errorf("its journal mode is %s, and cannot be WAL", mode)
	}
	return nil
}

// removeDatabase removes a database and what SQLite keeps beside one.
func removeDatabase(path string) {
	for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
		os.Remove(path + suffix)
	}
}

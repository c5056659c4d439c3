package jobtracker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"longhaul/internal/disk"
)

// Create makes an empty job-tracker, wholly or not at all, where db says: a path,
// or the address of a database, which must exist. It does nothing to one that
// exists, and then returns false.
func Create(ctx context.Context, db string) (created bool, err error) {
	opt := Options{Actor: "init"}.withDefaults()
	if OnServer(db) {
		created, err = createOnServer(ctx, db, opt)
		return created, wrap("create job-tracker "+address(db), err)
	}
	if _, err := os.Lstat(db); err == nil {
		return false, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	err = refuseNetwork(db)
	if err == nil {
		err = refuseRemains(db)
	}
	if err == nil {
		created, err = create(ctx, db, opt)
	}
	return created, wrap("create job-tracker "+db, err)
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
func create(ctx context.Context, path string, opt Options) (bool, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return false, err
	}
	temp := f.Name()
	defer removeDatabase(temp)
	if err := errors.Join(f.Chmod(disk.FileMode), f.Close()); err != nil {
		return false, err
	}
	if err := fill(ctx, temp, opt); err != nil {
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
func fill(ctx context.Context, path string, opt Options) (err error) {
	s := connectFile(path, opt)
	defer func() { err = errors.Join(err, s.Close()) }()
	if _, err := s.rw.ExecContext(ctx, fmt.Sprintf(`PRAGMA application_id = %d`, applicationID)); err != nil {
		return s.classify(ctx, err)
	}
	if err := s.migrate(ctx, 0); err != nil {
		return err
	}
	return useLog(ctx, s) // the last, so that all before is in the file itself
}

// useLog turns the write-ahead log on, which is a property of the file and
// lets readers and the writer not wait for each other. A backup has none until
// it is put in its place and opened.
func useLog(ctx context.Context, s *Store) error {
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

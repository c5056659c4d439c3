package jobtracker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"longhaul/internal/pipeline"
)

// smallSize is the size up to which Open reads the whole file to find damage,
// which takes less than half a second; beyond it the daemons call Check in the
// background (bytes).
const smallSize = 16 << 20

// refuseUnsafe looks at what is on the disk before SQLite touches it.
func refuseUnsafe(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; 'longhaul init' makes it", err)
	} else if err != nil {
		return err
	}
	if err := refuseNetwork(path); err != nil {
		return err
	}
	return refuseLostLog(path)
}

// refuseLostLog finds a write-ahead log that was deleted, or left behind when
// the database was moved: the last changes were in it. SQLite itself would
// silently begin a new one. It makes the -wal before the -shm, and deletes the
// -shm before the -wal, so a -shm alone is not its doing.
func refuseLostLog(path string) error {
	if !missing(path+"-wal") || missing(path+"-shm") {
		return nil
	}
	if !missing(path + "-wal") { // somebody opened the database between the two looks
		return nil
	}
	return pipeline.Fatal(damaged(path, fmt.Errorf("its -wal is missing, and the last changes with it, for its -shm is there (if this is a backup that was just put in its place, remove %s-shm)", path)))
}

func missing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// refuseReplaced finds that the file was deleted, or another put in its place,
// while it was open. What is written then goes to a file without a name: an
// intent that nobody will find again.
func (s *Store) refuseReplaced() error {
	if s.file == nil { // not open yet
		return nil
	}
	now, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(now, s.file) {
		return pipeline.Fatal(fmt.Errorf("job-tracker %s was moved or replaced while it was open; see that the right file is there and start again", s.path))
	} else if err != nil {
		return pipeline.Outage(pipeline.LocalDisk, err)
	}
	return nil
}

// checkSmall reads the whole file for damage if that takes no time.
func (s *Store) checkSmall(ctx context.Context) error {
	if s.file.Size() > smallSize {
		return nil
	}
	return s.Check(ctx)
}

// Check reads the whole job-tracker and returns an error that wraps
// pipeline.ErrFatal if anything in it is damaged, or an index does not agree
// with its table. It does not stop the daemons' work.
func (s *Store) Check(ctx context.Context) error {
	var verdict string
	if err := s.ro.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&verdict); err != nil {
		return fmt.Errorf("check: %w", s.classify(ctx, err))
	}
	if verdict != "ok" {
		return pipeline.Fatal(damaged(s.path, errors.New(verdict)))
	}
	return nil
}

func damaged(path string, err error) error {
	return fmt.Errorf("%s is damaged: %w; stop the daemons, then put the newest backup in its place: 'longhaul restore-backup latest' (docs/operations.md, \"The job-tracker is damaged\")", path, err)
}

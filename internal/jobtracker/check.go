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
// which takes half a second at most; the daemons call Check in the background
// anyway (bytes).
const smallSize = 32 << 20

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

// checkSmall reads the whole file for damage if that takes no time.
func (s *Store) checkSmall(ctx context.Context) error {
	st, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	if st.Size() > smallSize {
		return nil
	}
	return s.check(ctx, `PRAGMA quick_check(1)`)
}

// Check reads the whole job-tracker and returns an error that wraps
// pipeline.ErrFatal if anything in it is damaged. It also compares the indexes
// with the tables, which Open does not.
func (s *Store) Check(ctx context.Context) error {
	return s.check(ctx, `PRAGMA integrity_check(1)`)
}

func (s *Store) check(ctx context.Context, pragma string) error {
	var verdict string
	if err := s.ro.QueryRowContext(ctx, pragma).Scan(&verdict); err != nil {
		return fmt.Errorf("check: %w", s.classify(ctx, err))
	}
	if verdict != "ok" {
		return pipeline.Fatal(damaged(s.path, errors.New(verdict)))
	}
	return nil
}

func damaged(path string, err error) error {
	return fmt.Errorf("%s is damaged: %w; stop the daemons, move the file, its -wal and its -shm away together, and put the newest backup in its place (docs/operations.md, \"The job-tracker is damaged\")", path, err)
}

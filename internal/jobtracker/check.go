package jobtracker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"longhaul/internal/pipeline"
)

// smallSize is the size up to which Open reads a whole file to find damage,
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

// Check reads the whole job-tracker and returns an error that wraps
// pipeline.ErrFatal if anything in it is damaged, or an index does not agree
// with its table. It does not stop the daemons' work. Of a database on a server
// it sees only that it answers: its checks are the server's business.
func (s *Store) Check(ctx context.Context) error { return wrap("check", s.check(ctx)) }

func damaged(path string, err error) error {
	return fmt.Errorf("%s is damaged: %w; stop the daemons, then put the newest backup in its place: 'longhaul restore-backup latest' (docs/operations.md, \"The job-tracker is damaged\")", path, err)
}

package jobtracker

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"longhaul/internal/loop"
)

// ErrLockLost: it is not sure any more that nobody else has a lock.
var ErrLockLost = errors.New("the lock is lost")

// Lock says that nobody else does something with a job-tracker: one is a daemon
// of its kind, or sends mail, or deletes raw data. On a file it is a lock on a
// file beside it, which holds for one host; on a server it is held by a session
// with the server, and holds for all hosts.
type Lock struct {
	lost    chan struct{} // closed when it is lost
	unlock  func() error
	session *session // nil: a file
}

// TryLock takes a lock of a job-tracker, which need not be open, or returns at
// once an error that wraps loop.ErrLocked and says who has it.
func TryLock(ctx context.Context, db, name string) (*Lock, error) {
	if OnServer(db) {
		return lockOnServer(ctx, db, name, usualPatience())
	}
	l, err := loop.TryLock(LockFile(db, name))
	if err != nil {
		return nil, err
	}
	return &Lock{unlock: l.Unlock, lost: make(chan struct{})}, nil
}

// TryLock is TryLock for an open job-tracker.
func (s *Store) TryLock(ctx context.Context, name string) (*Lock, error) {
	l, err := TryLock(ctx, s.db, name)
	return l, s.classify(ctx, err)
}

// LockFile is the file of a lock of a job-tracker in a file.
func LockFile(db, name string) string { return filepath.Join(filepath.Dir(db), name+".lock") }

// Lost is closed when it is not sure any more that nobody else has the lock.
// Whoever holds it must end what it does, soon: on a server, another may take
// the lock within half a minute. A lock on a file is never lost.
func (l *Lock) Lost() <-chan struct{} { return l.lost }

// Unlock gives the lock back.
func (l *Lock) Unlock() error { return l.unlock() }

// patience are the times of a job-tracker on a server. Whoever has a lock and
// cannot be sure of it any more must have stopped before another begins: lost,
// and the time that stopping takes, are together less than takeover.
type patience struct {
	beat     time.Duration // between two looks whether a lock is still held
	lost     time.Duration // after the last look that said so, it counts as lost
	takeover time.Duration // how long the next one waits, if the last one did not say that it ends
	settle   time.Duration // how long the server is asked what became of a commit whose reply was lost
	stopping time.Duration // so, for a daemon that is being stopped
}

func usualPatience() patience {
	return patience{
		beat: 5 * time.Second, lost: 20 * time.Second, takeover: 45 * time.Second,
		settle: 5 * time.Minute, stopping: 10 * time.Second,
	}
}

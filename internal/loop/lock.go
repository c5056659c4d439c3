package loop

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// ErrLocked: another process, or another part of this one, has the lock.
var ErrLocked = errors.New("locked")

// Lock is a lock on a file, held until Unlock or the end of the process. It is
// not inherited by processes that are started meanwhile.
type Lock struct {
	f *flock.Flock
}

// TryLock takes the lock on a file, which it makes if need be, or returns at
// once an error that wraps ErrLocked and names the process that has it. The
// file stays when the lock is given back: removing it would let a third
// process lock a file that nobody else sees.
//
// The lock holds between processes of one host, on a local file system.
func TryLock(path string) (*Lock, error) {
	f := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o640))
	ok, err := f.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !ok {
		return nil, fmt.Errorf("%w: %s has %s", ErrLocked, owner(path), path)
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o640); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: write the process id: %w", path, err), f.Unlock())
	}
	return &Lock{f}, nil
}

// Unlock gives the lock back.
func (l *Lock) Unlock() error {
	if err := l.f.Unlock(); err != nil {
		return fmt.Errorf("unlock %s: %w", l.f.Path(), err)
	}
	return nil
}

// owner tells who wrote its process id into a lock file.
func owner(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "another process"
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 0 {
		return "another process"
	}
	return fmt.Sprintf("process %d", pid)
}

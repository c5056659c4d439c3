package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"longhaul/internal/disk"
	"longhaul/internal/queue"
)

// The names in the spool.
const (
	settingsFile = "settings.json"
	queuedDir    = "queued"
	runningDir   = "running"
	endedDir     = "ended"
	tmpDir       = "tmp"
)

// A spool is the directory with all jobs. Its methods are for the holder of
// its lock only.
type spool struct {
	dir string
	settings
	now func() time.Time
	log *slog.Logger
}

// place is where a job is found in the spool.
type place struct {
	phase queue.Phase // Queued, Running, or Finished when it was put away
	dir   string
}

// withLock runs fn while holding the spool's lock, and waits for that as long
// as ctx allows.
func (s *spool) withLock(ctx context.Context, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// A descriptor of its own for each holder, so that the lock also keeps
	// apart the goroutines of one process.
	f, err := os.OpenFile(filepath.Join(s.dir, lockFile), os.O_RDWR|os.O_CREATE, disk.FileMode)
	if err != nil {
		return err
	}
	defer f.Close()
	for wait := time.Millisecond; ; wait = min(2*wait, 20*time.Millisecond) {
		free, err := tryLock(f, unix.LOCK_EX)
		if err != nil {
			return err
		}
		if free {
			return fn()
		}
		if err := pause(ctx, wait); err != nil {
			return fmt.Errorf("wait for the lock on %s: %w", s.dir, err)
		}
	}
}

// tryLock reports whether it could take the lock on f, which closing f gives back.
func tryLock(f *os.File, how int) (bool, error) {
	for {
		switch err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); err {
		case nil:
			return true, nil
		case unix.EWOULDBLOCK:
			return false, nil
		case unix.EINTR:
		default:
			return false, &fs.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
	}
}

// pause waits; it returns an error if ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// add writes a new job to the end of the queue.
func (s *spool) add(rec specRecord) error {
	tmp, err := os.MkdirTemp(filepath.Join(s.dir, tmpDir), rec.Name+".")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) // does nothing after the rename
	if err := errors.Join(os.Chmod(tmp, disk.DirMode), writeRecord(tmp, specFile, rec)); err != nil {
		return err
	}
	waiting, err := s.queued()
	if err != nil {
		return err
	}
	last := 0
	if len(waiting) > 0 {
		last = waiting[len(waiting)-1].number
	}
	return moveJob(tmp, s.queuedPath(entry{last + 1, rec.Name}))
}

// entry is a job in the queue.
type entry struct {
	number int
	name   string
}

func (s *spool) queuedPath(e entry) string {
	return filepath.Join(s.dir, queuedDir, fmt.Sprintf("%012d.%s", e.number, e.name))
}

func (s *spool) runningPath(name string) string { return filepath.Join(s.dir, runningDir, name) }
func (s *spool) endedPath(name string) string   { return filepath.Join(s.dir, endedDir, name) }

// queued returns the jobs that wait, the next one first.
func (s *spool) queued() ([]entry, error) {
	names, err := readNames(filepath.Join(s.dir, queuedDir))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var all []entry
	for _, n := range names {
		number, name, _ := strings.Cut(n, ".")
		if i, err := strconv.Atoi(number); err == nil && queue.ValidName(name) {
			all = append(all, entry{i, name})
		}
	}
	return all, nil
}

// running returns the names of the jobs that were started and not yet put away.
func (s *spool) running() ([]string, error) {
	names, err := readNames(filepath.Join(s.dir, runningDir))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	return slices.DeleteFunc(names, func(n string) bool { return !queue.ValidName(n) }), nil
}

// live returns where the jobs are that have not ended.
func (s *spool) live() (map[string]place, error) {
	waiting, err := s.queued()
	if err != nil {
		return nil, err
	}
	started, err := s.running()
	if err != nil {
		return nil, err
	}
	all := make(map[string]place, len(waiting)+len(started))
	for _, e := range waiting {
		all[e.name] = place{queue.Queued, s.queuedPath(e)}
	}
	for _, name := range started {
		all[name] = place{queue.Running, s.runningPath(name)}
	}
	return all, nil
}

// find returns where a job is, or queue.ErrUnknown.
func (s *spool) find(name string) (place, error) {
	live, err := s.live()
	if err != nil {
		return place{}, err
	}
	return s.findIn(live, name)
}

// findIn is find for callers that look for many.
func (s *spool) findIn(live map[string]place, name string) (place, error) {
	if p, ok := live[name]; ok {
		return p, nil
	}
	if !queue.ValidName(name) { // it could climb out of the spool
		return place{}, queue.ErrUnknown
	}
	there, err := has(filepath.Join(s.dir, endedDir), name)
	if err != nil {
		return place{}, err
	}
	if !there {
		return place{}, queue.ErrUnknown
	}
	return place{queue.Finished, s.endedPath(name)}, nil
}

// state reads what is known about the job at a place.
func (s *spool) state(p place) (queue.State, error) {
	switch p.phase {
	case queue.Queued:
		return queue.State{Phase: queue.Queued}, nil
	case queue.Running:
		started, err := readRecord[startedRecord](p.dir, startedFile)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errDamaged) {
			return queue.State{}, err
		}
		// Without the record the supervisor has only just been started.
		return queue.State{Phase: queue.Running, Node: started.Node, StartedAt: started.At}, nil
	default:
		end, err := readRecord[exitRecord](p.dir, exitFile)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) {
			return exitRecord{Reason: queue.Lost, Detail: err.Error()}.state(), nil
		}
		return end.state(), err
	}
}

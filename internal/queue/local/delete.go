package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
)

// Delete takes a waiting job out of the queue, or ends a running one: SIGTERM
// to its process group, and after the grace SIGKILL to all of its processes.
func (m *Manager) Delete(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, m.Grace+deleteExtra)
	defer cancel()
	var death dying
	for {
		var gone bool
		err := m.do(ctx, "delete "+id, func() (err error) {
			gone, err = m.deleteStep(id, &death)
			return err
		})
		if gone || err != nil {
			return err
		}
		if err := pause(ctx, deletePoll); err != nil {
			return pipeline.Outage(pipeline.QueueManager, fmt.Errorf("local: delete %s: it was told to end and has not yet: %w", id, err))
		}
	}
}

// dying is what one Delete has done so far to a running job.
type dying struct {
	told bool      // it has been sent SIGTERM
	kill time.Time // when its patience ends
}

// deleteStep looks once at a job and brings its end nearer.
func (s *spool) deleteStep(id string, death *dying) (gone bool, err error) {
	if _, err := s.settle(); err != nil {
		return false, err
	}
	p, err := s.find(id)
	if err != nil {
		return false, err
	}
	switch p.phase {
	case queue.Finished:
		return true, s.advance()
	case queue.Queued:
		return true, errors.Join(s.cancelQueued(id, p.dir), s.advance())
	default:
		return false, s.stop(p.dir, death)
	}
}

// cancelQueued ends a job that was never started.
func (s *spool) cancelQueued(name, dir string) error {
	end := exitRecord{Reason: queue.Cancelled, Ended: s.now().UTC(), Detail: "it had not been started"}
	if err := writeRecord(dir, exitFile, end); err != nil {
		return err
	}
	return moveJob(dir, s.endedPath(name))
}

// stop tells a running job to end. The cancel mark comes first: a supervisor
// that is not yet there to be told looks for it before it starts the command.
func (s *spool) stop(dir string, death *dying) error {
	if marked, err := has(dir, cancelFile); err != nil {
		return err
	} else if !marked {
		if err := writeRecord(dir, cancelFile, s.now().UTC()); err != nil {
			return err
		}
	}
	started, err := readRecord[startedRecord](dir, startedFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it will find the mark
	}
	if err == nil && started.Supervisor.alive() {
		if !death.told {
			death.told = true
			started.Supervisor.signal(syscall.SIGTERM)
		}
		return nil // it does the rest
	}
	return s.stopOrphans(dir, death)
}

// stopOrphans ends a job whose supervisor was killed. Its processes are those
// that hold its lock, and what is below them. Nobody but they can have the
// lock open, because we hold the spool's.
func (s *spool) stopOrphans(dir string, death *dying) error {
	lock, err := os.Stat(filepath.Join(dir, lockFile))
	if err != nil {
		return err
	}
	all, err := processes()
	if err != nil {
		return err
	}
	holders := holdersOf(lock, all)
	orphans := descendants(all, func(pid int) bool { return holders[pid] }, true)
	now := time.Now()
	if !death.told {
		death.told, death.kill = true, now.Add(s.Grace)
		for _, p := range orphans {
			p.signal(syscall.SIGTERM)
		}
	} else if now.After(death.kill) {
		for _, p := range orphans {
			p.signal(syscall.SIGKILL)
		}
	}
	return nil
}

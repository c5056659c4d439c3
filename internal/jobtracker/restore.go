package jobtracker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"longhaul/internal/disk"
	"longhaul/internal/pipeline"
)

// A restored job-tracker has forgotten what happened after its backup. Until
// somebody has looked for that, it is held: no daemon may act on it. The hold
// is a pair of lines in the history, about the system as a whole; these are
// their IDs there. Other such lines have the ID 0.
const (
	eventRestored   = 1
	eventReconciled = 2
)

// Restored says what Restore did.
type Restored struct {
	Aside     []string  // where the files are that were in the way
	From, To  int       // versions of the backup and of what was made of it
	LastKnown time.Time // of the last change that the backup has
}

// Restore puts a copy of a backup in the place of the job-tracker at path,
// wholly or not at all, and holds it. The backup is checked first; one of an
// older version is brought to this one's. What was at path, with its -wal and
// -shm, is moved aside and never deleted. No daemon may use it meanwhile.
func Restore(ctx context.Context, path, backup string, opt Options) (Restored, error) {
	r, err := restore(ctx, path, backup, opt)
	if err != nil {
		return r, fmt.Errorf("restore job-tracker %s from %s: %w", path, backup, err)
	}
	return r, nil
}

func restore(ctx context.Context, path, backup string, opt Options) (r Restored, err error) {
	if a, err := os.Stat(path); err == nil {
		if b, err := os.Stat(backup); err == nil && os.SameFile(a, b) {
			return r, errors.New("these are one and the same file")
		}
	}
	if err := refuseServer(path); err != nil {
		return r, err
	}
	if err := refuseNetwork(path); err != nil {
		return r, err
	}
	opt = opt.withDefaults()
	temp := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d.tmp", filepath.Base(path), time.Now().UnixNano()))
	defer removeDatabase(temp)
	if err := copySound(ctx, backup, temp); err != nil {
		return r, err
	}
	if err := r.prepare(ctx, temp, "restored from "+backup, opt); err != nil {
		return r, err
	}
	// Only now may the file be opened: closing it drops SQLite's locks.
	f, err := os.OpenFile(temp, os.O_RDWR, 0)
	if err != nil {
		return r, err
	}
	if err := errors.Join(f.Chmod(disk.FileMode), f.Sync(), f.Close()); err != nil {
		return r, err
	}
	if r.Aside, err = moveAside(path, opt.Now()); err != nil {
		return r, err
	}
	return r, disk.Rename(temp, path)
}

// copySound copies a backup that is whole to a path that does not exist.
func copySound(ctx context.Context, backup, path string) (err error) {
	if _, err := os.Stat(backup); err != nil {
		return err
	}
	if err := refuseLostLog(backup); err != nil {
		return err
	}
	s := connectFile(backup, Options{}.withDefaults())
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.refuseNewer(ctx); err != nil {
		return err
	}
	problems, err := s.Problems(ctx)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return fmt.Errorf("the backup is damaged itself, take another: %s", strings.Join(problems, "; "))
	}
	return s.copyTo(ctx, path)
}

// prepare brings the copy of a backup to this version, and holds it.
func (r *Restored) prepare(ctx context.Context, path, note string, opt Options) (err error) {
	s := connectFile(path, opt)
	defer func() { err = errors.Join(err, s.Close()) }()
	steps, err := s.steps()
	if err != nil {
		return err
	}
	r.To = len(steps)
	if r.From, err = s.version(ctx, s.rw); err != nil {
		return err
	}
	if err := s.migrate(ctx, r.From); err != nil {
		return err
	}
	if r.LastKnown, err = s.lastChange(ctx, 0); err != nil {
		return err
	}
	err = s.write(ctx, "hold", func(tx *txn) error {
		return tx.record(ctx, pipeline.EntitySystem, eventRestored, "", "", note)
	})
	return errors.Join(err, s.Check(ctx))
}

// moveAside renames a database and what belongs to it, and returns the new
// names. The database goes first: what a crash leaves then is no job-tracker,
// rather than one without its last changes.
func moveAside(path string, at time.Time) (moved []string, err error) {
	aside := fmt.Sprintf("%s.damaged-%s", path, at.UTC().Format("20060102T150405Z"))
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if missing(path + suffix) {
			continue
		}
		if !missing(aside + suffix) {
			return moved, fmt.Errorf("%s: %w", aside+suffix, fs.ErrExist)
		}
		if err := os.Rename(path+suffix, aside+suffix); err != nil {
			return moved, err
		}
		moved = append(moved, aside+suffix)
	}
	return moved, disk.SyncDir(filepath.Dir(path))
}

// Hold is why a restored job-tracker is not used yet.
type Hold struct {
	At        time.Time // when it was restored
	LastKnown time.Time // of the last change before the restore: what came after it is forgotten
	Note      string
}

// String says what is the matter, as the end of a sentence about the job-tracker.
func (h Hold) String() string {
	if h.LastKnown.IsZero() {
		return h.Note + " and knows nothing of what happened since"
	}
	return fmt.Sprintf("%s and knows nothing of what happened after %s UTC", h.Note, h.LastKnown.Format(time.DateTime))
}

// Held returns the hold of a job-tracker that was restored and not reconciled
// since; held is false if there is none.
func (s *Store) Held(ctx context.Context) (h Hold, held bool, err error) {
	restored, err := s.lastAboutSystem(ctx, eventRestored)
	if err != nil || restored.ID == 0 {
		return h, false, err
	}
	reconciled, err := s.lastAboutSystem(ctx, eventReconciled)
	if err != nil || reconciled.ID > restored.ID {
		return h, false, err
	}
	h = Hold{At: restored.At, Note: restored.Note}
	h.LastKnown, err = s.lastChange(ctx, restored.ID)
	return h, true, err
}

// Release ends the hold.
func (s *Store) Release(ctx context.Context, note string) error {
	return s.write(ctx, "end the hold", func(tx *txn) error {
		return tx.record(ctx, pipeline.EntitySystem, eventReconciled, "", "", note)
	})
}

// lastAboutSystem returns the newest line of the history about the system with
// an ID; the zero Event if there is none.
func (s *Store) lastAboutSystem(ctx context.Context, id int64) (pipeline.Event, error) {
	events, err := s.events(ctx, `WHERE entity = ? AND entity_id = ? ORDER BY id DESC LIMIT 1`, pipeline.EntitySystem, id)
	if err != nil || len(events) == 0 {
		return pipeline.Event{}, err
	}
	return events[0], nil
}

// lastChange returns when the newest line of the history was written that is
// older than the one with an ID; 0 means the newest of all.
func (s *Store) lastChange(ctx context.Context, before int64) (time.Time, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	events, err := s.events(ctx, `WHERE id < ? ORDER BY id DESC LIMIT 1`, before)
	if err != nil || len(events) == 0 {
		return time.Time{}, err
	}
	return events[0].At, nil
}

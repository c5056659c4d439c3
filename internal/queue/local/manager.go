package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"time"

	"longhaul/internal/disk"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
)

// Options is what New needs to know.
type Options struct {
	// Spool is the directory for the jobs' records; made if it is missing. Not
	// on a network file system.
	Spool string
	// MaxRunning is how many jobs may run at a time; 0: as many as there are CPUs.
	MaxRunning int
	// Supervisor is a command that calls SuperviseMain with the arguments
	// after it, such as {"/usr/bin/longhaul", "local-supervise"}.
	Supervisor []string
	// Guest opens a spool that is there with the settings that it has, for a
	// command that looks or steps in: its own program may be gone tomorrow.
	Guest bool
	// Grace is how long a job may take to end by itself after SIGTERM, before
	// SIGKILL; 0: 10 s.
	Grace time.Duration
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Log hears of jobs whose end nobody saw; nil: nobody does.
	Log *slog.Logger
}

// Time-outs, beside those that callers bring in their context.
const (
	lockWait     = 30 * time.Second       // to get at the spool
	deleteExtra  = 30 * time.Second       // to see a job dead, beyond Grace
	deletePoll   = 20 * time.Millisecond  // between looks while a job dies
	defaultGrace = 10 * time.Second       // as Options.Grace says
	treePoll     = 100 * time.Millisecond // between rounds of killing leftovers
)

// Manager runs jobs on this machine. Any number of Managers, in any number of
// processes, may share a spool.
type Manager struct{ spool }

var _ queue.Manager = (*Manager)(nil)

// New opens a spool, and makes it if it is missing.
func New(o Options) (*Manager, error) {
	m, err := newManager(o)
	if err != nil {
		return nil, fmt.Errorf("local queue in %s: %w", o.Spool, err)
	}
	return m, nil
}

func newManager(o Options) (*Manager, error) {
	dir, err := filepath.Abs(o.Spool)
	if err != nil {
		return nil, err
	}
	set, err := o.settings()
	if err != nil {
		return nil, err
	}
	m := &Manager{spool{dir: dir, settings: set, now: o.Now, log: o.Log}}
	if m.now == nil {
		m.now = time.Now
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	if err := m.makeDirs(); err != nil {
		return nil, err
	}
	return m, m.withLock(ctx, func() error {
		if o.Guest {
			if there, err := readRecord[settings](m.dir, settingsFile); err == nil {
				m.settings = there
				return nil
			}
		}
		return errors.Join(m.clearTmp(), m.saveSettings())
	})
}

// settings checks o and fills in what is left open.
func (o Options) settings() (settings, error) {
	if len(o.Supervisor) == 0 {
		return settings{}, errors.New("no supervisor command")
	}
	// Supervisors are started from other directories.
	program, err := exec.LookPath(o.Supervisor[0])
	if err != nil {
		return settings{}, fmt.Errorf("supervisor: %w", err)
	}
	if program, err = filepath.Abs(program); err != nil {
		return settings{}, fmt.Errorf("supervisor: %w", err)
	}
	set := settings{
		MaxRunning: o.MaxRunning,
		Supervisor: verbatims(append([]string{program}, o.Supervisor[1:]...)),
		Grace:      o.Grace,
	}
	if set.MaxRunning <= 0 {
		set.MaxRunning = runtime.NumCPU()
	}
	if set.Grace <= 0 {
		set.Grace = defaultGrace
	}
	return set, nil
}

// makeDirs makes the spool's directories and refuses a disk without true locks.
func (s *spool) makeDirs() error {
	for _, d := range []string{queuedDir, runningDir, endedDir, tmpDir} {
		if err := disk.MakeDir(filepath.Join(s.dir, d)); err != nil {
			return err
		}
	}
	network, err := disk.Network(s.dir)
	if err != nil {
		return err
	}
	if network != "" {
		return fmt.Errorf("it is on a network file system (%s), whose locks cannot be relied on; choose a local disk", network)
	}
	return nil
}

// clearTmp removes what a crash left half made or half removed. Whoever makes
// something there holds the lock.
func (s *spool) clearTmp() error {
	tmp := filepath.Join(s.dir, tmpDir)
	names, err := readNames(tmp)
	for _, name := range names {
		err = errors.Join(err, os.RemoveAll(filepath.Join(tmp, name)))
	}
	return err
}

// saveSettings tells the supervisors, if something has changed.
func (s *spool) saveSettings() error {
	old, err := readRecord[settings](s.dir, settingsFile)
	if err == nil && reflect.DeepEqual(old, s.settings) {
		return nil
	}
	return writeRecord(s.dir, settingsFile, s.settings)
}

// openSpool opens a spool as the last Manager left it.
func openSpool(dir string) (*spool, error) {
	set, err := readRecord[settings](dir, settingsFile)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)) // a supervisor's is its supervisor.log
	return &spool{dir: dir, settings: set, now: time.Now, log: log}, nil
}

// do runs fn under the spool's lock and sorts its errors: what is not about
// the job asked for is an outage.
func (m *Manager) do(ctx context.Context, op string, fn func() error) error {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	err := m.withLock(ctx, fn)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("local: %s: %w", op, err)
	if errors.Is(err, queue.ErrUnknown) || errors.Is(err, queue.ErrRejected) {
		return err
	}
	return pipeline.Outage(pipeline.QueueManager, err)
}

// Kind returns "local".
func (m *Manager) Kind() string { return "local" }

// Submit writes the job to the spool and starts it if there is room. Its ID is
// its name. The same job submitted again is not run again: the answer is the
// same. Another job with a name that was used is rejected.
func (m *Manager) Submit(ctx context.Context, spec queue.Spec) (string, error) {
	if err := spec.Check(); err != nil {
		return "", fmt.Errorf("local: %w", err)
	}
	err := m.do(ctx, "submit "+spec.Name, func() error {
		if err := m.accept(newSpecRecord(spec, m.now())); err != nil {
			return err
		}
		return m.advance()
	})
	if err != nil {
		return "", err
	}
	return spec.Name, nil
}

// accept adds a job unless it is there already.
func (s *spool) accept(rec specRecord) error {
	p, err := s.find(rec.Name)
	if errors.Is(err, queue.ErrUnknown) {
		return s.add(rec)
	} else if err != nil {
		return err
	}
	old, err := readRecord[specRecord](p.dir, specFile)
	if err != nil {
		return err
	}
	if !old.sameJob(rec) {
		return fmt.Errorf("%w: another job of %s has this name", queue.ErrRejected, old.Submitted.Format(time.RFC3339))
	}
	return nil
}

// Find implements queue.Manager.
func (m *Manager) Find(ctx context.Context, name string) (id string, err error) {
	err = m.do(ctx, "find "+name, func() error {
		_, err := m.find(name)
		return err
	})
	if err != nil {
		return "", err
	}
	return name, nil
}

// Poll implements queue.Manager. Its cost grows with the refs and with the
// jobs that wait or run, not with those that have ended.
func (m *Manager) Poll(ctx context.Context, refs []queue.Ref) (map[queue.Ref]queue.State, error) {
	states := make(map[queue.Ref]queue.State, len(refs))
	err := m.do(ctx, "poll", func() error {
		if err := m.advance(); err != nil {
			return err
		}
		live, err := m.live()
		if err != nil {
			return err
		}
		for _, ref := range refs {
			if states[ref], err = m.lookUp(live, ref); err != nil {
				return fmt.Errorf("%s: %w", ref.ID, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return states, nil
}

// lookUp is Poll for one job.
func (s *spool) lookUp(live map[string]place, ref queue.Ref) (queue.State, error) {
	p, err := s.findIn(live, ref.ID)
	if errors.Is(err, queue.ErrUnknown) {
		return queue.State{}, nil
	} else if err != nil {
		return queue.State{}, err
	}
	// A damaged spec does not tell the time; the ID, being the name, is enough.
	spec, err := readRecord[specRecord](p.dir, specFile)
	if err != nil && !errors.Is(err, errDamaged) && !errors.Is(err, fs.ErrNotExist) {
		return queue.State{}, err
	}
	if !ref.Matches(ref.ID, spec.Submitted) {
		return queue.State{}, nil
	}
	return s.state(p)
}

// Status implements queue.Manager.
func (m *Manager) Status(ctx context.Context) (running, queued int, err error) {
	err = m.do(ctx, "status", func() error {
		if err := m.advance(); err != nil {
			return err
		}
		live, err := m.live()
		for _, p := range live {
			if p.phase == queue.Running {
				running++
			} else {
				queued++
			}
		}
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	return running, queued, nil
}

// Errors implements queue.Manager.
func (m *Manager) Errors(ctx context.Context, id string) (text string, err error) {
	err = m.do(ctx, "errors of "+id, func() error {
		p, err := m.find(id)
		if err != nil {
			return err
		}
		spec, err := readRecord[specRecord](p.dir, specFile)
		if err != nil {
			return err
		}
		text, err = queue.Tail(string(spec.Stderr))
		return err
	})
	return text, err
}

// Prune forgets the jobs that ended longer ago than that. Find and Poll do not
// know them any more, and a job of the same name would run again: keep them
// longer than the job pooler needs to learn of an end, downtime included.
func (m *Manager) Prune(ctx context.Context, olderThan time.Duration) (pruned int, err error) {
	names, err := readNames(filepath.Join(m.dir, endedDir))
	if err != nil {
		return 0, fmt.Errorf("local: prune: %w", err)
	}
	for _, name := range names {
		dir := m.endedPath(name)
		// What was written last to the directory is exit.json.
		st, err := os.Stat(dir)
		if err != nil || m.now().Sub(st.ModTime()) <= olderThan {
			continue // somebody else is pruning, or it is young
		}
		if err := m.forget(ctx, dir); err != nil {
			return pruned, fmt.Errorf("local: prune %s: %w", name, err)
		}
		pruned++
	}
	return pruned, nil
}

// forget removes a job that has ended: at once for all who look, at leisure
// from the disk.
func (m *Manager) forget(ctx context.Context, dir string) error {
	trash := filepath.Join(m.dir, tmpDir, "pruned."+filepath.Base(dir))
	if err := m.do(ctx, "prune", func() error { return os.Rename(dir, trash) }); err != nil {
		return err
	}
	return os.RemoveAll(trash)
}

package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
)

// ErrRefused is for a System's Submit: the batch system surely did not take the
// job, for a reason that has nothing to do with it, such as a queue that does
// not exist. To callers of a Manager it is an outage.
var ErrRefused = errors.New("the batch system does not take jobs like this")

// ErrSilent is for a System's List: the answer was nothing at all, which is how
// some say that there is no submission, and how some fail. A second silence is
// taken for an empty list.
var ErrSilent = errors.New("the batch system said nothing")

// Job is a submission as a batch system tells of it.
type Job struct {
	ID, Name  string
	Submitted time.Time // zero: not told
	// State of a job that waits or runs is final; of one that has Finished the
	// Manager knows better about some.
	State queue.State
	// Stuck is set for one that waits and will not start by itself.
	Stuck bool
}

// System is the command line of a batch system. Errors that are none of the
// named ones mean that nothing is known, and become outages.
type System interface {
	// Kind is the name of the batch system in the configuration.
	Kind() string
	// Directives are the first lines of the script of a submission.
	Directives(queue.Spec) ([]string, error)
	// ScriptMode is the mode that the script must have; 0: it is only read.
	ScriptMode() os.FileMode
	// Submit hands over a script and returns the ID. queue.ErrRejected and
	// ErrRefused mean that it surely was not taken.
	Submit(ctx context.Context, spec queue.Spec, script string) (id string, err error)
	// List returns the user's submissions that wait or run, and may return some
	// that have ended, by one command. An answer that could be anything but
	// the whole list is an error.
	List(ctx context.Context) ([]Job, error)
	// History returns what is known about submissions that List does not show,
	// by ID. What it does not know is left out.
	History(ctx context.Context, ids []string) ([]Job, error)
	// HistoryByName is History for a submission whose ID is not known.
	HistoryByName(ctx context.Context, name string) ([]Job, error)
	// Delete asks for the end of a submission. One that is not there any more
	// is no error.
	Delete(ctx context.Context, id string) error
	// ValidID reports whether id can be one of its IDs.
	ValidID(id string) bool
}

// Options is what all batch systems have in common.
type Options struct {
	// Dir is the directory for scripts and records, which nodes see under the
	// same path; made if it is missing.
	Dir string
	// Prefix begins the names of our submissions; others of the same user
	// are left alone and not counted.
	Prefix string
	// Bin is the directory of the batch system's commands; empty: the PATH.
	Bin string
	// Env is added to the environment of the commands.
	Env []string
	// Timeout is how long one command may take; 0: a minute.
	Timeout time.Duration
	// Commands runs the commands; nil: a batch.Runner with Env and Timeout.
	Commands batch.Commander
	// CPUsPerNode and JobsPerNode, if both are set, make every job ask for so
	// many CPUs that no more of ours fit on a node.
	CPUsPerNode, JobsPerNode int
	// SubmitsPerSecond limits submissions; 0: no limit.
	SubmitsPerSecond float64
	// PollEvery is the least time between two lists; 0: no limit.
	PollEvery time.Duration
	// HistoryEvery is how soon the history is asked again about a submission
	// that it did not know; 0: 15 s.
	HistoryEvery time.Duration
	// HistoryMax is how many submissions one Poll asks the history about; 0:
	// what suits the batch system.
	HistoryMax int
	// Settle is how long the batch system may take to have a submission, or
	// the end of one, in its list or history. Find waits so long before it says
	// that one never arrived; 0: 30 s.
	Settle time.Duration
	// DeleteWait is how long a deleted job may take to die; 0: 2 min.
	DeleteWait time.Duration
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Log hears of what is odd and changes nothing, and of each command at level
	// debug; nil: nobody does.
	Log *slog.Logger
}

// Run runs one of the batch system's commands, in UTC: most tell local times
// without saying which.
func (o Options) Run(ctx context.Context, stdin []byte, program string, args ...string) (batch.Output, error) {
	if o.Bin != "" && !strings.Contains(program, "/") {
		program = filepath.Join(o.Bin, program)
	}
	run := o.Commands
	if run == nil {
		run = batch.Runner{Timeout: o.Timeout, Env: append([]string{"TZ=UTC"}, o.Env...), Log: o.Log}
	}
	return run.Run(ctx, stdin, append([]string{program}, args...)...)
}

// Says reports whether what a command wrote has one of some words, upper and
// lower case being the same.
func Says(out batch.Output, words ...string) bool {
	text := strings.ToLower(string(out.Stderr) + "\n" + string(out.Stdout))
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, strings.ToLower(w)) })
}

// The time between looks while a deleted job dies, growing.
const (
	deletePoll    = 50 * time.Millisecond
	deletePollMax = 2 * time.Second
)

// Manager is a queue.Manager of a System.
type Manager struct {
	sys  System
	o    Options
	dir  dir
	pace *rate.Limiter
	list *batch.Cache[[]Job]

	mu      sync.Mutex
	changed time.Time               // of our last Submit or Delete: older lists are stale
	begun   int                     // submissions
	ended   int                     // submissions that have come back
	missed  map[queue.Ref]time.Time // when the history did not know it
	seen    map[key]sighting        // what was in the list lately, or has just been submitted
}

// key is what a sighting is remembered by.
type key struct{ id, name string }

// sighting is the state of a job when it was last in the list.
type sighting struct {
	at    time.Time
	state queue.State
}

var (
	_ queue.Manager = (*Manager)(nil)
	_ queue.Lister  = (*Manager)(nil)
)

// New returns a Manager. It asks the batch system nothing.
func New(sys System, o Options) (*Manager, error) {
	setDefault(&o.HistoryEvery, 15*time.Second)
	setDefault(&o.HistoryMax, 8)
	setDefault(&o.Settle, 30*time.Second)
	setDefault(&o.DeleteWait, 2*time.Minute)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d, err := openDir(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", sys.Kind(), err)
	}
	return &Manager{
		sys: sys, o: o, dir: d, pace: batch.Pace(o.SubmitsPerSecond),
		list: batch.NewCache[[]Job](o.PollEvery), missed: make(map[queue.Ref]time.Time), seen: make(map[key]sighting),
	}, nil
}

func setDefault[T int | time.Duration](value *T, otherwise T) {
	if *value <= 0 {
		*value = otherwise
	}
}

// Kind implements queue.Manager.
func (m *Manager) Kind() string { return m.sys.Kind() }

// wrap names the operation in an error, and makes an outage of all that is not
// said to be anything else.
func (m *Manager) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %s: %w", m.sys.Kind(), op, err)
	for _, known := range []error{queue.ErrUnknown, queue.ErrRejected, pipeline.ErrOutage, pipeline.ErrFatal} {
		if errors.Is(err, known) {
			return err
		}
	}
	return pipeline.Outage(pipeline.QueueManager, err)
}

// jobs returns the list of submissions, not older than our own last doing.
func (m *Manager) jobs(ctx context.Context) ([]Job, error) {
	m.mu.Lock()
	after := m.changed
	m.mu.Unlock()
	return m.jobsAfter(ctx, after)
}

func (m *Manager) jobsAfter(ctx context.Context, after time.Time) ([]Job, error) {
	if err := ctx.Err(); err != nil {
		return nil, pipeline.Outage(pipeline.QueueManager, err)
	}
	return m.list.Get(ctx, after, m.ask)
}

// ask asks for the list, and puts in the names that the batch system does not tell.
func (m *Manager) ask(ctx context.Context) ([]Job, error) {
	before, quiet := m.submits()
	jobs, err := m.sys.List(ctx)
	if errors.Is(err, ErrSilent) {
		jobs, err = m.sys.List(ctx)
		switch after, still := m.submits(); {
		case errors.Is(err, ErrSilent):
			err = nil
		case err == nil && before == after && quiet && still:
			err = fmt.Errorf("%w, and then listed %d submissions", ErrSilent, len(jobs))
		}
	}
	if err != nil {
		return nil, err
	}
	for i := range jobs {
		if jobs[i].Name == "" {
			jobs[i].Name = m.dir.name(jobs[i].ID)
		}
	}
	return jobs, nil
}

// submits returns how many submissions were begun, and whether none is under way.
func (m *Manager) submits() (begun int, quiet bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.begun, m.begun == m.ended
}

// count counts a submission, in begun or ended.
func (m *Manager) count(which *int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	*which++
}

// touch makes lists of before now stale.
func (m *Manager) touch() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed = time.Now() // the list's clock, not ours
}

// saw remembers a job that waits or runs.
func (m *Manager) saw(id, name string, s queue.State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.o.Now()
	m.seen[key{id, name}] = sighting{now, s}
	for k, v := range m.seen {
		if len(m.seen) < 100 {
			break // not worth the trouble
		}
		if now.Sub(v.at).Abs() > m.o.Settle {
			delete(m.seen, k)
		}
	}
}

// lately returns the state in which a job was seen not long ago.
func (m *Manager) lately(ref queue.Ref) queue.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.seen[key{ref.ID, ref.Name}]
	if !ok || m.o.Now().Sub(s.at).Abs() > m.o.Settle {
		return queue.State{}
	}
	return s.state
}

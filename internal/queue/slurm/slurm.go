package slurm

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
)

// SettleAfter is how long after its Submit a submission may still turn up: an
// sbatch that had to be killed may have spoken to a controller which is busy,
// or to the one that takes over.
const SettleAfter = 5 * time.Minute

// Options configure a Manager. Only Dir must be set.
type Options struct {
	// Dir is an absolute path that the nodes see too. It gets each submission's
	// script, which tells people what was run, and the record of its end.
	Dir string
	// What jobs ask for; "" leaves it to Slurm.
	Partition, Account, QOS, Constraint string
	// Args are further options for sbatch, each in the form --option or
	// --option=value. They go before what keeps submissions apart, and after
	// everything else: "--export=ALL" replaces "--export=NONE".
	Args []string
	// Prefix is what the names of our submissions begin with; "": anything.
	Prefix string
	// Timeout is how long one command may take, 0: a minute. One whose
	// controller does not answer takes nine seconds.
	Timeout time.Duration
	// PollEvery is the least time between two questions, 0: none.
	PollEvery time.Duration
	// SubmitsPerSecond limits submissions, 0: not at all.
	SubmitsPerSecond float64
	// ExcludeFor is how long a node is left out on which jobs die at once, 0: never.
	ExcludeFor time.Duration
	// NodeTrouble are exit statuses of jobs by which a worker says that the
	// node is in trouble, not the job.
	NodeTrouble []int
	// Env is added to the environment of the commands: SLURM_CONF=...
	Env []string
	// Commands runs the commands; nil: a batch.Runner.
	Commands batch.Commander
	// Log hears of trouble; nil: nobody does.
	Log *slog.Logger
}

// Manager is a queue.Manager for Slurm.
type Manager struct {
	opt   Options
	run   batch.Commander
	pace  *rate.Limiter
	list  *batch.Cache[[]job]
	nodes *nodes
	log   *slog.Logger

	mu         sync.Mutex
	changed    time.Time // of the last submission or deletion
	accounting *bool     // whether there is any, once known
}

var _ queue.Manager = (*Manager)(nil)

// dropped are variables by which a user gives the commands other defaults, and
// those of a Slurm job, if that is what we run in.
var dropped = []string{"SBATCH_*", "SQUEUE_*", "SACCT_*", "SCANCEL_*", "SLURM_*"}

// kept are those that say which Slurm to ask.
var kept = []string{"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT"}

// New returns a Manager. It asks nobody.
func New(o Options) (*Manager, error) {
	if !filepath.IsAbs(o.Dir) {
		return nil, fmt.Errorf("slurm: directory %q is no absolute path", o.Dir)
	}
	if err := checkArgs(o.Args); err != nil {
		return nil, fmt.Errorf("slurm: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Commands == nil {
		o.Commands = NewRunner(o)
	}
	return &Manager{
		opt: o, run: o.Commands, log: o.Log, pace: batch.Pace(o.SubmitsPerSecond),
		list: batch.NewCache[[]job](o.PollEvery), nodes: newNodes(o),
	}, nil
}

// NewRunner returns what runs the commands of a Manager with these options.
func NewRunner(o Options) batch.Runner {
	// Times as seconds since 1970 do not depend on anybody's time zone.
	env := []string{"SLURM_TIME_FORMAT=%s"}
	for _, key := range kept {
		if value, ok := os.LookupEnv(key); ok {
			env = append(env, key+"="+value)
		}
	}
	return batch.Runner{Timeout: o.Timeout, Drop: dropped, Env: append(env, o.Env...), Log: o.Log}
}

// forbidden are options of sbatch that would break what Submit promises.
var forbidden = []string{
	"array", "wrap", "wait", "test-only", "parsable", "clusters", "hold", "requeue",
	"job-name", "comment", "output", "error", "input", "version", "help", "usage",
}

func checkArgs(args []string) error {
	var errs []error
	for _, arg := range args {
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		switch {
		case !strings.HasPrefix(arg, "--") || name == "" || strings.ContainsAny(arg, "\n\x00"):
			errs = append(errs, fmt.Errorf("argument %q for sbatch: want --option or --option=value", arg))
		case slices.ContainsFunc(forbidden, func(f string) bool { return strings.HasPrefix(f, name) }):
			errs = append(errs, fmt.Errorf("argument %q for sbatch: this is not for the configuration", arg))
		}
	}
	return errors.Join(errs...)
}

// Kind implements queue.Manager.
func (m *Manager) Kind() string { return "slurm" }

// Excluded are the nodes that new submissions avoid now, because jobs died on
// them at once.
func (m *Manager) Excluded() []ExcludedNode { return m.nodes.excluded() }

// touch notes that answers from before now have been overtaken.
func (m *Manager) touch() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed = time.Now()
}

func (m *Manager) lastChange() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// uid is who we are to Slurm.
func uid() string { return strconv.Itoa(os.Getuid()) }

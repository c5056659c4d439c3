package gridengine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
	"longhaul/internal/queue/cluster"
)

// Options is what New needs to know. Only Dir is needed; what is left open
// stays open for Grid Engine to decide. Env may have to have SGE_ROOT.
type Options struct {
	cluster.Options
	Queue   string // -q
	Project string // -P
	Account string // -A
	// Resources are asked for with -l, such as "bigmem" or "arch=lx-amd64": the
	// original's node property.
	Resources []string
	// ParallelEnvironment is asked for by jobs of more than one CPU; empty: smp.
	ParallelEnvironment string
	// MemoryResource is what a job's memory is asked for as, for each CPU;
	// empty: h_vmem; "none": not at all.
	MemoryResource string
	// TimeResource is what its wall time is asked for as; empty: h_rt; "none": not at all.
	TimeResource string
	Args         []string // of qsub
	// NoAccounting is for sites where qacct cannot be used. Ends that leave no
	// record are Unknown then.
	NoAccounting bool
	User         string // whose jobs; empty: the caller
}

// New returns a Manager of Grid Engine. It asks it nothing yet.
func New(o Options) (*cluster.Manager, error) {
	s, err := newSystem(o)
	if err != nil {
		return nil, fmt.Errorf("gridengine: %w", err)
	}
	return cluster.New(s, o.Options)
}

type system struct{ Options }

var _ cluster.System = (*system)(nil)

func newSystem(o Options) (*system, error) {
	for value, otherwise := range map[*string]string{
		&o.ParallelEnvironment: "smp", &o.MemoryResource: "h_vmem", &o.TimeResource: "h_rt",
	} {
		if *value == "" {
			*value = otherwise
		}
	}
	if o.User == "" {
		me, err := user.Current()
		if err != nil {
			return nil, err
		}
		o.User = me.Username
	}
	return &system{o}, nil
}

// Kind implements cluster.System.
func (s *system) Kind() string { return "gridengine" }

// Directives implements cluster.System: all is in qsub's arguments.
func (s *system) Directives(queue.Spec) ([]string, error) { return nil, nil }

// ScriptMode implements cluster.System: qsub reads the script.
func (s *system) ScriptMode() os.FileMode { return 0 }

// ValidID implements cluster.System. qdel would take '*' for all jobs.
func (s *system) ValidID(id string) bool {
	_, err := strconv.ParseUint(id, 10, 32)
	return err == nil && id[0] != '+'
}

// arguments are those of qsub for a submission.
func (s *system) arguments(spec queue.Spec, script string) []string {
	args := []string{
		// The script's interpreter is csh where nobody says anything else, and a
		// home or output file that cannot be opened holds a job for ever.
		"-terse", "-N", spec.Name, "-S", "/bin/sh", "-wd", "/", "-r", "n", "-o", "/dev/null", "-j", "y",
	}
	add := func(option, value string) {
		if value != "" {
			args = append(args, option, value)
		}
	}
	add("-q", s.Queue)
	add("-P", s.Project)
	add("-A", s.Account)
	if n := spec.Resources.CPUs; n > 1 {
		args = append(args, "-pe", s.ParallelEnvironment, strconv.Itoa(n))
	}
	for _, r := range s.requests(spec.Resources) {
		args = append(args, "-l", r)
	}
	return append(append(append(args, s.Args...), spec.Args...), script)
}

// requests are the resources that a submission asks for.
func (s *system) requests(r queue.Resources) []string {
	all := append([]string(nil), s.Resources...)
	if r.Memory > 0 && s.MemoryResource != "none" {
		cpus := int64(max(1, r.CPUs))
		all = append(all, fmt.Sprintf("%s=%d", s.MemoryResource, (r.Memory+cpus-1)/cpus))
	}
	if r.WallTime > 0 && s.TimeResource != "none" {
		seconds := (r.WallTime + time.Second - 1) / time.Second
		all = append(all, fmt.Sprintf("%s=%d", s.TimeResource, seconds))
	}
	return all
}

// Submit implements cluster.System.
func (s *system) Submit(ctx context.Context, spec queue.Spec, script string) (string, error) {
	out, err := s.Run(ctx, nil, "qsub", s.arguments(spec, script)...)
	if err != nil {
		return "", err
	}
	if out.ExitCode != 0 {
		return "", refusal(out)
	}
	// A site's warnings may precede it.
	lines := strings.Fields(string(out.Stdout))
	if len(lines) == 0 {
		return "", errors.New("qsub: no ID in its answer")
	}
	return lines[len(lines)-1], nil
}

// Words of qsub by which it surely did not take a job.
var (
	tooMuch = []string{"no suitable queues"} // said with -w e only
	wrong   = []string{
		"job rejected", "job was rejected", "unknown resource", "is not a time value", "is not a memory value",
		"can't resolve hostname", "invalid option", "unable to read script file", "denied:",
	}
)

// refusal is the error of a qsub that failed. Whatever is not known for certain
// leaves open whether the job was taken.
func refusal(out batch.Output) error {
	switch {
	case cluster.Says(out, tooMuch...):
		return fmt.Errorf("%w: qsub: %s", queue.ErrRejected, out.Words())
	case cluster.Says(out, wrong...):
		return fmt.Errorf("%w: qsub: %s", cluster.ErrRefused, out.Words())
	default:
		return fmt.Errorf("qsub: %s", out.Words())
	}
}

// List implements cluster.System.
func (s *system) List(ctx context.Context) ([]cluster.Job, error) {
	out, err := s.Run(ctx, nil, "qstat", "-xml", "-u", s.User)
	if err != nil {
		return nil, err
	}
	if out.ExitCode != 0 {
		return nil, fmt.Errorf("qstat: %s", out.Words())
	}
	return parseQstat(out.Stdout)
}

// History implements cluster.System. qacct takes one job at a time.
func (s *system) History(ctx context.Context, ids []string) ([]cluster.Job, error) {
	var all []cluster.Job
	for _, id := range ids {
		jobs, err := s.qacct(ctx, id)
		if err != nil {
			return nil, err
		}
		all = append(all, jobs...)
	}
	return all, nil
}

// HistoryByName implements cluster.System.
func (s *system) HistoryByName(ctx context.Context, name string) ([]cluster.Job, error) {
	return s.qacct(ctx, name) // a name begins with a letter, so it is no ID
}

func (s *system) qacct(ctx context.Context, which string) ([]cluster.Job, error) {
	if s.NoAccounting {
		return nil, nil
	}
	out, err := s.Run(ctx, nil, "qacct", "-j", which)
	if err != nil {
		return nil, err
	}
	if out.ExitCode != 0 {
		// There is no accounting file before the first job has ended.
		if cluster.Says(out, " not found", "no jobs running since startup") {
			return nil, nil
		}
		return nil, fmt.Errorf("qacct: %s", out.Words())
	}
	return parseQacct(out.Stdout)
}

// Delete implements cluster.System.
func (s *system) Delete(ctx context.Context, id string) error {
	out, err := s.Run(ctx, nil, "qdel", id)
	if err != nil {
		return err
	}
	if out.ExitCode != 0 && !cluster.Says(out, "does not exist", "is already in deletion") {
		return fmt.Errorf("qdel: %s", out.Words())
	}
	return nil
}

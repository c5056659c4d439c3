package pbs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
	"longhaul/internal/queue/cluster"
)

// Options is what New needs to know. Only Dir is needed; what is left open
// stays open for PBS to decide.
type Options struct {
	cluster.Options
	Torque  bool   // and not OpenPBS
	Queue   string // -q
	Account string // -A
	Project string // -P; OpenPBS only
	// Property is what a node must have: for Torque a node property, for
	// OpenPBS a resource such as "bigmem=true".
	Property string
	Args     []string // more of qsub
	User     string   // whose jobs; empty: the caller
}

// New returns a Manager of PBS. It asks it nothing yet.
func New(o Options) (*cluster.Manager, error) {
	if o.Torque && o.Project != "" {
		return nil, errors.New("pbs: Torque has no projects; its accounts are Account")
	}
	if o.User == "" {
		me, err := user.Current()
		if err != nil {
			return nil, fmt.Errorf("pbs: %w", err)
		}
		o.User = me.Username
	}
	if o.HistoryMax == 0 {
		o.HistoryMax = 200 // one command for all
	}
	return cluster.New(&system{o}, o.Options)
}

type system struct{ Options }

var _ cluster.System = (*system)(nil)

// Kind implements cluster.System.
func (s *system) Kind() string { return "pbs" }

// Directives implements cluster.System: all is in qsub's arguments.
func (s *system) Directives(queue.Spec) ([]string, error) { return nil, nil }

// ScriptMode implements cluster.System: qsub reads the script.
func (s *system) ScriptMode() os.FileMode { return 0 }

var idForm = regexp.MustCompile(`^[0-9]+(\.[A-Za-z0-9][A-Za-z0-9._-]*)?$`)

// ValidID implements cluster.System: a number and the server's name.
func (s *system) ValidID(id string) bool { return len(id) <= 80 && idForm.MatchString(id) }

// arguments are those of qsub for a submission.
func (s *system) arguments(spec queue.Spec, script string) []string {
	args := []string{"-N", spec.Name, "-S", "/bin/sh", "-r", "n", "-j", "oe", "-o", "/dev/null"}
	add := func(option, value string) {
		if value != "" {
			args = append(args, option, value)
		}
	}
	add("-q", s.Queue)
	add("-A", s.Account)
	add("-P", s.Project)
	if s.Torque {
		add("-d", "/") // a home that is missing on the node would end the job
	}
	for _, l := range s.resources(spec.Resources) {
		add("-l", l)
	}
	return append(append(append(args, s.Args...), spec.Args...), script)
}

// resources are what a submission asks for with -l.
func (s *system) resources(r queue.Resources) []string {
	var all []string
	cpus, mem := strconv.Itoa(max(1, r.CPUs)), ""
	if r.Memory > 0 {
		mem = fmt.Sprintf("mem=%db", r.Memory)
	}
	if s.Torque {
		all = append(all, colons("nodes=1", "ppn="+cpus, s.Property))
		if mem != "" {
			all = append(all, mem)
		}
	} else {
		all = append(all, colons("select=1", "ncpus="+cpus, mem, s.Property))
	}
	if r.WallTime > 0 {
		all = append(all, fmt.Sprintf("walltime=%d", (r.WallTime+time.Second-1)/time.Second))
	}
	return all
}

// colons joins what is not empty.
func colons(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), ":")
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
	words := strings.Fields(string(out.Stdout))
	if len(words) == 0 {
		return "", errors.New("qsub: no ID in its answer")
	}
	return words[len(words)-1], nil
}

// Words of qsub by which it surely did not take a job.
var (
	tooMuch = []string{"exceeds queue and/or server resource limits", "exceeds queue resource limits", "rejected by all possible destinations"}
	wrong   = []string{
		"unknown queue", "illegal attribute or resource value", "unknown resource", "unauthorized request",
		"bad uid for job execution", "queue is not enabled", "invalid account", "invalid project", "would exceed",
		"maximum number of jobs already in queue", "usage:", "illegal -", "access to queue is denied", "permission denied",
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
	args := []string{"-f", "-F", "json"}
	if s.Torque {
		args = []string{"-x"}
	}
	out, err := s.Run(ctx, nil, "qstat", args...)
	if err != nil {
		return nil, err
	}
	if out.ExitCode != 0 {
		return nil, fmt.Errorf("qstat: %s", out.Words())
	}
	if s.Torque && len(bytes.TrimSpace(out.Stdout)) == 0 {
		return nil, cluster.ErrSilent
	}
	return s.parse(out.Stdout)
}

// parse reads qstat's answer, and leaves out other people's jobs.
func (s *system) parse(text []byte) ([]cluster.Job, error) {
	parse := parseJSON
	if s.Torque {
		parse = parseXML
	}
	all, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("read qstat's answer: %w", err)
	}
	var jobs []cluster.Job
	for _, a := range all {
		if owner, _, _ := strings.Cut(a.owner, "@"); owner == s.User {
			jobs = append(jobs, a.job(s.Torque))
		}
	}
	return jobs, nil
}

// Exit statuses of qstat and qdel, the last eight bits of PBSE_UNKJOBID
// (15001) and PBSE_HISTJOBID (15139).
const (
	statusUnknown = 153
	statusEnded   = 35
)

// history looks into the history: for some IDs, or for all that is in it.
func (s *system) history(ctx context.Context, ids []string) ([]cluster.Job, error) {
	if s.Torque {
		return nil, nil
	}
	out, err := s.Run(ctx, nil, "qstat", append([]string{"-x", "-f", "-F", "json"}, ids...)...)
	if err != nil {
		return nil, err
	}
	switch {
	case cluster.Says(out, "not configured to maintain job history"):
		return nil, nil
	case out.ExitCode == statusUnknown && len(strings.TrimSpace(string(out.Stdout))) == 0:
		return nil, nil
	case out.ExitCode != 0 && out.ExitCode != statusUnknown:
		return nil, fmt.Errorf("qstat: %s", out.Words())
	}
	return s.parse(out.Stdout)
}

// History implements cluster.System.
func (s *system) History(ctx context.Context, ids []string) ([]cluster.Job, error) {
	return s.history(ctx, ids)
}

// HistoryByName implements cluster.System: qstat does not choose by names.
func (s *system) HistoryByName(ctx context.Context, name string) ([]cluster.Job, error) {
	jobs, err := s.history(ctx, nil)
	return slices.DeleteFunc(jobs, func(j cluster.Job) bool { return j.Name != name }), err
}

// Delete implements cluster.System.
func (s *system) Delete(ctx context.Context, id string) error {
	out, err := s.Run(ctx, nil, "qdel", id)
	if err != nil {
		return err
	}
	gone := out.ExitCode == statusUnknown || out.ExitCode == statusEnded ||
		cluster.Says(out, "unknown job id", "job has finished", "invalid state for job - complete")
	if out.ExitCode != 0 && !gone {
		return fmt.Errorf("qdel: %s", out.Words())
	}
	return nil
}

package htcondor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"regexp"
	"strings"

	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
	"longhaul/internal/queue/cluster"
)

// Options is what New needs to know. Only Dir is needed; what is left open
// stays open for HTCondor to decide.
type Options struct {
	cluster.Options
	// Schedd is whose queue jobs go into (-name), and Pool the collector that
	// knows it (-pool).
	Schedd, Pool string
	// AccountingGroup is whom the jobs' use is charged to.
	AccountingGroup string
	// Requirements is a ClassAd expression that a slot must meet, such as
	// `HasAVX2 && TARGET.Disk > 50000000`: the original's node property.
	Requirements string
	// Submit is more lines of the submit description, such as "+WantGlidein = true".
	Submit []string
	User   string // whose jobs; empty: the caller
}

// New returns a Manager of HTCondor. It asks it nothing yet.
func New(o Options) (*cluster.Manager, error) {
	if err := checkLines(append([]string{o.AccountingGroup, o.Requirements}, o.Submit...)); err != nil {
		return nil, fmt.Errorf("htcondor: %w", err)
	}
	if o.User == "" {
		me, err := user.Current()
		if err != nil {
			return nil, fmt.Errorf("htcondor: %w", err)
		}
		o.User = me.Username
	}
	if o.HistoryMax == 0 {
		o.HistoryMax = 200 // one command for all
	}
	return cluster.New(&system{o}, o.Options)
}

// checkLines refuses what would not be one line of a submit description, or
// would submit a second job.
func checkLines(lines []string) error {
	for _, line := range lines {
		if strings.ContainsAny(line, "\n\r\x00") || strings.HasPrefix(strings.ToLower(strings.TrimSpace(line)), "queue") {
			return fmt.Errorf("%q cannot be a line of a submit description", line)
		}
	}
	return nil
}

type system struct{ Options }

var _ cluster.System = (*system)(nil)

// Kind implements cluster.System.
func (s *system) Kind() string { return "htcondor" }

// Directives implements cluster.System: all is in the submit description.
func (s *system) Directives(queue.Spec) ([]string, error) { return nil, nil }

// ScriptMode implements cluster.System: nodes run the script where it is.
func (s *system) ScriptMode() os.FileMode { return batch.ExecMode }

var idForm = regexp.MustCompile(`^[0-9]{1,18}\.[0-9]{1,18}$`)

// ValidID implements cluster.System: a cluster and a process.
func (s *system) ValidID(id string) bool { return idForm.MatchString(id) }

// run runs a command on the configured queue.
func (s *system) run(ctx context.Context, stdin []byte, program string, args ...string) (batch.Output, error) {
	var where []string
	if s.Schedd != "" {
		where = append(where, "-name", s.Schedd)
	}
	if s.Pool != "" {
		where = append(where, "-pool", s.Pool)
	}
	return s.Run(ctx, stdin, program, append(where, args...)...)
}

var terse = regexp.MustCompile(`(?m)^([0-9]+\.[0-9]+) - [0-9]+\.[0-9]+\s*$`)

// Submit implements cluster.System.
func (s *system) Submit(ctx context.Context, spec queue.Spec, script string) (string, error) {
	text, err := s.description(spec, script)
	if err != nil {
		return "", err
	}
	out, err := s.run(ctx, text, "condor_submit", "-terse", "-")
	if err != nil {
		return "", err
	}
	if out.ExitCode != 0 {
		return "", refusal(out)
	}
	id := terse.FindSubmatch(out.Stdout)
	if id == nil {
		return "", fmt.Errorf("condor_submit: no ID in its answer: %s", out.Words())
	}
	return string(id[1]), nil
}

// Words of condor_submit by which it surely did not take a job.
var (
	tooMuch = []string{"failed submit_requirement", "submit_requirement"}
	wrong   = []string{"failed to parse", "parse error", "invalid", "is not defined", "no such user", "permission denied to submit", "submits_per_user"}
)

// refusal is the error of a condor_submit that failed. Whatever is not known
// for certain leaves open whether the job was taken.
func refusal(out batch.Output) error {
	switch {
	case cluster.Says(out, tooMuch...):
		return fmt.Errorf("%w: condor_submit: %s", queue.ErrRejected, out.Words())
	case cluster.Says(out, wrong...):
		return fmt.Errorf("%w: condor_submit: %s", cluster.ErrRefused, out.Words())
	default:
		return fmt.Errorf("condor_submit: %s", out.Words())
	}
}

// List implements cluster.System.
func (s *system) List(ctx context.Context) ([]cluster.Job, error) {
	out, err := s.run(ctx, nil, "condor_q", "-json", "-attributes", attributes, "-constraint", s.mine(""))
	if err != nil {
		return nil, err
	}
	if out.ExitCode != 0 {
		return nil, fmt.Errorf("condor_q: %s", out.Words())
	}
	if len(bytes.TrimSpace(out.Stdout)) == 0 {
		return nil, cluster.ErrSilent
	}
	return parse(out.Stdout, false)
}

// mine is the constraint of the user's jobs, and another if there is one.
func (s *system) mine(and string) string {
	c := fmt.Sprintf("Owner == %q", s.User)
	if and != "" {
		c += " && (" + and + ")"
	}
	return c
}

// History implements cluster.System.
func (s *system) History(ctx context.Context, ids []string) ([]cluster.Job, error) {
	var these []string
	for _, id := range ids {
		cluster, proc, _ := strings.Cut(id, ".")
		these = append(these, fmt.Sprintf("ClusterId == %s && ProcId == %s", cluster, proc))
	}
	return s.history(ctx, strings.Join(these, " || "), len(ids))
}

// HistoryByName implements cluster.System.
func (s *system) HistoryByName(ctx context.Context, name string) ([]cluster.Job, error) {
	return s.history(ctx, fmt.Sprintf("JobBatchName == %q", name), 1)
}

// history looks from the newest end until it has found as many as there are.
func (s *system) history(ctx context.Context, which string, most int) ([]cluster.Job, error) {
	out, err := s.run(ctx, nil, "condor_history", "-json", "-attributes", attributes,
		"-match", fmt.Sprint(most), "-constraint", s.mine(which))
	if err != nil {
		return nil, err
	}
	if out.ExitCode != 0 {
		return nil, fmt.Errorf("condor_history: %s", out.Words())
	}
	if len(bytes.TrimSpace(out.Stdout)) == 0 {
		return nil, nil // not known; nothing is concluded from it
	}
	return parse(out.Stdout, true)
}

// Delete implements cluster.System.
func (s *system) Delete(ctx context.Context, id string) error {
	out, err := s.run(ctx, nil, "condor_rm", id)
	if err != nil {
		return err
	}
	if out.ExitCode != 0 && !cluster.Says(out, "not found", "couldn't find/remove", "already completed") {
		return errors.New("condor_rm: " + out.Words())
	}
	return nil
}

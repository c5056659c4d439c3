package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"

	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
	"longhaul/internal/queue/cluster"
)

// Options is what New needs to know. Dir and all commands but History are needed.
type Options struct {
	cluster.Options
	// The commands, a program and its arguments each, as the package comment says.
	Submit, Poll, Find, Delete, History []string
	User                                string // what {user} stands for; empty: the caller
}

// Exit statuses by which a command says something.
const (
	statusRejected = 65 // this job will never be taken
	statusNone     = 66 // there is no such job
	statusRefused  = 78 // not taken, and not for what the job is
)

// New returns a Manager of a batch system by its configured commands. It runs
// none of them yet, and says everything that is wrong with them at once.
func New(o Options) (*cluster.Manager, error) {
	if o.User == "" {
		me, err := user.Current()
		if err != nil {
			return nil, fmt.Errorf("exec: %w", err)
		}
		o.User = me.Username
	}
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("exec: %w", err)
	}
	return cluster.New(&system{o}, o.Options)
}

// check reports everything that is wrong with the commands, for a look at the
// configuration before anything is started.
func (o Options) check() error {
	var errs []error
	for _, c := range []struct {
		name     string
		argv     []string
		allowed  []string
		needed   string
		optional bool
	}{
		{"submit", o.Submit, append([]string{"script", "name"}, resourceNames...), "script", false},
		{"poll", o.Poll, nil, "", false},
		{"find", o.Find, []string{"name"}, "name", false},
		{"delete", o.Delete, []string{"id"}, "id", false},
		{"history", o.History, []string{"id"}, "id", true},
	} {
		if len(c.argv) == 0 || c.argv[0] == "" {
			if !c.optional {
				errs = append(errs, fmt.Errorf("the command %s is missing", c.name))
			}
			continue
		}
		if err := checkArguments(c.argv, append(c.allowed, "user", "dir"), c.needed); err != nil {
			errs = append(errs, fmt.Errorf("the command %s: %w", c.name, err))
		}
	}
	return errors.Join(errs...)
}

type system struct{ Options }

var _ cluster.System = (*system)(nil)

// Kind implements cluster.System.
func (s *system) Kind() string { return "exec" }

// Directives implements cluster.System: all is in the submit command's arguments.
func (s *system) Directives(queue.Spec) ([]string, error) { return nil, nil }

// ScriptMode implements cluster.System.
func (s *system) ScriptMode() os.FileMode { return batch.ExecMode }

// ValidID implements cluster.System: any word that is no option.
func (s *system) ValidID(id string) bool {
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return id != "" && len(id) <= 80 && id[0] != '-' && id[0] != '#' && id[0] != '{' && !strings.ContainsAny(id, "*?")
}

// run runs one of the commands.
func (s *system) run(ctx context.Context, argv []string, values map[string]string) (batch.Output, error) {
	values["user"], values["dir"] = s.User, s.Dir
	argv = fill(argv, values)
	return s.Run(ctx, nil, argv[0], argv[1:]...)
}

// Submit implements cluster.System.
func (s *system) Submit(ctx context.Context, spec queue.Spec, script string) (string, error) {
	values := resources(spec)
	values["script"] = script
	// A job's own arguments come first, for a script may have to be the last.
	argv := slices.Concat(s.Options.Submit[:1], spec.Args, s.Options.Submit[1:])
	out, err := s.run(ctx, argv, values)
	if err != nil {
		return "", err
	}
	switch out.ExitCode {
	case 0:
	case statusRejected:
		return "", fmt.Errorf("%w: submit command: %s", queue.ErrRejected, out.Words())
	case statusRefused:
		return "", fmt.Errorf("%w: submit command: %s", cluster.ErrRefused, out.Words())
	default:
		return "", fmt.Errorf("submit command: exit status %d: %s", out.ExitCode, out.Words())
	}
	words := strings.Fields(string(out.Stdout))
	if len(words) == 0 {
		return "", errors.New("submit command: no ID in its answer")
	}
	return words[len(words)-1], nil
}

// told runs a command and reads what it tells of jobs.
func (s *system) told(ctx context.Context, which string, argv []string, values map[string]string) ([]cluster.Job, error) {
	out, err := s.run(ctx, argv, values)
	if err != nil {
		return nil, err
	}
	if out.ExitCode != 0 {
		return nil, fmt.Errorf("%s command: exit status %d: %s", which, out.ExitCode, out.Words())
	}
	jobs, err := parse(out.Stdout)
	if err != nil {
		return nil, fmt.Errorf("%s command: %w", which, err)
	}
	for _, j := range jobs {
		if !s.ValidID(j.ID) {
			return nil, fmt.Errorf("%s command: %.40q is no ID", which, j.ID)
		}
	}
	return jobs, nil
}

// List implements cluster.System.
func (s *system) List(ctx context.Context) ([]cluster.Job, error) {
	jobs, err := s.told(ctx, "poll", s.Poll, map[string]string{})
	if err == nil && len(jobs) == 0 {
		return nil, cluster.ErrSilent
	}
	return jobs, err
}

// History implements cluster.System.
func (s *system) History(ctx context.Context, ids []string) ([]cluster.Job, error) {
	if len(s.Options.History) == 0 {
		return nil, nil
	}
	var all []cluster.Job
	for _, id := range ids {
		jobs, err := s.told(ctx, "history", s.Options.History, map[string]string{"id": id})
		if err != nil {
			return nil, err
		}
		all = append(all, jobs...)
	}
	return all, nil
}

// HistoryByName implements cluster.System.
func (s *system) HistoryByName(ctx context.Context, name string) ([]cluster.Job, error) {
	jobs, err := s.told(ctx, "find", s.Find, map[string]string{"name": name})
	for i := range jobs {
		if jobs[i].Name == "" {
			jobs[i].Name = name // it was asked for no other
		}
	}
	return jobs, err
}

// Delete implements cluster.System.
func (s *system) Delete(ctx context.Context, id string) error {
	out, err := s.run(ctx, s.Options.Delete, map[string]string{"id": id})
	if err != nil {
		return err
	}
	if out.ExitCode != 0 && out.ExitCode != statusNone {
		return fmt.Errorf("delete command: exit status %d: %s", out.ExitCode, out.Words())
	}
	return nil
}

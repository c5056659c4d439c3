package slurm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
	"longhaul/tests/engines"
)

// rig is a Manager on a cluster that nobody else uses.
type rig struct {
	*testing.T
	cluster *engines.Slurm
	m       *Manager
	dir     string // of the jobs' output
	n       int
}

func newRig(t *testing.T, s *engines.Slurm, args ...string) *rig {
	o := options(t, s)
	o.Args = append([]string{"--export=ALL"}, args...)
	return &rig{T: t, cluster: s, m: open(t, o), dir: t.TempDir()}
}

// job is a submission of a shell script.
func (r *rig) job(script string) queue.Spec {
	r.n++
	name := fmt.Sprintf("rig%x-%d", time.Now().UnixNano(), r.n)
	return queue.Spec{
		Name: name, Command: []string{"/bin/sh", "-c", script},
		Stdout: filepath.Join(r.dir, name+".out"), Stderr: filepath.Join(r.dir, name+".err"),
		Resources: queue.Resources{CPUs: 1, Memory: 50 << 20},
	}
}

func (r *rig) submit(spec queue.Spec) queue.Ref {
	r.Helper()
	at := time.Now().Unix()
	id, err := r.m.Submit(r.Context(), spec)
	if err != nil {
		r.Fatalf("Submit: %v", err)
	}
	return queue.Ref{ID: id, Name: spec.Name, Submitted: at}
}

func (r *rig) poll(ref queue.Ref) queue.State {
	r.Helper()
	states, err := r.m.Poll(r.Context(), []queue.Ref{ref})
	if err != nil {
		r.Fatalf("Poll: %v", err)
	}
	return states[ref]
}

// until polls until a submission is as it should be.
func (r *rig) until(ref queue.Ref, what string, cond func(queue.State) bool) queue.State {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 50*time.Second)
	defer cancel()
	var s queue.State
	err := engines.Until(ctx, what, func() error {
		if s = r.poll(ref); !cond(s) {
			return fmt.Errorf("%s is %s", ref.Name, brief(s))
		}
		return nil
	})
	if err != nil {
		r.Fatal(err)
	}
	return s
}

func (r *rig) await(ref queue.Ref, phase queue.Phase) queue.State {
	r.Helper()
	return r.until(ref, ref.Name+" to be "+phase.String(), func(s queue.State) bool { return s.Phase == phase })
}

func (r *rig) ask(command string, args ...string) string {
	r.Helper()
	out, err := r.cluster.Ask(r.Context(), command, args...)
	if err != nil {
		r.Fatal(err)
	}
	return out
}

// Ends that Slurm makes, some of which take it half a minute: all at a time.
func TestEndsOfARealSlurm(t *testing.T) {
	t.Parallel()
	s := cluster(t, engines.SlurmOptions{Nodes: 2, CPUs: 4, NodeTimeout: 10 * time.Second})
	r, second := newRig(t, s, "--nodelist=n1"), newRig(t, s, "--nodelist=n2")

	limit, node := r.submit(r.job(`sleep 600`)), second.submit(second.job(`exec sleep 600`))
	r.await(limit, queue.Running)
	if got := second.await(node, queue.Running).Node; got != "n2" {
		t.Errorf("the job that asked for n2 runs on %q", got)
	}
	r.ask("scontrol", "update", "JobId="+limit.ID, "EndTime=now") // -t counts whole minutes
	if err := s.KillNode(2); err != nil {
		t.Fatal(err)
	}

	t.Run("memory", func(t *testing.T) {
		// One that is larger than it may be, until slurmstepd looks.
		ref := r.submit(r.job(`x=$(head -c 200000000 /dev/zero | tr '\0' a); sleep 600`))
		if st := r.await(ref, queue.Finished); st.Reason != queue.OutOfMemory {
			t.Errorf("it ended %s", brief(st))
		}
	})
	t.Run("output that cannot be opened", func(t *testing.T) {
		spec := r.job(`:`)
		spec.Stderr = filepath.Join(r.dir, "missing", "e")
		if st := r.await(r.submit(spec), queue.Finished); st.Reason != queue.NodeFailed || st.Succeeded() {
			t.Errorf("it ended %s", brief(st))
		}
	})
	t.Run("what never starts says so", func(t *testing.T) {
		spec := r.job(`:`)
		spec.Resources.CPUs = 99
		ref := r.submit(spec)
		st := r.until(ref, "a reason", func(s queue.State) bool { return s.Detail != "" })
		if st.Phase != queue.Queued || !strings.HasPrefix(st.Detail, NeverStarts) {
			t.Errorf("it is %s", brief(st))
		}
		if err := r.m.Delete(t.Context(), ref.ID); err != nil {
			t.Error(err)
		}
	})
	t.Run("odd paths", func(t *testing.T) {
		for _, odd := range []string{"100%j", `back\slash`, `b\%j`, "bl ank", "it's,a|b", `"q"`, "größe"} {
			spec := r.job(`echo out; echo err >&2`)
			dir := filepath.Join(r.dir, odd)
			if err := os.Mkdir(dir, 0o750); err != nil {
				t.Fatal(err)
			}
			spec.Stdout, spec.Stderr = filepath.Join(dir, "o"), filepath.Join(dir, "e")
			ref := r.submit(spec)
			r.await(ref, queue.Finished)
			if text, err := os.ReadFile(spec.Stdout); string(text) != "out\n" {
				t.Errorf("%s: %q, %v", odd, text, err)
			}
			if text, err := r.m.Errors(t.Context(), ref.ID); text != "err\n" || err != nil {
				t.Errorf("Errors in %s: %q, %v", odd, text, err)
			}
		}
	})
	t.Run("refusals", func(t *testing.T) {
		for _, tt := range []struct {
			arg  string
			want error
		}{
			{"--partition=nosuch", ErrConfiguration}, {"--constraint=nosuch", ErrConfiguration}, {"--frob", ErrConfiguration},
			{"--exclude=n1,n2", queue.ErrRejected}, {"--export=NONE", nil},
		} {
			bad := newRig(t, s, tt.arg)
			if err := bad.m.Check(t.Context(), queue.Resources{CPUs: 1}); !errors.Is(err, tt.want) {
				t.Errorf("Check with %s = %v, want %v", tt.arg, err, tt.want)
			}
			if _, err := bad.m.Submit(t.Context(), bad.job(`:`)); !errors.Is(err, tt.want) {
				t.Errorf("Submit with %s = %v, want %v", tt.arg, err, tt.want)
			}
		}
		if err := r.m.Check(t.Context(), queue.Resources{Memory: 1 << 50}); !errors.Is(err, queue.ErrRejected) {
			t.Errorf("Check of a petabyte = %v", err)
		}
	})
	t.Run("the environment of a login, not ours", func(t *testing.T) {
		r := &rig{T: t, cluster: s, m: open(t, options(t, s)), dir: r.dir}
		spec := r.job(`echo "$SLURM_EXPORT_ENV ${LONGHAUL_OURS-none}"; test -n "$HOME" && test -n "$PATH"`)
		if st := r.await(r.submit(spec), queue.Finished); !st.Succeeded() {
			t.Errorf("it ended %s", brief(st))
		}
		if text, err := os.ReadFile(spec.Stdout); string(text) != "ALL none\n" {
			t.Errorf("it has %q, %v", text, err)
		}
	})
	t.Run("a left-out node", func(t *testing.T) {
		o := options(t, s)
		o.Args, o.ExcludeFor = []string{"--export=ALL"}, time.Hour
		m := open(t, o)
		m.nodes.exclude(ExcludedNode{"n1", time.Now().Add(time.Minute), "test"})
		r := &rig{T: t, cluster: s, m: m, dir: r.dir}
		ref := r.submit(r.job(`:`))
		if out := r.ask("scontrol", "show", "job", ref.ID); !strings.Contains(out, "ExcNodeList=n1\n") {
			t.Errorf("it was not left out: %s", out)
		}
		if err := m.Delete(t.Context(), ref.ID); err != nil {
			t.Error(err)
		}
	})

	if st := r.await(limit, queue.Finished); st.Reason != queue.TimedOut {
		t.Errorf("the job with a limit ended %s", brief(st))
	}
	if st := second.await(node, queue.Finished); st.Reason != queue.NodeFailed || st.Node != "n2" {
		t.Errorf("the job whose node died ended %s on %q", brief(st), st.Node)
	}
	if err := s.StartNode(2); err != nil {
		t.Fatal(err)
	}
}

// What the controller forgets, and what happens while servers are away.
func TestForgottenJobsAndMissingServers(t *testing.T) {
	t.Parallel()
	s := cluster(t, engines.SlurmOptions{Accounting: true, MinJobAge: 2 * time.Second})
	r := newRig(t, s)
	seven, high := r.submit(r.job(`exit 7`)), r.submit(r.job(`exit 130`))
	spec := r.job(`printf '{"name":"%s","exit_code":130,"ended_at":"2026-01-01T00:00:00Z"}' "$NAME" > "$LONGHAUL_EXIT_RECORD"; exit 130`)
	spec.Env = map[string]string{"NAME": spec.Name}
	recorded := r.submit(spec)
	for ref, code := range map[queue.Ref]int{seven: 7, high: 130, recorded: 130} {
		if st := r.await(ref, queue.Finished); st.Reason != queue.Exited || st.ExitCode != code {
			t.Errorf("%s ended %s", ref.Name, brief(st))
		}
	}
	running := r.submit(r.job(`while [ ! -e ` + r.dir + `/go ]; do sleep 0.1; done; exit 3`))
	r.await(running, queue.Running)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	err := engines.Until(ctx, "the controller to forget", func() error {
		jobs, err := r.m.askJobs(ctx)
		if err == nil && len(jobs) > 1 {
			err = fmt.Errorf("%d jobs are left", len(jobs))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[queue.Ref]string{
		seven: "finished, exited, 7: exit status 7 or 135", high: "finished, exited, 2: exit status 2 or 130", recorded: "finished, exited, 130",
	} {
		if got := brief(r.poll(ref)); got != want {
			t.Errorf("%s, forgotten, is %q, want %q", ref.Name, got, want)
		}
		if id, err := r.m.Find(t.Context(), ref.Name); id != ref.ID || err != nil {
			t.Errorf("Find of %s, forgotten: %q, %v", ref.Name, id, err)
		}
		if err := r.m.Delete(t.Context(), ref.ID); err != nil {
			t.Errorf("Delete of %s, forgotten: %v", ref.Name, err)
		}
	}
	t.Run("no accounting service", func(t *testing.T) { noAccounting(t, r, seven, recorded) })
	t.Run("no authentication", func(t *testing.T) { noMunge(t, r, running) })
	t.Run("no controller", func(t *testing.T) { noController(t, r, running) })
	if err := os.WriteFile(filepath.Join(r.dir, "go"), nil, 0o640); err != nil {
		t.Fatal(err)
	}
	if st := r.await(running, queue.Finished); st.ExitCode != 3 {
		t.Errorf("the job that ran all the time ended %s", brief(st))
	}
}

func noAccounting(t *testing.T, r *rig, forgotten, recorded queue.Ref) {
	if err := r.cluster.StopAccounting(); err != nil {
		t.Fatal(err)
	}
	if states, err := r.m.Poll(t.Context(), []queue.Ref{forgotten}); !errors.Is(err, pipeline.ErrOutage) {
		t.Errorf("Poll of a forgotten job = %v, %v, want an outage", states, err)
	}
	if st := r.poll(recorded); st.ExitCode != 130 {
		t.Errorf("a forgotten job with a record is %s", brief(st))
	}
	if id, err := r.m.Find(t.Context(), "never"); !errors.Is(err, pipeline.ErrOutage) {
		t.Errorf("Find of a job that never was = %q, %v, want an outage", id, err)
	}
	if st := r.await(r.submit(r.job(`exit 5`)), queue.Finished); st.ExitCode != 5 {
		t.Errorf("a job meanwhile ended %s", brief(st))
	}
	if err := r.cluster.StartAccounting(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := r.poll(forgotten); st.ExitCode != 7 {
		t.Errorf("when it is back, the forgotten job is %s", brief(st))
	}
}

// allOutages: nothing is concluded, whatever is asked.
func allOutages(t *testing.T, m *Manager, spec queue.Spec, running queue.Ref) {
	t.Helper()
	_, err1 := m.Submit(t.Context(), spec)
	_, err2 := m.Find(t.Context(), running.Name)
	_, err3 := m.Poll(t.Context(), []queue.Ref{running})
	_, _, err4 := m.Status(t.Context())
	err5 := m.Delete(t.Context(), running.ID)
	_, err6 := m.Errors(t.Context(), running.ID)
	for i, err := range []error{err1, err2, err3, err4, err5, err6} {
		if !errors.Is(err, pipeline.ErrOutage) || errors.Is(err, queue.ErrRejected) || errors.Is(err, queue.ErrUnknown) || errors.Is(err, ErrConfiguration) {
			t.Errorf("%s = %v, want an outage", []string{"Submit", "Find", "Poll", "Status", "Delete", "Errors"}[i], err)
		}
	}
}

func noMunge(t *testing.T, r *rig, running queue.Ref) {
	if err := r.cluster.StopMunge(); err != nil {
		t.Fatal(err)
	}
	o := r.m.opt
	o.Commands = batch.Runner{Timeout: time.Second, Env: NewRunner(o).Env}
	allOutages(t, open(t, o), r.job(`:`), running)
	if err := r.cluster.StartMunge(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.await(running, queue.Running)
}

func noController(t *testing.T, r *rig, running queue.Ref) {
	if err := r.cluster.KillController(); err != nil {
		t.Fatal(err)
	}
	// Slurm's commands need nine seconds to give up.
	o := r.m.opt
	o.Commands = batch.Runner{Timeout: 500 * time.Millisecond, Env: NewRunner(o).Env}
	allOutages(t, open(t, o), r.job(`:`), running)
	if err := r.cluster.StartController(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.await(running, queue.Running)
	again := r.submit(r.job(`exit 6`))
	if st := r.await(again, queue.Finished); st.ExitCode != 6 {
		t.Errorf("a job after its return ended %s", brief(st))
	}
}

package gridengine

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/queue/cluster"
	"longhaul/tests/engines"
)

// shell returns the specification of a job that runs a shell script in dir.
func shell(dir, name, script string) queue.Spec {
	return queue.Spec{
		Name: name, Command: []string{"/bin/sh", "-c", script}, Env: map[string]string{"DIR": dir},
		Stdout: filepath.Join(dir, name+".out"), Stderr: filepath.Join(dir, name+".err"),
	}
}

func submit(t *testing.T, m *cluster.Manager, spec queue.Spec) queue.Ref {
	t.Helper()
	id, err := m.Submit(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return queue.Ref{ID: id, Name: spec.Name, Submitted: time.Now().Unix()}
}

// await polls until a job is as it should be.
func await(t *testing.T, m *cluster.Manager, ref queue.Ref, what string, is func(queue.State) bool) queue.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var last queue.State
	err := engines.Until(ctx, what, func() error {
		states, err := m.Poll(ctx, []queue.Ref{ref})
		if err != nil {
			return err
		}
		if last = states[ref]; !is(last) {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s is %+v: %v", ref.Name, last, err)
	}
	return last
}

func finished(s queue.State) bool { return s.Phase == queue.Finished }
func running(s queue.State) bool  { return s.Phase == queue.Running }

func run(t *testing.T, c engines.Command) {
	t.Helper()
	if _, err := engines.Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func TestEveryEndHasItsReason(t *testing.T) {
	t.Parallel()
	g, dir := start(t), t.TempDir()
	o := options(g, dir)
	o.PollEvery = 300 * time.Millisecond
	m := open(t, o)
	rerun := o
	rerun.Args = []string{"-r", "y"}

	long := shell(dir, "long", "sleep 600")
	long.Resources.WallTime = 1500 * time.Millisecond
	// Each of the three has room enough, all together have not.
	fat := shell(dir, "fat", `for i in 1 2 3; do perl -e 'my $a = "x" x 60e6; sleep 600' & done; wait`)
	fat.Resources.Memory = 200 << 20
	wide := shell(dir, "wide", `echo "$NSLOTS" > "$DIR/slots"; kill -TERM $$`)
	wide.Resources.CPUs = 2
	moved := submit(t, open(t, rerun), shell(dir, "moved", "sleep 600"))

	for _, tt := range []struct {
		spec   queue.Spec
		reason queue.Reason
		code   int
		detail string
	}{
		{long, queue.TimedOut, 137, "h_rt"},
		{fat, queue.OutOfMemory, 137, "h_vmem"},
		{wide, queue.Signaled, 143, ""},
		{shell(dir, "seventy", "exit 70"), queue.Exited, 70, ""},
	} {
		ref := submit(t, m, tt.spec)
		s := await(t, m, ref, "its end", finished)
		if s.Reason != tt.reason || s.ExitCode != tt.code || !strings.Contains(s.Detail, tt.detail) {
			t.Errorf("%s ended %+v, want %s, %d", tt.spec.Name, s, tt.reason, tt.code)
		}
	}

	await(t, m, moved, "to run", running)
	run(t, g.Command("qmod", "-sj", moved.ID))
	await(t, m, moved, "suspension", func(s queue.State) bool { return running(s) && s.Detail == "suspended" })
	run(t, g.Command("qmod", "-usj", moved.ID))
	run(t, g.Command("qmod", "-rj", moved.ID))
	await(t, m, moved, "to be requeued", func(s queue.State) bool { return strings.Contains(s.Detail, "requeued") })
	await(t, m, moved, "to run again", running)
	if err := m.Delete(t.Context(), moved.ID); err != nil {
		t.Error(err)
	}
	if s := await(t, m, moved, "its end", finished); s.Reason != queue.Cancelled {
		t.Errorf("a requeued job that was deleted ended %+v", s)
	}
}

func TestWhatCannotStartStaysQueuedWithAWordOnIt(t *testing.T) {
	t.Parallel()
	g, dir := start(t), t.TempDir()
	o := options(g, dir)
	o.PollEvery = 300 * time.Millisecond
	m := open(t, o)
	o.Args = []string{"-h"}
	held := submit(t, open(t, o), shell(dir, "held", ":"))
	await(t, m, held, "to be held", func(s queue.State) bool { return s.Phase == queue.Queued && s.Detail == "held" })
	stuck := submit(t, m, shell(dir, "stuck", "exit 100")) // Grid Engine's own sense of it
	await(t, m, stuck, "to be stuck", func(s queue.State) bool {
		return s.Phase == queue.Queued && strings.Contains(s.Detail, "error state")
	})
	if r, q, err := m.Status(t.Context()); r != 0 || q != 2 || err != nil {
		t.Errorf("Status = %d, %d, %v, want two that wait", r, q, err)
	}
}

func TestWithoutAnAnswerNothingIsKnown(t *testing.T) {
	t.Parallel()
	g, dir := start(t), t.TempDir()
	m := open(t, options(g, dir))
	ref := submit(t, m, shell(dir, "job", "sleep 600"))
	await(t, m, ref, "to run", running)
	if err := g.StopMaster(); err != nil {
		t.Fatal(err)
	}
	_, errPoll := m.Poll(t.Context(), []queue.Ref{ref})
	_, _, errStatus := m.Status(t.Context())
	_, errFind := m.Find(t.Context(), "job")
	_, errSubmit := m.Submit(t.Context(), shell(dir, "other", ":"))
	for what, err := range map[string]error{
		"Poll": errPoll, "Status": errStatus, "Find": errFind, "Submit": errSubmit, "Delete": m.Delete(t.Context(), ref.ID),
	} {
		if !errors.Is(err, pipeline.ErrOutage) {
			t.Errorf("%s without a qmaster = %v, want an outage", what, err)
		}
	}
	if err := g.StartMaster(t.Context()); err != nil {
		t.Fatal(err)
	}
	if states, err := m.Poll(t.Context(), []queue.Ref{ref}); err != nil || !running(states[ref]) {
		t.Errorf("with a new qmaster the job is %+v, %v, want running", states[ref], err)
	}
	if id, err := m.Find(t.Context(), "job"); id != ref.ID || err != nil {
		t.Errorf("with a new qmaster Find = %q, %v, want %q", id, err, ref.ID)
	}
}

func TestRefusalsOfOneJobAndOfAll(t *testing.T) {
	t.Parallel()
	g, dir := start(t), t.TempDir()
	for name, tt := range map[string]struct {
		change func(*Options)
		cpus   int
		want   error
	}{
		"more-than-there-is": {func(o *Options) { o.Args = []string{"-w", "e"} }, 900, queue.ErrRejected},
		"no-such-queue":      {func(o *Options) { o.Queue = "nowhere.q" }, 1, pipeline.ErrOutage},
		"no-such-project":    {func(o *Options) { o.Project = "nothing" }, 1, pipeline.ErrOutage},
		"no-such-resource":   {func(o *Options) { o.Resources = []string{"gold=1"} }, 1, pipeline.ErrOutage},
		"no-such-pe":         {func(o *Options) { o.ParallelEnvironment = "mpi" }, 2, pipeline.ErrOutage},
		"no-such-option":     {func(o *Options) { o.Args = []string{"-bogus"} }, 1, pipeline.ErrOutage},
	} {
		o := options(g, dir)
		tt.change(&o)
		m := open(t, o)
		spec := shell(dir, name, ":")
		spec.Resources.CPUs = tt.cpus
		if id, err := m.Submit(t.Context(), spec); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), "qsub: ") {
			t.Errorf("%s: Submit = %q, %v, want %v with qsub's words", name, id, err, tt.want)
		}
		// It is certain at once that it did not arrive.
		if id, err := m.Find(t.Context(), name); !errors.Is(err, queue.ErrUnknown) {
			t.Errorf("%s: Find = %q, %v, want ErrUnknown", name, id, err)
		}
	}
}

package queuefake_test

import (
	"errors"
	"testing"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/queue/queuefake"
)

func spec(name string) queue.Spec {
	return queue.Spec{Name: name, Command: []string{"true"}, Stdout: "/o", Stderr: "/e"}
}

func TestItDoesWhatItIsTold(t *testing.T) {
	t.Parallel()
	m, ctx := queuefake.New(nil), t.Context()
	id, err := m.Submit(ctx, spec("a"))
	if err != nil {
		t.Fatal(err)
	}
	ref := queue.Ref{ID: id, Name: "a"}
	want := func(step string, phase queue.Phase, running, queued int) {
		t.Helper()
		states, err := m.Poll(ctx, []queue.Ref{ref})
		if err != nil || states[ref].Phase != phase {
			t.Errorf("%s: it is %v (%v), want %v", step, states[ref].Phase, err, phase)
		}
		if r, q, err := m.Status(ctx); err != nil || r != running || q != queued {
			t.Errorf("%s: status %d, %d (%v), want %d, %d", step, r, q, err, running, queued)
		}
		found, err := m.Find(ctx, "a")
		if errors.Is(err, pipeline.ErrOutage) {
			return
		}
		if known := phase != queue.Unknown; known != (err == nil && found == id) || known == errors.Is(err, queue.ErrUnknown) {
			t.Errorf("%s: found %q, %v", step, found, err)
		}
	}
	want("submitted", queue.Queued, 0, 1)
	m.Start("a", "node1")
	want("started", queue.Running, 1, 0)
	m.Forget("a")
	want("forgotten", queue.Unknown, 0, 0)
	if _, err := m.Errors(ctx, id); !errors.Is(err, queue.ErrUnknown) {
		t.Errorf("the log of a forgotten job: %v", err)
	}
	if err := m.Delete(ctx, id); !errors.Is(err, queue.ErrUnknown) {
		t.Errorf("deletion of a forgotten job: %v", err)
	}
	m.Recall("a")
	m.Forgetful(true)
	want("all are forgotten", queue.Unknown, 0, 0)
	if _, err := m.Find(ctx, "a"); !errors.Is(err, pipeline.ErrOutage) {
		t.Errorf("found by a batch system that remembers nothing: %v", err)
	}
	m.Forgetful(false)
	want("known again", queue.Running, 1, 0)
	m.End("a", 3, "boom")
	want("ended", queue.Finished, 0, 0)
	if text, err := m.Errors(ctx, id); text != "boom" || err != nil {
		t.Errorf("its log is %q, %v", text, err)
	}
	if j := m.Jobs()[0]; j.Live() || j.State.ExitCode != 3 || j.State.Reason != queue.Exited {
		t.Errorf("it is %+v", j)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	m, ctx := queuefake.New(nil), t.Context()
	submit := func(step, name string, outage bool, taken int) {
		t.Helper()
		_, err := m.Submit(ctx, spec(name))
		if errors.Is(err, pipeline.ErrOutage) != outage || (err != nil) != outage {
			t.Errorf("%s: %v", step, err)
		}
		if n := len(m.Jobs()); n != taken {
			t.Errorf("%s: %d jobs were taken, want %d", step, n, taken)
		}
	}
	m.Down()
	submit("down", "a", true, 0)
	m.Down(queuefake.Poll)
	submit("down for others", "b", false, 1)
	m.Up()
	m.After(func(queuefake.Call) error { return queuefake.Outage() })
	submit("lost reply", "c", true, 2)
	m.Up()
	m.Twice(true)
	submit("taken twice", "d", false, 4)
	m.Twice(false)
	m.Late(true)
	submit("held back", "e", true, 4)
	m.Late(false)
	if n := m.Arrive(); n != 1 || len(m.Jobs()) != 5 {
		t.Errorf("%d arrived, %d are there", n, len(m.Jobs()))
	}
	m.NextID("7", "7")
	submit("an ID", "f", false, 6)
	submit("the same ID", "g", false, 7)
	first, second := queue.Ref{ID: "7", Name: "f"}, queue.Ref{ID: "7", Name: "g"}
	m.Start("g", "node1")
	states, err := m.Poll(ctx, []queue.Ref{first, second})
	if err != nil || states[first].Phase != queue.Queued || states[second].Phase != queue.Running {
		t.Errorf("two jobs of one ID are %+v, %v", states, err)
	}
	if _, err := m.Submit(ctx, queue.Spec{Name: "no command"}); !errors.Is(err, queue.ErrRejected) {
		t.Errorf("a specification without sense: %v", err)
	}
	if n := m.Calls(queuefake.Submit); n != 8 {
		t.Errorf("%d calls of submit were counted, want 8", n)
	}
}

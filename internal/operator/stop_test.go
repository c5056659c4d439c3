package operator

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
)

// fakeManager is a queue manager of one job. Calls that it does not have panic.
type fakeManager struct {
	queue.Manager
	name    string // of the job that has the ID; "" if it knows none
	outage  error
	onStop  func()
	deleted []string
}

func (m *fakeManager) Poll(_ context.Context, refs []queue.Ref) (map[queue.Ref]queue.State, error) {
	states := make(map[queue.Ref]queue.State)
	for _, r := range refs {
		if m.name != "" && r.Matches(m.name, time.Time{}) {
			states[r] = queue.State{Phase: queue.Running}
		} else {
			states[r] = queue.State{}
		}
	}
	return states, m.outage
}

func (m *fakeManager) Delete(_ context.Context, id string) error {
	m.deleted = append(m.deleted, id)
	if m.onStop != nil {
		m.onStop()
	}
	return m.outage
}

// fixture is a job-tracker with one job in the queue, with the ID 4711.
func fixture(t *testing.T, m queue.Manager) (*Operator, pipeline.Submit) {
	t.Helper()
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "jobtracker.db")
	if _, err := jobtracker.Create(ctx, path); err != nil {
		t.Fatal(err)
	}
	store, err := jobtracker.Open(ctx, path, jobtracker.Options{Actor: "somebody"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	file := pipeline.File{Filename: "a.fits", Path: "/raw/a.fits", Size: 1, Product: "mock", GroupKey: "a"}
	check(t, store.AddFiles(ctx, []pipeline.File{file}, ""))
	file, err = store.FileByName(ctx, "a.fits")
	check(t, err)
	ids, err := store.CreateJobs(ctx, jobtracker.NewJob{Name: "a", Product: "mock", GroupKey: "a", Stages: []string{"search"},
		Files: []pipeline.File{file}})
	check(t, err)
	job, err := store.Job(ctx, ids[0])
	check(t, err)
	sub, err := store.BeginSubmit(ctx, job, "longhaul-1-abcdefgh", "slurm", "/results/a")
	check(t, err)
	check(t, store.SubmitAccepted(ctx, sub.ID, "4711"))
	sub, err = store.Submit(ctx, sub.ID)
	check(t, err)
	c := config.Default()
	c.Background.JobtrackerDB = path
	op, err := New(Options{Config: c, Store: store, Outside: Outside{
		Manager: func() (queue.Manager, error) { return m, nil },
	}})
	check(t, err)
	return op, sub
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (o *Operator) statuses(t *testing.T, sub pipeline.Submit) (pipeline.Status, pipeline.Status) {
	t.Helper()
	s, err := o.Store.Submit(t.Context(), sub.ID)
	check(t, err)
	j, err := o.Store.Job(t.Context(), sub.JobID)
	check(t, err)
	return s.Status, j.Status
}

func TestAQueueIDThatIsAnothersByNowIsNotDeleted(t *testing.T) {
	t.Parallel()
	for name, has := range map[string]string{"another's": "somebody-elses-job", "forgotten": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &fakeManager{name: has}
			op, sub := fixture(t, m)
			done, err := op.StopSubmit(t.Context(), sub, StopOptions{})
			if err != nil || len(m.deleted) > 0 || !strings.Contains(done, "does not know it any more") {
				t.Errorf("%q, %v; deleted %v", done, err, m.deleted)
			}
			if s, j := op.statuses(t, sub); s != pipeline.RemovedByOperator || j != pipeline.Retrying {
				t.Errorf("submit %s, job %s", s, j)
			}
		})
	}
}

func TestAnOutageDuringTheStopChangesNothing(t *testing.T) {
	t.Parallel()
	outage := pipeline.Outage(pipeline.QueueManager, errors.New("slurmctld does not answer"))
	for name, m := range map[string]*fakeManager{
		"when asked":     {name: "longhaul-1-abcdefgh", outage: outage},
		"while stopping": {name: "longhaul-1-abcdefgh"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m.onStop = func() { m.outage = outage }
			op, sub := fixture(t, m)
			if done, err := op.StopSubmit(t.Context(), sub, StopOptions{}); !errors.Is(err, pipeline.ErrOutage) {
				t.Errorf("stop: %q, %v", done, err)
			}
			if done, err := op.KillJob(t.Context(), sub.JobID, KillOptions{}); !errors.Is(err, pipeline.ErrOutage) {
				t.Errorf("kill: %q, %v", done, err)
			}
			if s, j := op.statuses(t, sub); s != pipeline.Running || j != pipeline.Submitted {
				t.Errorf("submit %s, job %s", s, j)
			}
		})
	}
}

// seesEnd lets the jobpooler see the end of a submit while it is being stopped.
func seesEnd(t *testing.T, op **Operator, sub *pipeline.Submit) func() {
	return func() {
		check(t, (*op).Store.SubmitFailed(t.Context(), *sub, jobtracker.End{Details: "cancelled"}))
	}
}

func TestAJobpoolerThatSeesTheEndFirstIsReported(t *testing.T) {
	t.Parallel()
	var op *Operator
	var sub pipeline.Submit
	m := &fakeManager{name: "longhaul-1-abcdefgh"}
	m.onStop = seesEnd(t, &op, &sub)
	op, sub = fixture(t, m)
	done, err := op.StopSubmit(t.Context(), sub, StopOptions{Reason: "hangs"})
	if err != nil || !strings.Contains(done, "the jobpooler saw it end first: it is processing_failed, job 1 is failed after 1 attempt") {
		t.Errorf("%q, %v", done, err)
	}
	events, err := op.Store.Events(t.Context(), pipeline.EntitySubmit, int64(sub.ID))
	check(t, err)
	if last := events[len(events)-1]; last.Note != "stopped by hand: hangs" {
		t.Errorf("the history ends with %+v", last)
	}
}

func TestAJobIsKilledAlsoWhenTheJobpoolerSeesItsEndFirst(t *testing.T) {
	t.Parallel()
	var op *Operator
	var sub pipeline.Submit
	m := &fakeManager{name: "longhaul-1-abcdefgh"}
	m.onStop = seesEnd(t, &op, &sub)
	op, sub = fixture(t, m)
	done, err := op.KillJob(t.Context(), sub.JobID, KillOptions{Reason: "enough"})
	if err != nil || !strings.Contains(done, "out of the queue, given up; its raw data is kept") {
		t.Errorf("%q, %v", done, err)
	}
	if s, j := op.statuses(t, sub); s != pipeline.ProcessingFailed || j != pipeline.TerminalFailure {
		t.Errorf("submit %s, job %s", s, j)
	}
}

func TestASubmissionInProgressIsLeftToTheJobpooler(t *testing.T) {
	t.Parallel()
	op, sub := fixture(t, &fakeManager{})
	sub.Status = pipeline.Submitting
	if done, err := op.StopSubmit(t.Context(), sub, StopOptions{}); err == nil || !strings.Contains(err.Error(), "start the jobpooler") {
		t.Errorf("%q, %v", done, err)
	}
}

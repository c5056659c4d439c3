package pool_test

import (
	"testing"

	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/queue/queuefake"
)

// lost makes a job whose first submit is given up as lost, and whose second one
// is in the queue.
func (r *rig) lost() (first, second queuefake.Job) {
	r.Helper()
	first = r.submitted(1)
	r.fake.Start(first.Spec.Name, "node1")
	r.fake.Forget(first.Spec.Name)
	r.pass()
	r.clock.Advance(r.cfg.JobPooler.LostAfter.Std())
	r.pass()
	r.retryTime()
	r.pass()
	r.wantSubmits(1, pipeline.ProcessingFailed, pipeline.Running)
	return first, r.last()
}

func TestALateResultIsRefusedAndKeptForTheHistory(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		late func(r *rig, first queuefake.Job)
		note string
	}{
		{"it ended well and is known again", func(r *rig, first queuefake.Job) { r.fake.Recall(first.Spec.Name); r.succeed(first) }, "left results in"},
		{"its results appear and nobody knows it", func(r *rig, first queuefake.Job) { r.results(first) }, "left results in"},
		{"it ended badly and is known again", func(r *rig, first queuefake.Job) {
			r.fake.Recall(first.Spec.Name)
			r.fake.End(first.Spec.Name, 4, "boom")
		}, "exit status 4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			first, second := r.lost()
			tt.late(r, first)
			for range 3 {
				r.pass()
				r.restart()
			}
			r.wantSubmits(1, pipeline.ProcessingFailed, pipeline.Running)
			r.want(1, pipeline.Submitted, 1)
			if n := r.events(pipeline.EntitySubmit, 1, "late, and refused: "+tt.note); n != 1 {
				t.Errorf("%d events about it, want 1", n)
			}
			r.succeed(second)
			r.pass()
			r.wantSubmits(1, pipeline.ProcessingFailed, pipeline.Processed)
			if got := r.submits(1)[1].OutputDir; got != second.Spec.Env["OUTDIR"] || got == first.Spec.Env["OUTDIR"] {
				t.Errorf("the results of %s are to be uploaded, want those of the second submit", got)
			}
		})
	}
}

// live counts the submissions in the queue.
func (r *rig) live() (n int) {
	for _, j := range r.fake.Jobs() {
		if j.Live() {
			n++
		}
	}
	return n
}

func TestASubmitThatComesBackIsTakenOutOfTheQueue(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first, second := r.lost()
	r.fake.Recall(first.Spec.Name)
	r.fake.Down(queuefake.Delete)
	r.outage(pipeline.QueueManager)
	r.fake.Up()
	r.pass()
	r.pass()
	if jobs := r.fake.Jobs(); !jobs[0].Deleted || jobs[1].Deleted || jobs[1].Spec.Name != second.Spec.Name {
		t.Errorf("deleted: first %v, second %v; want the first only", jobs[0].Deleted, jobs[1].Deleted)
	}
	if n := r.events(pipeline.EntitySubmit, 1, "was in the queue again"); n != 1 {
		t.Errorf("%d events about it, want 1", n)
	}
	r.want(1, pipeline.Submitted, 1)
}

func TestASubmissionThatArrivesAfterAllIsTakenOutOfTheQueue(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fake.Late(true)
	r.one(1)
	r.outage(pipeline.QueueManager)
	r.fake.Late(false)
	r.pass() // it has surely not arrived, says the queue manager, and is submitted again
	r.wantSubmits(1, pipeline.SubmissionFailed, pipeline.Running)
	r.fake.Arrive()
	r.pass()
	if n := r.live(); n != 1 {
		t.Errorf("%d submissions of the job are live, want 1", n)
	}
	r.wantSubmits(1, pipeline.SubmissionFailed, pipeline.Running)
	if n := r.events(pipeline.EntitySubmit, 1, "was in the queue again"); n != 1 {
		t.Errorf("%d events about it, want 1", n)
	}
	finds := r.fake.Calls(queuefake.Find)
	r.pass()
	if n := r.fake.Calls(queuefake.Find) - finds; n != 0 {
		t.Errorf("asked for it %d times more, want none", n)
	}
}

// The operator stops a submit between the poll and the record of its end.
func TestAnEndThatComesAfterAnOperatorsStopIsKeptForTheHistory(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(r *rig, j queuefake.Job)
		note string
	}{
		{"it ended well", func(r *rig, j queuefake.Job) { r.succeed(j) }, "late, and refused: results are there"},
		{"it ended badly", func(r *rig, j queuefake.Job) { r.fake.Kill(j.Spec.Name, queue.OutOfMemory, "") }, "late, and refused: out of memory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			j := r.submitted(1)
			tt.end(r, j)
			operator := jobtrackertest.Another(t, r.store, jobtracker.Options{Actor: "alice", Now: r.clock.Now})
			stopped := false
			r.fake.After(func(c queuefake.Call) error {
				if c.Op == queuefake.Poll && !stopped {
					stopped = true
					return operator.StopSubmit(t.Context(), r.submits(1)[0], false, "stuck")
				}
				return nil
			})
			r.pass()
			r.fake.Up()
			r.wantSubmits(1, pipeline.RemovedByOperator, pipeline.Running)
			r.want(1, pipeline.Submitted, 0)
			r.pass()
			if n := r.events(pipeline.EntitySubmit, 1, tt.note); n != 1 {
				t.Errorf("%d events about it, want 1", n)
			}
		})
	}
}

// What ended in sight of everybody is not asked about again.
func TestAnOrdinaryRetryCostsNoMoreQuestions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fake.End(r.submitted(1).Spec.Name, 1, "boom")
	r.pass()
	r.retryTime()
	r.pass()
	refs := 0
	r.fake.Before(func(c queuefake.Call) error { refs += c.Refs; return nil })
	r.pass()
	if refs != 1 {
		t.Errorf("asked about %d submits, want the one that runs", refs)
	}
}

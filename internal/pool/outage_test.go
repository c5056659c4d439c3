package pool_test

import (
	"errors"
	"testing"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue/queuefake"
)

// atCall brings the rig to where the next pass makes a certain call, makes that
// call fail in many passes, and checks that nothing came of it. An error of a
// queue manager that has no name is an outage too.
func (r *rig) atCall(op queuefake.Op) {
	r.Helper()
	switch op {
	case queuefake.Submit, queuefake.Status:
		r.one(1)
	case queuefake.Find:
		r.loseReply()
		r.one(1)
		r.outage(pipeline.QueueManager)
		r.fake.Up()
	case queuefake.Poll:
		r.fake.Start(r.submitted(1).Spec.Name, "node1")
	case queuefake.Errors:
		r.fake.End(r.submitted(1).Spec.Name, 1, "boom")
	}
	calls := r.fake.Calls(op)
	for i := range 8 {
		fault := []error{queuefake.Outage(), errors.New("segmentation fault")}[i%2]
		r.fake.Before(func(c queuefake.Call) error {
			if c.Op == op {
				return fault
			}
			return nil
		})
		r.outage(pipeline.QueueManager)
		r.retryTime()
	}
	if r.fake.Calls(op) < calls+8 && op != queuefake.Submit { // whose submit is settled instead
		r.Errorf("%s was called %d times, want at least 8", op, r.fake.Calls(op)-calls)
	}
	j := r.jobs()[0]
	if j.Attempts != 0 || (j.Status != pipeline.Submitted && j.Status != pipeline.New) {
		r.Fatalf("after an outage at %s the job is %s with %d attempts: %s", op, j.Status, j.Attempts, j.Details)
	}
	r.fake.Up()
	r.pass()
	if op == queuefake.Errors {
		r.wantDetails(1, pipeline.Retrying, 1, "exit status 1: boom")
		return
	}
	r.want(1, pipeline.Submitted, 0)
	if n := len(r.fake.Jobs()); n != 1 {
		r.Errorf("the queue was given %d jobs, want 1", n)
	}
}

func TestAnOutageFailsNothing(t *testing.T) {
	t.Parallel()
	for _, op := range []queuefake.Op{queuefake.Submit, queuefake.Find, queuefake.Poll, queuefake.Status, queuefake.Errors} {
		t.Run("at "+string(op), func(t *testing.T) {
			t.Parallel()
			newRig(t).atCall(op)
		})
	}
}

// An error log that cannot be had holds up its own job only.
func TestOneJobWithoutItsLogDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first, second, third := r.submitted(1), r.submitted(2), r.submitted(3)
	r.fake.End(first.Spec.Name, 1, "")
	r.fake.End(second.Spec.Name, 1, "boom")
	r.succeed(third)
	r.fake.Before(func(c queuefake.Call) error {
		if c.Op == queuefake.Errors && c.Name == first.Spec.Name {
			return queuefake.Outage()
		}
		return nil
	})
	r.outage(pipeline.QueueManager)
	r.want(1, pipeline.Submitted, 0)
	r.want(2, pipeline.Retrying, 1)
	r.want(3, pipeline.Processed, 0)
}

// With the accounting down, each call costs its time-out.
func TestAPassDoesNotAskForEveryLogInVain(t *testing.T) {
	t.Parallel()
	r := newRig(t, withoutBreaker)
	for i := range 20 {
		r.one(10 + i)
	}
	r.pass()
	for _, j := range r.fake.Jobs() {
		r.fake.End(j.Spec.Name, 1, "boom")
	}
	r.fake.Down(queuefake.Errors)
	r.outage(pipeline.QueueManager)
	if n := r.fake.Calls(queuefake.Errors); n > 5 {
		t.Errorf("asked for %d error logs while none came, want at most 5", n)
	}
	r.fake.Up()
	r.pass()
	r.want(20, pipeline.Retrying, 1)
}

package pool_test

import (
	"testing"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
)

// An operator who stops a job takes it out of the queue, and records that he did
// a moment later. A pass in between must not count it as an attempt.
func TestAJobThatIsBeingStoppedIsNotFailed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	j := r.submitted(1)
	r.fake.Kill(j.Spec.Name, queue.Cancelled, "")
	r.pass()
	r.want(1, pipeline.Submitted, 0)
	r.must(r.store.StopSubmit(t.Context(), r.submits(1)[0], false, "the node is being mended"))
	r.pass()
	if job := r.jobs()[0]; job.Attempts != 0 {
		t.Errorf("the job is %s after %d attempts, want none to count", job.Status, job.Attempts)
	}
	r.wantSubmits(1, pipeline.RemovedByOperator, pipeline.Running)
}

// One that nobody explains is a failure like any other, some seconds later.
func TestAJobThatSomebodyCancelledFails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	j := r.submitted(1)
	r.fake.Kill(j.Spec.Name, queue.Cancelled, "by root")
	r.pass()
	r.want(1, pipeline.Submitted, 0)
	r.clock.Advance(10 * time.Second)
	r.pass()
	if job := r.jobs()[0]; job.Attempts != 1 {
		t.Errorf("the job is %s after %d attempts, want one", job.Status, job.Attempts)
	}
}

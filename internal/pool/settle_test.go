package pool_test

import (
	"testing"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/internal/pool"
	"longhaul/internal/queue"
	"longhaul/internal/queue/queuefake"
)

// loseReply makes the next submission be taken and its reply be lost.
func (r *rig) loseReply() {
	r.fake.After(func(c queuefake.Call) error {
		if c.Op == queuefake.Submit {
			return queuefake.Outage()
		}
		return nil
	})
}

func TestASubmissionWhoseReplyWasLostIsFoundAndNeverRepeated(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, tt := range []struct {
		name  string
		then  func(r *rig, j queuefake.Job)
		want  pipeline.Status
		count int // submissions in all
	}{
		{"and waits", func(r *rig, j queuefake.Job) {}, pipeline.Submitted, 1},
		{"and runs", func(r *rig, j queuefake.Job) { r.fake.Start(j.Spec.Name, "node1") }, pipeline.Submitted, 1},
		{"and has ended well", func(r *rig, j queuefake.Job) { r.succeed(j) }, pipeline.Processed, 1},
		{"and has ended badly", func(r *rig, j queuefake.Job) { r.fake.End(j.Spec.Name, 3, "boom") }, pipeline.Retrying, 1},
		{"and was taken twice", func(r *rig, j queuefake.Job) {}, pipeline.Submitted, 2},
		{"and has ended well and is forgotten", func(r *rig, j queuefake.Job) { r.succeed(j); r.fake.Forget(j.Spec.Name) }, pipeline.Processed, 1},
	} {
		for _, restart := range []bool{false, true} {
			jobs, id := len(r.fake.Jobs()), pipeline.JobID(len(r.jobs())+1)
			r.loseReply()
			r.fake.Twice(tt.count == 2)
			r.one(int(id))
			r.outage(pipeline.QueueManager)
			r.wantSubmits(id, pipeline.Submitting)
			r.fake.Up()
			tt.then(r, r.last())
			if restart {
				r.restart()
			}
			r.pass()
			attempts := 0
			if tt.want == pipeline.Retrying {
				attempts = 1
			}
			r.want(id, tt.want, attempts)
			if subs := r.submits(id); len(subs) != 1 {
				t.Errorf("%s, after a crash %v: %d submits, want one: %+v", tt.name, restart, len(subs), subs)
			}
			if n := len(r.fake.Jobs()) - jobs; n != tt.count {
				t.Errorf("%s, after a crash %v: the queue was given %d jobs, want %d", tt.name, restart, n, tt.count)
			}
		}
	}
}

func TestASubmissionThatNeverArrivedIsMadeAgainAndNothingCounts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fake.Down(queuefake.Submit)
	r.one(1)
	r.outage(pipeline.QueueManager)
	r.fake.Up()
	r.pass()
	r.want(1, pipeline.Submitted, 0)
	r.wantSubmits(1, pipeline.SubmissionFailed, pipeline.Running)
	if n := len(r.fake.Jobs()); n != 1 {
		t.Errorf("the queue was given %d jobs, want 1", n)
	}
}

func TestNothingIsSubmittedWhileASubmissionHasNoKnownOutcome(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.loseReply()
	r.one(1)
	r.outage(pipeline.QueueManager)
	r.fake.Down(queuefake.Find)
	r.one(2)
	for range 3 {
		r.outage(pipeline.QueueManager)
	}
	r.want(1, pipeline.Submitted, 0)
	r.want(2, pipeline.New, 0)
	r.fake.Up()
	r.pass()
	r.wantSubmits(1, pipeline.Running)
	r.wantSubmits(2, pipeline.Running)
}

func TestALateSubmissionIsWaitedFor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.restart(func(o *pool.Options) { o.SettleAfter = 5 * time.Minute })
	r.fake.Late(true)
	r.one(1)
	r.outage(pipeline.QueueManager)
	r.fake.Late(false)
	r.one(2)
	r.clock.Advance(time.Minute)
	r.pass() // the second goes on meanwhile
	r.wantSubmits(1, pipeline.Submitting)
	r.wantSubmits(2, pipeline.Running)
	r.fake.Arrive()
	r.pass()
	r.wantSubmits(1, pipeline.Running)
	if n := len(r.fake.Jobs()); n != 2 {
		t.Errorf("the queue was given %d jobs, want 2", n)
	}
	r.fake.Late(true)
	r.one(3)
	r.outage(pipeline.QueueManager)
	r.fake.Late(false)
	r.clock.Advance(5 * time.Minute)
	r.pass() // nobody waits for ever
	r.wantSubmits(3, pipeline.SubmissionFailed, pipeline.Running)
}

// A submit of another queue manager may run there: it is neither submitted
// again nor failed, and its results end it.
func TestASubmitOfAnotherQueueManagerIsLeftToIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.submitted(1)
	r.loseReply()
	r.one(2)
	r.outage(pipeline.QueueManager)
	jobs := r.fake.Jobs()
	r.queue = renamed{queuefake.New(r.clock.Now)}
	r.restart()
	r.pass()
	r.clock.Advance(100 * r.cfg.JobPooler.LostAfter.Std())
	r.pass()
	r.wantSubmits(1, pipeline.Running)
	r.wantSubmits(2, pipeline.Submitting)
	if n := r.log.count("is with another queue manager"); n != 2 {
		t.Errorf("said %d times, want once for each", n)
	}
	r.results(jobs[0])
	r.results(jobs[1])
	r.pass()
	r.want(1, pipeline.Processed, 0)
	r.want(2, pipeline.Processed, 0)
}

// renamed is another kind of queue manager.
type renamed struct{ queue.Manager }

func (renamed) Kind() string { return "other" }

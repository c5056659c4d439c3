package pool_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/pipeline"
	"longhaul/internal/pool"
	"longhaul/internal/queue"
	"longhaul/internal/queue/queuefake"
)

func TestWhatAnEndMeans(t *testing.T) {
	t.Parallel()
	ordinary := newRig(t, withoutBreaker)
	strict := newRig(t, withoutBreaker, func(c *config.Config) { c.JobPooler.StderrIsFailure = true })
	for _, tt := range []struct {
		name     string
		original bool // stderr_is_failure, the original's rule
		results  bool
		end      func(r *rig, name string)
		want     pipeline.Status
		details  string
	}{
		{"0 and results is well", false, true, func(r *rig, n string) { r.fake.End(n, 0, "") }, pipeline.Processed, "results are there"},
		{"0 and results is well, whatever was written to standard error", false, true, func(r *rig, n string) { r.fake.End(n, 0, "warning\n") }, pipeline.Processed, ""},
		{"0 without results is a failure", false, false, func(r *rig, n string) { r.fake.End(n, 0, "hm\n") }, pipeline.Failed, "exit status 0, but left no results in "},
		{"not 0 is a failure, results or not", false, true, func(r *rig, n string) { r.fake.End(n, 3, "boom\n") }, pipeline.Failed, "exit status 3: boom"},
		{"not 0 without results", false, false, func(r *rig, n string) { r.fake.End(n, 1, "") }, pipeline.Failed, "exit status 1"},
		{"a node that died under results in place", false, true, func(r *rig, n string) { r.fake.Kill(n, queue.NodeFailed, "node7") }, pipeline.Processed, "results are there (node7)"},
		{"a node that died under results in place, whatever was written to standard error", false, true, func(r *rig, n string) {
			r.fake.End(n, 0, "a warning\n")
			r.fake.Kill(n, queue.NodeFailed, "node7")
		}, pipeline.Processed, "results are there (node7)"},
		{"a node that died without results", false, false, func(r *rig, n string) { r.fake.Kill(n, queue.NodeFailed, "node7") }, pipeline.Failed, "node failure (node7)"},
		{"lost with results", false, true, func(r *rig, n string) { r.fake.Kill(n, queue.Lost, "") }, pipeline.Processed, ""},
		{"lost without results", false, false, func(r *rig, n string) { r.fake.Kill(n, queue.Lost, "") }, pipeline.Failed, "lost"},
		{"out of time without results", false, false, func(r *rig, n string) { r.fake.Kill(n, queue.TimedOut, "") }, pipeline.Failed, "time limit"},
		{"unknown with results", false, true, func(r *rig, n string) { r.fake.Forget(n) }, pipeline.Processed, "forgotten by the queue manager"},
		{"by the original's rule standard error is a failure", true, true, func(r *rig, n string) { r.fake.End(n, 0, "a warning\n") }, pipeline.Failed, "standard error: a warning"},
		{"by the original's rule blanks are none", true, true, func(r *rig, n string) { r.fake.End(n, 0, " \n\n") }, pipeline.Processed, ""},
		{"by the original's rule a forgotten job's log counts too", true, true, func(r *rig, n string) {
			r.must(os.WriteFile(pool.StderrPath(r.cfg, n), []byte("a warning\n"), 0o640))
			r.fake.Forget(n)
		}, pipeline.Failed, "standard error: a warning"},
		{"the command's own words, not the worker's", false, false, func(r *rig, n string) {
			r.fake.End(n, 2, "reading\nno such zaplist\nworker on node3: search ended with exit status 2\n")
		}, pipeline.Failed, "exit status 2: no such zaplist"},
		{"the worker's words if the trouble was its own", false, false, func(r *rig, n string) {
			r.fake.End(n, 71, "a harmless warning\nworker on node3: input: it changed\n")
		}, pipeline.Failed, "exit status 71: worker on node3: input: it changed"},
		{"a disk of the site that is full", false, false, func(r *rig, n string) {
			r.fake.End(n, 75, "a harmless warning\nworker on node3: results: no space\n")
		}, pipeline.Retrying, "the site's fault, does not count: exit status 75: worker on node3: results: no space"},
		{"a disk that failed after the results were in place", false, true, func(r *rig, n string) {
			r.fake.End(n, 77, "worker on node3: sync: input/output error\n")
		}, pipeline.Retrying, "exit status 77: worker on node3"},
		{"hostile words are made harmless", false, false, func(r *rig, n string) {
			r.fake.End(n, 1, "\x1b[31m\xff\x00\r"+strings.Repeat("é", 400))
		}, pipeline.Failed, "exit status 1: [31m\uFFFD é"},
	} {
		r := ordinary
		if tt.original {
			r = strict
		}
		id := pipeline.JobID(len(r.jobs()) + 1)
		j := r.submitted(int(id))
		if tt.results {
			r.results(j)
		}
		tt.end(r, j.Spec.Name)
		r.pass()
		status, attempts, submit := tt.want, 0, pipeline.Processed
		if status == pipeline.Failed {
			status, attempts, submit = pipeline.Retrying, 1, pipeline.ProcessingFailed // the same pass decides
		} else if status == pipeline.Retrying {
			submit = pipeline.RemovedByOperator
		}
		got, sub := r.jobs()[id-1], r.submits(id)[0]
		if got.Status != status || got.Attempts != attempts || sub.Status != submit || !strings.Contains(got.Details, tt.details) {
			t.Errorf("%s: the job is %s with %d attempts (%q), its submit %s; want %s, %d, %q, %s", tt.name,
				got.Status, got.Attempts, got.Details, sub.Status, status, attempts, tt.details, submit)
		}
		if len(sub.Details) > 400 || sub.EndedAt.IsZero() {
			t.Errorf("%s: recorded as %+v, want short details and an end", tt.name, sub)
		}
		if _, err := os.Stat(j.Spec.Env["DATAFILES"]); err != nil {
			t.Errorf("%s: the raw data is gone: %v", tt.name, err)
		}
	}
}

func TestWhereAJobRunsIsRecordedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fake.Start(r.submitted(1).Spec.Name, "node1")
	r.pass()
	if sub := r.submits(1)[0]; sub.Node != "node1" || !sub.StartedAt.Equal(r.clock.Now()) {
		t.Errorf("recorded as %+v, want node1 since now", sub)
	}
}

func TestALostJobFailsOnceAndOnlyAfterLostAfter(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	j := r.submitted(1)
	r.fake.Forget(j.Spec.Name)
	r.pass()
	r.clock.Advance(r.cfg.JobPooler.LostAfter.Std() - time.Second)
	r.pass()
	r.want(1, pipeline.Submitted, 0)
	r.clock.Advance(time.Second)
	r.pass()
	r.wantDetails(1, pipeline.Retrying, 1, "has not known it for 1h", "left no results")
	r.pass()
	r.want(1, pipeline.Retrying, 1)
	if n := len(r.fake.Jobs()); n != 1 {
		t.Errorf("%d submissions before the retry is due, want 1", n)
	}
}

func TestAJobThatIsKnownAgainWasNotLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	j := r.submitted(1)
	for range 3 {
		r.fake.Forget(j.Spec.Name)
		r.pass()
		r.clock.Advance(r.cfg.JobPooler.LostAfter.Std() * 9 / 10)
		r.pass()
		r.fake.Recall(j.Spec.Name)
		r.pass()
	}
	r.want(1, pipeline.Submitted, 0)
	r.succeed(j)
	r.pass()
	r.want(1, pipeline.Processed, 0)
}

// A queue manager that was down has not been asked: its first answer after that
// may be as empty as its last one before.
func TestTheTimeOfAnOutageDoesNotMakeAJobLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	j := r.submitted(1)
	r.fake.Forgetful(true)
	r.pass()
	r.fake.Down()
	r.clock.Advance(10 * r.cfg.JobPooler.LostAfter.Std())
	r.outage(pipeline.QueueManager)
	r.fake.Up()
	r.pass()
	r.want(1, pipeline.Submitted, 0)
	r.fake.Forgetful(false)
	r.succeed(j)
	r.pass()
	r.want(1, pipeline.Processed, 0)
}

func TestAnIDThatIsUsedAgainIsNotTheSameJob(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fake.NextID("77", "77")
	first := r.submitted(1)
	r.fake.Forget(first.Spec.Name)
	second := r.submitted(2)
	r.succeed(second)
	r.pass()
	r.want(2, pipeline.Processed, 0)
	r.want(1, pipeline.Submitted, 0) // not ended with the other
	r.fake.Recall(first.Spec.Name)
	r.succeed(first)
	r.pass()
	r.want(1, pipeline.Processed, 0)
}

func TestAPassWithNothingToDoDoesNotWrite(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.files(half(1, 0))
	r.submitted(2)
	r.fake.Start(r.submitted(3).Spec.Name, "node1")
	r.fake.End(r.submitted(4).Spec.Name, 1, "boom")
	r.succeed(r.submitted(5))
	r.fake.Forget(r.submitted(6).Spec.Name)
	r.pass()
	r.pass()
	before, writes := r.lastEvent(), 0
	// The store asks for the time in every transaction that writes, and for jobs
	// that are due; the pooler when a job is unknown.
	r.tick = func() { writes++ }
	for range 3 {
		r.pass()
	}
	r.tick = nil
	if got := r.lastEvent(); got != before {
		t.Errorf("%d events were written", got-before)
	}
	if most := 3 * (2 + 1); writes > most {
		t.Errorf("the clock was asked %d times, want at most %d: something wrote", writes, most)
	}
}

func TestOnePollServesAllJobs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 30 {
		r.one(10 + i)
	}
	r.pass()
	refs := 0
	r.fake.Before(func(c queuefake.Call) error { refs += c.Refs; return nil })
	polls, others := r.fake.Calls(queuefake.Poll), r.fake.Calls(queuefake.Find)+r.fake.Calls(queuefake.Errors)+r.fake.Calls(queuefake.Status)
	r.pass()
	if n := r.fake.Calls(queuefake.Poll) - polls; n != 1 || refs != 30 {
		t.Errorf("%d polls with %d jobs, want one with 30", n, refs)
	}
	if n := r.fake.Calls(queuefake.Find) + r.fake.Calls(queuefake.Errors) + r.fake.Calls(queuefake.Status) - others; n != 0 {
		t.Errorf("%d other questions, want none", n)
	}
}

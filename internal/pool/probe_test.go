package pool_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/queue/queuefake"
)

func TestProbesComeLessAndLessOftenUntilOneGoesWell(t *testing.T) {
	t.Parallel()
	r := tripped(t, func(c *config.Config) {
		c.JobPooler.MaxAttempts = 1
		c.JobPooler.RetryWait, c.JobPooler.RetryWaitMax = config.Duration(time.Minute), config.Duration(4*time.Minute)
	})
	r.one(7)
	for i, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 4 * time.Minute} {
		p := r.wantPaused(true)
		since := p.Since
		if i > 0 {
			since = r.last().Submitted
		}
		if wait := p.ProbeAt.Sub(since); wait < want*9/10-time.Second || wait > want*11/10 || p.Probes != i {
			t.Errorf("probe %d comes after %v, want %v give or take a tenth", i+1, wait, want)
		}
		before := len(r.fake.Jobs())
		r.clock.Advance(p.ProbeAt.Sub(r.clock.Now()) - time.Millisecond)
		r.pass()
		if n := len(r.fake.Jobs()) - before; n != 0 {
			t.Fatalf("%d probes before their time", n)
		}
		r.clock.Advance(time.Millisecond)
		r.pass()
		r.clock.Advance(time.Hour)
		r.pass() // one that runs is alone, however long
		if n := len(r.fake.Jobs()) - before; n != 1 {
			t.Fatalf("%d probes at once, want 1", n)
		}
		r.clock.Advance(-time.Hour)
		if i < 3 {
			r.failAll()
			r.pass()
		}
	}
	r.succeed(r.last())
	r.pass()
	r.wantPaused(false)
	if n := r.live(); n != 4 {
		t.Errorf("%d jobs in the queue after the probe went well, want all others", n)
	}
	for _, j := range r.jobs() {
		if j.Attempts != 0 {
			t.Errorf("job %d has used up %d attempts", j.ID, j.Attempts)
		}
	}
	if said := r.notices(pipeline.NoticePause); len(said) != 2 || !strings.Contains(said[1].Body, "it was probe 4") {
		t.Errorf("the notices are %+v, want one that it goes on", said)
	}
	if n := r.events(pipeline.EntitySystem, 0, "submissions are back after"); n != 1 {
		t.Errorf("%d events that they are back, want 1", n)
	}
}

// Jobs that failed, and such as were never tried, are probes by turns.
func TestProbesAreNotAlwaysTheSameJobs(t *testing.T) {
	t.Parallel()
	r := tripped(t)
	for scan := 10; scan < 20; scan++ {
		r.one(scan)
	}
	seen := make(map[string]int)
	for range 6 {
		r.retryTime()
		r.pass()
		seen[input(r.last())]++
		r.failAll()
		r.pass()
	}
	fresh := 0
	for name, n := range seen {
		if strings.Contains(name, ".0001") {
			fresh++
		}
		if n > 2 {
			t.Errorf("%s was tried %d times", name, n)
		}
	}
	if fresh < 2 || fresh == len(seen) {
		t.Errorf("of %d jobs tried %d were new, want both kinds", len(seen), fresh)
	}
}

func TestAProbeThatIsRefusedCostsNothing(t *testing.T) {
	t.Parallel()
	r := tripped(t)
	r.fake.Before(func(c queuefake.Call) error {
		if c.Op == queuefake.Submit {
			return fmt.Errorf("no such partition: %w", queue.ErrRejected)
		}
		return nil
	})
	for range 5 {
		r.retryTime()
		r.pass()
	}
	r.wantPaused(true)
	for _, j := range r.jobs() {
		r.want(j.ID, pipeline.Retrying, 0)
	}
	if p, _ := r.paused(); p.Probes != 5 {
		t.Errorf("%d probes, want 5", p.Probes)
	}
	r.fake.Up()
	r.retryTime()
	r.pass()
	r.succeed(r.last())
	r.pass()
	r.wantPaused(false)
}

// The pause, its probe and its waits are in the job-tracker.
func TestAPoolerThatIsStartedAgainGoesOnWithThePause(t *testing.T) {
	t.Parallel()
	r := tripped(t)
	r.restart()
	r.pass()
	if n := len(r.fake.Jobs()); n != 4 {
		t.Fatalf("%d submissions, want no probe yet", n)
	}
	r.retryTime()
	r.restart()
	r.pass()
	r.restart()
	r.pass()
	if n := len(r.fake.Jobs()); n != 5 {
		t.Fatalf("%d submissions, want one probe", n)
	}
	r.succeed(r.last())
	r.restart()
	r.pass()
	r.wantPaused(false)
}

// The probe's submission is in doubt when the pooler dies; it is settled as any.
func TestAProbeWhoseReplyWasLostIsAdopted(t *testing.T) {
	t.Parallel()
	r := tripped(t)
	r.retryTime()
	r.loseReply()
	r.outage(pipeline.QueueManager)
	r.fake.Up()
	r.restart()
	r.pass()
	if n := len(r.fake.Jobs()); n != 5 {
		t.Fatalf("%d submissions, want one probe", n)
	}
	r.succeed(r.last())
	r.pass()
	r.wantPaused(false)
}

package pool_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue/queuefake"
)

func TestAPauseByAPersonHasNoProbesAndHoldsNothingElseUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, fourTwo)
	running := r.submitted(1)
	r.must(r.operator().Pause(t.Context(), pipeline.PauseSubmissions, "power cut on Sunday"))
	for scan := 2; scan < 12; scan++ {
		r.one(scan)
	}
	r.succeed(running)
	for range 5 {
		r.retryTime()
		r.pass()
	}
	r.restart()
	r.pass()
	r.want(1, pipeline.Processed, 0)
	r.want(11, pipeline.New, 0)
	if n := len(r.fake.Jobs()); n != 1 {
		t.Errorf("%d submissions, want none during the pause", n)
	}
	if err := r.operator().Pause(t.Context(), pipeline.PauseSubmissions, ""); !errors.Is(err, pipeline.ErrPaused) ||
		!strings.Contains(err.Error(), "by alice: power cut on Sunday") {
		t.Errorf("paused twice: %v", err)
	}
	r.resume()
	r.pass()
	if n := len(r.fake.Jobs()); n != 11 {
		t.Errorf("%d submissions after the resume, want 11", n)
	}
	if n := r.log.count("power cut on Sunday"); n != 2 { // once by each pooler
		t.Errorf("the log says why %d times", n)
	}
	if _, err := r.operator().Resume(t.Context(), pipeline.PauseSubmissions, ""); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("resumed twice: %v", err)
	}
}

// A person pauses while the jobs of a pass are handed over.
func TestAPauseTakesEffectWithinAPass(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for scan := range 5 {
		r.one(scan)
	}
	alice := r.operator()
	r.fake.After(func(c queuefake.Call) error {
		if c.Op == queuefake.Submit && len(r.fake.Jobs()) == 2 {
			return alice.Pause(t.Context(), pipeline.PauseSubmissions, "")
		}
		return nil
	})
	r.pass()
	if n := len(r.fake.Jobs()); n != 2 {
		t.Errorf("%d submissions, want the 2 of before the pause", n)
	}
	r.want(3, pipeline.New, 0)
}

func TestAPersonsPauseTakesThePlaceOfTheBreakers(t *testing.T) {
	t.Parallel()
	r := tripped(t)
	r.must(r.operator().Pause(t.Context(), pipeline.PauseSubmissions, "I am on it"))
	r.retryTime()
	r.pass()
	if p, held := r.paused(); !held || p.Breaker || p.Actor != "alice" || len(r.fake.Jobs()) != 4 {
		t.Errorf("the pause is %+v (%v) after %d submissions, want alice's, without probes", p, held, len(r.fake.Jobs()))
	}
}

func TestAResumeByHandEndsItAtOnceAndOldEndsDoNotCount(t *testing.T) {
	t.Parallel()
	r := tripped(t, func(c *config.Config) { c.JobPooler.MaxAttempts = 9 })
	r.clock.Advance(time.Second)
	r.resume()
	r.pass()
	r.wantPaused(false)
	if n := r.live(); n != 4 {
		t.Fatalf("%d jobs in the queue, want 4", n)
	}
	r.clock.Advance(time.Second)
	for _, j := range r.fake.Jobs()[4:7] {
		r.fake.End(j.Spec.Name, 1, "boom")
	}
	r.cfg.JobPooler.MaxJobsRunning = 0
	r.clock.Advance(time.Second)
	r.pass()
	r.wantPaused(false) // three, and the four of before the resume
	r.fake.End(r.last().Spec.Name, 1, "boom")
	r.pass()
	r.wantPaused(true)
	if n := r.log.count("submissions: back after"); n != 1 {
		t.Errorf("the log says %d times that it goes on, want once", n)
	}
}

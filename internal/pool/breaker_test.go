package pool_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/queue/queuefake"
)

func withoutBreaker(c *config.Config) { c.JobPooler.BreakerFailures = 0 }

// fourTwo is a breaker that trips on four failures, two of them quick.
func fourTwo(c *config.Config) { c.JobPooler.BreakerFailures, c.JobPooler.BreakerQuick = 4, 2 }

// paused returns the pause of submissions.
func (r *rig) paused() (pipeline.Pause, bool) {
	r.Helper()
	p, held, err := r.store.Paused(r.Context(), pipeline.PauseSubmissions)
	r.must(err)
	return p, held
}

// wantPaused checks whether submissions are paused by the breaker.
func (r *rig) wantPaused(want bool) pipeline.Pause {
	r.Helper()
	p, held := r.paused()
	if held != want || held && !p.Breaker {
		r.Fatalf("submissions are paused: %v (%+v), want %v, by the breaker", held, p, want)
	}
	return p
}

// allNotices counts the notices of all kinds.
func (r *rig) allNotices() (n int) {
	r.Helper()
	pending, err := r.store.PendingNotices(r.Context())
	r.must(err)
	for _, p := range pending {
		n += p.Count
	}
	return n
}

// failAll fails whatever is in the queue, a second after its start.
func (r *rig) failAll() {
	r.Helper()
	r.endAll(func(j queuefake.Job) {
		r.fake.End(j.Spec.Name, 127, "libfftw3f.so.3: cannot open shared object file\n")
	})
}

// endAll starts whatever is in the queue, and ends it a second later.
func (r *rig) endAll(end func(queuefake.Job)) {
	r.Helper()
	for _, j := range r.fake.Jobs() {
		if j.Live() {
			r.fake.Start(j.Spec.Name, "node13")
		}
	}
	r.clock.Advance(time.Second)
	for _, j := range r.fake.Jobs() {
		if j.Live() {
			end(j)
		}
	}
}

// tripped makes the breaker trip by four jobs.
func tripped(t *testing.T, change ...func(*config.Config)) *rig {
	t.Helper()
	r := newRig(t, append([]func(*config.Config){fourTwo}, change...)...)
	for scan := range 4 {
		r.one(scan)
	}
	r.pass()
	r.failAll()
	r.pass()
	r.wantPaused(true)
	return r
}

// operator is the job-tracker as a person uses it.
func (r *rig) operator() *jobtracker.Store {
	r.Helper()
	return jobtrackertest.Another(r, r.store, jobtracker.Options{Actor: "alice", Now: r.clock.Now})
}

func (r *rig) resume() {
	r.Helper()
	_, err := r.operator().Resume(r.Context(), pipeline.PauseSubmissions, "node13 is out")
	r.must(err)
}

// TestWhenTheBreakerTrips reads what happened one after the other from letters:
// g well; f failed quickly; s failed after an hour; u failed, and nobody saw its
// start; d found a disk full after an hour; x stopped by an operator.
func TestWhenTheBreakerTrips(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		ends  string
		n     int
		quick int
		want  bool
	}{
		{"enough quick failures", "ffff", 4, 2, true},
		{"too few", "fff", 4, 2, false},
		{"a good end before them", "gffff", 4, 2, true},
		{"a good end among them", "fgfff", 4, 2, false},
		{"a good end after them", "ffffg", 4, 2, false},
		{"some of them slow", "fssf", 4, 2, true},
		{"too many of them slow", "sssf", 4, 2, false},
		{"slow ones, where none need be quick", "ssss", 4, 0, true},
		{"a start that nobody saw", "uuss", 4, 2, true},
		{"a disk that is full, however late", "dddd", 4, 4, true},
		{"a job that was stopped among them", "ffxff", 4, 2, true},
		{"jobs that were stopped", "ffxx", 4, 2, false},
		{"one in a row", "f", 1, 1, true},
		{"a breaker that is off", "ffffffffff", 0, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *config.Config) { c.JobPooler.BreakerFailures, c.JobPooler.BreakerQuick = tt.n, tt.quick })
			for scan := range tt.ends {
				r.one(scan)
			}
			r.pass()
			for i, j := range r.fake.Jobs() {
				r.happens(rune(tt.ends[i]), j)
			}
			r.pass()
			r.wantPaused(tt.want)
			for i, end := range tt.ends {
				r.wantAttempts(pipeline.JobID(i+1), end, tt.want)
			}
		})
	}
}

func (r *rig) happens(what rune, j queuefake.Job) {
	r.Helper()
	if what != 'u' {
		r.fake.Start(j.Spec.Name, "node13")
	}
	if what == 's' || what == 'd' {
		r.clock.Advance(time.Hour)
	}
	r.clock.Advance(time.Second)
	switch what {
	case 'g':
		r.succeed(j)
	case 'd':
		r.fake.End(j.Spec.Name, 75, "worker on node13: not enough space in /data/results\n")
	case 'x':
		r.fake.Kill(j.Spec.Name, queue.Cancelled, "")
		for _, job := range r.jobs() {
			if sub := r.submits(job.ID)[0]; sub.Name == j.Spec.Name {
				r.must(r.operator().StopSubmit(r.Context(), sub, false, ""))
			}
		}
	default:
		r.fake.End(j.Spec.Name, 1, "boom\n")
	}
}

// wantAttempts checks what a failure has cost its job: nothing if the breaker
// tripped, or the disk was full.
func (r *rig) wantAttempts(id pipeline.JobID, end rune, tripped bool) {
	r.Helper()
	switch {
	case end == 'g':
		r.want(id, pipeline.Processed, 0)
	case end == 'x':
		r.want(id, map[bool]pipeline.Status{true: pipeline.Retrying, false: pipeline.Submitted}[tripped], 0)
	case tripped || end == 'd':
		r.want(id, pipeline.Retrying, 0)
		r.wantSubmits(id, pipeline.RemovedByOperator)
	default:
		r.want(id, pipeline.Retrying, 1)
		r.wantSubmits(id, pipeline.ProcessingFailed)
	}
}

// A node that fails every job in a second, over a week, and its repair.
func TestABrokenNodeTakesNoAttemptsAndMakesOneNotice(t *testing.T) {
	t.Parallel()
	const jobs = 300
	r := newRig(t, func(c *config.Config) { c.JobPooler.MaxAttempts = 1 })
	for scan := range jobs {
		r.one(scan)
	}
	for range 60 {
		r.pass()
		r.failAll()
		r.clock.Advance(3 * time.Hour)
	}
	r.pass()
	r.wantPaused(true)
	for _, j := range r.jobs() {
		if j.Attempts != 0 || j.Status == pipeline.TerminalFailure {
			t.Fatalf("job %d is %s with %d attempts: %s", j.ID, j.Status, j.Attempts, j.Details)
		}
	}
	if n := r.allNotices(); n != 1 {
		t.Errorf("%d notices, want 1", n)
	}
	// 100 at once, then probes after 1, 2, 4, … minutes and every 6 hours.
	if n := len(r.fake.Jobs()); n < 115 || n > 165 {
		t.Errorf("%d submissions in a week, want 100 and some 30 to 60 probes", n)
	}

	for range 20 {
		r.endAll(r.succeed)
		r.retryTime()
		r.pass()
	}
	r.wantPaused(false)
	for _, j := range r.jobs() {
		r.want(j.ID, pipeline.Processed, 0)
	}
	if n := r.allNotices(); n != 2 || r.log.count("submissions: back after") != 1 {
		t.Errorf("%d notices and %d words of it in the log, want 2 and 1", n, r.log.count("submissions: back after"))
	}
}

func TestTheNoticeSaysWhyAndWhatNext(t *testing.T) {
	t.Parallel()
	r := tripped(t)
	all := r.notices(pipeline.NoticePause)
	if len(all) != 1 {
		t.Fatalf("%d notices, want 1", len(all))
	}
	for _, words := range []string{"4 submits failed in a row", "4 of them within a minute", "libfftw3f.so.3: cannot open", "node13", "longhaul resume submissions"} {
		if !strings.Contains(all[0].Body, words) {
			t.Errorf("the notice lacks %q:\n%s", words, all[0].Body)
		}
	}
	if n := r.log.count("submissions are paused"); n != 1 {
		t.Errorf("the log says it %d times, want once", n)
	}
	r.pass()
	r.restart()
	r.pass()
	if n := r.allNotices(); n != 1 {
		t.Errorf("%d notices after two more passes and a restart, want 1", n)
	}
}

// What failed before the breaker tripped may have been decided by then.
func TestWhatWasDecidedBeforeIsTakenBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		change   func(*config.Config)
		between  func(r *rig)
		want     pipeline.Status
		attempts int
	}{
		{"a job that waits for its next try", func(c *config.Config) { c.JobPooler.MaxAttempts = 2 }, func(*rig) {}, pipeline.Retrying, 0},
		{"a job that was given up", func(c *config.Config) { c.JobPooler.MaxAttempts = 1 }, func(*rig) {}, pipeline.Retrying, 0},
		{"a job that was given up, and its raw data let go", func(c *config.Config) {
			c.JobPooler.MaxAttempts = 1
			c.Basic.DeleteRawdataOnTerminalFailure = true
		}, func(*rig) {}, pipeline.TerminalFailure, 1},
		{"a job that a person killed", func(c *config.Config) { c.JobPooler.MaxAttempts = 2 }, func(r *rig) {
			r.must(r.operator().KillJob(r.Context(), r.jobs()[0], false, "hopeless"))
		}, pipeline.TerminalFailure, 1},
		{"a job that was given up and tried again by hand", func(c *config.Config) { c.JobPooler.MaxAttempts = 1 }, func(r *rig) {
			r.must(r.operator().RetryGivenUpJob(r.Context(), 1, "once more"))
		}, pipeline.Retrying, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, fourTwo, tt.change)
			for scan := range 4 {
				r.one(scan)
			}
			r.pass()
			r.fake.End(r.fake.Jobs()[0].Spec.Name, 1, "boom")
			r.pass()
			tt.between(r)
			if tt.want == pipeline.Retrying && r.jobs()[0].Attempts > 0 {
				r.cfg.JobPooler.MaxJobsRunning = 0 // it is not to be submitted again before
			}
			r.failAll()
			r.pass()
			r.wantPaused(true)
			r.want(1, tt.want, tt.attempts)
			for id := pipeline.JobID(2); id <= 4; id++ {
				r.want(id, pipeline.Retrying, 0)
			}
		})
	}
}

func TestJobsThatRunWhenItTripsLoseNothingEither(t *testing.T) {
	t.Parallel()
	r := newRig(t, fourTwo, func(c *config.Config) { c.JobPooler.MaxAttempts = 1 })
	for scan := range 8 {
		r.one(scan)
	}
	r.pass()
	all := r.fake.Jobs()
	for _, j := range all[:4] {
		r.fake.End(j.Spec.Name, 1, "boom")
	}
	r.pass()
	r.wantPaused(true)
	r.fake.End(all[4].Spec.Name, 1, "boom")
	r.fake.Kill(all[5].Spec.Name, queue.NodeFailed, "")
	r.succeed(all[6])
	r.pass()
	r.wantDetails(5, pipeline.Retrying, 0, "does not count, for submissions are paused: exit status 1: boom")
	r.want(6, pipeline.Retrying, 0)
	r.want(7, pipeline.Processed, 0)
	r.want(8, pipeline.Submitted, 0)
	r.wantPaused(true) // what had begun before is no probe
}

// A queue that refuses everything must not go through the survey in one pass.
func TestRefusalsTripTheBreakerWithinAPass(t *testing.T) {
	t.Parallel()
	r := newRig(t, fourTwo, func(c *config.Config) { c.JobPooler.MaxAttempts = 1 })
	for scan := range 30 {
		r.one(scan)
	}
	r.fake.Before(func(c queuefake.Call) error {
		if c.Op == queuefake.Submit {
			return fmt.Errorf("account expired: %w", queue.ErrRejected)
		}
		return nil
	})
	r.pass()
	r.wantPaused(true)
	if n := r.fake.Calls(queuefake.Submit); n != 4 {
		t.Errorf("%d submissions were tried, want 4", n)
	}
	for _, j := range r.jobs() {
		if j.Attempts != 0 {
			t.Errorf("job %d has used up %d attempts", j.ID, j.Attempts)
		}
	}
	r.wantDetails(1, pipeline.Retrying, 0, "does not count", "account expired")
}

// Jobs that fail each time are given up some day, though they trip the breaker
// whenever they meet.
func TestBadJobsAreGivenUpSomeDay(t *testing.T) {
	t.Parallel()
	r := newRig(t, fourTwo, func(c *config.Config) { c.JobPooler.MaxAttempts = 2 })
	for scan := range 6 {
		r.one(scan)
	}
	bad := func(j queuefake.Job) bool { return strings.Compare(input(j), r.raw()+"/"+merged(6)) < 0 }
	trips := 0
	for round := range 30 {
		_, before := r.paused()
		r.pass()
		if _, after := r.paused(); after && !before {
			trips++
			r.one(10 + round) // as a probe it goes well
		}
		r.endAll(func(j queuefake.Job) {
			if bad(j) {
				r.fake.End(j.Spec.Name, 1, "boom")
			} else {
				r.succeed(j)
			}
		})
		r.retryTime()
	}
	for _, j := range r.jobs()[:6] {
		r.want(j.ID, pipeline.TerminalFailure, 2)
	}
	for _, j := range r.jobs()[6:] {
		r.want(j.ID, pipeline.Processed, j.Attempts)
	}
	if trips < 4 {
		t.Errorf("the breaker tripped %d times, want 4: they get two attempts back, and use up two", trips)
	}
}

// A person kills a job that has failed before the pooler has decided about it.
func TestAJobThatAPersonKilledIsNotTakenBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, fourTwo)
	for scan := range 4 {
		r.one(scan)
	}
	r.pass()
	alice, killed := r.operator(), false
	r.fake.Before(func(c queuefake.Call) error {
		if j := r.jobs()[0]; c.Op == queuefake.Errors && j.Status == pipeline.Failed && !killed {
			killed = true
			return alice.KillJob(t.Context(), j, false, "hopeless")
		}
		return nil
	})
	r.fake.End(r.fake.Jobs()[0].Spec.Name, 1, "boom")
	r.pass()
	r.failAll()
	r.pass()
	r.wantPaused(true)
	r.want(1, pipeline.TerminalFailure, 1)
	r.want(2, pipeline.Retrying, 0)
}

package pool_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue/queuefake"
)

// world is what happens around a pooler: jobs are started and end by
// themselves, and the one promise of the queue is watched.
type world struct {
	*rig
	fails map[string]int // how often a job fails before it ends well, by DATAFILES
}

// input names a job whatever its submission.
func input(j queuefake.Job) string { return j.Spec.Env["DATAFILES"] }

// watch reports a job that is in the queue twice.
func (w *world) watch() {
	w.Helper()
	live := make(map[string]string)
	for _, j := range w.fake.Jobs() {
		if !j.Live() {
			continue
		}
		if other, twice := live[input(j)]; twice {
			w.Errorf("%s and %s are in the queue for the same input", other, j.Spec.Name)
		}
		live[input(j)] = j.Spec.Name
	}
}

// turn ends every job in the queue.
func (w *world) turn() {
	w.Helper()
	for _, j := range w.fake.Jobs() {
		switch {
		case !j.Live():
		case w.fails[input(j)] > 0:
			w.fails[input(j)]--
			w.fake.End(j.Spec.Name, 1, "boom")
		default:
			w.succeed(j)
		}
	}
}

// done reports whether n jobs have ended well, and no more are in hand.
func (w *world) done(n int) bool {
	w.Helper()
	ended, err := w.store.CountIn(w.Context(), pipeline.EntityJob, pipeline.Processed)
	w.must(err)
	return ended == n
}

// crash is the value of a panic that stands for the death of the process.
type crash struct{ at string }

// mayCrash makes a pass, and reports where it died, if it did.
func (w *world) mayCrash() (died string, err error) {
	defer func() {
		if v := recover(); v != nil {
			c, ok := v.(crash)
			if !ok {
				panic(v)
			}
			died = c.at
		}
	}()
	return "", w.p.Pass(w.Context())
}

// stepper counts the steps of a pooler and does something at every 7th of them,
// beginning with a certain one, six times: seven runs meet them all. For ever it
// might always meet the same step of the same round.
type stepper struct {
	n, from, acts int
	act           func(step string)
}

func (s *stepper) step(what string) {
	s.n++
	if s.n%7 == s.from && s.acts < 6 {
		s.acts++
		s.act(what)
	}
}

// runToEnd makes passes until everything is done. Between two passes the jobs
// get on and the retries become due.
func (w *world) runToEnd(jobs int) {
	w.Helper()
	for range 30 {
		died, err := w.mayCrash()
		if died != "" {
			w.restart()
		} else if err != nil && !strings.Contains(err.Error(), "no answer") {
			w.Fatal(err)
		}
		w.watch()
		if w.done(jobs) {
			return
		}
		w.turn()
		w.retryTime()
	}
	w.Fatalf("after 30 passes the jobs are %+v", w.jobs())
}

// A pooler dies at any step, and a new one goes on; and likewise for calls that
// have no effect, and for replies that are lost. It always comes to the same
// end, by the same number of submissions.
func TestAFaultAtAnyStepChangesNothing(t *testing.T) {
	t.Parallel()
	type fault struct {
		name   string
		atCall func(s *stepper, before bool, c queuefake.Call) error
	}
	for _, f := range []fault{
		{"a crash", func(s *stepper, before bool, c queuefake.Call) error {
			s.step(fmt.Sprintf("%s, before: %v", c.Op, before))
			return nil
		}},
		{"an outage", func(s *stepper, before bool, c queuefake.Call) (err error) {
			if before {
				s.act = func(string) { err = queuefake.Outage() }
				s.step(string(c.Op))
			}
			return err
		}},
		{"a lost reply", func(s *stepper, before bool, c queuefake.Call) (err error) {
			if !before {
				s.act = func(string) { err = queuefake.Outage() }
				s.step(string(c.Op))
			}
			return err
		}},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := &world{rig: newRig(t), fails: map[string]int{}}
			for run := range 7 {
				w.one(run)
				w.fails[w.raw()+"/"+merged(run)] = 1
				s := &stepper{from: run, act: func(what string) { panic(crash{what}) }}
				if f.name == "a crash" {
					w.tick = func() { s.step("the clock is read") } // in every transaction, before it commits
				}
				w.fake.Before(func(c queuefake.Call) error { return f.atCall(s, true, c) })
				w.fake.After(func(c queuefake.Call) error { return f.atCall(s, false, c) })
				w.runToEnd(run + 1)
				w.tick = nil
				w.fake.Up()
				w.want(pipeline.JobID(run+1), pipeline.Processed, 1)
				if n := len(w.fake.Jobs()) - 2*run; n != 2 {
					t.Fatalf("after %s at every 7th step from %d the queue was given %d jobs, want 2: one that failed and one that did not", f.name, run, n)
				}
				if s.acts == 0 {
					t.Errorf("nothing happened in %d steps", s.n)
				}
			}
		})
	}
}

// Everything at once, drawn from a seed. A seed that fails repeats itself.
func TestRandomFaultsDoNotBreakThePromises(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 1))
			w := &world{rig: newRig(t, func(c *config.Config) {
				c.JobPooler.MaxJobsRunning, c.JobPooler.MaxJobsQueued, c.JobPooler.MaxAttempts = 3, 2, 100
			}), fails: map[string]int{}}
			for i := range 4 {
				name := merged(i)
				w.files(name)
				w.fails[w.raw()+"/"+name] = rnd.IntN(2)
			}
			fault := func(c queuefake.Call) error {
				switch rnd.IntN(24) {
				case 0:
					return queuefake.Outage()
				case 1:
					panic(crash{string(c.Op)})
				}
				return nil
			}
			w.fake.Before(fault)
			w.fake.After(fault)
			for range 400 {
				w.fake.Forgetful(rnd.IntN(10) == 0)
				died, err := w.mayCrash()
				if err != nil && !strings.Contains(err.Error(), "no answer") {
					t.Fatal(err)
				}
				if died != "" {
					w.restart()
				}
				w.watch()
				if w.done(4) {
					break
				}
				if rnd.IntN(3) == 0 {
					w.turn()
				}
				w.clock.Advance(time.Duration(rnd.Int64N(int64(time.Hour))))
			}
			w.fake.Up()
			for _, j := range w.jobs() {
				w.want(j.ID, pipeline.Processed, j.Attempts)
			}
			if len(w.jobs()) != 4 {
				t.Errorf("%d jobs, want 4", len(w.jobs()))
			}
		})
	}
}

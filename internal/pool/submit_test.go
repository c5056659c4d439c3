package pool_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
	"longhaul/internal/pool"
	"longhaul/internal/queue"
	"longhaul/internal/queue/queuefake"
)

func TestASubmissionSaysExactlyWhatIsToBeDone(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *config.Config) {
		c.Stages[0].Env = map[string]string{"OMP_NUM_THREADS": "2", "OUTDIR": "/never"}
	})
	files := r.pair(100)
	r.pass()
	sub, dir := r.submits(1)[0], jobtrackertest.Dir(r.T, r.store)
	got := r.last().Spec
	want := queue.Spec{
		Name:    sub.Name,
		Command: []string{"/opt/longhaul/bin/longhaul", "worker", "--", "/opt/longhaul/bin/longhaul", "search", "-v"},
		Env: map[string]string{
			"DATAFILES":          files[0].Path + ";" + files[1].Path,
			"OUTDIR":             dir + "/results/20120414/P2030.G45.6+00.2.N.00100/0/260314T120000",
			"LONGHAUL_WORKSPACE": dir + "/scratch",
			"LONGHAUL_SUBMIT":    sub.Name,
			"OMP_NUM_THREADS":    "2",
		},
		Stdout:    dir + "/joblog/" + sub.Name + ".out",
		Stderr:    dir + "/joblog/" + sub.Name + ".err",
		Resources: queue.Resources{CPUs: 2, Memory: 4 << 30, WallTime: time.Hour},
	}
	if !maps.Equal(got.Env, want.Env) {
		t.Errorf("environment\n%v, want\n%v", got.Env, want.Env)
	}
	got.Env, want.Env = nil, nil
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("submission\n%+v, want\n%+v", got, want)
	}
	if sub.QueueID != r.last().ID || sub.Status != pipeline.Running || sub.Manager != "fake" || sub.OutputDir != dir+"/results/20120414/P2030.G45.6+00.2.N.00100/0/260314T120000" {
		t.Errorf("recorded as %+v", sub)
	}
	if r.cfg.Stages[0].Env["OUTDIR"] != "/never" || len(r.cfg.Stages[0].Env) != 2 {
		t.Errorf("the configuration's own environment was changed: %v", r.cfg.Stages[0].Env)
	}
}

func TestTheIntentIsCommittedBeforeTheQueueManagerIsAsked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.one(1)
	other := jobtrackertest.Another(t, r.store, jobtracker.Options{Actor: "observer"})
	asked := 0
	r.fake.Before(func(c queuefake.Call) error {
		if c.Op != queuefake.Submit {
			return nil
		}
		asked++
		open, err := other.SubmitsIn(t.Context(), pipeline.Submitting)
		if err != nil || len(open) != 1 || open[0].Name != c.Name || open[0].OutputDir != c.Spec.Env["OUTDIR"] {
			t.Errorf("when %s is submitted the tracker has %+v (%v), want its intent", c.Name, open, err)
		}
		return nil
	})
	r.pass()
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
}

func TestRetriesGoFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *config.Config) { c.JobPooler.MaxJobsRunning = 1 })
	first := r.submitted(1)
	r.one(2)
	r.fake.End(first.Spec.Name, 1, "")
	r.pass() // the first fails and must wait; the second takes its place
	r.wantSubmits(2, pipeline.Running)
	r.one(3)
	r.retryTime()
	r.succeed(r.last())
	r.pass()
	r.want(1, pipeline.Submitted, 1)
	r.want(2, pipeline.Processed, 0)
	r.want(3, pipeline.New, 0)
}

func TestTheLimitsOfTheQueueAreKept(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                    string
		maxRunning, maxQueued   int
		runningNow, queuedNow   int
		wantMore, wantMoreAgain int // submitted by a pass, and by the next when all of those run
	}{
		{"an empty queue takes as many as may wait", 10, 2, 0, 0, 2, 2},
		{"what waits leaves less room", 10, 2, 3, 1, 1, 2},
		{"no room to wait, no submission", 10, 2, 0, 2, 0, 2},
		{"what waits counts as running", 3, 2, 2, 1, 0, 0},
		{"nor more than may run", 4, 10, 1, 1, 2, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			for i := range tt.runningNow + tt.queuedNow {
				j := r.submitted(i)
				if i < tt.runningNow {
					r.fake.Start(j.Spec.Name, "node1")
				}
			}
			r.cfg.JobPooler.MaxJobsRunning, r.cfg.JobPooler.MaxJobsQueued = tt.maxRunning, tt.maxQueued
			for i := range 5 {
				r.one(10 + i)
			}
			for i, want := range []int{tt.wantMore, tt.wantMoreAgain} {
				before := len(r.fake.Jobs())
				r.pass()
				if got := len(r.fake.Jobs()) - before; got != want {
					t.Fatalf("pass %d submitted %d jobs, want %d", i+1, got, want)
				}
				for _, j := range r.fake.Jobs() {
					if j.State.Phase == queue.Queued {
						r.fake.Start(j.Spec.Name, "node1")
					}
				}
			}
		})
	}
}

func TestAQueueThatStartsJobsAtOnceIsFilledInOnePass(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *config.Config) { c.JobPooler.MaxJobsRunning, c.JobPooler.MaxJobsQueued = 4, 1 })
	r.fake.After(func(c queuefake.Call) error {
		if c.Op == queuefake.Submit {
			r.fake.Start(c.Name, "node1")
		}
		return nil
	})
	for i := range 9 {
		r.one(10 + i)
	}
	r.pass()
	if n := len(r.fake.Jobs()); n != 4 {
		t.Errorf("%d jobs were submitted, want max_jobs_running = 4", n)
	}
}

// A batch system whose status is empty by mistake, as after its restart, is not
// given the whole survey.
func TestAnEmptyStatusDoesNotOpenTheGates(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *config.Config) { c.JobPooler.MaxJobsRunning = 3 })
	r.fake.Forgetful(true)
	for i := range 20 {
		r.one(10 + i)
	}
	for range 3 {
		r.pass()
	}
	if n := len(r.fake.Jobs()); n != 3 {
		t.Errorf("%d jobs were submitted, want max_jobs_running = 3", n)
	}
}

func TestTwoSubmitsWithinASecondHaveDirectoriesOfTheirOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *config.Config) {
		c.Stages[0].OutputDir = "{date}/{time}"
		c.JobPooler.RetryWait, c.JobPooler.RetryWaitMax = 0, 0
	})
	r.one(1)
	r.one(2)
	r.pass()
	r.fake.End(r.last().Spec.Name, 1, "")
	r.pass()
	r.pass()
	base := filepath.Join(r.cfg.JobPooler.BaseResultsDirectory, "20120414", "260314T120000")
	var got []string
	for _, j := range r.fake.Jobs() {
		got = append(got, j.Spec.Env["OUTDIR"])
	}
	if want := []string{base, base + ".2", base + ".3"}; !slices.Equal(got, want) {
		t.Errorf("output directories\n%v, want\n%v", got, want)
	}
}

func TestADirectoryThatIsThereIsNotGivenAway(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *config.Config) { c.Stages[0].OutputDir = "{time}" })
	taken := filepath.Join(r.cfg.JobPooler.BaseResultsDirectory, "260314T120000")
	r.must(os.Mkdir(taken, 0o750))
	if got := r.submitted(1).Spec.Env["OUTDIR"]; got != taken+".2" {
		t.Errorf("output directory %s, want %s", got, taken+".2")
	}
}

func TestARefusedSubmissionFailsItsJobOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.one(1)
	r.one(2)
	var refused string
	r.fake.Before(func(c queuefake.Call) error {
		if c.Op == queuefake.Submit && (refused == "" || refused == c.Name) {
			refused = c.Name
			return fmt.Errorf("%w: no such\npartition", queue.ErrRejected)
		}
		return nil
	})
	r.pass()
	r.want(2, pipeline.Submitted, 0)
	r.wantDetails(1, pipeline.Failed, 1, "no such partition")
	r.wantSubmits(1, pipeline.SubmissionFailed)
	r.pass()
	r.want(1, pipeline.Retrying, 1)
	r.retryTime()
	r.pass()
	r.want(1, pipeline.Submitted, 1)
}

func TestAJobThatCannotRunFailsClearly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.one(99) // keeps their directory from being empty
	for _, tt := range []struct {
		name  string
		spoil func(r *rig, f pipeline.File)
		want  string
	}{
		{"its input is gone", func(r *rig, f pipeline.File) { r.must(os.Remove(f.Path)) }, "is not there"},
		{"its input has shrunk", func(r *rig, f pipeline.File) { r.must(os.Truncate(f.Path, 999)) }, "has 999 bytes, not 1000"},
		{"its input is a directory", func(r *rig, f pipeline.File) {
			r.must(errors.Join(os.Remove(f.Path), os.Mkdir(f.Path, 0o750)))
		}, "is no regular file"},
		{"its stage is gone", func(r *rig, f pipeline.File) { r.cfg.Stages[0].Name = "other" }, `no stage "search"`},
		{"its output directory cannot be named", func(r *rig, f pipeline.File) { r.cfg.Stages[0].OutputDir = "{nonsense}/{time}" }, "{nonsense}"},
		{"its output directory's name is too long", func(r *rig, f pipeline.File) {
			r.cfg.Stages[0].OutputDir = strings.Repeat("{source}/", 400) + "{time}"
		}, "name too long"},
	} {
		id := pipeline.JobID(len(r.jobs()) + 1)
		stage := r.cfg.Stages[0]
		r.cfg.JobPooler.MaxJobsRunning = 0
		file := r.one(int(id))
		r.pass()
		tt.spoil(r, file)
		r.cfg.JobPooler.MaxJobsRunning = 100
		r.pass()
		r.wantDetails(id, pipeline.Failed, 1, tt.want)
		r.wantSubmits(id)
		r.cfg.Stages[0] = stage
		r.submitted(int(id) + 100) // others are well
	}
}

func TestADeletedInputFailsItsJob(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *config.Config) {
		c.JobPooler.MaxAttempts = 1
		c.Basic.DeleteRawdataOnTerminalFailure = true
	})
	j := r.submitted(1)
	r.fake.End(j.Spec.Name, 1, "")
	r.pass()
	r.want(1, pipeline.TerminalFailure, 1)
	if err := r.store.RetryGivenUpJob(t.Context(), 1, ""); !errors.Is(err, jobtracker.ErrRawDataGone) {
		t.Errorf("retried with its raw data marked for deletion: %v", err)
	}
}

// A job is killed after the pass has read it, and before its failure or its
// intent is written.
func TestAJobThatIsKilledWhileItIsPrepared(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		spoil bool
	}{{"and is well", false}, {"and cannot run", true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, idle)
			file := r.one(1)
			r.one(2)
			r.pass()
			if tt.spoil {
				r.must(os.Remove(file.Path))
			}
			r.cfg.JobPooler.MaxJobsRunning = 100
			operator := jobtrackertest.Another(t, r.store, jobtracker.Options{Actor: "alice", Now: r.clock.Now})
			first := true
			r.restart(func(o *pool.Options) {
				o.Progress = func() { // between the list of jobs and the first of them
					if first {
						first = false
						r.must(operator.KillJob(t.Context(), r.want(1, pipeline.New, 0), false, ""))
					}
				}
			})
			r.pass()
			r.want(1, pipeline.TerminalFailure, 0)
			r.want(2, pipeline.Submitted, 0)
		})
	}
}

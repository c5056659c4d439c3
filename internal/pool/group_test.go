package pool_test

import (
	"os"
	"testing"

	"longhaul/internal/config"
	"longhaul/internal/pipeline"
)

// idle lets no job be submitted, so that jobs can be looked at as they are made.
func idle(c *config.Config) { c.JobPooler.MaxJobsRunning = 0 }

func TestACompleteGroupBecomesOneJobForEachStage(t *testing.T) {
	t.Parallel()
	r := newRig(t, idle, func(c *config.Config) {
		second := c.Stages[0]
		second.Name, second.Inputs = "singlepulse", []string{"mock"}
		c.Stages = append(c.Stages, second)
	})
	r.pair(1)
	r.files(merged(2))
	r.pass()
	r.pass()
	var got []string
	for _, j := range r.jobs() {
		got = append(got, j.Stage+" of "+j.Name)
		files, err := r.store.JobFiles(t.Context(), j.ID)
		if want := map[string]int{"mock": 2, "merged": 1}[j.Product]; err != nil || len(files) != want {
			t.Errorf("job %d has %d files (%v), want %d", j.ID, len(files), err, want)
		}
	}
	if len(got) != 3 || got[0] == got[1] {
		t.Errorf("jobs %q, want two of the pair and one of the merged file", got)
	}
}

func TestHalfAPairWaitsForItsOtherHalf(t *testing.T) {
	t.Parallel()
	r := newRig(t, idle)
	r.files(half(1, 0))
	r.pass()
	if jobs := r.jobs(); len(jobs) != 0 {
		t.Fatalf("half a pair became %+v", jobs)
	}
	r.restart()
	r.files(half(1, 1))
	r.pass()
	r.want(1, pipeline.New, 0)
}

func TestAGroupWithAWrongPartIsSaidOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, idle)
	r.pair(1)
	r.files(half(1, 2)) // there is no third subband
	r.pair(2)
	for range 3 {
		r.pass()
	}
	if n := r.log.count("files that can make no job"); n != 1 {
		t.Errorf("said %d times, want once", n)
	}
	if jobs := r.jobs(); len(jobs) != 1 {
		t.Errorf("%d jobs, want the one of the other pair", len(jobs))
	}
}

func TestFilesOfAProductWithoutAStageWait(t *testing.T) {
	t.Parallel()
	r := newRig(t, idle, func(c *config.Config) { c.Stages[0].Inputs = []string{"merged"} })
	r.pair(1)
	r.pass()
	if jobs := r.jobs(); len(jobs) != 0 {
		t.Fatalf("they became %+v", jobs)
	}
	r.cfg.Stages[0].Inputs = []string{"merged", "mock"}
	r.pass()
	r.want(1, pipeline.New, 0)
}

func TestAFileThatAnOperatorTakesAwayMakesNoJob(t *testing.T) {
	t.Parallel()
	r := newRig(t, idle)
	files := r.pair(1)
	r.must(r.store.WantFileDeleted(t.Context(), files[0].ID, "not wanted"))
	r.pass()
	if jobs := r.jobs(); len(jobs) != 0 {
		t.Fatalf("its other half became %+v", jobs)
	}
	if _, err := os.Stat(files[0].Path); err != nil {
		t.Errorf("the pooler deleted it: %v", err)
	}
}

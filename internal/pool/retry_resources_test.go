package pool_test

import (
	"testing"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
)

func TestARetryAsksForMoreOfWhatRanOut(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	r := newRig(t)
	stage := &r.cfg.Stages[0]
	stage.CPUs, stage.Memory, stage.WallTime, stage.RetryFactor = 2, gib, config.Duration(time.Hour), 1.5
	stage.QueueArgs = []string{"--gres=tape"}
	j := r.submitted(1)
	for _, tt := range []struct {
		ends queue.Reason
		then queue.Resources
	}{
		{queue.TimedOut, queue.Resources{CPUs: 2, Memory: gib, WallTime: 90 * time.Minute}},
		{queue.OutOfMemory, queue.Resources{CPUs: 2, Memory: gib * 3 / 2, WallTime: 90 * time.Minute}},
		{queue.NodeFailed, queue.Resources{CPUs: 2, Memory: gib * 3 / 2, WallTime: 90 * time.Minute}},
	} {
		r.cfg.JobPooler.MaxAttempts = 10
		r.fake.Kill(j.Spec.Name, tt.ends, "")
		for range 3 {
			r.pass()
			r.clock.Advance(24 * time.Hour)
		}
		j = r.last()
		if j.Spec.Resources != tt.then {
			t.Errorf("after %s it asks for %+v, want %+v", tt.ends, j.Spec.Resources, tt.then)
		}
		if len(j.Spec.Args) != 1 {
			t.Errorf("its further arguments are %q", j.Spec.Args)
		}
	}
	jobs, err := r.store.RanOut(t.Context(), 1)
	if err != nil || jobs[pipeline.Memory] != 1 || jobs[pipeline.WallTime] != 1 {
		t.Errorf("it ran out of %v, %v", jobs, err)
	}
}

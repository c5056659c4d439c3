package pipeline_test

import (
	"testing"
	"time"

	"longhaul/internal/pipeline"
)

func TestRetryWaitDoublesUpToItsLimit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		failures       int
		first, longest time.Duration
		want           time.Duration
	}{
		{1, time.Minute, time.Hour, time.Minute},
		{2, time.Minute, time.Hour, 2 * time.Minute},
		{6, time.Minute, time.Hour, 32 * time.Minute},
		{7, time.Minute, time.Hour, time.Hour},
		{1000, time.Minute, time.Hour, time.Hour},
		{0, time.Minute, time.Hour, time.Minute},
		{-1, time.Minute, time.Hour, time.Minute},
		{3, time.Hour, time.Minute, time.Minute},
		{5, 0, 0, 0},
		{100, time.Nanosecond, 1<<63 - 1, 1 << 40},
	} {
		for range 20 {
			got := pipeline.RetryWait(tt.failures, tt.first, tt.longest)
			if got < tt.want/10*9 || got > tt.want/10*11+1 {
				t.Errorf("after %d failures, from %v to %v: %v, want %v give or take a tenth",
					tt.failures, tt.first, tt.longest, got, tt.want)
			}
		}
	}
}

func TestRetryWaitSpreads(t *testing.T) {
	t.Parallel()
	first := pipeline.RetryWait(1, time.Hour, time.Hour)
	for range 100 {
		if pipeline.RetryWait(1, time.Hour, time.Hour) != first {
			return
		}
	}
	t.Error("a hundred waits are the same")
}

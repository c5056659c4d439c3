package pool

import (
	"math"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
)

// ranOut counts how often each resource ran out in the submits of a job.
type ranOut struct{ memory, wallTime int }

// request is what a job asks the batch system for: what its stage says, more for
// more input, and more of what ran out before, up to the caps. What the stage
// leaves to the batch system stays so.
func request(s config.Stage, j pipeline.Job, before ranOut) queue.Resources {
	const gib = 1 << 30
	input := float64(j.Size) / gib
	return queue.Resources{
		CPUs:     s.CPUs,
		Memory:   int64(scaled(float64(s.Memory)+input*float64(s.MemoryPerGiB), s.RetryFactor, before.memory, float64(s.MemoryMax))),
		WallTime: time.Duration(scaled(float64(s.WallTime)+input*float64(s.WallTimePerGiB), s.RetryFactor, before.wallTime, float64(s.WallTimeMax))),
	}
}

// scaled multiplies x by factor n times and caps it; a cap of 0 is none.
func scaled(x, factor float64, n int, limit float64) float64 {
	x *= math.Pow(max(factor, 1), float64(n))
	if limit > 0 {
		x = min(x, limit)
	}
	return min(x, math.MaxInt64/2) // what no batch system has, and no overflow
}

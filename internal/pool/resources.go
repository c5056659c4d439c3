package pool

import (
	"math"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
)

// ranOut is the resource that a submit had too little of, by its end.
func ranOut(reason queue.Reason) pipeline.Resource {
	switch reason {
	case queue.OutOfMemory:
		return pipeline.Memory
	case queue.TimedOut:
		return pipeline.WallTime
	}
	return ""
}

// request is what a job asks the batch system for: what its stage says, more for
// more input, and more of what ran out so often before, up to the caps. What the stage
// leaves to the batch system stays so.
func request(s config.Stage, j pipeline.Job, before map[pipeline.Resource]int) queue.Resources {
	const gib = 1 << 30
	input := float64(j.Size) / gib
	return queue.Resources{
		CPUs:     s.CPUs,
		Memory:   int64(scaled(float64(s.Memory)+input*float64(s.MemoryPerGiB), s.RetryFactor, before[pipeline.Memory], float64(s.MemoryMax))),
		WallTime: time.Duration(scaled(float64(s.WallTime)+input*float64(s.WallTimePerGiB), s.RetryFactor, before[pipeline.WallTime], float64(s.WallTimeMax))),
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

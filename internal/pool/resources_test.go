package pool

import (
	"testing"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
)

func TestResourcesGrowWithTheInputAndWithWhatRanOut(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	stage := config.Stage{
		CPUs: 2, Memory: 2 * gib, MemoryPerGiB: gib / 2, MemoryMax: 6 * gib,
		WallTime: config.Duration(time.Hour), WallTimePerGiB: config.Duration(30 * time.Minute),
		WallTimeMax: config.Duration(10 * time.Hour), RetryFactor: 2,
	}
	for _, tt := range []struct {
		name   string
		stage  config.Stage
		size   int64
		before map[pipeline.Resource]int
		want   queue.Resources
	}{
		{"no input", stage, 0, nil, queue.Resources{CPUs: 2, Memory: 2 * gib, WallTime: time.Hour}},
		{"4 GiB of input", stage, 4 * gib, nil, queue.Resources{CPUs: 2, Memory: 4 * gib, WallTime: 3 * time.Hour}},
		{"time ran out", stage, 0, map[pipeline.Resource]int{pipeline.WallTime: 2}, queue.Resources{CPUs: 2, Memory: 2 * gib, WallTime: 4 * time.Hour}},
		{"memory ran out", stage, 0, map[pipeline.Resource]int{pipeline.Memory: 1}, queue.Resources{CPUs: 2, Memory: 4 * gib, WallTime: time.Hour}},
		{"at the caps", stage, 100 * gib, map[pipeline.Resource]int{pipeline.Memory: 1, pipeline.WallTime: 1}, queue.Resources{CPUs: 2, Memory: 6 * gib, WallTime: 10 * time.Hour}},
		{"left to the batch system", config.Stage{RetryFactor: 1.5}, 4 * gib, map[pipeline.Resource]int{pipeline.Memory: 3, pipeline.WallTime: 3}, queue.Resources{}},
		{"far too often", config.Stage{Memory: gib, RetryFactor: 10}, 0, map[pipeline.Resource]int{pipeline.Memory: 400}, queue.Resources{Memory: 1 << 62}},
	} {
		if got := request(tt.stage, pipeline.Job{Size: tt.size}, tt.before); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

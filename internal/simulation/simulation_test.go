package simulation

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "the seed to run, or the first of -runs; 0: one by the clock")
	daysFlag  = flag.Int("days", 30, "how many `days` with faults a run has")
	runsFlag  = flag.Int("runs", 0, "how many seeds to run; 0: for some seconds, or -seed alone")
	traceFlag = flag.Bool("trace", false, "print everything that happens")
)

// budget is how long fresh seeds are run when nothing else is said.
const budget = 8 * time.Second

// regression is a seed that once found something. What a seed brings changes
// with the simulation: the mistake has a test of its own where it was made.
type regression struct {
	seed  uint64
	found string
}

func regressions() []regression {
	return []regression{
		{336, "a part file kept bytes that were not counted, and the raw data outgrew space_to_use"},
		{712, "the same, when it died during a slow transfer"},
	}
}

func TestSimulation(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // the runs are small and many
	if *seedFlag != 0 && *runsFlag == 0 {
		runSeed(t, *seedFlag)
		return
	}
	first := *seedFlag
	if first == 0 {
		first = uint64(time.Now().UnixNano())/1000%1e9 + 1
	}
	if *runsFlag > 0 {
		atLength(t, first, *runsFlag)
		return
	}
	for _, r := range regressions() {
		if runSeed(t, r.seed).broken != "" {
			t.Errorf("seed %d once found: %s", r.seed, r.found)
		}
	}
	var total result
	began, runs := time.Now(), 0
	for seed := first; time.Since(began) < budget && !t.Failed(); seed++ {
		total.add(runSeed(t, seed))
		runs++
	}
	report(t, first, runs, total, time.Since(began))
}

// atLength runs many seeds, one at a time on each processor.
func atLength(t *testing.T, first uint64, runs int) {
	results := make(chan result)
	workers := uint64(runtime.GOMAXPROCS(0))
	for w := range workers {
		go func() {
			for seed := first + w; seed < first+uint64(runs); seed += workers {
				results <- runSeed(t, seed)
			}
		}()
	}
	var total result
	began := time.Now()
	for range runs {
		total.add(<-results)
	}
	report(t, first, runs, total, time.Since(began))
}

func report(t *testing.T, first uint64, runs int, total result, took time.Duration) {
	days := total.lasted.Hours() / 24
	t.Logf("%d runs from seed %d: %.0f simulated days with %d passes and %d deaths, %d observations uploaded, in %v: %.0f days a minute",
		runs, first, days, total.passes, total.deaths, total.uploaded, took.Round(time.Millisecond), days/took.Minutes())
}

// runSeed makes one run, and reports what it broke.
func runSeed(t *testing.T, seed uint64) result {
	t.Helper()
	var echo func(string)
	if *traceFlag {
		echo = func(line string) { fmt.Println(line) }
	}
	r := oneRun(t, seed, *daysFlag, lie{}, echo)
	if r.broken != "" {
		t.Errorf("%s\nto repeat it: go test ./internal/simulation -run TestSimulation -seed=%d -days=%d\nthe last that happened:\n%s",
			r.broken, seed, *daysFlag, strings.Join(r.recent, "\n"))
	}
	return r
}

// A seed is worth printing only if it brings the same run again.
func TestTheSameSeedIsTheSameRun(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		first := oneRun(t, seed+1, 15, lie{}, nil)
		again := oneRun(t, seed+1, 15, lie{}, nil)
		if first.digest != again.digest || first.lasted != again.lasted {
			t.Errorf("seed %d made two different runs, of %v and %v", seed+1, first.lasted, again.lasted)
		}
	}
}

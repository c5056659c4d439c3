package pipeline

import (
	"math/rand/v2"
	"time"
)

// RetryWait returns how long to wait before another try after a number of
// failures: first, doubled each time, at most longest, give or take a tenth so
// that what failed together is not tried together.
func RetryWait(failures int, first, longest time.Duration) time.Duration {
	wait := first
	for range min(max(failures, 1)-1, 40) {
		if wait >= longest/2 {
			wait = longest
			break
		}
		wait *= 2
	}
	wait = min(wait, longest)
	return wait*9/10 + rand.N(wait/5+1)
}

package stream

import (
	"sync"
	"sync/atomic"
)

// Parallel calls do for 0 to n-1, in any order, by a number of workers, each of
// which is told its own number. It returns when all are done.
func Parallel(workers, n int, do func(worker, i int)) {
	workers = min(max(workers, 1), n)
	if workers <= 1 {
		for i := range n {
			do(0, i)
		}
		return
	}
	var next atomic.Int64
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(w, i)
			}
		})
	}
	all.Wait()
}

package simulation

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
	"time"
)

// gate makes the transfers of the downloader take turns, so that a run follows
// from its seed: each waits at its beginning until the pass has been made, and
// again wherever it is to be slow.
type gate struct {
	mu      sync.Mutex
	changed *sync.Cond
	waiting []*parked
}

// parked is a transfer that waits for its turn.
type parked struct {
	path  string
	until time.Time
	turn  chan bool // false: it dies
}

func newGate() *gate {
	g := new(gate)
	g.changed = sync.NewCond(&g.mu)
	return g
}

// wait holds the transfer that calls it until its turn has come.
func (g *gate) wait(path string, until time.Time) {
	p := &parked{path, until, make(chan bool)}
	g.mu.Lock()
	g.waiting = append(g.waiting, p)
	g.mu.Unlock()
	g.changed.Broadcast()
	if !<-p.turn {
		runtime.Goexit()
	}
}

// stir is called when a transfer has ended.
func (g *gate) stir() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changed.Broadcast()
}

// quiesce waits until every active transfer waits at the gate.
func (g *gate) quiesce(active func() int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for active() != len(g.waiting) {
		g.changed.Wait()
	}
}

// next takes out the first transfer, by name, that may go on; nil if none may.
func (g *gate) next(may func(*parked) bool) *parked {
	g.mu.Lock()
	defer g.mu.Unlock()
	slices.SortFunc(g.waiting, func(a, b *parked) int { return cmp.Compare(a.path, b.path) })
	i := slices.IndexFunc(g.waiting, may)
	if i < 0 {
		return nil
	}
	p := g.waiting[i]
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return p
}

// killAll ends all transfers where they are.
func (g *gate) killAll() {
	g.mu.Lock()
	dying := g.waiting
	g.waiting = nil
	g.mu.Unlock()
	for _, p := range dying {
		p.turn <- false
	}
}

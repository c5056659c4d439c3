package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"longhaul/internal/crashpoint"
	"longhaul/internal/daemon"
)

// writesInARun: the writes to part files differ in nothing but how many bytes
// came before, so the sweep takes one in so many. All other side effects have a
// run each.
const writesInARun = 10

// death is that of one daemon, just before its k-th side effect of one kind.
type death struct {
	daemon string
	k      int
	point  string
}

// String is how the daemon is told, and how -at takes it.
func (d death) String() string { return fmt.Sprintf("%s:%d:%s", d.daemon, d.k, d.point) }

// parseDeath undoes String.
func parseDeath(text string) (death, error) {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) < 3 {
		return death{}, fmt.Errorf("-at %q: want DAEMON:K:SIDE EFFECT", text)
	}
	k, err := strconv.Atoi(parts[1])
	if err != nil {
		return death{}, fmt.Errorf("-at %q: %w", text, err)
	}
	return death{parts[0], k, parts[2]}, nil
}

// sweepAll counts the side effects of a run without deaths, and then makes a
// run for each of them, or for a sample.
func (t *torture) sweepAll(ctx context.Context) error {
	effects, err := t.effects(ctx)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(t.parallel)
	for _, d := range t.draw(effects) {
		group.Go(func() error { return t.sweepOne(ctx, d) })
	}
	return group.Wait()
}

// effects makes a run without deaths, and returns the side effects that are
// worth one, by their kind.
func (t *torture) effects(ctx context.Context) (map[string][]death, error) {
	dir, log := filepath.Join(t.dir, "count"), filepath.Join(t.dir, "effects")
	if _, err := t.demo(ctx, dir, "CRASH_LOG="+log); err != nil {
		return nil, fmt.Errorf("the run without deaths: %w", err)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		return nil, err
	}
	effects := make(map[string][]death)
	counts, total := make(map[death]int), make(map[string]int)
	for line := range strings.Lines(string(text)) {
		d := death{}
		d.daemon, d.point, _ = strings.Cut(strings.TrimSpace(line), "\t")
		total[d.daemon]++
		counts[d]++ // without its number
		d.k = counts[d]
		if crashpoint.Point(d.point) == crashpoint.PartWrite && d.k%writesInARun != 1 {
			continue
		}
		effects[d.point] = append(effects[d.point], d)
	}
	for _, kind := range daemon.Kinds() {
		fmt.Fprintf(t.out, "the %s has %d side effects\n", kind, total[kind])
	}
	return effects, os.RemoveAll(dir)
}

// draw returns the deaths that are to be died: all, or a sample in which each
// kind of side effect is as likely as any other, however often it comes.
func (t *torture) draw(effects map[string][]death) []death {
	var all []death
	var points []string
	for _, info := range crashpoint.All() { // in this order, whatever the map's
		if some := effects[string(info.Point)]; len(some) > 0 {
			points = append(points, string(info.Point))
			all = append(all, some...)
		}
	}
	if t.sample <= 0 || t.sample >= len(all) {
		fmt.Fprintf(t.out, "sweep: %d runs\n", len(all))
		return all
	}
	fmt.Fprintf(t.out, "sweep: %d runs of %d\n", t.sample, len(all))
	t.random.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
	var some []death
	for i := 0; len(some) < t.sample; i++ {
		p := points[i%len(points)]
		if len(effects[p]) == 0 {
			continue
		}
		n := t.random.IntN(len(effects[p]))
		some = append(some, effects[p][n])
		effects[p] = slices.Delete(effects[p], n, n+1)
	}
	return some
}

// sweepOne lets one daemon die. A run whose daemon gets by with fewer side
// effects ends without a death, and is counted as such.
func (t *torture) sweepOne(ctx context.Context, d death) error {
	dir := filepath.Join(t.dir, strings.NewReplacer(":", "-", " ", "-").Replace(d.String()))
	once := dir + ".died"
	watched := watchRawData(ctx, dir)
	_, err := t.demo(ctx, dir, "CRASH_AT="+d.String(), "CRASH_ONCE="+once)
	err = errors.Join(err, watched())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		t.violation(fmt.Sprintf("the death before a side effect; again with -at %q", d), err)
		return nil
	}
	_, alive := os.Stat(once)
	t.mu.Lock()
	if alive != nil {
		t.spared++
	} else {
		t.deaths[d.point]++
	}
	t.mu.Unlock()
	return errors.Join(os.RemoveAll(dir), os.RemoveAll(once))
}

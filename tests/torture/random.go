package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// killAtRandom makes runs in which daemons are killed, until there were enough.
func (t *torture) killAtRandom(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for i := range t.parallel {
		random := rand.New(rand.NewPCG(t.seed, uint64(i)+2))
		group.Go(func() error {
			for n := 0; ctx.Err() == nil && t.killsLeft(); n++ {
				if err := t.killedRun(ctx, fmt.Sprintf("random-%d-%d", i, n), random); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}

func (t *torture) killsLeft() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.killed < t.kills
}

// killsInARun is how often a run is disturbed before it is let go to its end.
const killsInARun = 12

func (t *torture) killedRun(ctx context.Context, name string, random *rand.Rand) error {
	dir := filepath.Join(t.dir, name)
	watched := watchRawData(ctx, dir)
	kills := 0
	for kills < killsInARun {
		cmd := t.command(ctx, dir)
		if err := cmd.Start(); err != nil {
			return err
		}
		n, ended := t.disturb(ctx, cmd, random, killsInARun-kills)
		kills += n
		if ended {
			break
		}
	}
	t.mu.Lock()
	t.killed += kills
	t.mu.Unlock()
	_, err := t.demo(ctx, dir)
	err = errors.Join(err, watched())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		t.violation(fmt.Sprintf("%s, after %d kills; again with -seed %d", name, kills, t.seed), err)
		return nil
	}
	return os.RemoveAll(dir)
}

// disturb kills daemons of a running demo, and at last perhaps the demo itself.
// It returns how often, and whether the demo came to its end by itself.
func (t *torture) disturb(ctx context.Context, cmd *exec.Cmd, random *rand.Rand, most int) (kills int, ended bool) {
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	for kills < most {
		select {
		case <-ctx.Done():
			return kills, true
		case <-done:
			return kills, true
		case <-time.After(time.Duration(random.Int64N(int64(900 * time.Millisecond)))):
		}
		if random.IntN(6) == 0 { // everything at once, as when the power goes
			if cmd.Process.Kill() == nil {
				kills++
			}
			<-done
			return kills, false
		}
		if pids := children(cmd.Process.Pid); len(pids) > 0 {
			if syscall.Kill(pids[random.IntN(len(pids))], syscall.SIGKILL) == nil {
				kills++
			}
		}
	}
	<-done
	return kills, true
}

// children are the daemons that a demo has started.
func children(pid int) []int {
	var pids []int
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil
	}
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for _, field := range strings.Fields(string(text)) {
			var child int
			if _, err := fmt.Sscan(field, &child); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

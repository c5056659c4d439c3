// Command torture runs the demo's survey again and again, kills its daemons,
// and wants every run to end as if nothing had happened. It does two things:
//
//   - the sweep: each daemon dies by its own hand just before its k-th side
//     effect, for every k, in a run of its own;
//   - random kills: daemons, and now and then everything at once, are killed
//     with SIGKILL at random moments, until there were enough of them.
//
// A run is right when the demo's own checks say so: each good observation
// uploaded exactly once, no submit run twice, no raw data gone too early or
// kept too long, nothing left in between, every mail there, every status
// explained by its history. A failure prints how to repeat it and keeps its
// directory.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"longhaul/internal/crashpoint"
	"longhaul/internal/daemon"
	"longhaul/internal/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

// options of the command line.
type options struct {
	kills    int
	seed     uint64
	sweep    bool
	every    int
	parallel int
	dir      string
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	f := flag.NewFlagSet("torture", flag.ContinueOnError)
	f.IntVar(&o.kills, "n", 100, "random kills; 0: none")
	f.Uint64Var(&o.seed, "seed", 0, "of the random kills; 0: a new one")
	f.BoolVar(&o.sweep, "sweep", true, "kill each daemon at every one of its side effects")
	f.IntVar(&o.every, "every", 1, "of the sweep, make one run in so many")
	f.IntVar(&o.parallel, "parallel", 2, "runs at a time")
	f.StringVar(&o.dir, "dir", "", "`directory` for the runs (default a temporary one)")
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.seed == 0 {
		o.seed = rand.Uint64N(1_000_000) + 1
	}
	t := &torture{options: o, out: out, random: rand.New(rand.NewPCG(o.seed, 1)), started: time.Now()}
	if err := t.prepare(ctx); err != nil {
		return err
	}
	var err error
	if o.sweep {
		err = t.sweepAll(ctx)
	}
	if err == nil && o.kills > 0 {
		err = t.killAtRandom(ctx)
	}
	t.report()
	switch {
	case err != nil:
		return err
	case len(t.violations) > 0:
		return fmt.Errorf("%d violations; their directories are in %s", len(t.violations), t.dir)
	}
	return os.RemoveAll(t.dir)
}

type torture struct {
	options
	out     io.Writer
	random  *rand.Rand
	program string
	started time.Time

	mu         sync.Mutex
	runs       int
	deaths     map[string]int // by point, of the sweep
	spared     int            // runs of the sweep whose daemon got by with fewer side effects
	killed     int            // at random
	violations []string
}

// prepare builds the program that can kill itself.
func (t *torture) prepare(ctx context.Context) error {
	if t.dir == "" {
		dir, err := os.MkdirTemp("", "longhaul-torture-")
		if err != nil {
			return err
		}
		t.dir = dir
	}
	t.deaths = make(map[string]int)
	t.program = filepath.Join(t.dir, "longhaul")
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", "crashpoints", "-o", t.program, "longhaul/cmd/longhaul")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	fmt.Fprintf(t.out, "seed %d, runs in %s\n", t.seed, t.dir)
	return nil
}

// demo runs one demo to its end in a directory.
func (t *torture) demo(ctx context.Context, dir string, env ...string) (demo.Report, error) {
	cmd := t.command(ctx, dir, env...)
	out, err := cmd.Output()
	var r demo.Report
	if jsonErr := json.Unmarshal(out, &r); jsonErr != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return r, errors.Join(err, jsonErr)
	}
	t.mu.Lock()
	t.runs++
	t.mu.Unlock()
	var wrong []error
	for _, c := range r.Checks {
		if !c.OK {
			wrong = append(wrong, fmt.Errorf("%s: %s", c.Name, c.Note))
		}
	}
	return r, errors.Join(append(wrong, err)...)
}

func (t *torture) command(ctx context.Context, dir string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, t.program, "demo", "--json", "--beams", "1", "--dir", dir)
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

// violation keeps a failure.
func (t *torture) violation(what string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.violations = append(t.violations, what)
	fmt.Fprintf(t.out, "VIOLATION %s:\n  %s\n", what, strings.ReplaceAll(err.Error(), "\n", "\n  "))
}

// writesInARun: the writes to part files differ in nothing but how many bytes
// came before, so the sweep takes one in so many. All other side effects have a
// run each.
const writesInARun = 10

// sweepAll counts the side effects of a run without deaths, and then makes a
// run for each of them.
func (t *torture) sweepAll(ctx context.Context) error {
	log := filepath.Join(t.dir, "effects")
	if _, err := t.demo(ctx, filepath.Join(t.dir, "count"), "CRASH_LOG="+log); err != nil {
		return fmt.Errorf("the run without deaths: %w", err)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		return err
	}
	effects := make(map[string][]int) // the side effects that are worth a run, by daemon
	counts, writes := make(map[string]int), 0
	for line := range strings.Lines(string(text)) {
		kind, point, _ := strings.Cut(strings.TrimSpace(line), "\t")
		counts[kind]++
		if crashpoint.Point(point) == crashpoint.PartWrite {
			if writes++; writes%writesInARun != 0 {
				continue
			}
		}
		effects[kind] = append(effects[kind], counts[kind])
	}
	if err := os.RemoveAll(filepath.Join(t.dir, "count")); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(t.parallel)
	for _, kind := range daemon.Kinds() {
		fmt.Fprintf(t.out, "sweep: %d side effects of the %s, %d runs\n",
			counts[kind], kind, (len(effects[kind])+t.every-1)/t.every)
		for i := 0; i < len(effects[kind]); i += t.every {
			group.Go(func() error { return t.sweepOne(ctx, kind, effects[kind][i]) })
		}
	}
	return group.Wait()
}

// sweepOne lets one daemon die at its k-th side effect. A run whose daemon gets
// by with fewer ends without a death, and is counted as such.
func (t *torture) sweepOne(ctx context.Context, kind string, k int) error {
	name := fmt.Sprintf("%s-%d", kind, k)
	dir, once := filepath.Join(t.dir, name), filepath.Join(t.dir, name+".died")
	_, err := t.demo(ctx, dir, fmt.Sprintf("CRASH_AT=%s:%d", kind, k), "CRASH_ONCE="+once)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	point := ""
	if died, readErr := os.ReadFile(once); readErr == nil {
		_, point, _ = strings.Cut(strings.TrimSpace(string(died)), "\t")
	}
	if err != nil {
		t.violation(fmt.Sprintf("sweep, %s at its side effect %d (%s)", kind, k, point), err)
		return nil
	}
	t.mu.Lock()
	if point == "" {
		t.spared++
	} else {
		t.deaths[point]++
	}
	t.mu.Unlock()
	return errors.Join(os.RemoveAll(dir), os.RemoveAll(once))
}

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
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		t.violation(fmt.Sprintf("%s with seed %d after %d kills", name, t.seed, kills), err)
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

// report says what was done and found.
func (t *torture) report() {
	t.mu.Lock()
	defer t.mu.Unlock()
	var points []string
	total := 0
	for p, n := range t.deaths {
		points = append(points, p)
		total += n
	}
	slices.Sort(points)
	fmt.Fprintf(t.out, "\nruns        %d, in %s\n", t.runs, time.Since(t.started).Round(time.Second))
	fmt.Fprintf(t.out, "deaths      %d at a side effect; in %d runs the daemon got by with fewer\n", total, t.spared)
	for _, p := range points {
		fmt.Fprintf(t.out, "            %4d before: %s\n", t.deaths[p], p)
	}
	fmt.Fprintf(t.out, "kills       %d at random, seed %d\n", t.killed, t.seed)
	fmt.Fprintf(t.out, "faults      5 in each run: cut, corrupted, gone, a job that fails once, one that always does\n")
	fmt.Fprintf(t.out, "violations  %d\n", len(t.violations))
	for _, v := range t.violations {
		fmt.Fprintf(t.out, "            %s\n", v)
	}
}

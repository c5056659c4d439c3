// Command torture runs the demo's survey again and again, kills its daemons,
// and wants every run to end as if nothing had happened. It does two things:
//
//   - the sweep: each daemon dies by its own hand just before its k-th side
//     effect, for every k, in a run of its own; a sample makes only some of
//     these runs, drawn from the seed;
//   - random kills: daemons, and now and then everything at once, are killed
//     with SIGKILL at random moments, until there were enough of them.
//
// While a run goes on, raw data that disappears is held against the common
// database. At its end the demo's own checks must hold: each good observation
// uploaded exactly once, no submit run twice, no raw data gone too early or
// kept too long, nothing left in between, every status explained by its
// history. And of the mails that were due, each has come, once or twice. A
// failure prints how to repeat it and keeps its directory.
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
	sample   int
	at       string
	parallel int
	dir      string
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	f := flag.NewFlagSet("torture", flag.ContinueOnError)
	f.IntVar(&o.kills, "n", 100, "random kills; 0: none")
	f.Uint64Var(&o.seed, "seed", 0, "of all that is random; 0: a new one")
	f.BoolVar(&o.sweep, "sweep", true, "kill each daemon at every one of its side effects")
	f.IntVar(&o.sample, "sample", 0, "of the sweep, make only so many runs, drawn at random; 0: all")
	f.StringVar(&o.at, "at", "", "make only the run of one `death`, as a violation gives it: DAEMON:K:SIDE EFFECT")
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
	switch {
	case o.at != "":
		var d death
		if d, err = parseDeath(o.at); err == nil {
			err = t.sweepOne(ctx, d)
		}
	case o.sweep:
		err = t.sweepAll(ctx)
	}
	if err == nil && o.kills > 0 && o.at == "" {
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
	mails      int            // that came a second time
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
	twice, mailErr := checkMails(ctx, dir)
	t.mu.Lock()
	t.mails += twice
	t.mu.Unlock()
	wrong := []error{mailErr}
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
	fmt.Fprintf(t.out, "kills       %d at random\n", t.killed)
	fmt.Fprintf(t.out, "faults      5 in each run: cut, corrupted, gone, a job that fails once, one that always does\n")
	fmt.Fprintf(t.out, "mails       every one that was due came; %d a second time\n", t.mails)
	fmt.Fprintf(t.out, "seed        %d\n", t.seed)
	fmt.Fprintf(t.out, "violations  %d\n", len(t.violations))
	for _, v := range t.violations {
		fmt.Fprintf(t.out, "            %s\n", v)
	}
}

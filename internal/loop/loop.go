package loop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"longhaul/internal/pipeline"
)

// wakeGap is the least time between two passes, however often a loop is
// woken: a busy tracker makes about ten passes a second, not a spinning CPU.
const wakeGap = 100 * time.Millisecond

// Options say how a Loop runs. Name, Every and Log must be set.
type Options struct {
	Name  string        // for the log and for errors, as "downloader"
	Every time.Duration // between passes, give or take a tenth
	Max   time.Duration // the longest wait after errors in a row; at least Every
	Log   *slog.Logger

	// Patience is how long an outage may last before OnOutage is told, so
	// that a hiccup makes no mail. The log has every outage from its beginning.
	Patience time.Duration
	// OnOutage is called once for an outage; began is when it was first seen.
	OnOutage func(ctx context.Context, system pipeline.System, err error, began time.Time)
	// OnBack is called when an outage is over that OnOutage was told of.
	OnBack func(ctx context.Context, system pipeline.System, after time.Duration, tries int)

	// Status, if set, is given a short line about the loop after every pass.
	Status func(line string)
	// Beat, if set, is the loop's part of the watchdog.
	Beat *Beat
}

// A Loop calls its pass at once, then every interval give or take a tenth:
// sooner when woken, later after errors. Passes never overlap.
type Loop struct {
	o       Options
	pass    func(context.Context) error
	wake    chan struct{}
	fails   int // passes in a row that returned an error
	outages outages
}

// New returns a loop around a pass. A pass does all that can be done now and
// returns; it may join the errors of several things that went wrong with
// errors.Join. An error that wraps pipeline.ErrFatal ends the loop; one that
// holds a *pipeline.OutageError is logged when the outage begins and ends;
// any other is logged each time.
func New(o Options, pass func(context.Context) error) *Loop {
	o.Every = max(o.Every, wakeGap)
	o.Max = max(o.Max, o.Every)
	return &Loop{o: o, pass: pass, wake: make(chan struct{}, 1), outages: outages{}}
}

// Wake asks for a pass soon. It never blocks; calls made during a pass
// coalesce. After an error a wake is heeded no sooner than Every after the
// last pass, so that a busy neighbour does not turn the back-off into a siege.
func (l *Loop) Wake() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Progress tells the watchdog that a long pass is still getting somewhere. A
// pass calls it between two things that it does, never while it waits for one.
func (l *Loop) Progress() { l.o.Beat.Beat() }

// Run makes passes until ctx is done and the pass in progress has returned;
// that is no error. It returns the error of a pass that wraps
// pipeline.ErrFatal, and a *PanicError, which does, if a pass panics.
func (l *Loop) Run(ctx context.Context) error {
	defer l.o.Beat.Done()
	due := time.Now()
	for earliest := due; l.wait(ctx, due, earliest); {
		err := l.onePass(ctx)
		l.o.Beat.Beat()
		if errors.Is(err, pipeline.ErrFatal) {
			return fmt.Errorf("%s: %w", l.o.Name, err)
		}
		if ctx.Err() != nil {
			return nil // stopping is not a failure
		}
		ended := time.Now()
		pause := l.judge(ctx, err, ended)
		due = ended.Add(pause)
		earliest = ended.Add(wakeGap)
		if err != nil {
			earliest = ended.Add(min(l.o.Every, pause))
		}
	}
	return nil
}

// wait returns true when the next pass is due: at the time due, or when
// woken, but not before earliest. It returns false when ctx is done.
func (l *Loop) wait(ctx context.Context, due, earliest time.Time) bool {
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	var beat <-chan time.Time
	if every := l.o.Beat.every(); every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		beat = t.C
	}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-timer.C:
			return ctx.Err() == nil
		case <-beat:
			l.o.Beat.Beat()
		case <-l.wake:
			if earliest.Before(due) {
				due = earliest
				timer.Reset(time.Until(due))
			}
		}
	}
	return false
}

// onePass calls the pass and turns a panic in it into an error.
func (l *Loop) onePass(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return l.pass(ctx)
}

// judge logs what a pass returned, calls the hooks, and returns how long to
// wait before the next one.
func (l *Loop) judge(ctx context.Context, err error, now time.Time) time.Duration {
	if err == nil {
		l.fails = 0
	} else {
		l.fails++
	}
	pause := jitter(backoff(l.o.Every, l.o.Max, l.fails))
	down, others := sortErrors(err)
	for i, err := range others {
		if i == 10 {
			l.o.Log.Error("more errors in this pass", "count", len(others)-i)
			break
		}
		l.o.Log.Error("pass went wrong", "err", err, "in_a_row", l.fails, "retry_in", pause.Round(time.Millisecond))
	}
	l.noteOutages(ctx, down, len(others) > 0, now, now.Add(pause))
	if l.o.Status != nil {
		l.o.Status(l.outages.line(len(others), now))
	}
	return pause
}

// backoff is every without failures and after the first, then twice as much
// for each further one, at most limit.
func backoff(every, limit time.Duration, fails int) time.Duration {
	for range min(max(fails-1, 0), 30) {
		if every >= limit/2 {
			return limit
		}
		every *= 2
	}
	return every
}

// jitter spreads d over a tenth to both sides, so that daemons which failed
// together do not come back together.
func jitter(d time.Duration) time.Duration {
	return d*9/10 + rand.N(d/5+1)
}

// PanicError is a panic in a pass. It wraps pipeline.ErrFatal.
type PanicError struct {
	Value any
	Stack []byte // of the goroutine that panicked
}

// Error gives the value only: a stack has no place in one line of a log.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap makes a panic fatal, and shows its value if that is an error.
func (e *PanicError) Unwrap() []error {
	if err, ok := e.Value.(error); ok {
		return []error{pipeline.ErrFatal, err}
	}
	return []error{pipeline.ErrFatal}
}

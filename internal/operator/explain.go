package operator

import (
	"context"
	"fmt"
	"slices"
	"time"

	"longhaul/internal/pipeline"
)

// Explanation is why something does not move, and what comes next.
type Explanation struct {
	Ref
	Name   string          `json:"name"`
	Status pipeline.Status `json:"status"`
	Since  time.Time       `json:"since"` // when it took that status, or was last touched
	Why    []string        `json:"why"`   // the reasons, the first of them stops it
	Next   string          `json:"next"`  // what happens by itself, or what a person can do
	// Commands are for the operator to choose from, the likeliest first.
	Commands []Command `json:"commands"`
}

// Command is a command that an operator may want next.
type Command struct {
	Line string `json:"line"`
	Does string `json:"does"`
}

func (e *Explanation) because(format string, args ...any) {
	e.Why = append(e.Why, oneLine(fmt.Sprintf(format, args...)))
}

// next sets what comes next, unless a weightier reason has done so.
func (e *Explanation) next(text string, commands ...Command) {
	if e.Next == "" {
		e.Next, e.Commands = text, commands
	}
}

// try is a command that does something.
func try(does, format string, args ...any) Command {
	return Command{fmt.Sprintf(format, args...), does}
}

// see is the command that explains something else.
func see(e pipeline.Entity, id int64) Command {
	return try("why that does not move", "longhaul explain %s %d", e, id)
}

// Explain finds out why something does not move.
func (o *Operator) Explain(ctx context.Context, r Ref) (Explanation, error) {
	e := Explanation{Ref: r, Why: []string{}}
	var err error
	switch r.Entity {
	case pipeline.EntityRequest:
		err = o.explainRequest(ctx, &e)
	case pipeline.EntityFile:
		err = o.explainFile(ctx, &e)
	case pipeline.EntityAttempt:
		err = o.explainAttempt(ctx, &e)
	case pipeline.EntityJob:
		err = o.explainJob(ctx, &e)
	case pipeline.EntitySubmit:
		err = o.explainSubmit(ctx, &e)
	default:
		err = fmt.Errorf("no such kind of thing: %q", r.Entity)
	}
	if e.Commands == nil {
		e.Commands = []Command{}
	}
	return e, err
}

// daemonRuns adds a reason if the daemon that must act does not run.
func (o *Operator) daemonRuns(e *Explanation, kind string) {
	if o.Daemon(kind).State == DaemonStopped {
		e.because("the %s does not run", kind)
		e.next("start the "+kind, try("as a service", "%s", systemctl(kind)), try("in this terminal", "longhaul run %s", kind))
	}
}

// answers adds a reason for each of the systems that a daemon waits for.
func (o *Operator) answers(ctx context.Context, e *Explanation, kind string, systems ...pipeline.System) error {
	outages, err := o.Store.Outages(ctx)
	if err != nil {
		return err
	}
	for _, x := range outages {
		if x.Daemon != kind || !slices.Contains(systems, x.System) {
			continue
		}
		e.because("the %s has not answered the %s since %s (%s): %s", x.System, kind, Stamp(x.Since), o.ago(x.Since), x.Error)
		e.next(fmt.Sprintf("the %s is asked again and again, and work goes on by itself when it answers", x.System),
			try("test it", "longhaul preflight"))
	}
	return nil
}

// due adds a reason if something is not to be tried yet.
func (o *Operator) due(e *Explanation, at time.Time) {
	if wait := at.Sub(o.Now()); wait > 0 {
		e.because("it is not tried again before %s (in %s)", Stamp(at), Span(wait))
		e.next(fmt.Sprintf("it is tried again by itself in %s", Span(wait)))
	}
}

// nextPass is the default: nothing stands in the way.
func (o *Operator) nextPass(e *Explanation, kind, what string) {
	if e.Next == "" {
		e.because("nothing stands in its way")
	}
	e.next(fmt.Sprintf("the %s %s at its next pass, within %s", kind, what, o.Config.Background.Sleep))
}

// errorsOf adds the first and the last error of something, from its history,
// and returns the last.
func (o *Operator) errorsOf(ctx context.Context, e *Explanation) (last string, err error) {
	events, err := o.Store.Events(ctx, e.Entity, e.ID)
	if err != nil {
		return "", err
	}
	var failed []pipeline.Event
	for _, ev := range events {
		if ev.Became == pipeline.Failed {
			failed = append(failed, ev)
			last = ev.Note
		}
	}
	switch n := len(failed); {
	case n == 0:
	case n == 1:
		e.because("it failed at %s: %s", Stamp(failed[0].At), failed[0].Note)
	case failed[0].Note == failed[n-1].Note:
		e.because("it failed %d times, first at %s, last at %s, with the same error: %s",
			n, Stamp(failed[0].At), Stamp(failed[n-1].At), failed[0].Note)
	default:
		e.because("it failed %d times, first at %s: %s", n, Stamp(failed[0].At), failed[0].Note)
		e.because("and last at %s: %s", Stamp(failed[n-1].At), failed[n-1].Note)
	}
	return last, nil
}

func (o *Operator) ago(t time.Time) string { return Span(o.Now().Sub(t)) }

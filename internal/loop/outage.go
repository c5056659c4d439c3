package loop

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"longhaul/internal/pipeline"
)

// outage is one outside system that does not answer.
type outage struct {
	began time.Time
	tries int // passes that met it
	told  bool
}

// outages are the outages that last.
type outages map[pipeline.System]*outage

// noteOutages compares what is down now with what was down before. muddled
// says that the pass met other errors too: then a system that is not
// mentioned may just not have been asked, and is not called back.
func (l *Loop) noteOutages(ctx context.Context, down map[pipeline.System]error, muddled bool, now, next time.Time) {
	for _, system := range slices.Sorted(maps.Keys(down)) {
		err := down[system]
		out := l.outages[system]
		if out == nil {
			out = &outage{began: now}
			l.outages[system] = out
			l.o.Log.Warn(fmt.Sprintf("%s: outage begins", system), "err", err, "next_try", next.UTC().Format(time.RFC3339))
		} else {
			l.o.Log.Debug(fmt.Sprintf("%s: outage lasts", system), "err", err, "since", out.began.UTC().Format(time.RFC3339))
		}
		out.tries++
		if !out.told && now.Sub(out.began) >= l.o.Patience {
			out.told = true
			if l.o.OnOutage != nil {
				l.o.OnOutage(ctx, system, err, out.began)
			}
		}
	}
	if muddled {
		return
	}
	for _, system := range slices.Sorted(maps.Keys(l.outages)) {
		if _, still := down[system]; still {
			continue
		}
		out := l.outages[system]
		delete(l.outages, system)
		after := now.Sub(out.began).Round(time.Second)
		l.o.Log.Info(fmt.Sprintf("%s: back after %s (%s)", system, after, tries(out.tries)))
		if out.told && l.o.OnBack != nil {
			l.o.OnBack(ctx, system, after, out.tries)
		}
	}
}

// line says in a few words how the loop is; others is the number of errors
// in the last pass that are no outages.
func (o outages) line(others int, now time.Time) string {
	var parts []string
	for _, system := range slices.Sorted(maps.Keys(o)) {
		parts = append(parts, fmt.Sprintf("%s does not answer since %s", system, o[system].began.UTC().Format(time.RFC3339)))
	}
	if others > 0 {
		parts = append(parts, fmt.Sprintf("%d errors in the last pass, see the log", others))
	}
	if len(parts) == 0 {
		parts = []string{"all is well"}
	}
	return strings.Join(parts, "; ") + ", at " + now.UTC().Format(time.RFC3339)
}

func tries(n int) string {
	if n == 1 {
		return "1 try"
	}
	return fmt.Sprintf("%d tries", n)
}

// sortErrors takes apart what a pass returned: the outages in it, by system,
// each with the first error that tells of it, and all other errors.
// errors.As would find only the first outage.
func sortErrors(err error) (down map[pipeline.System]error, others []error) {
	down = map[pipeline.System]error{}
	walk("", err, func(leaf error) {
		var out *pipeline.OutageError
		switch {
		case errors.As(leaf, &out):
			if _, known := down[out.System]; !known {
				down[out.System] = leaf
			}
		case errors.Is(leaf, pipeline.ErrOutage):
			down["outside system"] = leaf // marked by hand, without a name
		default:
			others = append(others, leaf)
		}
	})
	return down, others
}

// walk visits the errors that errors.Join put together, however deep, each
// with the words that were wrapped around the join. Other errors with several
// causes, such as those of fmt.Errorf with two %w, are one error which is
// several things, and are visited whole.
func walk(prefix string, err error, visit func(leaf error)) {
	switch parts, join := joined(err); {
	case parts != nil:
		prefix += strings.TrimSuffix(err.Error(), join.Error())
		for _, part := range parts {
			walk(prefix, part, visit)
		}
	case prefix != "":
		visit(fmt.Errorf("%s%w", prefix, err))
	case err != nil:
		visit(err)
	}
}

// joined finds the errors.Join beneath what is wrapped around it, and the
// parts that it was made of.
func joined(err error) (parts []error, join error) {
	for ; err != nil; err = errors.Unwrap(err) {
		if reflect.TypeOf(err) == reflect.TypeOf(errors.Join(pipeline.ErrOutage)) {
			return err.(interface{ Unwrap() []error }).Unwrap(), err
		}
	}
	return nil, nil
}

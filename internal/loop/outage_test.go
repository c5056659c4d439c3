package loop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"longhaul/internal/pipeline"
)

func TestSortErrors(t *testing.T) {
	t.Parallel()
	timeout := errors.New("i/o timeout")
	queueDown := pipeline.Outage(pipeline.QueueManager, timeout)
	dbDown := pipeline.Outage(pipeline.CommonDatabase, errors.New("refused"))
	bad := errors.New("bad header")
	for _, tt := range []struct {
		name   string
		err    error
		down   map[pipeline.System]string
		others []string
	}{
		{"nothing", nil, nil, nil},
		{"one plain error", bad, nil, []string{"bad header"}},
		{"one outage", queueDown, map[pipeline.System]string{pipeline.QueueManager: "queue manager: i/o timeout"}, nil},
		{"a wrapped outage keeps the words around it", fmt.Errorf("poll: %w", queueDown),
			map[pipeline.System]string{pipeline.QueueManager: "poll: queue manager: i/o timeout"}, nil},
		{"two outages and an error, joined", errors.Join(queueDown, bad, dbDown),
			map[pipeline.System]string{pipeline.QueueManager: "queue manager: i/o timeout", pipeline.CommonDatabase: "common database: refused"},
			[]string{"bad header"}},
		{"joins in joins, with words around them", fmt.Errorf("pass: %w", errors.Join(bad, fmt.Errorf("job 7: %w", errors.Join(dbDown, bad)))),
			map[pipeline.System]string{pipeline.CommonDatabase: "pass: job 7: common database: refused"},
			[]string{"pass: bad header", "pass: job 7: bad header"}},
		{"the first of several tells of a system", errors.Join(fmt.Errorf("first: %w", queueDown), queueDown),
			map[pipeline.System]string{pipeline.QueueManager: "first: queue manager: i/o timeout"}, nil},
		{"an outage marked with a second word is one error", fmt.Errorf("%w: %w", pipeline.ErrStale, queueDown),
			map[pipeline.System]string{pipeline.QueueManager: "its status has moved on: queue manager: i/o timeout"}, nil},
		{"an outage without a name", fmt.Errorf("%w: %w", pipeline.ErrOutage, timeout),
			map[pipeline.System]string{"outside system": "outage: i/o timeout"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			down, others := sortErrors(tt.err)
			if len(down) != len(tt.down) {
				t.Errorf("outages %v, want %v", down, tt.down)
			}
			for system, text := range tt.down {
				if got := fmt.Sprint(down[system]); got != text || !errors.Is(down[system], pipeline.ErrOutage) {
					t.Errorf("%s: %q, want the outage %q", system, got, text)
				}
			}
			var texts []string
			for _, err := range others {
				texts = append(texts, err.Error())
			}
			if !slices.Equal(texts, tt.others) {
				t.Errorf("other errors %q, want %q", texts, tt.others)
			}
		})
	}
}

// script is a pass whose results are written down beforehand.
func script(results ...error) func(context.Context) error {
	return func(context.Context) error {
		if len(results) == 0 {
			return nil
		}
		err := results[0]
		results = results[1:]
		return err
	}
}

// runScript runs a loop over results for six hours, and returns its log and
// the calls of the hooks.
func runScript(t *testing.T, patience time.Duration, results ...error) (log string, hooks []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		l := New(Options{
			Name: "test", Every: time.Minute, Max: time.Hour, Patience: patience,
			Log: slog.New(slog.NewTextHandler(&b, nil)),
			OnOutage: func(_ context.Context, s pipeline.System, err error, began time.Time) {
				hooks = append(hooks, fmt.Sprintf("%s down: %v", s, err))
				if began.After(time.Now()) || time.Since(began) < patience {
					t.Errorf("%s: told of after %v, want %v at least", s, time.Since(began), patience)
				}
			},
			OnBack: func(_ context.Context, s pipeline.System, after time.Duration, tries int) {
				hooks = append(hooks, fmt.Sprintf("%s back, %d tries", s, tries))
				if after <= 0 {
					t.Errorf("%s: back after %v", s, after)
				}
			},
		}, script(results...))
		stop := running(t, l)
		time.Sleep(6 * time.Hour)
		if err := stop(); err != nil {
			t.Error(err)
		}
		log = b.String()
	})
	return log, hooks
}

func TestOutagesAreToldOnceAndTheirEndToo(t *testing.T) {
	t.Parallel()
	queueDown := pipeline.Outage(pipeline.QueueManager, errors.New("timeout"))
	mailDown := pipeline.Outage(pipeline.MailServer, errors.New("refused"))
	bad := errors.New("bad")
	for _, tt := range []struct {
		name     string
		patience time.Duration
		results  []error
		hooks    []string
		logged   map[string]int // text of the log: how often
	}{
		{"one outage of five tries", 0,
			[]error{nil, queueDown, queueDown, queueDown, queueDown, queueDown},
			[]string{"queue manager down: queue manager: timeout", "queue manager back, 5 tries"},
			map[string]int{"outage begins": 1, "level=WARN": 1, "next_try=": 1, "back after": 1, "(5 tries)": 1, "outage lasts": 0}},
		{"two systems, one after the other", 0,
			[]error{queueDown, errors.Join(mailDown, queueDown), mailDown},
			[]string{"queue manager down: queue manager: timeout", "mail server down: mail server: refused", "queue manager back, 2 tries", "mail server back, 2 tries"},
			map[string]int{"outage begins": 2, "back after": 2}},
		{"a hiccup is logged and nobody is told", 10 * time.Minute,
			[]error{queueDown, queueDown}, nil,
			map[string]int{"outage begins": 1, "back after": 1}},
		{"a long outage is told when patience ends", 10 * time.Minute,
			[]error{queueDown, queueDown, queueDown, queueDown, queueDown, queueDown},
			[]string{"queue manager down: queue manager: timeout", "queue manager back, 6 tries"},
			map[string]int{"outage begins": 1}},
		{"a pass that failed otherwise proves nothing about the system", 0,
			[]error{queueDown, bad, queueDown},
			[]string{"queue manager down: queue manager: timeout", "queue manager back, 2 tries"},
			map[string]int{"outage begins": 1, "back after": 1, "pass went wrong": 1, "in_a_row=2": 1}},
		{"other errors are logged each time", 0,
			[]error{bad, errors.Join(bad, bad), bad}, nil,
			map[string]int{"pass went wrong": 4, "in_a_row=1": 1, "in_a_row=2": 2, "in_a_row=3": 1}},
		{"a thousand errors do not fill the log", 0,
			[]error{errors.Join(slices.Repeat([]error{bad}, 1000)...)}, nil,
			map[string]int{"pass went wrong": 10, "count=990": 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			log, hooks := runScript(t, tt.patience, tt.results...)
			if !slices.Equal(hooks, tt.hooks) {
				t.Errorf("hooks %q, want %q", hooks, tt.hooks)
			}
			for text, n := range tt.logged {
				if got := strings.Count(log, text); got != n {
					t.Errorf("%q is in the log %d times, want %d:\n%s", text, got, n, log)
				}
			}
		})
	}
}

func TestStatusSaysWhatIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		l := New(Options{Name: "test", Every: time.Minute, Log: slog.New(slog.DiscardHandler),
			Status: func(line string) { lines = append(lines, line) }},
			script(pipeline.Outage(pipeline.FileServer, errors.New("timeout")), errors.New("bad")))
		stop := running(t, l)
		time.Sleep(10 * time.Minute)
		if err := stop(); err != nil {
			t.Error(err)
		}
		for i, want := range []string{"file server does not answer since 2000-01-01", "1 errors in the last pass", "all is well"} {
			if len(lines) <= i || !strings.Contains(lines[i], want) {
				t.Errorf("status line %d of %q, want %q", i, lines, want)
			}
		}
	})
}

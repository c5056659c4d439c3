package loop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"longhaul/internal/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running starts a loop in a synctest bubble and returns a function that
// stops it and gives Run's error.
func running(t *testing.T, l *Loop) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	synctest.Wait()
	return func() error {
		cancel()
		return <-ended
	}
}

func TestPassesComeAtOnceThenEveryInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		l := New(Options{Name: "test", Every: time.Minute, Log: slog.New(slog.DiscardHandler)},
			func(context.Context) error { n.Add(1); return nil })
		stop := running(t, l)
		if got := n.Load(); got != 1 {
			t.Errorf("%d passes at the start, want 1 at once", got)
		}
		time.Sleep(100 * time.Minute)
		synctest.Wait()
		if got := n.Load(); got < 98 || got > 104 {
			t.Errorf("%d passes in 100 minutes, want about 101", got)
		}
		if err := stop(); err != nil {
			t.Errorf("Run = %v after it was stopped, want nil", err)
		}
	})
}

func TestWakes(t *testing.T) {
	t.Parallel()
	bad := errors.New("bad")
	for _, tt := range []struct {
		name      string
		err       error // of every pass
		wakeEvery time.Duration
		over      time.Duration
		least     int32
		most      int32
	}{
		{"a wake brings a pass within a second", nil, time.Second, 10 * time.Second, 9, 11},
		{"a storm of wakes makes ten passes a second at most", nil, time.Millisecond, 10 * time.Second, 90, 101},
		{"after errors a storm of wakes keeps to the interval", bad, 50 * time.Millisecond, 10 * time.Minute, 8, 13},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var n atomic.Int32
				l := New(Options{Name: "test", Every: time.Minute, Max: time.Hour, Log: slog.New(slog.DiscardHandler)},
					func(context.Context) error { n.Add(1); return tt.err })
				stop := running(t, l)
				for end := time.Now().Add(tt.over); time.Now().Before(end); {
					time.Sleep(tt.wakeEvery)
					l.Wake()
				}
				synctest.Wait()
				if got := n.Load(); got < tt.least || got > tt.most {
					t.Errorf("%d passes, want %d to %d", got, tt.least, tt.most)
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestWakeDuringAPassIsNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		l := New(Options{Name: "test", Every: time.Hour, Log: slog.New(slog.DiscardHandler)},
			func(context.Context) error { n.Add(1); time.Sleep(time.Second); return nil })
		stop := running(t, l)
		for range 5 {
			l.Wake() // while the first pass sleeps
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := n.Load(); got != 2 {
			t.Errorf("%d passes, want 2: five wakes coalesce to one", got)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestBackoffGrowsToItsCapAndEndsWithSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		var good atomic.Bool
		l := New(Options{Name: "test", Every: time.Minute, Max: 10 * time.Minute, Log: slog.New(slog.DiscardHandler)},
			func(context.Context) error {
				n.Add(1)
				if good.Load() {
					return nil
				}
				return errors.New("bad")
			})
		stop := running(t, l)
		time.Sleep(2 * time.Hour) // after 1, 2, 4, 8, 10, 10, … minutes
		synctest.Wait()
		if got := n.Load(); got < 13 || got > 18 {
			t.Errorf("%d passes in two hours of errors, want about 15", got)
		}
		good.Store(true)
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		before := n.Load()
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if got := n.Load() - before; got < 18 || got > 23 {
			t.Errorf("%d passes in 20 minutes without errors, want about 20", got)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestFatalErrorsAndPanicsEndRun(t *testing.T) {
	t.Parallel()
	cause := errors.New("the tracker is damaged")
	for _, tt := range []struct {
		name string
		pass func(context.Context) error
		want error
	}{
		{"a fatal error", func(context.Context) error { return pipeline.Fatal(cause) }, cause},
		{"a fatal error among others", func(context.Context) error {
			return errors.Join(errors.New("harmless"), fmt.Errorf("deep: %w", pipeline.Fatal(cause)))
		}, cause},
		{"a panic with an error", func(context.Context) error { panic(cause) }, cause},
		{"a panic with a word", func(context.Context) error { panic("oh") }, pipeline.ErrFatal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := New(Options{Name: "pooler", Every: time.Hour, Log: slog.New(slog.DiscardHandler)}, tt.pass)
			err := l.Run(t.Context())
			if !errors.Is(err, tt.want) || !errors.Is(err, pipeline.ErrFatal) {
				t.Errorf("Run = %v, want one that wraps %v and is fatal", err, tt.want)
			}
			if !strings.HasPrefix(fmt.Sprint(err), "pooler: ") {
				t.Errorf("Run = %q, want the loop named", err)
			}
			var p *PanicError
			if errors.As(err, &p) && !bytes.Contains(p.Stack, []byte("loop_test.go")) {
				t.Errorf("the stack does not show where it panicked:\n%s", p.Stack)
			}
		})
	}
}

func TestStoppingIsNoError(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	l := New(Options{Name: "test", Every: time.Hour, Log: slog.New(slog.DiscardHandler)}, func(ctx context.Context) error {
		cancel()
		return ctx.Err()
	})
	if err := l.Run(ctx); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	if err := l.Run(ctx); err != nil {
		t.Errorf("Run with a context that is done = %v, want nil", err)
	}
}

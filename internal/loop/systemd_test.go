package loop

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// limit is the WatchdogSec of these tests.
const limit = time.Minute

// watched is a service that counts its pings and notes the longest gap.
type watched struct {
	*Service
	pings atomic.Int32
	last  atomic.Int64 // nanoseconds
}

func newWatched() *watched {
	w := &watched{}
	w.Service = newService(limit, func(state string) error {
		if state == "WATCHDOG=1" {
			w.pings.Add(1)
			w.last.Store(time.Now().UnixNano())
		}
		return nil
	})
	return w
}

// silent is how long ago the last ping was.
func (w *watched) silent() time.Duration { return time.Since(time.Unix(0, w.last.Load())) }

func (w *watched) loop(every time.Duration, pass func(context.Context) error) *Loop {
	return New(Options{Name: "test", Every: every, Log: slog.New(slog.DiscardHandler), Beat: w.Watch()}, pass)
}

func nothing(context.Context) error { return nil }

func TestAnIdleLoopPingsOftenEnough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWatched()
		stop := running(t, w.loop(24*time.Hour, nothing)) // sleeps far longer than the limit
		for range 100 {
			time.Sleep(limit / 3)
			synctest.Wait()
			if w.silent() > limit/2 {
				t.Fatalf("no ping for %v, want one in half of %v", w.silent(), limit)
			}
		}
		if n := w.pings.Load(); n > 200 {
			t.Errorf("%d pings in %v", n, 100*limit/3)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestAStuckPassEndsThePings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWatched()
		stuck := make(chan struct{})
		stopA := running(t, w.loop(time.Second, nothing)) // goes on well
		stopB := running(t, w.loop(time.Second, func(context.Context) error { <-stuck; return nil }))
		time.Sleep(2 * limit)
		synctest.Wait()
		if w.silent() < limit {
			t.Errorf("pinged %v ago, although one loop has been stuck for %v", w.silent(), 2*limit)
		}
		close(stuck)
		time.Sleep(limit / 2)
		synctest.Wait()
		if w.silent() > limit/2 {
			t.Errorf("no ping for %v after the stuck pass went on", w.silent())
		}
		if err := errors.Join(stopA(), stopB()); err != nil {
			t.Error(err)
		}
	})
}

func TestALongPassThatReportsProgressIsAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWatched()
		var l *Loop
		l = w.loop(time.Second, func(ctx context.Context) error {
			for ctx.Err() == nil {
				time.Sleep(limit / 5)
				l.Progress()
			}
			return nil
		})
		stop := running(t, l)
		for range 50 {
			time.Sleep(limit / 3)
			synctest.Wait()
			if w.silent() > limit/2 {
				t.Fatalf("no ping for %v", w.silent())
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestALoopThatEndedIsNotMissed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWatched()
		stopA := running(t, w.loop(time.Second, nothing))
		stopB := running(t, w.loop(time.Second, nothing))
		if err := stopB(); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * limit)
		synctest.Wait()
		if w.silent() > limit/2 {
			t.Errorf("no ping for %v", w.silent())
		}
		if err := stopA(); err != nil {
			t.Error(err)
		}
	})
}

// The real protocol, over a real socket. Not parallel: it sets the environment.
func TestNotifiesSystemd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "30000000")
	s, err := NewService()
	if err != nil {
		t.Fatal(err)
	}
	if s.limit != 30*time.Second {
		t.Errorf("limit %v, want 30s", s.limit)
	}
	if err := errors.Join(s.Ready(), s.Status("all\nis well"), s.Stopping()); err != nil {
		t.Error(err)
	}
	s.Watch().Beat()
	var got []string
	buf := make([]byte, 256)
	for range 4 {
		if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		got = append(got, string(buf[:n]))
	}
	if want := []string{"READY=1", "STATUS=all is well", "STOPPING=1", "WATCHDOG=1"}; !slices.Equal(got, want) {
		t.Errorf("systemd heard %q, want %q", got, want)
	}
}

func TestWithoutSystemdNothingHappens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	s, err := NewService()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Ready(), s.Status("x"), s.Stopping()); err != nil {
		t.Error(err)
	}
	s.Watch().Beat()
	var none *Beat
	none.Beat()
	none.Done()
}

func TestABrokenNotifySocketIsAnError(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	s, err := NewService()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "READY") {
		t.Errorf("Ready = %v, want an error that names READY", err)
	}
	t.Setenv("WATCHDOG_USEC", "soon")
	if _, err := NewService(); err == nil {
		t.Error("NewService took WATCHDOG_USEC=soon")
	}
}

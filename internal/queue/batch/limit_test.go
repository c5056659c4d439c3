package batch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"longhaul/internal/pipeline"
)

func TestCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, asked := NewCache[int](10*time.Second), 0
		ask := func(context.Context) (int, error) { asked++; return asked, nil }
		get := func(what string, after time.Time, want int, wait time.Duration) {
			t.Helper()
			begin := time.Now()
			got, err := c.Get(t.Context(), after, ask)
			if err != nil || got != want || time.Since(begin) != wait {
				t.Errorf("%s: %d, %v after %s, want %d after %s", what, got, err, time.Since(begin), want, wait)
			}
		}
		begin := time.Now()
		time.Sleep(time.Second)
		get("the first question", begin, 1, 0)
		time.Sleep(9 * time.Second)
		get("one soon after", begin, 1, 0)
		time.Sleep(time.Second)
		get("one when the answer is old", begin, 2, 0)
		time.Sleep(4 * time.Second)
		get("one about something newer", time.Now(), 3, 6*time.Second)
		failing := errors.New("no")
		time.Sleep(10 * time.Second)
		if _, err := c.Get(t.Context(), begin, func(context.Context) (int, error) { return 0, failing }); !errors.Is(err, failing) {
			t.Errorf("err = %v", err)
		}
		get("one after an error", begin, 4, 10*time.Second)
		over, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Get(over, time.Now(), ask); !errors.Is(err, pipeline.ErrOutage) {
			t.Errorf("a caller who cannot wait: %v, want an outage", err)
		}
	})
}

func TestPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for perSecond, want := range map[float64]time.Duration{0: 0, 2: 2 * time.Second} {
			begin, pace := time.Now(), Pace(perSecond)
			for range 5 {
				if err := pace.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(begin); took != want {
				t.Errorf("five at %v a second took %s, want %s", perSecond, took, want)
			}
		}
	})
}

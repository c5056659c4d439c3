// Package jobtrackertest makes job-trackers for the tests of other packages,
// drives their rows through the real methods to a wanted status, and checks a
// whole tracker against the promises that the system makes.
//
// It looks at the database with SQL of its own, so that a mistake in package
// jobtracker cannot hide itself.
package jobtrackertest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
)

// Open makes an empty job-tracker in a directory of its own, or on the server
// that the variable Server names, and closes it at the end of the test. Its actor
// is "test", its clock the real one.
func Open(t testing.TB) *jobtracker.Store {
	t.Helper()
	return OpenWith(t, jobtracker.Options{Actor: "test"})
}

// OpenWith is Open with options, such as a clock.
func OpenWith(t testing.TB, opt jobtracker.Options) *jobtracker.Store {
	t.Helper()
	if server := os.Getenv(Server); server != "" {
		return OpenOn(t, server, opt)
	}
	return OpenFile(t, opt)
}

// OpenFile is OpenWith, in a file in any case.
func OpenFile(t testing.TB, opt jobtracker.Options) *jobtracker.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jobtracker.db")
	content, err := empty()
	if err == nil {
		err = os.WriteFile(path, content, disk.FileMode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return openAt(t, path, opt)
}

// empty is the content of an empty job-tracker. Making one takes a tenth of a
// second with the race detector, and tests make hundreds.
var empty = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "jobtrackertest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "jobtracker.db")
	if _, err := jobtracker.Create(context.Background(), path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// Another opens the job-tracker of store once more, as another process would:
// another daemon, or an operator.
func Another(t testing.TB, store *jobtracker.Store, opt jobtracker.Options) *jobtracker.Store {
	t.Helper()
	return openAt(t, store.Path(), opt)
}

func openAt(t testing.TB, path string, opt jobtracker.Options) *jobtracker.Store {
	t.Helper()
	s, err := jobtracker.Open(t.Context(), path, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close job-tracker: %v", err)
		}
	})
	return s
}

// Clock is a clock that moves only when told to; its Now is an Options.Now.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at noon UTC of an ordinary day.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)}
}

// Now returns the time of the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock, also backwards.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

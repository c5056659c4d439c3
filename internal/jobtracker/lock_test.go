package jobtracker_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/loop"
	"longhaul/internal/pipeline"
)

// nobodyBefore is for Guard where no daemon can have been before.
func nobodyBefore(t *testing.T) func(string, time.Duration) {
	return func(last string, _ time.Duration) { t.Errorf("it waits for %q", last) }
}

func TestALockIsOnes(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s, other := on.open(t), on.open(t)
		lock, err := jobtracker.TryLock(t.Context(), s.Path(), "uploader")
		if err != nil {
			t.Fatal(err)
		}
		_, err = jobtracker.TryLock(t.Context(), s.Path(), "uploader")
		if !errors.Is(err, loop.ErrLocked) || !strings.Contains(err.Error(), "process") {
			t.Errorf("a second one: %v", err)
		}
		for what, where := range map[string][2]string{
			"another daemon": {s.Path(), "jobpooler"}, "another job-tracker": {other.Path(), "uploader"},
		} {
			free, err := jobtracker.TryLock(t.Context(), where[0], where[1])
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			if err := free.Unlock(); err != nil {
				t.Error(err)
			}
		}
		if err := lock.Unlock(); err != nil {
			t.Error(err)
		}
		again, err := jobtracker.TryLock(t.Context(), s.Path(), "uploader")
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Unlock(); err != nil {
			t.Error(err)
		}
	})
}

func TestTheHolderOfALockIsKnown(t *testing.T) {
	t.Parallel()
	s := onPostgres.open(t)
	lock, err := jobtracker.TryLock(t.Context(), s.Path(), "uploader")
	if err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	if who, held, err := s.Holder(t.Context(), "uploader"); !held || err != nil || !strings.Contains(who, host) {
		t.Errorf("Holder = %q, %v, %v", who, held, err)
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
	if who, held, err := s.Holder(t.Context(), "uploader"); held || err != nil {
		t.Errorf("after it was given back: %q, %v, %v", who, held, err)
	}
}

// daemonOn takes the lock of a daemon on a server, and guards a store with it.
func daemonOn(t *testing.T, db string, waiting func(string, time.Duration)) (*jobtracker.Store, *jobtracker.Lock) {
	t.Helper()
	lock, err := jobtracker.TryLockHastily(t.Context(), db, "uploader")
	if err != nil {
		t.Fatal(err)
	}
	s, err := jobtracker.Open(t.Context(), db, jobtracker.Options{Actor: "uploader"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Guard(t.Context(), lock, waiting); err != nil {
		t.Fatal(err)
	}
	return s, lock
}

func TestADaemonThatEndedIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	db := jobtrackertest.NewSchema(t, shared(t).address())
	for range 2 {
		s, lock := daemonOn(t, db, nobodyBefore(t))
		if err := s.Note(t.Context(), pipeline.EntitySystem, 0, "x"); err != nil {
			t.Error(err)
		}
		if err := lock.Unlock(); err != nil {
			t.Error(err)
		}
	}
}

// TestADaemonThatLosesItsSessionTakesTheLockAgain: the server was started again.
func TestADaemonThatLosesItsSessionTakesTheLockAgain(t *testing.T) {
	t.Parallel()
	server := own(t)
	s, lock := daemonOn(t, jobtrackertest.NewSchema(t, server.address()), nobodyBefore(t))
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	holds := func() bool {
		_, held, err := s.Holder(t.Context(), "uploader")
		return held && err == nil
	}
	for !holds() {
		select {
		case <-lock.Lost():
			t.Skip("the machine is too slow for the short times of this test: the restart took longer than they allow")
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err := s.Note(t.Context(), pipeline.EntitySystem, 0, "x"); err != nil {
		t.Error(err)
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
}

// TestADaemonCutOffStopsBeforeTheNextBegins: the next one waits, the first one
// knows that it has lost its lock before that time is over, and changes nothing
// once the next one has begun.
func TestADaemonCutOffStopsBeforeTheNextBegins(t *testing.T) {
	t.Parallel()
	db := jobtrackertest.NewSchema(t, shared(t).address())
	p := newProxy(t, shared(t))
	first, lock := daemonOn(t, through(db, p), nobodyBefore(t))
	straight, err := jobtracker.Open(t.Context(), db, jobtracker.Options{Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer straight.Close()
	p.set(refuseEveryone)
	p.cut()
	held := true
	for held { // until the server has noticed
		if _, held, err = straight.Holder(t.Context(), "uploader"); err != nil {
			t.Fatal(err)
		}
	}
	waited := false
	second, next := daemonOn(t, db, func(string, time.Duration) { waited = true })
	select {
	case <-lock.Lost():
	default:
		t.Error("the second daemon has begun, and the first does not know that it has lost its lock")
	}
	if !waited {
		t.Error("the second daemon did not wait for the first")
	}
	// The first comes back, however late.
	p.set(noFault)
	if err := first.Note(t.Context(), pipeline.EntitySystem, 0, "late"); !errors.Is(err, jobtracker.ErrLockLost) || !errors.Is(err, pipeline.ErrFatal) {
		t.Errorf("a change by the first: %v", err)
	}
	if err := second.Note(t.Context(), pipeline.EntitySystem, 0, "x"); err != nil {
		t.Errorf("a change by the second: %v", err)
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
	if err := second.Note(t.Context(), pipeline.EntitySystem, 0, "x"); err != nil {
		t.Errorf("after the first has ended: %v", err)
	}
	if err := next.Unlock(); err != nil {
		t.Error(err)
	}
}

package jobtracker_test

import (
	"context"
	"testing"
	"time"

	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
)

func TestWatchWakesForOthersOnly(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		const interval = 5 * time.Millisecond
		us := on.openWith(t, jobtracker.Options{Actor: "jobpooler"})
		other := jobtrackertest.Another(t, us, jobtracker.Options{Actor: "downloader"})
		note := func(s *jobtracker.Store) {
			t.Helper()
			if err := s.Note(t.Context(), pipeline.EntitySystem, 0, "x"); err != nil {
				t.Fatal(err)
			}
		}
		note(other) // before we look

		ctx, cancel := context.WithCancel(t.Context())
		wakes := make(chan struct{}, 100)
		done := make(chan struct{})
		go func() {
			defer close(done)
			us.Watch(ctx, interval, func() { wakes <- struct{}{} })
		}()
		expect := func(when string) {
			t.Helper()
			select {
			case <-wakes:
			case <-time.After(10 * time.Second):
				t.Fatalf("%s: no wake", when)
			}
		}
		quiet := func(when string) {
			t.Helper()
			select {
			case <-wakes:
				t.Errorf("%s: a wake", when)
			case <-time.After(20 * interval):
			}
		}
		quiet("nothing happened")
		note(us)
		quiet("an event of our own")
		note(other)
		expect("an event of another daemon")
		quiet("nothing new happened")
		note(us)
		note(other)
		note(us)
		expect("an event of another among our own")

		a := jobtrackertest.MakeAttempt(t, us, pipeline.Downloading)
		if err := other.Progress(t.Context(), a, 10); err != nil {
			t.Fatal(err)
		}
		quiet("progress of a download")
		cancel()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatal("Watch goes on when its context is done")
		}
	})
}

// TestWatchSurvivesAnOutage: the first look fails, and what happened until the
// next is not lost.
func TestWatchSurvivesAnOutage(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		us := on.openWith(t, jobtracker.Options{Actor: "jobpooler"})
		if _, err := us.Writer().ExecContext(t.Context(), `ALTER TABLE events RENAME TO gone`); err != nil {
			t.Fatal(err)
		}
		if _, err := us.LastEvent(t.Context()); err == nil { // and there is a connection
			t.Fatal("the look did not fail")
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		wakes := make(chan struct{}, 100)
		go us.Watch(ctx, 5*time.Millisecond, func() { wakes <- struct{}{} })
		select {
		case <-wakes:
			t.Error("a wake during an outage")
		case <-time.After(50 * time.Millisecond):
		}
		if _, err := us.Writer().ExecContext(t.Context(), `ALTER TABLE gone RENAME TO events`); err != nil {
			t.Fatal(err)
		}
		select {
		case <-wakes:
		case <-time.After(10 * time.Second):
			t.Error("no wake after the outage")
		}
	})
}

func TestEventsAreAFeed(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.openWith(t, jobtracker.Options{Actor: "alice"})
		ctx := t.Context()
		if id, err := s.LastEvent(ctx); err != nil || id != 0 {
			t.Errorf("the last event of an empty tracker is %d, %v", id, err)
		}
		j := jobtrackertest.MakeJob(t, s, pipeline.New)
		if err := s.KillJob(ctx, j, false, "wrong source"); err != nil {
			t.Fatal(err)
		}
		if err := s.Note(ctx, pipeline.EntityJob, int64(j.ID), "a remark"); err != nil {
			t.Fatal(err)
		}
		var feed []pipeline.Event
		for after := int64(0); ; {
			some, err := s.EventsAfter(ctx, after, 3)
			if err != nil {
				t.Fatal(err)
			}
			if len(some) == 0 {
				break
			}
			feed = append(feed, some...)
			after = some[len(some)-1].ID
		}
		if last, err := s.LastEvent(ctx); err != nil || int64(len(feed)) != last {
			t.Errorf("%d events in the feed, the last is %d, %v", len(feed), last, err)
		}
		history, err := s.Events(ctx, pipeline.EntityJob, int64(j.ID))
		if err != nil || len(history) != 3 {
			t.Fatalf("the job's history is %+v, %v", history, err)
		}
		kill, remark := history[1], history[2]
		if kill.Was != pipeline.New || kill.Became != pipeline.TerminalFailure || kill.Actor != "alice" || kill.Note != "killed: wrong source" {
			t.Errorf("the kill is told as %+v", kill)
		}
		if remark.Was != "" || remark.Became != "" || remark.Note != "a remark" {
			t.Errorf("the remark is told as %+v", remark)
		}
	})
}

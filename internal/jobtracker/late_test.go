package jobtracker_test

import (
	"errors"
	"testing"
	"time"

	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
)

// TestLateWordsOfADownload: attempt 1 is over and attempt 2 runs when attempt 1
// speaks up again.
func TestLateWordsOfADownload(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		ctx := t.Context()
		f := jobtrackertest.MakeFile(t, s, pipeline.Retrying)
		old, err := s.AttemptsOf(ctx, f.ID)
		if err != nil || len(old) != 1 {
			t.Fatal(old, err)
		}
		late := old[0]
		late.Status = pipeline.Downloading // as it remembers itself
		now, err := s.StartAttempt(ctx, f, 100)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Progress(ctx, now, 50); err != nil {
			t.Fatal(err)
		}
		completed := late
		completed.Status = pipeline.Complete
		for name, act := range map[string]func() error{
			"progress":     func() error { return s.Progress(ctx, late, 700) },
			"end":          func() error { return s.EndTransfer(ctx, late, pipeline.Complete, 900, "") },
			"failure":      func() error { return s.FailTransfer(ctx, late, pipeline.DownloadFailed, 0, "", true) },
			"digest":       func() error { return s.KeepDigest(ctx, completed, "sha256:00") },
			"verification": func() error { return s.FileVerified(ctx, completed, "sha256:00") },
			"refusal":      func() error { return s.VerificationFailed(ctx, completed, 0, "", true) },
		} {
			if err := act(); !errors.Is(err, pipeline.ErrStale) {
				t.Errorf("late %s: %v, want %v", name, err, pipeline.ErrStale)
			}
		}
		got, err := s.File(ctx, f.ID)
		if err != nil || got.Bytes != 150 || got.Status != pipeline.Downloading || got.Attempts != 1 {
			t.Errorf("after late words the file is %s with %d bytes and %d attempts (%v), want downloading, 150, 1",
				got.Status, got.Bytes, got.Attempts, err)
		}
		jobtrackertest.AssertInvariants(t, s)
	})
}

// TestLateResultsOfAJob: submit 1 was taken back, submit 2 runs, and submit 1
// comes back from the dead.
func TestLateResultsOfAJob(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		ctx := t.Context()
		late := jobtrackertest.MakeSubmit(t, s, pipeline.Running)
		if err := s.StopSubmit(ctx, late, false, "stuck"); err != nil {
			t.Fatal(err)
		}
		j, err := s.Job(ctx, late.JobID)
		if err != nil {
			t.Fatal(err)
		}
		now, err := s.BeginSubmit(ctx, j, "second", "local", "/results/second")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SubmitAccepted(ctx, now.ID, "77"); err != nil {
			t.Fatal(err)
		}
		processed := late
		processed.Status = pipeline.Processed
		for name, act := range map[string]func() error{
			"acceptance": func() error { return s.SubmitAccepted(ctx, late.ID, "1") },
			"refusal":    func() error { return s.SubmitRefused(ctx, late, "") },
			"loss":       func() error { return s.SubmitNeverArrived(ctx, late, "") },
			"success":    func() error { return s.SubmitProcessed(ctx, late, jobtracker.End{}) },
			"failure":    func() error { return s.SubmitFailed(ctx, late, jobtracker.End{}) },
			"upload":     func() error { return s.SubmitUploaded(ctx, processed, "1", "", true) },
			"no upload":  func() error { return s.UploadFailed(ctx, processed, "") },
			"stop":       func() error { return s.StopSubmit(ctx, late, true, "") },
		} {
			if err := act(); !errors.Is(err, pipeline.ErrStale) {
				t.Errorf("late %s: %v, want %v", name, err, pipeline.ErrStale)
			}
		}
		if err := s.SubmitSeen(ctx, late.ID, "ghost", time.Now()); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Submit(ctx, late.ID); err != nil || got.Node == "ghost" {
			t.Errorf("a submit that was taken back was seen on %s (%v)", got.Node, err)
		}

		// Its end is kept for the history, once, and changes nothing.
		if unseen, err := s.UnseenEnds(ctx); err != nil || len(unseen) != 1 || unseen[0].ID != late.ID {
			t.Errorf("submits whose end nobody saw are %+v, %v, want submit %d", unseen, err, late.ID)
		}
		ended := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
		for range 2 {
			if err := s.SubmitEndedLate(ctx, late.ID, jobtracker.End{Details: "exit status 0", Node: "node2", EndedAt: ended}); err != nil {
				t.Fatal(err)
			}
			ended = ended.Add(time.Hour) // not again
		}
		got, err := s.Submit(ctx, late.ID)
		if err != nil || got.Status != pipeline.RemovedByOperator || got.Node != "node2" || !got.EndedAt.Equal(ended.Add(-2*time.Hour)) {
			t.Errorf("the late submit is %+v, %v", got, err)
		}
		if unseen, _ := s.UnseenEnds(ctx); len(unseen) != 0 {
			t.Errorf("submits whose end nobody saw are %+v, want none", unseen)
		}
		history, err := s.Events(ctx, pipeline.EntitySubmit, int64(late.ID))
		if n := len(history); err != nil || history[n-1].Note != "exit status 0" || history[n-2].Became != pipeline.RemovedByOperator {
			t.Errorf("its history ends with %+v, %v, want one line of its end", history[len(history)-1], err)
		}
		if err := s.SubmitEndedLate(ctx, now.ID, jobtracker.End{EndedAt: ended}); err != nil {
			t.Fatal(err)
		}
		if got, _ := s.Submit(ctx, now.ID); !got.EndedAt.IsZero() {
			t.Error("a running submit got an end")
		}
		if got, err := s.Job(ctx, j.ID); err != nil || got.Status != pipeline.Submitted || got.Attempts != 0 {
			t.Errorf("after late results the job is %s with %d attempts (%v), want submitted, 0", got.Status, got.Attempts, err)
		}
		jobtrackertest.AssertInvariants(t, s)
	})
}

// TestResultsOfASubmitThatWasNeverAccepted: the queue manager's reply was lost.
func TestResultsOfASubmitThatWasNeverAccepted(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		sub := jobtrackertest.MakeSubmit(t, s, pipeline.Submitting)
		for _, want := range []error{nil, pipeline.ErrStale} {
			if err := s.SubmitFoundProcessed(t.Context(), sub, jobtracker.End{Details: "results are there"}); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
		if j, err := s.Job(t.Context(), sub.JobID); err != nil || j.Status != pipeline.Processed {
			t.Errorf("the job is %s, %v, want it processed", j.Status, err)
		}
		jobtrackertest.AssertInvariants(t, s)
	})
}

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
	t.Parallel()
	s := jobtrackertest.Open(t)
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
}

// TestLateResultsOfAJob: submit 1 was taken back, submit 2 runs, and submit 1
// comes back from the dead.
func TestLateResultsOfAJob(t *testing.T) {
	t.Parallel()
	s := jobtrackertest.Open(t)
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
	if got, err := s.Job(ctx, j.ID); err != nil || got.Status != pipeline.Submitted || got.Attempts != 0 {
		t.Errorf("after late results the job is %s with %d attempts (%v), want submitted, 0", got.Status, got.Attempts, err)
	}
	jobtrackertest.AssertInvariants(t, s)
}

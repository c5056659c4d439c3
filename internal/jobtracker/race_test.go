package jobtracker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
)

// TestOnlyOneWins has eight processes do the same thing to the same row at the
// same moment, each with a handle of its own and the same idea of its status.
func TestOnlyOneWins(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		const processes = 8
		s := on.open(t)
		var handles []*jobtracker.Store
		for i := range processes {
			handles = append(handles, jobtrackertest.Another(t, s, jobtracker.Options{Actor: fmt.Sprintf("process %d", i)}))
		}
		fresh := jobtrackertest.MakeFile(t, s, pipeline.New)
		job := jobtrackertest.MakeJob(t, s, pipeline.New)
		ended := jobtrackertest.MakeSubmit(t, s, pipeline.Running)
		results := jobtrackertest.MakeSubmit(t, s, pipeline.Processed)
		whole := jobtrackertest.MakeFile(t, s, pipeline.Downloaded)
		attempt := jobtrackertest.MakeAttempt(t, s, pipeline.Complete)
		request := jobtrackertest.MakeRequest(t, s, pipeline.Waiting)
		given := jobtrackertest.MakeJob(t, s, pipeline.TerminalFailure)
		if err := s.Notify(t.Context(), pipeline.Notice{Kind: pipeline.NoticeCrash, Subject: "x"}); err != nil {
			t.Fatal(err)
		}
		for name, act := range map[string]func(ctx context.Context, s *jobtracker.Store, i int) error{
			"start a download": func(ctx context.Context, s *jobtracker.Store, _ int) error {
				_, err := s.StartAttempt(ctx, fresh, 0)
				return err
			},
			"verify a download": func(ctx context.Context, s *jobtracker.Store, i int) error {
				if i%2 == 0 {
					return s.VerificationFailed(ctx, attempt, 0, "differs", true)
				}
				return s.FileVerified(ctx, attempt, "sha256:00")
			},
			"finish a request": func(ctx context.Context, s *jobtracker.Store, i int) error {
				if i%2 == 0 {
					return s.FailRequest(ctx, request.ID, "too late", pipeline.Notice{})
				}
				_, err := s.FinishRequest(ctx, request.ID, nil, "")
				return err
			},
			"make a job of a file": func(ctx context.Context, s *jobtracker.Store, _ int) error {
				_, err := s.CreateJobs(ctx, jobtracker.NewJob{Name: "x", Stages: []string{"search"}, Files: []pipeline.File{whole}})
				return err
			},
			"submit, kill or fail a job": func(ctx context.Context, s *jobtracker.Store, i int) error {
				switch i % 3 {
				case 0:
					return s.KillJob(ctx, job, false, "")
				case 1:
					return s.FailJob(ctx, job, "")
				}
				_, err := s.BeginSubmit(ctx, job, fmt.Sprint(i), "local", fmt.Sprint("/results/", i))
				return err
			},
			"end or stop a submit": func(ctx context.Context, s *jobtracker.Store, i int) error {
				switch i % 3 {
				case 0:
					return s.StopSubmit(ctx, ended, true, "")
				case 1:
					return s.SubmitFailed(ctx, ended, jobtracker.End{})
				}
				return s.SubmitProcessed(ctx, ended, jobtracker.End{})
			},
			"upload or stop": func(ctx context.Context, s *jobtracker.Store, i int) error {
				if i%2 == 0 {
					return s.StopSubmit(ctx, results, false, "")
				}
				return s.SubmitUploaded(ctx, results, "1", "", true)
			},
			"retry by hand": func(ctx context.Context, s *jobtracker.Store, i int) error {
				return s.RetryGivenUpJob(ctx, given.ID, "")
			},
			"compose a mail": func(ctx context.Context, s *jobtracker.Store, i int) error {
				_, err := s.ComposeMail(ctx, pipeline.Mail{Kind: pipeline.NoticeCrash, Count: 1}, 1e9)
				return err
			},
		} {
			t.Run(name, func(t *testing.T) {
				start := make(chan struct{})
				errs := make([]error, processes)
				var wg sync.WaitGroup
				for i, h := range handles {
					wg.Go(func() {
						<-start
						errs[i] = act(t.Context(), h, i)
					})
				}
				close(start)
				wg.Wait()
				won := 0
				for _, err := range errs {
					if err == nil {
						won++
					} else if !errors.Is(err, pipeline.ErrStale) {
						t.Errorf("a loser got %v, want %v", err, pipeline.ErrStale)
					}
				}
				if won != 1 {
					t.Errorf("%d of %d processes won, want one", won, processes)
				}
			})
		}
		jobtrackertest.AssertInvariants(t, s)
	})
}

// TestWritersWaitForEachOther: no write is lost to SQLITE_BUSY when all write.
func TestWritersWaitForEachOther(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		const processes, writes = 4, 25
		s := on.open(t)
		var wg sync.WaitGroup
		for i := range processes {
			h := jobtrackertest.Another(t, s, jobtracker.Options{Actor: fmt.Sprint(i)})
			wg.Go(func() {
				for range writes {
					if _, err := h.BeginRequest(t.Context(), 1, 4, "mock"); err != nil {
						t.Error(err)
					}
					if _, err := h.WaitingRequests(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if n, err := s.CountIn(t.Context(), pipeline.EntityRequest, pipeline.Waiting); err != nil || n != processes*writes {
			t.Errorf("%d requests, %v, want %d", n, err, processes*writes)
		}
		jobtrackertest.AssertInvariants(t, s)
	})
}

func TestStoppingDoesNotWaitForTheLock(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		tx, err := jobtrackertest.Another(t, s, jobtracker.Options{Actor: "by hand"}).Hold(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err = s.BeginRequest(ctx, 1, 4, "mock")
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, pipeline.ErrOutage) {
			t.Errorf("a write that was cut short gave %v, want %v", err, context.DeadlineExceeded)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %v to stop", took)
		}
	})
}

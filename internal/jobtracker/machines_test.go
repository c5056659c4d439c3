package jobtracker_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
)

var tables = map[pipeline.Entity]string{
	pipeline.EntityRequest: "requests",
	pipeline.EntityFile:    "files",
	pipeline.EntityAttempt: "download_attempts",
	pipeline.EntityJob:     "jobs",
	pipeline.EntitySubmit:  "job_submits",
}

func TestSchemaAllowsTheStatusesOfTheMachines(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		word := regexp.MustCompile(`'([a-z_]+)'`)
		all := on.catalog(t, s)
		for _, m := range pipeline.Machines() {
			var got, want []string
			for _, check := range all {
				if rest, ok := strings.CutPrefix(check, tables[m.Entity]+" check "); ok && strings.Contains(rest, "status") {
					for _, w := range word.FindAllStringSubmatch(rest, -1) {
						got = append(got, w[1])
					}
				}
			}
			for _, status := range m.Statuses() {
				want = append(want, string(status))
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s: the schema allows %q, the machine %q", m.Entity, got, want)
			}
		}
	})
}

// everyTransition finds in the history of a tracker, whose rows went through
// all methods that change a status, all the transitions of the machines.
func everyTransition(t *testing.T, s *jobtracker.Store) {
	t.Helper()
	taken := make(map[pipeline.Entity]map[string]bool)
	all, err := s.EventsAfter(t.Context(), 0, 1e6)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if taken[e.Entity] == nil {
			taken[e.Entity] = make(map[string]bool)
		}
		taken[e.Entity][fmt.Sprintf("%s→%s", e.Was, e.Became)] = true
	}
	for _, m := range pipeline.Machines() {
		for _, tr := range m.Transitions {
			if !taken[m.Entity][fmt.Sprintf("%s→%s", tr.From, tr.To)] {
				t.Errorf("no method takes a %s from %q to %q", m.Entity, tr.From, tr.To)
			}
		}
	}
	jobtrackertest.AssertInvariants(t, s)
}

// makeAll makes a row of every status of every entity.
func makeAll(t *testing.T, s *jobtracker.Store) {
	t.Helper()
	for _, m := range pipeline.Machines() {
		for _, status := range m.Statuses() {
			switch m.Entity {
			case pipeline.EntityRequest:
				jobtrackertest.MakeRequest(t, s, status)
			case pipeline.EntityFile:
				jobtrackertest.MakeFile(t, s, status)
			case pipeline.EntityAttempt:
				jobtrackertest.MakeAttempt(t, s, status)
			case pipeline.EntityJob:
				jobtrackertest.MakeJob(t, s, status)
			case pipeline.EntitySubmit:
				jobtrackertest.MakeSubmit(t, s, status)
			}
		}
	}
}

// operatorActs makes the transitions that are not on the way to a status.
func operatorActs(t *testing.T, s *jobtracker.Store) {
	t.Helper()
	ctx := t.Context()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}

	// Files: once more, and away.
	f := jobtrackertest.MakeFile(t, s, pipeline.TerminalFailure)
	f.RemoteFilename += ".again"
	_, err := s.EnterFiles(ctx, []pipeline.File{f}, "")
	ok(err)
	ok(s.RetryFailedFile(ctx, f.ID, "it is back"))
	f, _ = s.File(ctx, f.ID)
	_, err = s.StartAttempt(ctx, f, 0)
	ok(err)
	for _, status := range []pipeline.Status{pipeline.TerminalFailure, pipeline.Downloaded} {
		f := jobtrackertest.MakeFile(t, s, status)
		ok(s.WantFileDeleted(ctx, f.ID, ""))
		f.DeleteWanted = true
		ok(s.FileDeleted(ctx, f))
	}
	a := jobtrackertest.MakeAttempt(t, s, pipeline.Unknown)
	ok(s.FileVerified(ctx, a, "sha256:00"))
	a = jobtrackertest.MakeAttempt(t, s, pipeline.Unknown)
	ok(s.VerificationFailed(ctx, a, 10, "half", false))

	// Jobs that cannot be submitted, are killed, or are tried again.
	for _, status := range []pipeline.Status{pipeline.New, pipeline.Retrying} {
		ok(s.FailJob(ctx, jobtrackertest.MakeJob(t, s, status), "no such stage"))
		ok(s.KillJob(ctx, jobtrackertest.MakeJob(t, s, status), false, "not wanted"))
	}
	ok(s.KillJob(ctx, jobtrackertest.MakeJob(t, s, pipeline.Failed), false, "not wanted"))
	j := jobtrackertest.MakeJob(t, s, pipeline.Retrying)
	_, err = s.BeginSubmit(ctx, j, "again", "local", "/results/again")
	ok(err)
	ok(s.RetryGivenUpJob(ctx, jobtrackertest.MakeJob(t, s, pipeline.TerminalFailure).ID, "fixed"))
	ok(s.SubmitNeverArrived(ctx, jobtrackertest.MakeSubmit(t, s, pipeline.Submitting), "not found"))

	// Submits that are taken back.
	for _, status := range []pipeline.Status{pipeline.Running, pipeline.Processed} {
		ok(s.StopSubmit(ctx, jobtrackertest.MakeSubmit(t, s, status), false, ""))
		ok(s.StopSubmit(ctx, jobtrackertest.MakeSubmit(t, s, status), true, ""))
	}
	ok(s.RetryFile(ctx, jobtrackertest.MakeFile(t, s, pipeline.Failed).ID, time.Time{}, ""))
}

// breakerWork makes the transitions of the breaker, and of jobs that are not to
// blame.
func breakerWork(t *testing.T, s *jobtracker.Store) {
	t.Helper()
	ctx := t.Context()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	given := jobtrackertest.MakeJob(t, s, pipeline.TerminalFailure)
	subs, err := s.SubmitsOf(ctx, given.ID)
	ok(err)
	failed := []pipeline.SubmitID{subs[0].ID}
	for _, status := range []pipeline.Status{pipeline.ProcessingFailed, pipeline.SubmissionFailed} {
		failed = append(failed, jobtrackertest.MakeSubmit(t, s, status).ID)
	}
	next := jobtrackertest.MakeJob(t, s, pipeline.New)
	running := jobtrackertest.MakeSubmit(t, s, pipeline.Running)
	_, n, err := s.TripBreaker(ctx, jobtracker.Trip{Reason: "3 failed in a row", Submits: failed, ProbeAt: time.Now(), MostBack: 1})
	if err != nil || n != 3 {
		t.Errorf("TripBreaker = %d, %v; want 3 attempts given back", n, err)
	}
	end := jobtracker.End{Details: "no space", EndedAt: time.Now()}
	ok(s.TakeBack(ctx, running, jobtracker.TakenBack{End: end, Disk: "scratch is full", Notice: pipeline.Notice{Kind: pipeline.NoticeOutage, Subject: "x"}}))
	probe, err := s.BeginProbe(ctx, next, "probe-1", "local", "/results/probe-1", time.Now())
	ok(err)
	ok(s.TakeBack(ctx, probe, jobtracker.TakenBack{End: end}))
	next, err = s.Job(ctx, next.ID)
	ok(err)
	probe, err = s.BeginProbe(ctx, next, "probe-2", "local", "/results/probe-2", time.Now())
	ok(err)
	ok(s.ResumeAfterProbe(ctx, probe.ID, pipeline.Notice{Kind: pipeline.NoticePause, Subject: "x"}))
	all, err := s.SiteFaultedJobs(ctx)
	ok(err)
	for _, j := range all {
		if j.Status == pipeline.Retrying {
			ok(s.KillJob(ctx, j, false, ""))
		}
	}
	ok(s.SubmitAccepted(ctx, probe.ID, "4711"))
	probe.Status = pipeline.Running
	ok(s.SubmitProcessed(ctx, probe, end))
	if over, err := s.EndWorkersOutage(ctx); err != nil || !over {
		t.Errorf("EndWorkersOutage = %v, %v; want it to be over", over, err)
	}
}

func TestForbiddenTransitionsAreRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		jobtrackertest.MakeRequest(t, s, pipeline.Finished)
		jobtrackertest.MakeJob(t, s, pipeline.Uploaded)
		ctx := t.Context()
		for _, m := range pipeline.Machines() {
			for _, from := range m.Statuses() {
				for _, to := range append(m.Statuses(), "nonsense") {
					if m.Allows(from, to) {
						continue
					}
					if err := s.Move(ctx, m.Entity, 1, from, to); !errors.Is(err, pipeline.ErrForbidden) {
						t.Errorf("%s from %s to %s: %v, want %v", m.Entity, from, to, err, pipeline.ErrForbidden)
					}
				}
			}
			_, err := s.Writer().ExecContext(ctx, `UPDATE `+tables[m.Entity]+` SET status = 'nonsense' WHERE id = 1`)
			if err == nil {
				t.Errorf("%s: the schema takes a status that does not exist", m.Entity)
			}
		}
		jobtrackertest.AssertInvariants(t, s)
	})
}

func TestMoveSaysWhyNot(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		j := jobtrackertest.MakeJob(t, s, pipeline.Processed)
		for _, tt := range []struct {
			name     string
			id       int64
			from, to pipeline.Status
			want     error
		}{
			{"a job that has moved on", int64(j.ID), pipeline.New, pipeline.Submitted, pipeline.ErrStale},
			{"a job that does not exist", 999, pipeline.New, pipeline.Submitted, pipeline.ErrNotFound},
			{"a transition that does not exist", int64(j.ID), pipeline.Processed, pipeline.New, pipeline.ErrForbidden},
		} {
			if err := s.Move(t.Context(), pipeline.EntityJob, tt.id, tt.from, tt.to); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
		}
		if got, err := s.Job(t.Context(), j.ID); err != nil || got.Status != pipeline.Processed {
			t.Errorf("the job is %s, %v after refused moves, want it processed", got.Status, err)
		}
	})
}

// TestMethodsRefuseWrongOutcomes: a method must not leave two rows that
// contradict each other, whatever it is told.
func TestMethodsRefuseWrongOutcomes(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		ctx := t.Context()
		a := jobtrackertest.MakeAttempt(t, s, pipeline.Downloading)
		running := jobtrackertest.MakeJob(t, s, pipeline.Submitted)
		submitting := jobtrackertest.MakeSubmit(t, s, pipeline.Submitting)
		file := jobtrackertest.MakeFile(t, s, pipeline.Downloaded)
		given := jobtrackertest.MakeFile(t, s, pipeline.TerminalFailure)
		for name, act := range map[string]func() error{
			"end a transfer as failed":     func() error { return s.EndTransfer(ctx, a, pipeline.DownloadFailed, 0, "") },
			"fail a transfer as complete":  func() error { return s.FailTransfer(ctx, a, pipeline.Complete, 0, "", true) },
			"verify a running transfer":    func() error { return s.FileVerified(ctx, a, "sha256:00") },
			"refuse a running transfer":    func() error { return s.VerificationFailed(ctx, a, 0, "", true) },
			"fail a job in the queue":      func() error { return s.FailJob(ctx, running, "") },
			"kill a job in the queue":      func() error { return s.KillJob(ctx, running, true, "") },
			"submit a job in the queue":    func() error { _, err := s.BeginSubmit(ctx, running, "n", "local", "/n"); return err },
			"stop a submit half submitted": func() error { return s.StopSubmit(ctx, submitting, true, "") },
			"delete what must stay":        func() error { return s.FileDeleted(ctx, file) },
			"delete what was given up":     func() error { return s.FileDeleted(ctx, given) },
			"fetch what is here":           func() error { _, err := s.StartAttempt(ctx, file, 0); return err },
			"make jobs of no files": func() error {
				_, err := s.CreateJobs(ctx, jobtracker.NewJob{Name: "x", Stages: []string{"search"}})
				return err
			},
			"make jobs of no stages": func() error {
				_, err := s.CreateJobs(ctx, jobtracker.NewJob{Name: "x", Files: []pipeline.File{file}})
				return err
			},
		} {
			if err := act(); !errors.Is(err, pipeline.ErrForbidden) {
				t.Errorf("%s: %v, want %v", name, err, pipeline.ErrForbidden)
			}
		}
		jobtrackertest.AssertInvariants(t, s)
	})
}

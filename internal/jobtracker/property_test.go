package jobtracker_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
)

// TestNoSequenceBreaksAPromise does things at random, as daemons, operators
// and the dead would, often with an old idea of what a row is, and then checks
// the whole tracker. It begins with work half done.
func TestNoSequenceBreaksAPromise(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		fewerChecks(t, "7")
		again := on.halfDone(t)
		rapid.Check(t, func(rt *rapid.T) {
			s, err := jobtracker.Open(rt.Context(), again(rt), jobtracker.Options{Actor: "random"})
			if err != nil {
				rt.Fatal(err)
			}
			defer s.Close()
			p := &player{s: s}
			p.look(rt)
			rt.Repeat(p.moves())
			jobtrackertest.AssertInvariants(rt, s)
		})
	})
}

// halfDone makes a job-tracker with work half done; the function that it returns
// makes one like it each time, and says where.
func (on backend) halfDone(t *testing.T) (again func(*rapid.T) string) {
	t.Helper()
	fill := func(s *jobtracker.Store) {
		for _, status := range []pipeline.Status{pipeline.New, pipeline.Submitted, pipeline.Processed, pipeline.Failed} {
			jobtrackertest.MakeJob(t, s, status)
		}
		jobtrackertest.MakeSubmit(t, s, pipeline.Submitting)
		jobtrackertest.MakeAttempt(t, s, pipeline.Unknown)
		jobtrackertest.MakeFile(t, s, pipeline.New)
	}
	if on == onPostgres {
		return func(*rapid.T) string {
			s := on.open(t)
			fill(s)
			return s.Path()
		}
	}
	begin := on.open(t)
	fill(begin)
	if err := begin.Close(); err != nil {
		t.Fatal(err)
	}
	template, err := os.ReadFile(begin.Path())
	if err != nil {
		t.Fatal(err)
	}
	dir, n := t.TempDir(), 0
	return func(rt *rapid.T) string {
		n++
		path := filepath.Join(dir, fmt.Sprint(n, ".db"))
		if err := os.WriteFile(path, template, disk.FileMode); err != nil {
			rt.Fatal(err)
		}
		return path
	}
}

// fewerChecks lowers the number of checks unless the command line says how many.
func fewerChecks(t *testing.T, n string) {
	t.Helper()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if given {
		return
	}
	if err := flag.Set("rapid.checks", n); err != nil {
		t.Fatal(err)
	}
}

// player remembers rows as it saw them, also long ago.
type player struct {
	s        *jobtracker.Store
	names    int
	requests []pipeline.RequestID
	files    []pipeline.File
	attempts []pipeline.Attempt
	jobs     []pipeline.Job
	submits  []pipeline.Submit
}

// look remembers the rows as they are now.
func (p *player) look(t *rapid.T) {
	all := jobtracker.Filter{}
	files, err1 := p.s.Files(t.Context(), all)
	attempts, err2 := p.s.Attempts(t.Context(), all)
	jobs, err3 := p.s.Jobs(t.Context(), all)
	submits, err4 := p.s.Submits(t.Context(), all)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	p.files = append(p.files, files...)
	p.attempts = append(p.attempts, attempts...)
	p.jobs = append(p.jobs, jobs...)
	p.submits = append(p.submits, submits...)
}

// pick returns a row from memory, the later ones more often; the zero row if
// there is none, which no method may accept.
func pick[T any](t *rapid.T, all []T) T {
	if len(all) == 0 {
		var none T
		return none
	}
	back := min(rapid.IntRange(1, len(all)).Draw(t, "back"), rapid.IntRange(1, len(all)).Draw(t, "or"))
	return all[len(all)-back]
}

func (p *player) name() string {
	p.names++
	return fmt.Sprintf("name-%d", p.names)
}

func notice(t *rapid.T) pipeline.Notice {
	if rapid.Bool().Draw(t, "told") {
		return pipeline.Notice{Kind: pipeline.NoticeFailure, Subject: "x"}
	}
	return pipeline.Notice{}
}

// accept passes what a method may return to a caller with an old idea.
func accept(t *rapid.T, err error) {
	for _, fine := range []error{pipeline.ErrStale, pipeline.ErrForbidden, pipeline.ErrNotFound, pipeline.ErrPaused, jobtracker.ErrRawDataGone} {
		if errors.Is(err, fine) {
			return
		}
	}
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

// moves are all the things that can be done.
func (p *player) moves() map[string]func(*rapid.T) {
	moves := map[string]func(*rapid.T){"look": p.look, "look again": p.look}
	for name, act := range p.fileMoves() {
		moves[name] = func(t *rapid.T) { accept(t, act(t)) }
	}
	for name, act := range p.jobMoves() {
		moves[name] = func(t *rapid.T) { accept(t, act(t)) }
	}
	return moves
}

func (p *player) newFile() pipeline.File {
	return pipeline.File{Filename: p.name(), Path: "/raw", Size: 100, Product: "mock", GroupKey: "g"}
}

func (p *player) fileMoves() map[string]func(*rapid.T) error {
	s := p.s
	bytes := rapid.Int64Range(0, 100)
	return map[string]func(*rapid.T) error{
		"request": func(t *rapid.T) error {
			id, err := s.BeginRequest(t.Context(), 1, 4, "mock")
			p.requests = append(p.requests, id)
			return err
		},
		"finish request": func(t *rapid.T) error {
			_, err := s.FinishRequest(t.Context(), pick(t, p.requests), []pipeline.File{p.newFile(), p.newFile()}, "")
			return err
		},
		"fail request": func(t *rapid.T) error {
			return s.FailRequest(t.Context(), pick(t, p.requests), "", notice(t))
		},
		"enter files": func(t *rapid.T) error {
			_, err := s.EnterFiles(t.Context(), []pipeline.File{p.newFile(), p.newFile()}, "")
			return err
		},
		"add files": func(t *rapid.T) error {
			return s.AddFiles(t.Context(), []pipeline.File{p.newFile(), p.newFile()}, "")
		},
		"start": func(t *rapid.T) error {
			f := pick(t, p.files)
			a, err := s.StartAttempt(t.Context(), f, min(f.Bytes, f.Size))
			if err == nil {
				p.attempts = append(p.attempts, a)
			}
			return err
		},
		"progress": func(t *rapid.T) error {
			a := pick(t, p.attempts)
			return s.Progress(t.Context(), a, bytes.Draw(t, "n")*(100-a.Offset)/100)
		},
		"end": func(t *rapid.T) error {
			a := pick(t, p.attempts)
			a.Status = rapid.SampledFrom([]pipeline.Status{pipeline.Complete, pipeline.Unknown}).Draw(t, "as")
			err := s.EndTransfer(t.Context(), a, a.Status, 100-a.Offset, "")
			if err == nil {
				p.attempts = append(p.attempts, a)
			}
			return err
		},
		"break": func(t *rapid.T) error {
			to := rapid.SampledFrom([]pipeline.Status{pipeline.DownloadFailed, pipeline.NoRemoteFile, pipeline.Complete}).Draw(t, "as")
			return s.FailTransfer(t.Context(), pick(t, p.attempts), to, 0, "", rapid.Bool().Draw(t, "counts"))
		},
		"digest": func(t *rapid.T) error { return s.KeepDigest(t.Context(), pick(t, p.attempts), "sha256:00") },
		"verify": func(t *rapid.T) error { return s.FileVerified(t.Context(), pick(t, p.attempts), "sha256:00") },
		"refuse": func(t *rapid.T) error {
			return s.VerificationFailed(t.Context(), pick(t, p.attempts), bytes.Draw(t, "kept"), "", rapid.Bool().Draw(t, "counts"))
		},
		"relist":       func(t *rapid.T) error { return s.RelistFile(t.Context(), pick(t, p.files)) },
		"retry file":   func(t *rapid.T) error { return s.RetryFile(t.Context(), pick(t, p.files).ID, time.Time{}, "") },
		"give up file": func(t *rapid.T) error { return s.GiveUpFile(t.Context(), pick(t, p.files).ID, "", notice(t)) },
		"retry by hand": func(t *rapid.T) error {
			return s.RetryFailedFile(t.Context(), pick(t, p.files).ID, "")
		},
		"remove file": func(t *rapid.T) error { return s.WantFileDeleted(t.Context(), pick(t, p.files).ID, "") },
		"delete": func(t *rapid.T) error {
			todo, err := s.FilesToDelete(t.Context())
			if err != nil || len(todo) == 0 {
				return err
			}
			return s.FileDeleted(t.Context(), todo[0])
		},
		"delete from memory": func(t *rapid.T) error { return s.FileDeleted(t.Context(), pick(t, p.files)) },
	}
}

func (p *player) jobMoves() map[string]func(*rapid.T) error {
	s := p.s
	return map[string]func(*rapid.T) error{
		"group": func(t *rapid.T) error {
			stages := rapid.SampledFrom([][]string{{"search"}, {"search", "quicklook"}, nil}).Draw(t, "stages")
			files := []pipeline.File{pick(t, p.files), pick(t, p.files)}
			_, err := s.CreateJobs(t.Context(), jobtracker.NewJob{Name: "x", Stages: stages, Files: files})
			return err
		},
		"submit": func(t *rapid.T) error {
			name := p.name()
			sub, err := s.BeginSubmit(t.Context(), pick(t, p.jobs), name, "local", name)
			if err == nil {
				p.submits = append(p.submits, sub)
			}
			return err
		},
		"accepted":      func(t *rapid.T) error { return s.SubmitAccepted(t.Context(), pick(t, p.submits).ID, "1") },
		"refused":       func(t *rapid.T) error { return s.SubmitRefused(t.Context(), pick(t, p.submits), "") },
		"never arrived": func(t *rapid.T) error { return s.SubmitNeverArrived(t.Context(), pick(t, p.submits), "") },
		"seen":          func(t *rapid.T) error { return s.SubmitSeen(t.Context(), pick(t, p.submits).ID, "n", time.Now()) },
		"processed":     func(t *rapid.T) error { return s.SubmitProcessed(t.Context(), pick(t, p.submits), jobtracker.End{}) },
		"found processed": func(t *rapid.T) error {
			return s.SubmitFoundProcessed(t.Context(), pick(t, p.submits), jobtracker.End{})
		},
		"ended late": func(t *rapid.T) error {
			return s.SubmitEndedLate(t.Context(), pick(t, p.submits).ID, jobtracker.End{EndedAt: time.Now()})
		},
		"failed": func(t *rapid.T) error { return s.SubmitFailed(t.Context(), pick(t, p.submits), jobtracker.End{}) },
		"uploaded": func(t *rapid.T) error {
			return s.SubmitUploaded(t.Context(), pick(t, p.submits), "1", "", rapid.Bool().Draw(t, "delete"))
		},
		"upload failed": func(t *rapid.T) error { return s.UploadFailed(t.Context(), pick(t, p.submits), "") },
		"stop": func(t *rapid.T) error {
			return s.StopSubmit(t.Context(), pick(t, p.submits), rapid.Bool().Draw(t, "fail"), "")
		},
		"fail job":  func(t *rapid.T) error { return s.FailJob(t.Context(), pick(t, p.jobs), "") },
		"retry job": func(t *rapid.T) error { return s.RetryJob(t.Context(), pick(t, p.jobs).ID, time.Time{}, "", notice(t)) },
		"give up job": func(t *rapid.T) error {
			return s.GiveUpJob(t.Context(), pick(t, p.jobs).ID, "", rapid.Bool().Draw(t, "delete"), notice(t))
		},
		"take back": func(t *rapid.T) error {
			b := jobtracker.TakenBack{End: jobtracker.End{EndedAt: time.Now()}, Disk: rapid.SampledFrom([]string{"", "full"}).Draw(t, "disk"), Notice: notice(t)}
			return s.TakeBack(t.Context(), pick(t, p.submits), b)
		},
		"workers well": func(t *rapid.T) error { _, err := s.EndWorkersOutage(t.Context()); return err },
		"pause":        func(t *rapid.T) error { return s.Pause(t.Context(), pipeline.PauseSubmissions, "") },
		"resume":       func(t *rapid.T) error { _, err := s.Resume(t.Context(), pipeline.PauseSubmissions, ""); return err },
		"trip": func(t *rapid.T) error {
			trip := jobtracker.Trip{Reason: "x", ProbeAt: time.Now(), MostBack: rapid.IntRange(0, 2).Draw(t, "most")}
			for _, sub := range p.submits {
				if rapid.Bool().Draw(t, "failed") {
					trip.Submits = append(trip.Submits, sub.ID)
				}
			}
			_, _, err := s.TripBreaker(t.Context(), trip)
			return err
		},
		"probe": func(t *rapid.T) error {
			name := p.name()
			sub, err := s.BeginProbe(t.Context(), pick(t, p.jobs), name, "local", name, time.Now())
			if err == nil {
				p.submits = append(p.submits, sub)
			}
			return err
		},
		"probe went well": func(t *rapid.T) error { return s.ResumeAfterProbe(t.Context(), pick(t, p.submits).ID, notice(t)) },
		"kill": func(t *rapid.T) error {
			return s.KillJob(t.Context(), pick(t, p.jobs), rapid.Bool().Draw(t, "delete"), "")
		},
		"retry job by hand": func(t *rapid.T) error { return s.RetryGivenUpJob(t.Context(), pick(t, p.jobs).ID, "") },
		"mail": func(t *rapid.T) error {
			pending, err := s.PendingNotices(t.Context())
			if err != nil || len(pending) == 0 {
				return err
			}
			_, err = s.ComposeMail(t.Context(), pipeline.Mail{Kind: pending[0].Kind, Count: pending[0].Count}, pending[0].LastID)
			return err
		},
	}
}

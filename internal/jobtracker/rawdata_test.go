package jobtracker_test

import (
	"fmt"
	"testing"

	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
)

// How a job ends, and whether the settings say that its raw data may go then.
type end struct {
	status pipeline.Status
	delete bool
}

// TestRawDataGoesWithTheLastJobThatNeedsIt has two stages with the same input.
func TestRawDataGoesWithTheLastJobThatNeedsIt(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		for _, tt := range []struct {
			name          string
			first, second end
			afterFirst    bool
			afterSecond   bool
		}{
			{"both are uploaded",
				end{pipeline.Uploaded, true}, end{pipeline.Uploaded, true}, false, true},
			{"nothing is to be deleted",
				end{pipeline.Uploaded, false}, end{pipeline.Uploaded, false}, false, false},
			{"one waits in the queue",
				end{pipeline.Uploaded, true}, end{pipeline.Submitted, true}, false, false},
			{"the first is given up and keeps its data",
				end{pipeline.TerminalFailure, false}, end{pipeline.Uploaded, true}, false, false},
			{"the second is given up and keeps its data",
				end{pipeline.Uploaded, true}, end{pipeline.TerminalFailure, false}, false, false},
			{"the first is given up and lets go",
				end{pipeline.TerminalFailure, true}, end{pipeline.Uploaded, true}, false, true},
			{"the second is given up and lets go",
				end{pipeline.Uploaded, true}, end{pipeline.TerminalFailure, true}, false, true},
			{"both are given up and let go",
				end{pipeline.TerminalFailure, true}, end{pipeline.TerminalFailure, true}, false, true},
		} {
			t.Run(tt.name, func(t *testing.T) {
				jobs := jobtrackertest.MakeJobs(t, s, "search", "quicklook")
				for i, step := range []struct {
					end
					want bool
				}{{tt.first, tt.afterFirst}, {tt.second, tt.afterSecond}} {
					finish(t, s, jobs[i], step.end)
					files, err := s.JobFiles(t.Context(), jobs[0].ID)
					if err != nil {
						t.Fatal(err)
					}
					for _, f := range files {
						if f.DeleteWanted != step.want {
							t.Errorf("after job %d of 2: deletion wanted is %v, want %v", i+1, f.DeleteWanted, step.want)
						}
					}
				}
			})
		}
		jobtrackertest.AssertInvariants(t, s)
	})
}

// TestARetriedJobNeedsItsDataAgain: it was given up and let its data go, which
// another job kept; then an operator had it tried again.
func TestARetriedJobNeedsItsDataAgain(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		ctx := t.Context()
		nothingGoes := func(when string) {
			t.Helper()
			if todo, err := s.FilesToDelete(ctx); err != nil || len(todo) != 0 {
				t.Errorf("%s: %d files are to be deleted, %v, want none", when, len(todo), err)
			}
		}
		for _, killed := range []bool{false, true} {
			jobs := jobtrackertest.MakeJobs(t, s, "search", "quicklook")
			finish(t, s, jobs[0], end{pipeline.TerminalFailure, true})
			if err := s.RetryGivenUpJob(ctx, jobs[0].ID, "fixed"); err != nil {
				t.Fatal(err)
			}
			if killed { // and this time it keeps its data
				j, _ := s.Job(ctx, jobs[0].ID)
				if err := s.KillJob(ctx, j, false, "enough"); err != nil {
					t.Fatal(err)
				}
			}
			finish(t, s, jobs[1], end{pipeline.Uploaded, true})
			nothingGoes(fmt.Sprintf("the other job is uploaded, this one was killed: %v", killed))
		}
		jobtrackertest.AssertInvariants(t, s)
	})
}

// finish takes a new job to its end.
func finish(t *testing.T, s *jobtracker.Store, j pipeline.Job, e end) {
	t.Helper()
	ctx := t.Context()
	if e.status == pipeline.TerminalFailure {
		if err := s.FailJob(ctx, j, "no"); err != nil {
			t.Fatal(err)
		}
		if err := s.GiveUpJob(ctx, j.ID, "no more", e.delete, pipeline.Notice{}); err != nil {
			t.Fatal(err)
		}
		return
	}
	name := j.Stage + "-" + j.GroupKey
	sub, err := s.BeginSubmit(ctx, j, name, "local", "/results/"+name)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SubmitAccepted(ctx, sub.ID, name); err != nil {
		t.Fatal(err)
	}
	if e.status == pipeline.Submitted {
		return
	}
	if err := s.SubmitProcessed(ctx, sub, jobtracker.End{}); err != nil {
		t.Fatal(err)
	}
	sub.Status = pipeline.Processed
	if err := s.SubmitUploaded(ctx, sub, "1", "", e.delete); err != nil {
		t.Fatal(err)
	}
}

package doctor

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
)

// goBack makes a backup, lets something happen, and restores the backup.
func (w *world) goBack(since func(w *world)) {
	w.t.Helper()
	ctx := w.t.Context()
	w.clock.Advance(time.Hour)
	backup := w.path("then.db")
	w.check(w.store.Backup(ctx, backup))
	w.clock.Advance(time.Hour)
	since(w)
	w.clock.Advance(time.Hour)
	w.check(w.store.Close())
	_, err := jobtracker.Restore(ctx, w.cfg.Background.JobtrackerDB, backup, jobtracker.Options{Actor: "ann", Now: w.clock.Now})
	w.check(err)
	w.open()
	if _, held, err := w.store.Held(ctx); err != nil || !held {
		w.t.Fatalf("a restored job-tracker is not held: %v", err)
	}
}

// forgottenPast is something that happened after the backup.
type forgottenPast struct {
	name   string
	before func(w *world)
	since  func(w *world)
	stays  string         // what of the finding that keeps the hold; empty: it ends
	after  func(w *world) // after the repair
}

func nothing(*world) {}

func forgottenPasts() []forgottenPast {
	uploadedOnce := func(w *world) {
		w.jobIs(1, pipeline.Uploaded)
		w.fileIs("obs1a.fits", pipeline.Deleted)
		w.fileIs("obs1b.fits", pipeline.Deleted)
		w.noNewJobs()
	}
	whole := func(w *world) { w.submit(w.job(1), pipeline.Uploaded) }
	pasts := []forgottenPast{
		{name: "nothing", before: whole, since: nothing, after: uploadedOnce},
		{name: "a whole observation", before: nothing, since: whole, after: func(w *world) {
			uploadedOnce(w)
			sub := must(w.store.SubmitByName(w.t.Context(), "longhaul-1-00000001"))(w)
			if sub.OutputDir != w.path("results", "1", "1") || sub.Version != "v1" {
				w.t.Errorf("entered as %+v", sub)
			}
		}},
		{name: "a whole observation, and the queue manager has forgotten it too", before: nothing,
			since: func(w *world) { whole(w); w.queue.all = nil },
			after: func(w *world) {
				w.jobIs(1, pipeline.Uploaded)
				w.fileIs("obs1a.fits", pipeline.Deleted) // one half never comes again, so the other waits for ever
				w.noNewJobs()
			}},
		{name: "a whole observation, on a queue manager that cannot list", before: nothing,
			since: func(w *world) { whole(w); w.queue.cannotList = true },
			after: func(w *world) { w.jobIs(1, pipeline.Uploaded); w.fileIs("obs1a.fits", pipeline.Deleted) }},
		{name: "the job was new", before: func(w *world) { w.job(1) },
			since: func(w *world) { w.submit(w.theJob(), pipeline.Uploaded) }, after: uploadedOnce},
		{name: "the job was new, and raw data is kept", before: func(w *world) { w.cfg.Basic.DeleteRawdata = false; w.job(1) },
			since: func(w *world) {
				j := w.theJob()
				sub := w.submit(j, pipeline.Processed)
				w.upload(sub, j)
				w.check(w.store.SubmitUploaded(w.t.Context(), sub, "v1", "", false))
			},
			after: func(w *world) { w.jobIs(1, pipeline.Uploaded); w.fileIs("obs1a.fits", pipeline.Downloaded) }},
		{name: "the job was to be tried again", before: func(w *world) { w.submit(w.job(1), pipeline.ProcessingFailed) },
			since: func(w *world) { w.submit(w.theJob(), pipeline.Uploaded) }, after: uploadedOnce},
		{name: "the job had just failed", before: func(w *world) {
			sub := w.submit(w.job(1), pipeline.Running)
			w.check(w.store.SubmitFailed(w.t.Context(), sub, jobtracker.End{Details: "exit status 1"}))
		}, since: func(w *world) {
			w.check(w.store.RetryJob(w.t.Context(), 1, w.clock.Now(), "", pipeline.Notice{}))
			w.submit(w.theJob(), pipeline.Uploaded)
			w.queue.all[0].State = queue.State{Phase: queue.Finished}
		}, after: uploadedOnce},
		{name: "the job was given up, and retried by hand", before: func(w *world) {
			w.check(w.store.KillJob(w.t.Context(), w.job(1), false, "test"))
		}, since: func(w *world) {
			w.check(w.store.RetryGivenUpJob(w.t.Context(), 1, "test"))
			w.submit(w.theJob(), pipeline.Uploaded)
		}, after: uploadedOnce},
		{name: "its submit ran, failed, and another was uploaded", before: func(w *world) { w.submit(w.job(1), pipeline.Running) },
			since: func(w *world) { w.failRunning(); w.submit(w.theJob(), pipeline.Uploaded) },
			after: func(w *world) {
				uploadedOnce(w)
				if s := must(w.store.Submit(w.t.Context(), 1))(w); s.Status != pipeline.RemovedByOperator {
					w.t.Errorf("the first submit is %s", s.Status)
				}
			}},
		{name: "its submit was about to be made, never arrived, and another was uploaded",
			before: func(w *world) { w.submit(w.job(1), pipeline.Submitting) },
			since: func(w *world) {
				w.check(w.store.SubmitNeverArrived(w.t.Context(), must(w.store.Submit(w.t.Context(), 1))(w), "unknown"))
				w.submit(w.theJob(), pipeline.Uploaded)
			}, after: uploadedOnce},
		{name: "its results were taken back, and others were uploaded", before: func(w *world) { w.submit(w.job(1), pipeline.Processed) },
			since: func(w *world) {
				w.check(w.store.StopSubmit(w.t.Context(), must(w.store.Submit(w.t.Context(), 1))(w), false, "bad"))
				w.submit(w.theJob(), pipeline.Uploaded)
			}, after: uploadedOnce},
		{name: "its submit, which still runs, was given up, and another was uploaded",
			before: func(w *world) { w.submit(w.job(1), pipeline.Running) },
			since: func(w *world) {
				w.failRunning()
				w.submit(w.theJob(), pipeline.Uploaded)
				w.queue.all[0].State = queue.State{Phase: queue.Running}
			}, stays: "upload longhaul-1-00000002", after: func(w *world) {
				w.jobIs(1, pipeline.Submitted)
				w.queue.all[0].State = queue.State{Phase: queue.Finished} // the operator stopped it
				if r := w.doctor(true); !r.Released {
					w.t.Errorf("the hold stays: %+v", r.Findings)
				}
				uploadedOnce(w)
			}},
		{name: "the running submit was uploaded, and its results were removed", before: func(w *world) { w.submit(w.job(1), pipeline.Running) },
			since: func(w *world) {
				w.queue.all[0].State = queue.State{Phase: queue.Finished}
				w.upload(must(w.store.Submit(w.t.Context(), 1))(w), w.theJob())
				w.check(errors.Join(os.Remove(w.path("raw", "obs1a.fits")), os.Remove(w.path("raw", "obs1b.fits"))))
			}, after: uploadedOnce},
		{name: "uploaded twice, since an operator added its files again", before: nothing,
			since: func(w *world) {
				whole(w)
				whole2 := must(w.store.Job(w.t.Context(), 1))(w)
				w.clock.Advance(time.Minute)
				w.upload(pipeline.Submit{Name: "longhaul-2-again"}, whole2)
			}, after: uploadedOnce},
		{name: "a submission runs", before: nothing, since: func(w *world) { w.submit(w.job(1), pipeline.Running) },
			after: func(w *world) { w.adopted("longhaul-1-00000001") }},
		{name: "a submission runs, after one that failed", before: func(w *world) { w.job(1) },
			since: func(w *world) {
				w.submit(w.theJob(), pipeline.ProcessingFailed)
				w.clock.Advance(time.Minute)
				w.submit(w.theJob(), pipeline.Running)
			}, after: func(w *world) { w.adopted("longhaul-1-00000002") }},
		{name: "a submission has left results that nobody uploaded", before: func(w *world) { w.job(1) },
			since: func(w *world) { w.submit(w.theJob(), pipeline.Processed) },
			after: func(w *world) { w.adopted("longhaul-1-00000001") }},
		{name: "a submission failed", before: func(w *world) { w.job(1) },
			since: func(w *world) { w.submit(w.theJob(), pipeline.ProcessingFailed) },
			after: func(w *world) { w.jobIs(1, pipeline.New) }},
		{name: "a submission runs whose raw data is gone", before: nothing,
			since: func(w *world) { w.submit(w.job(1), pipeline.Running); w.check(os.Remove(w.path("raw", "obs1b.fits"))) },
			stays: "queue ID longhaul-1-00000001", after: nothing},
		{name: "an upload that tells no file's name", before: nothing,
			since: func(w *world) {
				w.upload(pipeline.Submit{Name: "longhaul-1-x"}, pipeline.Job{Name: "1/../x", Stage: "look"})
			}, stays: "upload longhaul-1-x", after: nothing},
		{name: "the common database does not answer", before: nothing,
			since: func(w *world) { w.dbError = pipeline.Outage(pipeline.CommonDatabase, errors.New("refused")) },
			stays: "", after: nothing},
		{name: "something new stands where something was to be deleted", before: func(w *world) {
			f := w.file("obs1a.fits", pipeline.Downloaded)
			w.check(w.store.WantFileDeleted(w.t.Context(), f.ID, ""))
		}, since: func(w *world) { w.write("new!", "raw", "obs1a.fits") }, stays: "file 1", after: func(w *world) {
			if _, err := os.Stat(w.path("raw", "obs1a.fits")); err != nil {
				w.t.Error(err)
			}
		}},
	}
	// Whatever the backup knew of the files of an observation that was uploaded since.
	for _, status := range []pipeline.Status{pipeline.New, pipeline.Downloading, pipeline.Unverified, pipeline.Failed,
		pipeline.Retrying, pipeline.TerminalFailure, pipeline.Deleted} {
		pasts = append(pasts, forgottenPast{name: "its files were " + string(status), before: func(w *world) {
			w.file("obs1a.fits", status)
			w.file("obs1b.fits", status)
		}, since: func(w *world) { w.elsewhere(whole) }, after: uploadedOnce})
	}
	return pasts
}

// theJob is the only job.
func (w *world) theJob() pipeline.Job {
	w.t.Helper()
	return must(w.store.Job(w.t.Context(), 1))(w)
}

// failRunning fails the submit that runs.
func (w *world) failRunning() {
	w.t.Helper()
	ctx := w.t.Context()
	w.queue.all[0].State = queue.State{Phase: queue.Finished, Reason: queue.Exited, ExitCode: 1}
	w.check(w.store.SubmitFailed(ctx, must(w.store.Submit(ctx, 1))(w), jobtracker.End{Details: "exit status 1"}))
	w.check(w.store.RetryJob(ctx, 1, w.clock.Now(), "again", pipeline.Notice{}))
}

// elsewhere lets something happen in another job-tracker, for the same world.
func (w *world) elsewhere(fn func(w *world)) {
	w.t.Helper()
	here := w.store
	w.store = jobtrackertest.OpenWith(w.t, jobtracker.Options{Actor: "ann", Now: w.clock.Now})
	fn(w)
	w.store = here
}

// adopted: job 1 waits for the submit of that name, and the daemons can follow it.
func (w *world) adopted(name string) {
	w.t.Helper()
	w.jobIs(1, pipeline.Submitted)
	sub := must(w.store.SubmitByName(w.t.Context(), name))(w)
	l := w.queue.named(name)
	if sub.Status != pipeline.Running || sub.QueueID != name || sub.SubmittedAt.Unix() != l.Submitted.Unix() || l.Env["OUTDIR"] != sub.OutputDir {
		w.t.Errorf("entered as %+v, want the one in the queue: %+v", sub, l)
	}
}

// noNewJobs: whatever comes again, there is one job and it is done, and no file
// would be fetched or grouped.
func (w *world) noNewJobs() {
	w.t.Helper()
	ctx := w.t.Context()
	jobs := must(w.store.Jobs(ctx, jobtracker.Filter{}))(w)
	known := must(w.store.KnownFilenames(ctx, []string{"obs1a.fits"}))(w)
	due := must(w.store.DueFiles(ctx, 10))(w)
	ungrouped := must(w.store.UngroupedFiles(ctx))(w)
	if len(jobs) != 1 || len(known) != 1 || len(due) != 0 || len(ungrouped) != 0 {
		w.t.Errorf("%d jobs, %d files known, %d due, %d ungrouped, want 1, 1, 0, 0", len(jobs), len(known), len(due), len(ungrouped))
	}
}

func TestWhatARestoredTrackerHasForgottenIsNotDoneAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range forgottenPasts() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tt.before(w)
			w.goBack(tt.since)
			before := must(w.store.LastEvent(t.Context()))(w)
			r := w.doctor()
			if !r.Held || r.Released || r.Left() == 0 || must(w.store.LastEvent(t.Context()))(w) != before {
				t.Errorf("looking at it: held %v, released %v, %d left", r.Held, r.Released, r.Left())
			}
			r = w.doctor(true)
			jobtrackertest.AssertInvariants(t, w.store)
			stays := tt.stays != "" || w.dbError != nil
			if r.Released == stays {
				t.Errorf("released %v, want %v: %+v", r.Released, !stays, r.Findings)
			}
			for _, f := range r.Findings {
				if f.Holds && !f.Repaired && f.Where != tt.stays {
					t.Errorf("left: %+v", f)
				}
			}
			tt.after(w)
			jobtrackertest.AssertInvariants(t, w.store)
			_, held, err := w.store.Held(t.Context())
			w.check(err)
			if !stays && held {
				t.Error("it says that it ended the hold, and did not")
			}
			if held {
				if r := w.doctor(true, true); !r.Released {
					t.Error("--release did not end the hold")
				}
			}
			if r := w.doctor(); r.Held {
				t.Error("it is still held")
			}
		})
	}
}

// TestARepairThatIsCutShortIsGoneOnWith stops the repair before its k-th change,
// for every k, and then repairs what is left.
func TestARepairThatIsCutShortIsGoneOnWith(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("", "raw", "notes.txt") // its disk is mounted
	w.file("obs1a.fits", pipeline.New)
	w.goBack(func(w *world) { w.elsewhere(func(w *world) { w.submit(w.job(1), pipeline.Uploaded) }) })
	w.check(w.store.Close())
	restored := must(os.ReadFile(w.cfg.Background.JobtrackerDB))(w)
	for k := int64(1); ; k++ {
		w.check(os.WriteFile(w.cfg.Background.JobtrackerDB, restored, 0o640))
		if w.cutShort(k) {
			w.open()
			r := w.doctor(true)
			if !r.Released {
				t.Errorf("cut short before change %d: the hold stays: %+v", k, r.Findings)
			}
			w.settled()
			jobtrackertest.AssertInvariants(t, w.store)
			w.check(w.store.Close())
		} else if k < 8 {
			t.Fatalf("the repair has %d changes, want more", k-1)
		} else {
			return
		}
	}
}

// cutShort repairs until the k-th change, and reports whether there was one.
func (w *world) cutShort(k int64) bool {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	var writes atomic.Int64
	store := w.openAs(func() time.Time {
		if writes.Add(1) == k {
			cancel()
		}
		return w.clock.Now()
	})
	_, err := w.tryDoctor(ctx, store, true, false)
	w.check(store.Close())
	return err != nil
}

// settled: the upload is recorded. Where the submit was entered and not its
// end, the daemons find that: its results are there.
func (w *world) settled() {
	w.t.Helper()
	switch sub := must(w.store.SubmitByName(w.t.Context(), "longhaul-1-00000001"))(w); sub.Status {
	case pipeline.Uploaded:
		w.fileIs("obs1a.fits", pipeline.Deleted)
		w.fileIs("obs1b.fits", pipeline.Deleted)
		w.noNewJobs()
	case pipeline.Running, pipeline.Processed:
		w.noNewJobs()
	default:
		w.t.Errorf("the submit is %s", sub.Status)
	}
}

func TestTheHoldSaysWhatItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.job(1)
	w.goBack(nothing)
	f := w.only(w.doctor(), Error)
	if f.Check != "restore" || !strings.Contains(f.What, "then.db; it knows nothing of what happened after 2026-03-14 12:00:00") || f.Remedy != "longhaul doctor --repair" {
		t.Errorf("%+v", f)
	}
}

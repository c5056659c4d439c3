package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
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

// forgottenPast is what happened to one observation after the backup.
type forgottenPast struct {
	name   string
	before func(w *world, scan int)
	since  func(w *world, scan int)
	after  func(w *world, scan int) // the repair
}

func nothing(*world, int) {}

func newJob(w *world, scan int) { w.job(scan) }

func whole(w *world, scan int) { w.submit(w.job(scan), pipeline.Uploaded) }

func jobUploaded(w *world, scan int) { w.submit(w.theJob(scan), pipeline.Uploaded) }

// uploadedOnce: the upload is recorded, and nothing would be done again.
func uploadedOnce(w *world, scan int) {
	w.t.Helper()
	w.jobOf(scan, pipeline.Uploaded)
	w.fileIs(fmt.Sprintf("obs%da.fits", scan), pipeline.Deleted)
	w.fileIs(fmt.Sprintf("obs%db.fits", scan), pipeline.Deleted)
	w.noNewJobs(scan)
}

func forgottenPasts() []forgottenPast {
	pasts := []forgottenPast{
		{"nothing", whole, nothing, uploadedOnce},
		{"a whole observation", nothing, whole, func(w *world, scan int) {
			uploadedOnce(w, scan)
			sub := must(w.store.SubmitByName(w.t.Context(), w.last[scan].Name))(w)
			if sub.OutputDir != w.last[scan].OutputDir || sub.Version != "v1" {
				w.t.Errorf("entered as %+v", sub)
			}
		}},
		{"a whole observation, and the queue manager has forgotten it too", nothing,
			func(w *world, scan int) { whole(w, scan); w.queue.forget(w.last[scan].Name) },
			func(w *world, scan int) {
				w.jobOf(scan, pipeline.Uploaded)
				w.fileIs(fmt.Sprintf("obs%da.fits", scan), pipeline.Deleted) // so that the other half would wait for ever
				w.noNewJobs(scan)
			}},
		{"the job was new", newJob, jobUploaded, uploadedOnce},
		{"the job was new, and its raw data is still there", newJob,
			func(w *world, scan int) {
				sub := w.submit(w.theJob(scan), pipeline.Processed)
				w.upload(sub, w.theJob(scan))
				w.check(w.store.SubmitUploaded(w.t.Context(), sub, "v1", "", false))
			},
			func(w *world, scan int) {
				w.jobOf(scan, pipeline.Uploaded)
				w.fileIs(fmt.Sprintf("obs%da.fits", scan), pipeline.Downloaded)
			}},
		{"the job was to be tried again", func(w *world, scan int) { w.submit(w.job(scan), pipeline.ProcessingFailed) }, jobUploaded, uploadedOnce},
		{"the job had just failed", func(w *world, scan int) {
			sub := w.submit(w.job(scan), pipeline.Running)
			w.queue.end(sub.Name)
			w.check(w.store.SubmitFailed(w.t.Context(), sub, jobtracker.End{Details: "exit status 1"}))
		}, func(w *world, scan int) {
			w.check(w.store.RetryJob(w.t.Context(), w.theJob(scan).ID, w.clock.Now(), "", pipeline.Notice{}))
			jobUploaded(w, scan)
		}, uploadedOnce},
		{"the job was given up, and retried by hand", func(w *world, scan int) {
			w.check(w.store.KillJob(w.t.Context(), w.job(scan), false, "test"))
		}, func(w *world, scan int) {
			w.check(w.store.RetryGivenUpJob(w.t.Context(), w.theJob(scan).ID, "test"))
			jobUploaded(w, scan)
		}, uploadedOnce},
		{"its submit ran, failed, and another was uploaded", func(w *world, scan int) { w.submit(w.job(scan), pipeline.Running) },
			func(w *world, scan int) { w.failRunning(scan); jobUploaded(w, scan) },
			func(w *world, scan int) {
				uploadedOnce(w, scan)
				subs := must(w.store.SubmitsOf(w.t.Context(), w.theJob(scan).ID))(w)
				if len(subs) != 2 || subs[0].Status != pipeline.RemovedByOperator {
					w.t.Errorf("the submits are %+v", subs)
				}
			}},
		{"its submit was about to be made, never arrived, and another was uploaded",
			func(w *world, scan int) { w.submit(w.job(scan), pipeline.Submitting) },
			func(w *world, scan int) {
				w.check(w.store.SubmitNeverArrived(w.t.Context(), w.last[scan], "unknown"))
				jobUploaded(w, scan)
			}, uploadedOnce},
		{"its results were taken back, and others were uploaded", func(w *world, scan int) { w.submit(w.job(scan), pipeline.Processed) },
			func(w *world, scan int) {
				w.check(w.store.StopSubmit(w.t.Context(), w.last[scan], false, "bad"))
				jobUploaded(w, scan)
			}, uploadedOnce},
		{"the running submit was uploaded, and its results were removed", func(w *world, scan int) { w.submit(w.job(scan), pipeline.Running) },
			func(w *world, scan int) {
				w.queue.end(w.last[scan].Name)
				w.upload(w.last[scan], w.theJob(scan))
				for _, f := range must(w.store.JobFiles(w.t.Context(), w.theJob(scan).ID))(w) {
					w.check(os.Remove(f.Path))
				}
			}, uploadedOnce},
		{"uploaded twice, since an operator had added its files again", nothing,
			func(w *world, scan int) {
				whole(w, scan)
				w.upload(pipeline.Submit{Name: "longhaul-2-again"}, w.theJob(scan))
			}, uploadedOnce},
		{"an observation of the same name, of another product, was uploaded", newJob,
			func(w *world, scan int) {
				w.uploadOf(pipeline.Submit{Name: "longhaul-77-single"}, pipeline.Job{Name: fmt.Sprint(scan), Stage: "look"},
					fmt.Sprintf("one%d.fits", scan))
			},
			func(w *world, scan int) {
				jobs := must(w.store.JobsNamed(w.t.Context(), fmt.Sprint(scan), "look"))(w)
				if len(jobs) != 2 || jobs[0].Product != "single" || jobs[0].Status != pipeline.Uploaded || jobs[1].Status != pipeline.New {
					w.t.Errorf("the jobs are %+v", jobs)
				}
				w.fileIs(fmt.Sprintf("one%d.fits", scan), pipeline.Deleted)
			}},
		{"a submission runs", nothing, func(w *world, scan int) { w.submit(w.job(scan), pipeline.Running) }, adopted},
		{"a submission runs, after one that failed", newJob,
			func(w *world, scan int) {
				w.submit(w.theJob(scan), pipeline.ProcessingFailed)
				w.clock.Advance(time.Minute)
				w.submit(w.theJob(scan), pipeline.Running)
			}, adopted},
		{"a submission has left results that nobody uploaded", newJob,
			func(w *world, scan int) { w.submit(w.theJob(scan), pipeline.Processed) }, adopted},
		{"a submission failed", newJob,
			func(w *world, scan int) { w.submit(w.theJob(scan), pipeline.ProcessingFailed) },
			func(w *world, scan int) { w.jobOf(scan, pipeline.New) }},
	}
	// Whatever the backup knew of the files of an observation that was uploaded since.
	for _, status := range []pipeline.Status{pipeline.New, pipeline.Downloading, pipeline.Unverified, pipeline.Failed,
		pipeline.Retrying, pipeline.TerminalFailure, pipeline.Deleted} {
		pasts = append(pasts, forgottenPast{"its files were " + string(status), func(w *world, scan int) {
			w.file(fmt.Sprintf("obs%da.fits", scan), status)
			w.file(fmt.Sprintf("obs%db.fits", scan), status)
		}, func(w *world, scan int) { w.elsewhere(func(w *world) { whole(w, scan) }) }, uploadedOnce})
	}
	return pasts
}

// theJob is the newest job of an observation.
func (w *world) theJob(scan int) pipeline.Job {
	w.t.Helper()
	jobs := must(w.store.JobsNamed(w.t.Context(), fmt.Sprint(scan), "look"))(w)
	if len(jobs) == 0 {
		w.t.Fatalf("no job of observation %d", scan)
	}
	return jobs[0]
}

func (w *world) jobOf(scan int, want pipeline.Status) {
	w.t.Helper()
	w.jobIs(w.theJob(scan).ID, want)
}

// failRunning fails the last submit of an observation.
func (w *world) failRunning(scan int) {
	w.t.Helper()
	ctx := w.t.Context()
	w.queue.end(w.last[scan].Name)
	w.check(w.store.SubmitFailed(ctx, w.last[scan], jobtracker.End{Details: "exit status 1"}))
	w.check(w.store.RetryJob(ctx, w.theJob(scan).ID, w.clock.Now(), "again", pipeline.Notice{}))
}

// elsewhere lets something happen in another job-tracker, for the same world.
func (w *world) elsewhere(fn func(w *world)) {
	w.t.Helper()
	here := w.store
	w.store = jobtrackertest.OpenWith(w.t, jobtracker.Options{Actor: "ann", Now: w.clock.Now})
	fn(w)
	w.store = here
}

// adopted: the job waits for its last submit, and the daemons can follow it.
func adopted(w *world, scan int) {
	w.t.Helper()
	w.jobOf(scan, pipeline.Submitted)
	name := w.last[scan].Name
	sub := must(w.store.SubmitByName(w.t.Context(), name))(w)
	l := w.queue.named(name)
	if sub.Status != pipeline.Running || sub.QueueID != name || sub.SubmittedAt.Unix() != l.Submitted.Unix() || l.Env["OUTDIR"] != sub.OutputDir {
		w.t.Errorf("entered as %+v, want the one in the queue: %+v", sub, l)
	}
}

// noNewJobs: whatever comes again, there is one job, and no file would be
// entered, fetched or grouped.
func (w *world) noNewJobs(scan int) {
	w.t.Helper()
	ctx := w.t.Context()
	name := fmt.Sprintf("obs%da.fits", scan)
	jobs := must(w.store.JobsNamed(ctx, fmt.Sprint(scan), "look"))(w)
	known := must(w.store.KnownFilenames(ctx, []string{name}))(w)
	if len(jobs) != 1 || !known[name] {
		w.t.Errorf("%d jobs, %d files known, want one each", len(jobs), len(known))
	}
	for _, f := range append(must(w.store.DueFiles(ctx, 1000))(w), must(w.store.UngroupedFiles(ctx))(w)...) {
		if f.GroupKey == fmt.Sprint(scan) {
			w.t.Errorf("file %s is %s, and would be gone on with", f.Filename, f.Status)
		}
	}
}

// TestWhatARestoredTrackerHasForgottenIsNotDoneAgain lets all of it happen to
// one site, an observation for each.
func TestWhatARestoredTrackerHasForgottenIsNotDoneAgain(t *testing.T) {
	t.Parallel()
	for _, cannotList := range []bool{false, true} {
		t.Run(fmt.Sprintf("the queue manager cannot list: %v", cannotList), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.queue.cannotList = cannotList
			pasts := slices.DeleteFunc(forgottenPasts(), func(p forgottenPast) bool {
				return cannotList && !strings.HasPrefix(p.name, "the job was") && p.name != "a whole observation, and the queue manager has forgotten it too"
			})
			for i, p := range pasts {
				p.before(w, i+1)
			}
			w.goBack(func(w *world) {
				for i, p := range pasts {
					p.since(w, i+1)
				}
			})
			before := must(w.store.LastEvent(t.Context()))(w)
			r := w.doctor()
			if !r.Held || r.Released || r.Left() < len(pasts)/2 || must(w.store.LastEvent(t.Context()))(w) != before {
				t.Errorf("looking at it: held %v, released %v, %d left", r.Held, r.Released, r.Left())
			}
			r = w.doctor(true)
			for _, f := range r.Findings {
				if f.Trouble != "" || f.Holds && !f.Repaired {
					t.Errorf("left: %+v", f)
				}
			}
			if _, held, err := w.store.Held(t.Context()); err != nil || held || !r.Released {
				t.Errorf("held %v, %v; the report says released %v", held, err, r.Released)
			}
			for i, p := range pasts {
				t.Run(p.name, func(t *testing.T) {
					w := *w
					w.t = t
					p.after(&w, i+1)
				})
			}
			jobtrackertest.AssertInvariants(t, w.store)
		})
	}
}

// TestWhatCannotBeMadeRightKeepsTheHold, until a person says otherwise.
func TestWhatCannotBeMadeRightKeepsTheHold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		forgottenPast
		where string
		what  string // why it is not repaired, or what can be done
	}{
		{forgottenPast{"an upload that tells no file's name", nothing,
			func(w *world, scan int) {
				w.upload(pipeline.Submit{Name: "longhaul-1-x"}, pipeline.Job{Name: "1/../x", Stage: "look"})
			}, nothing}, "upload longhaul-1-x", "nothing tells which files"},
		{forgottenPast{"a submission whose raw data is gone", nothing,
			func(w *world, scan int) {
				w.submit(w.job(scan), pipeline.Running)
				w.check(os.Remove(w.path("raw", "obs1b.fits")))
			}, nothing}, "queue ID longhaul-1-00000001", "obs1b.fits: no such file"},
		{forgottenPast{"a submit that still runs, though another was uploaded since",
			func(w *world, scan int) { w.submit(w.job(scan), pipeline.Running) },
			func(w *world, scan int) {
				first := w.last[scan]
				w.failRunning(scan)
				jobUploaded(w, scan)
				w.queue.named(first.Name).State = queue.State{Phase: queue.Running}
			}, func(w *world, scan int) {
				w.jobOf(scan, pipeline.Submitted)
				w.queue.end("longhaul-1-00000001") // the operator stopped it
				if r := w.doctor(true); !r.Released {
					w.t.Errorf("the hold stays: %+v", r.Findings)
				}
				uploadedOnce(w, scan)
			}}, "upload longhaul-1-00000002", "longhaul stop-jobs -s 1"},
		{forgottenPast{"something new where something was to be deleted",
			func(w *world, scan int) {
				f := w.file("obs1a.fits", pipeline.Downloaded)
				w.check(w.store.WantFileDeleted(w.t.Context(), f.ID, ""))
			}, func(w *world, scan int) { w.write("new!", "raw", "obs1a.fits") },
			func(w *world, scan int) {
				if _, err := os.Stat(w.path("raw", "obs1a.fits")); err != nil {
					w.t.Error(err)
				}
			}}, "file 1", "something was written there since"},
		{forgottenPast{"a common database that does not answer", nothing,
			func(w *world, scan int) {
				w.dbError = pipeline.Outage(pipeline.CommonDatabase, errors.New("connection refused"))
			}, nothing}, "", "connection refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tt.before(w, 1)
			w.goBack(func(w *world) { tt.since(w, 1) })
			r := w.doctor(true)
			i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Holds })
			if r.Released || i < 0 {
				t.Fatalf("released %v: %+v", r.Released, r.Findings)
			}
			if f := r.Findings[i]; f.Repaired || f.Where != tt.where || !strings.Contains(f.What+f.Remedy+f.Trouble, tt.what) {
				t.Errorf("left: %+v", f)
			}
			tt.after(w, 1)
			if _, held, err := w.store.Held(t.Context()); err != nil {
				t.Fatal(err)
			} else if held && !w.doctor(true, true).Released {
				t.Error("--release did not end the hold")
			}
			jobtrackertest.AssertInvariants(t, w.store)
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
	w.goBack(func(w *world) { w.elsewhere(func(w *world) { whole(w, 1) }) })
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
		w.noNewJobs(1)
	case pipeline.Running, pipeline.Processed:
		w.noNewJobs(1)
	default:
		w.t.Errorf("the submit is %s", sub.Status)
	}
}

func TestTheHoldSaysWhatItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.job(1)
	w.goBack(func(*world) {})
	f := w.only(w.doctor(), Error)
	if f.Check != "restore" || !strings.Contains(f.What, "then.db and knows nothing of what happened after 2026-03-14 12:00:00 UTC") || f.Remedy != "longhaul doctor --repair" {
		t.Errorf("%+v", f)
	}
}

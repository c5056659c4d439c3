package doctor

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"longhaul/internal/backup"
	"longhaul/internal/config"
	"longhaul/internal/daemon"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/loop"
	"longhaul/internal/pipeline"
	"longhaul/internal/site"
)

// difference is one thing that is made wrong, and what is to be found.
type difference struct {
	name     string
	make     func(w *world)
	severity Severity
	where    string // the end of it
	what     string // part of it
	remedy   string // part of it
	repaired bool
	after    func(w *world) // after the repair
}

func differences() []difference {
	return []difference{
		// the job-tracker in itself
		{name: "a status that was set by hand",
			make:     func(w *world) { w.job(1); w.sql("UPDATE jobs SET status = 'processed'") },
			severity: Error, where: "job 1", what: `its history ends with "new"`, remedy: "longhaul show job 1"},
		{name: "a history with a hole",
			make: func(w *world) {
				w.file("obs1a.fits", pipeline.Downloaded)
				w.sql("DELETE FROM events WHERE entity = 'file' AND became = 'unverified'")
			},
			severity: Error, where: "file 1", what: `but it was "downloading"`, remedy: "longhaul show file 1"},
		{name: "a transition that cannot be",
			make: func(w *world) {
				w.file("obs1a.fits", pipeline.New)
				w.sql("INSERT INTO events (at, entity, entity_id, was, became, actor) VALUES ('', 'file', 1, 'new', 'deleted', 'x')")
			},
			severity: Error, where: "file 1", what: "which cannot be", remedy: "longhaul show file 1"},
		{name: "a job without the submit that it should have",
			make: func(w *world) {
				w.submit(w.job(1), pipeline.Submitting)
				w.sql("DELETE FROM job_submits; DELETE FROM events WHERE entity = 'submit'")
			},
			severity: Error, where: "job 1", what: "its submits say something else", remedy: "longhaul show job 1"},
		{name: "a row that refers to nothing",
			make:     func(w *world) { w.job(1); w.sql("PRAGMA foreign_keys = 0; DELETE FROM files WHERE id = 1") },
			severity: Error, where: "jobtracker.db", what: "refers to a row of files that is missing", remedy: "restore-backup"},

		// the configuration
		{name: "a job whose stage is gone",
			make:     func(w *world) { w.job(1); w.job(2); w.cfg.Stages[0].Name = "other" },
			severity: Warning, where: "job 1, job 2", what: `no stage "look"`, remedy: "longhaul kill-jobs 1"},
		{name: "a file whose product is gone",
			make:     func(w *world) { w.file("obs1a.fits", pipeline.Downloaded); w.cfg.Stages[0].Inputs = nil },
			severity: Warning, where: "file 1", what: `no stage takes product "pair"`, remedy: "longhaul remove-files 1"},

		// the common database
		{name: "uploaded here, not there",
			make: func(w *world) {
				sub := w.submit(w.job(1), pipeline.Processed)
				w.check(w.store.SubmitUploaded(w.t.Context(), sub, "v1", "", false))
				w.cfg.Basic.DeleteRawdata = false
			},
			severity: Error, where: "submit 1", what: "the common database does not have it", remedy: "longhaul add-files"},
		{name: "uploaded here, and there by an earlier submit of the same work",
			make: func(w *world) {
				j := w.job(1)
				w.upload(pipeline.Submit{Name: "longhaul-9-abc"}, j)
				w.check(w.store.SubmitUploaded(w.t.Context(), w.submit(j, pipeline.Processed), "v1", "", false))
				w.cfg.Basic.DeleteRawdata = false
			},
			severity: Note, where: "uploads", what: "1 uploads under our names", remedy: "nothing is to be done"},
		{name: "there, though it is failed here",
			make: func(w *world) {
				j := w.job(1)
				w.upload(w.submit(j, pipeline.UploadFailed), j)
			},
			severity: Error, where: "submit 1", what: "is upload_failed, but its results are in the common database", remedy: "longhaul kill-jobs 1"},
		{name: "there, by a submit that is not known here, and a job of that name waits",
			make: func(w *world) {
				j := w.job(1)
				w.upload(pipeline.Submit{Name: "longhaul-9-abc"}, j)
			},
			severity: Warning, where: "job 1", what: "by a submit that is not known here (longhaul-9-abc)", remedy: "longhaul kill-jobs 1"},
		{name: "there, by another site",
			make: func(w *world) {
				w.upload(pipeline.Submit{Name: "longhaul-9-abc"}, pipeline.Job{Name: "77", Stage: "look"})
			},
			severity: Note, where: "uploads", what: "1 uploads under our names", remedy: "nothing is to be done"},
		{name: "uploaded, but the results were removed before that was recorded",
			make: func(w *world) {
				j := w.job(1)
				sub := w.submit(j, pipeline.Processed)
				w.upload(sub, j)
				w.check(os.RemoveAll(sub.OutputDir))
				w.cfg.Basic.DeleteRawdata = false
			},
			severity: Error, where: "submit 1", what: "is processed, its results are gone", remedy: "--repair records it as uploaded", repaired: true,
			after: func(w *world) {
				w.jobIs(1, pipeline.Uploaded)
				w.fileIs("obs1a.fits", pipeline.Downloaded) // which is still there
			}},

		// the queue
		{name: "running here, unknown there",
			make:     func(w *world) { w.submit(w.job(1), pipeline.Running); w.queue.all = nil; w.running = daemon.Kinds() },
			severity: Warning, where: "submit 1", what: "the queue manager does not know", remedy: "longhaul stop-jobs -s 1"},
		{name: "given to another queue manager",
			make:     func(w *world) { w.submit(w.job(1), pipeline.Running); w.queue.kind = "slurm" },
			severity: Error, where: "submit 1", what: "was given to local", remedy: "set it back"},
		{name: "there, not here",
			make: func(w *world) {
				w.queue.add("longhaul-9-abc", w.path("results", "x"), []string{w.path("raw", "obs1a.fits")}, w.clock.Now(), "longhaul")
			},
			severity: Warning, where: "queue ID longhaul-9-abc", what: "no submit here knows it; it works on obs1a.fits", remedy: "nobody uploads"},
		{name: "a queue that cannot be listed",
			make:     func(w *world) { w.queue.cannotList = true },
			severity: Note, where: "local", what: "cannot list", remedy: "names that begin with longhaul"},

		// daemons that do not run
		{name: "a submission without outcome",
			make:     func(w *world) { w.submit(w.job(1), pipeline.Submitting) },
			severity: Note, where: "jobpooler", what: "submits that are submitting: 1", remedy: "systemctl start longhaul-jobpooler"},

		// raw data
		{name: "raw data that is gone, and a job needs it",
			make:     func(w *world) { w.job(1); w.check(os.Remove(w.path("raw", "obs1a.fits"))) },
			severity: Error, where: "file 1", what: "obs1a.fits is not there", remedy: "longhaul kill-jobs 1 --delete-rawdata"},
		{name: "raw data of the wrong size",
			make:     func(w *world) { w.job(1); w.write("more data", "raw", "obs1b.fits") },
			severity: Error, where: "file 2", what: "has 9 bytes, not 4", remedy: "put it back as it was (4 bytes"},
		{name: "raw data with other bytes, looked at deeply",
			make:     func(w *world) { w.file("obs1a.fits", pipeline.Downloaded); w.deep = true },
			severity: Error, where: "file 1", what: "has other bytes than when it was verified (sha256:3a6eb0790f39", remedy: "longhaul remove-files 1"},
		{name: "a disk that is not mounted",
			make: func(w *world) {
				w.job(1)
				w.check(os.RemoveAll(w.path("raw")))
				w.check(os.Mkdir(w.path("raw"), 0o750))
			},
			severity: Error, where: "/raw", what: "2 raw data files should be in it; its disk may not be mounted", remedy: "mount it"},
		{name: "raw data that was uploaded and is kept",
			make: func(w *world) {
				j := w.job(1)
				sub := w.submit(j, pipeline.Processed)
				w.upload(sub, j)
				w.check(w.store.SubmitUploaded(w.t.Context(), sub, "v1", "", false))
			},
			severity: Warning, where: "files 1, 2", what: "nobody has marked them", remedy: "longhaul remove-files 1 2"},
		{name: "raw data of an uploaded job that is gone",
			make: func(w *world) {
				j := w.job(1)
				sub := w.submit(j, pipeline.Processed)
				w.upload(sub, j)
				w.check(w.store.SubmitUploaded(w.t.Context(), sub, "v1", "", false))
				f := must(w.store.File(w.t.Context(), 2))(w)
				w.check(w.store.WantFileDeleted(w.t.Context(), f.ID, "")) // so that it is about the other
				w.check(os.Remove(w.path("raw", "obs1a.fits")))
			},
			severity: Warning, where: "file 1", what: "is gone, and all its jobs are uploaded", remedy: "--repair records it as deleted", repaired: true,
			after: func(w *world) { w.fileIs("obs1a.fits", pipeline.Deleted) }},
		{name: "to be deleted, and gone",
			make: func(w *world) {
				f := w.file("obs1a.fits", pipeline.Downloaded)
				w.check(w.store.WantFileDeleted(w.t.Context(), f.ID, ""))
				w.check(os.Remove(f.Path))
			},
			severity: Note, where: "file 1", what: "and is gone", remedy: "--repair records it", repaired: true,
			after: func(w *world) { w.fileIs("obs1a.fits", pipeline.Deleted) }},
		{name: "to be deleted, and nobody does it",
			make: func(w *world) {
				f := w.file("obs1a.fits", pipeline.Downloaded)
				w.check(w.store.WantFileDeleted(w.t.Context(), f.ID, ""))
				w.clock.Advance(2 * time.Hour)
				w.running = daemon.Kinds()
			},
			severity: Warning, where: "file 1", what: "and still there, though the uploader runs", remedy: "the uploader's log"},

		// what no row knows
		{name: "a part file that no row knows",
			make:     func(w *world) { w.write("da", "raw", ".obs7a.fits.part") },
			severity: Warning, where: "/raw/.obs7a.fits.part", what: "no row knows it", remedy: "--repair removes it", repaired: true,
			after: func(w *world) { w.absent("raw", ".obs7a.fits.part") }},
		{name: "a part file of a deleted file",
			make:     func(w *world) { w.file("obs7a.fits", pipeline.Deleted); w.write("da", "raw", ".obs7a.fits.part") },
			severity: Warning, where: "/raw/.obs7a.fits.part", what: "file 1 of this name is deleted", remedy: "--repair removes it", repaired: true,
			after: func(w *world) { w.absent("raw", ".obs7a.fits.part") }},
		{name: "raw data that no row knows",
			make:     func(w *world) { w.write("data", "raw", "obs7a.fits") },
			severity: Warning, where: "/raw/obs7a.fits", what: "no row knows it", remedy: "longhaul add-files "},
		{name: "results that were half copied long ago",
			make: func(w *world) {
				w.submit(w.job(1), pipeline.ProcessingFailed)
				w.write("{}", "results", "1", ".1.partial.123", "results.json")
				old := w.clock.Now().Add(-25 * time.Hour)
				w.check(os.Chtimes(w.path("results", "1", ".1.partial.123"), old, old))
			},
			severity: Warning, where: "/results/1/.1.partial.123", what: "never finished", remedy: "--repair removes it", repaired: true,
			after: func(w *world) { w.absent("results", "1", ".1.partial.123") }},
		{name: "results that were half copied just now",
			make: func(w *world) {
				w.write("{}", "results", "1", ".1.partial.123", "results.json")
				now := w.clock.Now()
				w.check(os.Chtimes(w.path("results", "1", ".1.partial.123"), now, now))
			},
			severity: Note, where: "/results/1/.1.partial.123", what: "never finished", remedy: "in 24h0m0s"},
		{name: "results that no submit knows",
			make: func(w *world) {
				w.submit(w.job(1), pipeline.Processed)
				w.write("{}", "results", "1", "260101T000000", "plots", "results.json")
				w.write("{}", "results", "1", "260101T000000", "results.json")
			},
			severity: Warning, where: "/results/1/260101T000000", what: "no submit knows", remedy: "move them away"},
		{name: "results that are gone before their upload",
			make:     func(w *world) { w.check(os.RemoveAll(w.submit(w.job(1), pipeline.Processed).OutputDir)) },
			severity: Error, where: "submit 1", what: "wait for their upload, and are gone", remedy: "put them back"},

		// mail and backups
		{name: "a mail that is not sent",
			make: func(w *world) {
				ctx := w.t.Context()
				w.check(w.store.Notify(ctx, pipeline.Notice{Kind: pipeline.NoticeOutage, Subject: "s"}))
				p := must(w.store.PendingNotices(ctx))(w)[0]
				must(w.store.ComposeMail(ctx, pipeline.Mail{Kind: p.Kind, Subject: "the disk is full", Count: 1}, p.LastID))(w)
				w.clock.Advance(2 * time.Hour)
			},
			severity: Warning, where: "mail 1", what: "the disk is full", remedy: "email.enabled is false"},
		{name: "a notice that no mail carries",
			make: func(w *world) {
				w.check(w.store.Notify(w.t.Context(), pipeline.Notice{Kind: pipeline.NoticeOutage, Subject: "s"}))
				w.clock.Advance(2 * time.Hour)
				w.cfg.Email.Enabled = true
			},
			severity: Warning, where: "notices", what: "1 notices (outage) wait", remedy: "longhaul preflight smtp"},
		{name: "no backup",
			make:     func(w *world) { w.cfg.Background.BackupEvery = config.Duration(time.Hour) },
			severity: Warning, where: "/backups", what: "there is no backup", remedy: "longhaul backup"},
		{name: "an old backup",
			make: func(w *world) {
				w.cfg.Background.BackupEvery = config.Duration(time.Hour)
				w.write("", "backups", backup.Name(w.clock.Now().Add(-3*time.Hour)))
			},
			severity: Warning, where: "/backups", what: "the newest backup of the job-tracker is of 2026-03-14 09:00:00", remedy: "longhaul backup"},
		{name: "a backup that is none, looked at deeply",
			make:     func(w *world) { w.deep = true; w.write("", "backups", backup.Name(w.clock.Now())) },
			severity: Error, where: ".db", what: "cannot be used", remedy: "longhaul backup"},
	}
}

func TestEachDifferenceIsFoundAndTheSafeOnesAreRepaired(t *testing.T) {
	t.Parallel()
	for _, tt := range differences() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tt.make(w)
			before := must(w.store.LastEvent(t.Context()))(w)
			// Where nothing is to be repaired, trying to must change nothing.
			f := w.only(must(w.tryDoctor(t.Context(), w.store, !tt.repaired && w.running == nil, false))(w), tt.severity)
			if !strings.HasSuffix(f.Where, tt.where) || !strings.Contains(f.What, tt.what) || !strings.Contains(f.Remedy, tt.remedy) || f.Repairable != tt.repaired {
				t.Errorf("found %+v\nwant where …%s, what …%s…, remedy …%s…, repairable %v", f, tt.where, tt.what, tt.remedy, tt.repaired)
			}
			if after := must(w.store.LastEvent(t.Context()))(w); after != before {
				t.Error("looking at it changed the job-tracker")
			}
			if !tt.repaired {
				return
			}
			if !w.only(w.doctor(true), tt.severity).Repaired {
				t.Error("it was not repaired")
			}
			if left := w.doctor().Left(); left > 0 && tt.after == nil {
				t.Errorf("%d findings are left", left)
			}
			tt.after(w)
			for _, e := range must(w.store.EventsAfter(t.Context(), before, 100))(w) {
				if e.Actor != "ann" {
					t.Errorf("the history says that %s did it: %+v", e.Actor, e)
				}
			}
			jobtrackertest.AssertInvariants(t, w.store)
		})
	}
}

// only returns the first finding of a severity. There must be no others but of
// the same thing, and notes, since no daemon runs.
func (w *world) only(r Report, s Severity) Finding {
	w.t.Helper()
	i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Severity == s })
	if i < 0 {
		w.t.Fatalf("no %s in %+v", s, r.Findings)
	}
	for _, f := range r.Findings {
		if f.Severity != Note && f.Where != r.Findings[i].Where {
			w.t.Errorf("also found: %+v", f)
		}
	}
	return r.Findings[i]
}

func (w *world) jobIs(id pipeline.JobID, want pipeline.Status) {
	w.t.Helper()
	if j := must(w.store.Job(w.t.Context(), id))(w); j.Status != want {
		w.t.Errorf("job %d is %s (%s), want %s", id, j.Status, j.Details, want)
	}
}

func (w *world) fileIs(name string, want pipeline.Status) {
	w.t.Helper()
	if f := must(w.store.FileByName(w.t.Context(), name))(w); f.Status != want {
		w.t.Errorf("file %s is %s (%s), want %s", name, f.Status, f.Details, want)
	}
}

func (w *world) absent(elements ...string) {
	w.t.Helper()
	if _, err := os.Lstat(w.path(elements...)); !errors.Is(err, os.ErrNotExist) {
		w.t.Errorf("%s is still there (%v)", w.path(elements...), err)
	}
}

// TestASoundSiteHasNoFindings has something of everything, and what belongs to
// others in its directories.
func TestASoundSiteHasNoFindings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.running = daemon.Kinds()
	w.submit(w.job(1), pipeline.Uploaded)
	w.submit(w.job(2), pipeline.Processed)
	running := w.submit(w.job(3), pipeline.Running)
	w.submit(w.job(4), pipeline.ProcessingFailed)
	w.submit(w.job(4+1), pipeline.Submitting)
	w.file("obs6a.fits", pipeline.New)
	w.file("obs7a.fits", pipeline.Downloading)
	w.file("obs8a.fits", pipeline.Unverified)
	w.file("obs9a.fits", pipeline.TerminalFailure)
	w.write("", "raw", "notes.txt")
	w.write("", "raw", ".notes.txt.part")
	w.write("", "raw", "lost+found", "obs7a.fits")
	w.write("{}", "results", "3", ".3.partial.77", "results.json") // its submit runs
	w.check(os.Chtimes(w.path("results", "3", ".3.partial.77"), time.Time{}, w.clock.Now().Add(-48*time.Hour)))
	if want := w.path("results", "3", "3"); running.OutputDir != want {
		t.Fatalf("it writes to %s, want %s", running.OutputDir, want)
	}
	if r := w.doctor(); len(r.Findings) > 0 {
		t.Errorf("found %+v", r.Findings)
	}
	jobtrackertest.AssertInvariants(t, w.store)
}

func TestNothingIsRepairedThatARunningDaemonCouldBeAt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	part := w.write("da", "raw", ".obs7a.fits.part")
	f := w.file("obs1a.fits", pipeline.Downloaded)
	w.check(w.store.WantFileDeleted(t.Context(), f.ID, ""))
	w.check(os.Remove(f.Path))
	lock, err := loop.TryLock(site.LockPath(w.cfg, daemon.Downloader))
	w.check(err)
	w.running = []string{daemon.Downloader}
	r := w.doctor(true)
	for _, f := range r.Findings {
		if refused := f.Where == part; f.Repaired == refused || refused && !strings.Contains(f.Trouble, "systemctl stop longhaul-downloader") {
			t.Errorf("%+v", f)
		}
	}
	w.fileIs("obs1a.fits", pipeline.Deleted) // the uploader does not run
	if _, err := os.Stat(part); err != nil || r.Left() != 1 {
		t.Errorf("the part file: %v; %d findings left, want 1", err, r.Left())
	}
	w.check(lock.Unlock())
	w.running = nil
	if r := w.doctor(true); r.Left() != 0 {
		t.Errorf("without the downloader %+v", r.Findings)
	}
	w.absent("raw", ".obs7a.fits.part")
}

func TestWhatCannotBeAskedIsAFinding(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.dbError = pipeline.Outage(pipeline.CommonDatabase, errors.New("connection refused"))
	f := w.only(w.doctor(), Warning)
	if f.Check != "common database" || !strings.Contains(f.What, "connection refused") || f.Remedy != "longhaul preflight" {
		t.Errorf("%+v", f)
	}
}

package upload_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"longhaul/internal/commondb"
	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
	"longhaul/internal/results"
)

func TestWhatIsUploadedIsRecordedAndItsRawDataDeletedAfterwards(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sub := r.processed(manifest(3))
	other := jobtrackertest.MakeFile(t, r.store, pipeline.Downloaded)
	jobtrackertest.WriteRaw(t, other)
	r.after = func(commondb.Meta) error { // committed there, and not yet known here
		for _, f := range r.files(sub.JobID) {
			if f.DeleteWanted || r.raw(sub.JobID) != 2 {
				t.Errorf("before the upload is recorded, file %d is marked (%v), and %d of 2 are there", f.ID, f.DeleteWanted, r.raw(sub.JobID))
			}
		}
		return nil
	}
	r.pass()
	r.want(sub, pipeline.Uploaded, pipeline.Uploaded, "1 rows", "read back and equal")
	r.rows("headers", 1)
	r.rows("uploads", 1)
	if n := r.raw(sub.JobID); n != 0 {
		t.Errorf("%d raw data files are left, want none", n)
	}
	for _, f := range r.files(sub.JobID) {
		if f.Status != pipeline.Deleted {
			t.Errorf("file %d is %s, want deleted", f.ID, f.Status)
		}
	}
	if _, err := os.Stat(other.Path); err != nil {
		t.Errorf("another file is gone: %v", err)
	}
	if s, err := r.store.Submit(t.Context(), sub.ID); err != nil || s.Version != "PIPELINE:7" {
		t.Errorf("the submit has version %q (%v), want PIPELINE:7", s.Version, err)
	}
	r.pass()
	r.rows("uploads", 1)
}

func TestRawDataIsKeptIfSoConfigured(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.Basic.DeleteRawdata = false
	sub := r.processed(manifest(3))
	r.pass()
	r.want(sub, pipeline.Uploaded, pipeline.Uploaded)
	if n := r.raw(sub.JobID); n != 2 {
		t.Errorf("%d raw data files are left, want both", n)
	}
}

func TestAFileOfTwoJobsIsDeletedAfterBoth(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	jobs := jobtrackertest.MakeJobs(t, r.store, "search", "second")
	for i, j := range jobs {
		sub, err := r.store.BeginSubmit(t.Context(), j, fmt.Sprint("submit-", i), "local", filepath.Join(r.base(), fmt.Sprint(i)))
		r.must(err)
		r.must(r.store.SubmitAccepted(t.Context(), sub.ID, fmt.Sprint(i)))
		r.must(os.MkdirAll(sub.OutputDir, 0o750))
		r.write(sub, results.ManifestName, manifest(i))
		for _, f := range r.files(j.ID) {
			jobtrackertest.WriteRaw(t, f)
		}
		if n := r.raw(j.ID); n != 2 {
			t.Fatalf("%d raw data files before upload %d, want 2", n, i)
		}
		r.must(r.store.SubmitProcessed(t.Context(), sub, jobtracker.End{}))
		r.pass()
		if n, want := r.raw(j.ID), 2-2*i; n != want {
			t.Errorf("%d raw data files after upload %d, want %d", n, i, want)
		}
	}
}

// crash is the value of a panic that stands for the death of the process.
type crash struct{}

// mayCrash makes a pass that may die.
func (r *rig) mayCrash() (died bool) {
	defer func() {
		if v := recover(); v != nil {
			if _, ok := v.(crash); !ok {
				panic(v)
			}
			died = true
		}
	}()
	r.pass()
	return false
}

// The uploader dies whenever the store is about to write, and at both ends of
// an upload.
func TestAnUploadIsMadeOnceWhereverTheUploaderDies(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for at, steps := 1, 1; at <= steps; at++ {
		sub := r.processed(manifest(at))
		n := 0
		step := func() {
			if n++; n == at {
				panic(crash{})
			}
		}
		r.tick = step
		r.before = func(commondb.Meta) error { step(); return nil }
		r.after = r.before
		for r.mayCrash() {
			r.restart()
		}
		r.tick, r.before, r.after = func() {}, nil, nil
		steps = max(steps, n)
		r.want(sub, pipeline.Uploaded, pipeline.Uploaded)
		r.rows("uploads", at)
		if n := r.raw(sub.JobID); n != 0 {
			t.Errorf("dying at step %d leaves %d raw data files", at, n)
		}
	}
}

func TestAnUploadWhoseReplyWasLostIsRecognised(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sub := r.processed(manifest(3))
	r.after = func(commondb.Meta) error {
		return pipeline.Outage(pipeline.CommonDatabase, errors.New("connection reset"))
	}
	r.outage(pipeline.CommonDatabase)
	r.want(sub, pipeline.Processed, pipeline.Processed)
	if n := r.raw(sub.JobID); n != 2 {
		t.Errorf("%d raw data files are left, want both", n)
	}
	r.after = nil
	r.pass()
	r.want(sub, pipeline.Uploaded, pipeline.Uploaded, "found in the common database")
	r.rows("uploads", 1)
}

func TestWhatIsCommittedIsRecordedEvenWhileBeingStopped(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sub := r.processed(manifest(3))
	ctx, stop := context.WithCancel(t.Context())
	r.after = func(commondb.Meta) error { stop(); return nil }
	_ = r.u.Pass(ctx) // whatever it says of being stopped
	r.want(sub, pipeline.Uploaded, pipeline.Uploaded)
}

func TestBadResultsFailTheirJobOnly(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		spoil func(r *rig, sub pipeline.Submit)
		words []string
	}{
		{"there is no results.json", func(r *rig, sub pipeline.Submit) {
			r.must(os.Remove(filepath.Join(sub.OutputDir, results.ManifestName)))
		}, []string{"read results", "results.json"}},
		{"it is cut short", func(r *rig, sub pipeline.Submit) { r.write(sub, results.ManifestName, manifest(3)[:100]) }, []string{"results.json"}},
		{"it names an unknown table", func(r *rig, sub pipeline.Submit) {
			r.write(sub, results.ManifestName, strings.Replace(manifest(3), `"headers"`, `"nonsense"`, 1))
		}, []string{"rejected", "nonsense"}},
		{"a value breaks a constraint", func(r *rig, sub pipeline.Submit) {
			r.write(sub, results.ManifestName, strings.Replace(manifest(3), "65.5", "-1.0", 1))
		}, []string{"rejected"}},
		{"the common database holds something else under its name", func(r *rig, sub pipeline.Submit) {
			r.write(sub, results.ManifestName, manifest(9))
			records, err := r.readers["manifest"].Read(r.Context(), results.Source{Dir: sub.OutputDir})
			r.must(err)
			_, err = r.db.Upload(r.Context(), commondb.Meta{Submit: sub.Name, Version: "1"}, records)
			r.must(err)
			r.write(sub, results.ManifestName, manifest(3))
		}, []string{"other content"}},
		{"its directory is gone", func(r *rig, sub pipeline.Submit) { r.must(os.RemoveAll(sub.OutputDir)) }, []string{"is not there any more"}},
		{"its directory is a symbolic link", func(r *rig, sub pipeline.Submit) {
			r.must(errors.Join(os.Rename(sub.OutputDir, sub.OutputDir+".real"), os.Symlink(sub.OutputDir+".real", sub.OutputDir)))
		}, []string{"is not there any more"}},
		{"its version number is empty", func(r *rig, sub pipeline.Submit) { r.write(sub, "version_number.txt", "\n") }, []string{"version_number.txt", "is empty"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			failsItsJobOnly(t, tt.spoil, tt.words...)
		})
	}
}

// failsItsJobOnly makes a pass over results that were spoiled and others that
// are good.
func failsItsJobOnly(t *testing.T, spoil func(*rig, pipeline.Submit), words ...string) {
	t.Helper()
	r := newRig(t)
	bad := r.processed(manifest(3))
	spoil(r, bad)
	good := r.processed(manifest(4))
	r.pass()
	r.want(bad, pipeline.Failed, pipeline.UploadFailed, words...)
	r.want(good, pipeline.Uploaded, pipeline.Uploaded)
	if n := r.raw(bad.JobID); n != 2 {
		t.Errorf("%d raw data files of the failed job are left, want both", n)
	}
	if j, err := r.store.Job(t.Context(), bad.JobID); err != nil || j.Attempts != 1 {
		t.Errorf("%d attempts count (%v), want 1", j.Attempts, err)
	}
}

func TestAStageThatIsGoneFailsItsJobClearly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first, second := r.processed(manifest(3)), r.processed(manifest(4))
	r.cfg.Stages[0].Results = "presto"
	r.pass()
	r.want(first, pipeline.Failed, pipeline.UploadFailed, `no reader for results "presto"`)
	r.want(second, pipeline.Failed, pipeline.UploadFailed)
	third := r.processed(manifest(5))
	r.cfg.Stages = nil
	r.pass()
	r.want(third, pipeline.Failed, pipeline.UploadFailed, `the configuration has no stage "search"`)
}

func TestAnOutageOfTheCommonDatabaseMarksNothing(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]error{
		"an outage":               pipeline.Outage(pipeline.CommonDatabase, errors.New("connection refused")),
		"it is not there":         fmt.Errorf("open: %w", pipeline.ErrNotFound),
		"an error without a name": errors.New("unexpected EOF"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			first, second := r.processed(manifest(3)), r.processed(manifest(4))
			r.before = func(commondb.Meta) error { return fault }
			for range 3 {
				r.outage(pipeline.CommonDatabase)
			}
			if r.uploads != 3 {
				t.Errorf("%d uploads were tried in 3 passes, want one in each", r.uploads)
			}
			r.want(first, pipeline.Processed, pipeline.Processed)
			r.want(second, pipeline.Processed, pipeline.Processed)
			r.before = nil
			r.pass()
			r.want(first, pipeline.Uploaded, pipeline.Uploaded)
			r.want(second, pipeline.Uploaded, pipeline.Uploaded)
		})
	}
}

func TestABusyCommonDatabaseIsAnOutage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sub := r.processed(manifest(3))
	patient := r.db
	r.db = r.openDB(commondb.Options{Timeout: 200 * time.Millisecond})
	other, err := sql.Open("sqlite", "file:"+r.dbPath()+"?_txlock=immediate")
	r.must(err)
	defer other.Close()
	tx, err := other.BeginTx(t.Context(), nil)
	r.must(err)
	r.outage(pipeline.CommonDatabase)
	r.want(sub, pipeline.Processed, pipeline.Processed)
	r.must(tx.Rollback())
	r.db = patient
	r.pass()
	r.want(sub, pipeline.Uploaded, pipeline.Uploaded)
}

func TestAFatalErrorEndsThePassAndMarksNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sub := r.processed(manifest(3))
	r.before = func(commondb.Meta) error { return pipeline.Fatal(errors.New("damaged")) }
	if err := r.u.Pass(t.Context()); !errors.Is(err, pipeline.ErrFatal) {
		t.Errorf("the pass returned %v, want %v", err, pipeline.ErrFatal)
	}
	r.want(sub, pipeline.Processed, pipeline.Processed)
}

func TestAResultsDiskThatIsNotMountedFailsNothing(t *testing.T) {
	t.Parallel()
	for name, mountPoint := range map[string]bool{"the mount point is gone": false, "the mount point is empty": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			sub := r.processed(manifest(3))
			r.must(os.Rename(r.base(), r.base()+".aside"))
			if mountPoint {
				r.must(os.Mkdir(r.base(), 0o750))
			}
			for range 3 {
				r.outage(pipeline.LocalDisk)
			}
			r.want(sub, pipeline.Processed, pipeline.Processed)
			if mountPoint {
				r.must(os.Remove(r.base())) // nothing was written there
			}
			r.must(os.Rename(r.base()+".aside", r.base()))
			r.pass()
			r.want(sub, pipeline.Uploaded, pipeline.Uploaded)
		})
	}
}

func TestResultsThatCannotBeReadNowDoNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first, second := r.processed(manifest(3)), r.processed(manifest(4))
	real := r.readers["manifest"]
	r.readers["manifest"] = readerFunc(func(ctx context.Context, src results.Source) ([]results.Record, error) {
		if src.Dir == first.OutputDir {
			return nil, pipeline.Outage(pipeline.LocalDisk, errors.New("input/output error"))
		}
		return real.Read(ctx, src)
	})
	r.outage(pipeline.LocalDisk)
	r.want(first, pipeline.Processed, pipeline.Processed)
	r.want(second, pipeline.Uploaded, pipeline.Uploaded)
}

type readerFunc func(context.Context, results.Source) ([]results.Record, error)

func (f readerFunc) Read(ctx context.Context, src results.Source) ([]results.Record, error) {
	return f(ctx, src)
}

// An operator takes the submit back while it is uploaded. What is in the common
// database cannot be taken back, so the history must tell of it.
func TestAnUploadThatWasTakenBackMeanwhileIsKeptForTheHistory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sub := r.processed(manifest(3))
	operator := jobtrackertest.Another(t, r.store, jobtracker.Options{Actor: "alice", Now: r.clock.Now})
	r.after = func(commondb.Meta) error { return operator.StopSubmit(t.Context(), sub, false, "wrong version") }
	r.pass()
	r.want(sub, pipeline.Retrying, pipeline.RemovedByOperator)
	if n := r.raw(sub.JobID); n != 2 {
		t.Errorf("%d raw data files are left, want both", n)
	}
	events, err := r.store.Events(t.Context(), pipeline.EntitySubmit, int64(sub.ID))
	r.must(err)
	if last := events[len(events)-1]; !strings.Contains(last.Note, "uploaded after it was taken back") {
		t.Errorf("the history ends with %+v", last)
	}
}

func TestAPassWithNothingToDoDoesNotWrite(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.processed(manifest(3))
	r.pass()
	writes := 0
	r.tick = func() { writes++ } // the store asks for the time in every transaction that writes
	r.pass()
	if writes > 0 {
		t.Errorf("%d transactions", writes)
	}
	r.tick = func() {}
}

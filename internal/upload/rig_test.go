package upload_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"longhaul/internal/commondb"
	"longhaul/internal/config"
	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
	"longhaul/internal/resultdir"
	"longhaul/internal/results"
	"longhaul/internal/upload"
)

// rig is an uploader with a real job-tracker, a real common database, and real
// results.
type rig struct {
	*testing.T
	clock *jobtrackertest.Clock
	tick  func() // called whenever the store asks for the time
	store *jobtracker.Store
	db    *commondb.DB
	// before and after run around every upload; an error becomes the upload's.
	before, after func(commondb.Meta) error
	uploads       int // that were asked for
	cfg           *config.Config
	readers       map[string]results.Reader
	u             *upload.Uploader
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, clock: jobtrackertest.NewClock(), tick: func() {}}
	r.store = jobtrackertest.OpenWith(t, jobtracker.Options{Actor: "uploader", Now: r.now})
	manifest, err := results.NewManifest(0)
	r.must(err)
	r.readers = map[string]results.Reader{"manifest": manifest}
	r.db = r.openDB(commondb.Options{})
	r.cfg = config.Default()
	r.cfg.Basic.Institution = "McGill"
	r.cfg.Upload.VersionNum = "PIPELINE:7"
	r.cfg.Stages = []config.Stage{{Name: "search", Results: "manifest"}, {Name: "second", Results: "manifest"}}
	r.must(os.MkdirAll(r.base(), 0o750))
	r.must(resultdir.Mark(r.base()))
	r.restart()
	t.Cleanup(func() { jobtrackertest.AssertInvariants(reporter{t}, r.store) })
	return r
}

// reporter has a context that lives on in a Cleanup.
type reporter struct{ *testing.T }

func (reporter) Context() context.Context { return context.Background() }

func (r *rig) now() time.Time {
	r.tick()
	return r.clock.Now()
}

func (r *rig) dbPath() string { return filepath.Join(jobtrackertest.Dir(r.T, r.store), "common.db") }

func (r *rig) openDB(o commondb.Options) *commondb.DB {
	r.Helper()
	o.Database, o.Now = r.dbPath(), r.clock.Now
	_, err := commondb.Init(r.Context(), o)
	r.must(err)
	db, err := commondb.Open(r.Context(), o)
	r.must(err)
	r.Cleanup(func() { r.must(db.Close()) })
	return db
}

// Upload implements upload.Database.
func (r *rig) Upload(ctx context.Context, m commondb.Meta, records []results.Record) (commondb.Receipt, error) {
	r.uploads++
	if r.before != nil {
		if err := r.before(m); err != nil {
			return commondb.Receipt{}, err
		}
	}
	receipt, err := r.db.Upload(ctx, m, records)
	if err == nil && r.after != nil {
		err = r.after(m)
	}
	return receipt, err
}

// restart replaces the uploader by a new one, as after a crash.
func (r *rig) restart() {
	r.u = upload.New(upload.Options{Config: r.cfg, Store: r.store, Database: r, Readers: r.readers,
		Log: slog.New(slog.DiscardHandler)})
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) pass() {
	r.Helper()
	r.must(r.u.Pass(r.Context()))
}

// outage makes a pass that must meet an outage of a system.
func (r *rig) outage(system pipeline.System) error {
	r.Helper()
	err := r.u.Pass(r.Context())
	var out *pipeline.OutageError
	if !errors.As(err, &out) || out.System != system {
		r.Fatalf("the pass returned %v, want an outage of the %s", err, system)
	}
	return err
}

// base is the base results directory.
func (r *rig) base() string { return filepath.Join(jobtrackertest.Dir(r.T, r.store), "results") }

// manifest is what a job leaves of one beam.
func manifest(beam int) string {
	return fmt.Sprintf(`{"format":"longhaul-results-1","records":[{"table":"headers",
	 "values":{"beam_id":%d,"sample_time":65.5,"original_file":"b%d.fits"},
	 "refs":{"observation_id":{"table":"observations","values":{"obs_name":"P2030.G45"}}}}]}`, beam, beam)
}

// processed makes a job that has ended well and whose results and raw data are
// on the disk. An empty text leaves no results.json.
func (r *rig) processed(text string) pipeline.Submit {
	r.Helper()
	sub := jobtrackertest.MakeSubmit(r, r.store, pipeline.Processed)
	r.must(os.MkdirAll(sub.OutputDir, 0o750))
	if text != "" {
		r.write(sub, results.ManifestName, text)
	}
	for _, f := range r.files(sub.JobID) {
		jobtrackertest.WriteRaw(r, f)
	}
	return sub
}

func (r *rig) write(sub pipeline.Submit, name, text string) {
	r.Helper()
	r.must(os.WriteFile(filepath.Join(sub.OutputDir, name), []byte(text), 0o640))
}

func (r *rig) files(id pipeline.JobID) []pipeline.File {
	r.Helper()
	files, err := r.store.JobFiles(r.Context(), id)
	r.must(err)
	return files
}

// raw reports how many of a job's raw data files are on the disk.
func (r *rig) raw(id pipeline.JobID) (n int) {
	r.Helper()
	for _, f := range r.files(id) {
		if _, err := os.Stat(f.Path); err == nil {
			n++
		}
	}
	return n
}

// want checks what became of a job and of its submit.
func (r *rig) want(sub pipeline.Submit, job, submit pipeline.Status, words ...string) {
	r.Helper()
	j, err := r.store.Job(r.Context(), sub.JobID)
	r.must(err)
	s, err := r.store.Submit(r.Context(), sub.ID)
	r.must(err)
	if j.Status != job || s.Status != submit {
		r.Fatalf("job %d is %s, its submit %s (%s); want %s and %s", j.ID, j.Status, s.Status, s.Details, job, submit)
	}
	for _, w := range words {
		if !strings.Contains(j.Details, w) {
			r.Errorf("the details of job %d are %q, want %q in them", j.ID, j.Details, w)
		}
	}
}

// rows checks how many rows a table of the common database has.
func (r *rig) rows(table string, want int) {
	r.Helper()
	got, err := r.db.Counts(r.Context())
	r.must(err)
	if got[table] != want {
		r.Errorf("the common database has %d rows of %s, want %d", got[table], table, want)
	}
}

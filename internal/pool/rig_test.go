package pool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
	"longhaul/internal/pool"
	"longhaul/internal/product"
	"longhaul/internal/queue"
	"longhaul/internal/queue/queuefake"
)

// rig is a pooler with a real job-tracker, real directories, a batch system
// that does what it is told, and a clock that stands still.
type rig struct {
	*testing.T
	clock *jobtrackertest.Clock
	store *jobtracker.Store
	fake  *queuefake.Manager
	queue queue.Manager // fake, unless a test has put another one here
	cfg   *config.Config
	log   logBuffer
	p     *pool.Pooler
	tick  func() // called whenever the store or the pooler asks for the time
}

func newRig(t *testing.T, change ...func(*config.Config)) *rig {
	t.Helper()
	r := &rig{T: t, clock: jobtrackertest.NewClock(), tick: func() {}}
	r.store = jobtrackertest.OpenWith(t, jobtracker.Options{Actor: "jobpooler", Now: r.now})
	r.fake = queuefake.New(r.clock.Now)
	r.queue = r.fake
	r.cfg = testConfig(jobtrackertest.Dir(r.T, r.store))
	for _, fn := range change {
		fn(r.cfg)
	}
	for _, dir := range []string{r.cfg.JobPooler.BaseResultsDirectory, r.cfg.Basic.QsublogDir, r.raw()} {
		r.must(os.Mkdir(dir, 0o750))
	}
	r.restart()
	t.Cleanup(func() { jobtrackertest.AssertInvariants(reporter{t}, r.store) })
	return r
}

// reporter has a context that lives on in a Cleanup.
type reporter struct{ *testing.T }

func (reporter) Context() context.Context { return context.Background() }

func testConfig(dir string) *config.Config {
	c := config.Default()
	c.Basic.QsublogDir = filepath.Join(dir, "joblog")
	c.JobPooler.BaseResultsDirectory = filepath.Join(dir, "results")
	c.JobPooler.MaxJobsRunning, c.JobPooler.MaxJobsQueued = 100, 100
	c.Processing.BaseWorkingDirectory = filepath.Join(dir, "scratch")
	c.Processing.Longhaul = "/opt/longhaul/bin/longhaul"
	group := []string{"projid", "date", "source", "beam", "scan"}
	c.Products = []config.Product{
		{Name: "mock", Pattern: `^4bit-(?P<projid>[Pp]\d{4})\.(?P<date>\d{8})\.(?P<source>.*)\.b(?P<beam>[0-7])s(?P<subband>[0-9])g0\.(?P<scan>\d{5})\.fits$`,
			GroupBy: group, Complete: map[string][]string{"subband": {"0", "1"}}},
		{Name: "merged", Pattern: `^(?P<projid>[Pp]\d{4})\.(?P<date>\d{8})\.(?P<source>.*)\.b(?P<beam>[0-7])\.(?P<scan>\d{5})\.fits$`, GroupBy: group},
	}
	c.Stages = []config.Stage{{Name: "search", Inputs: []string{"mock", "merged"}, Command: []string{"longhaul", "search", "-v"},
		Results: "manifest", OutputDir: "{date}/{obs}/{beam}/{time}", CPUs: 2, Memory: 4 << 30, WallTime: config.Duration(time.Hour)}}
	return c
}

// now is the clock of the store and of the pooler.
func (r *rig) now() time.Time {
	if r.tick != nil {
		r.tick()
	}
	return r.clock.Now()
}

// restart replaces the pooler by a new one, as after a crash.
func (r *rig) restart(change ...func(*pool.Options)) {
	r.Helper()
	products, err := product.New(r.cfg.Products)
	r.must(err)
	opt := pool.Options{Config: r.cfg, Store: r.store, Manager: r.queue, Products: products,
		Log: slog.New(slog.NewTextHandler(&r.log, nil)), Now: r.now}
	for _, fn := range change {
		fn(&opt)
	}
	r.p = pool.New(opt)
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// pass makes a pass that must go well.
func (r *rig) pass() {
	r.Helper()
	r.must(r.p.Pass(r.Context()))
}

// outage makes a pass that must meet an outage of a system and nothing else.
func (r *rig) outage(system pipeline.System) error {
	r.Helper()
	err := r.p.Pass(r.Context())
	var out *pipeline.OutageError
	if !errors.As(err, &out) || out.System != system {
		r.Fatalf("the pass returned %v, want an outage of the %s", err, system)
	}
	return err
}

func (r *rig) raw() string { return filepath.Join(jobtrackertest.Dir(r.T, r.store), "raw") }

// files enters files that are whole and on the disk.
func (r *rig) files(names ...string) []pipeline.File {
	r.Helper()
	products, err := product.New(r.cfg.Products)
	r.must(err)
	var files []pipeline.File
	for _, name := range names {
		m, ok := products.Recognise(name)
		if !ok {
			r.Fatalf("%s is of no product", name)
		}
		f := jobtrackertest.AddFile(r, r.store, func(f *pipeline.File) {
			f.Filename, f.RemoteFilename, f.Path = name, "guid/"+name, filepath.Join(r.raw(), name)
			f.Product, f.GroupKey, f.Metadata = m.Product, m.GroupKey, m.Metadata
		})
		jobtrackertest.WriteRaw(r, f)
		files = append(files, f)
	}
	return files
}

// half is the name of one half of an observation.
func half(scan, subband int) string {
	return fmt.Sprintf("4bit-P2030.20120414.G45.6+00.2.N.b0s%dg0.%05d.fits", subband, scan)
}

func merged(scan int) string { return fmt.Sprintf("P2030.20120414.G45.6+00.2.N.b0.%05d.fits", scan) }

// pair enters a whole observation.
func (r *rig) pair(scan int) []pipeline.File {
	r.Helper()
	return r.files(half(scan, 0), half(scan, 1))
}

// one enters an observation that is one file.
func (r *rig) one(scan int) pipeline.File {
	r.Helper()
	return r.files(merged(scan))[0]
}

// submitted enters one observation, makes a pass, and returns its job in the queue.
func (r *rig) submitted(scan int) queuefake.Job {
	r.Helper()
	r.one(scan)
	before := len(r.fake.Jobs())
	r.pass()
	if jobs := r.fake.Jobs(); len(jobs) != before+1 {
		r.Fatalf("%d jobs in the queue, want %d", len(jobs), before+1)
	}
	return r.last()
}

// last is the newest submission.
func (r *rig) last() queuefake.Job {
	r.Helper()
	jobs := r.fake.Jobs()
	if len(jobs) == 0 {
		r.Fatal("nothing was submitted")
	}
	return jobs[len(jobs)-1]
}

// results makes the results of a submission appear, as the worker does.
func (r *rig) results(j queuefake.Job) {
	r.Helper()
	dir := j.Spec.Env["OUTDIR"]
	r.must(os.MkdirAll(dir, 0o750))
	r.must(os.WriteFile(filepath.Join(dir, "results.json"), []byte("{}"), 0o640))
}

// succeed ends a submission well.
func (r *rig) succeed(j queuefake.Job) {
	r.Helper()
	r.results(j)
	r.fake.End(j.Spec.Name, 0, "")
}

// jobs returns all jobs in the order in which they were made.
func (r *rig) jobs() (all []pipeline.Job) {
	r.Helper()
	for id := pipeline.JobID(1); ; id++ {
		j, err := r.store.Job(r.Context(), id)
		if errors.Is(err, pipeline.ErrNotFound) {
			return all
		}
		r.must(err)
		all = append(all, j)
	}
}

// want checks the status and the attempts of one job, and returns it.
func (r *rig) want(id pipeline.JobID, status pipeline.Status, attempts int) pipeline.Job {
	r.Helper()
	j, err := r.store.Job(r.Context(), id)
	r.must(err)
	if j.Status != status || j.Attempts != attempts {
		r.Fatalf("job %d is %s with %d attempts (%s), want %s with %d", id, j.Status, j.Attempts, j.Details, status, attempts)
	}
	return j
}

// wantDetails is want for a job whose details hold some words.
func (r *rig) wantDetails(id pipeline.JobID, status pipeline.Status, attempts int, words ...string) {
	r.Helper()
	j := r.want(id, status, attempts)
	for _, w := range words {
		if !strings.Contains(j.Details, w) {
			r.Errorf("the details of job %d are %q, want %q in them", id, j.Details, w)
		}
	}
}

// submits returns the submits of a job, oldest first.
func (r *rig) submits(id pipeline.JobID) []pipeline.Submit {
	r.Helper()
	all, err := r.store.SubmitsOf(r.Context(), id)
	r.must(err)
	return all
}

// wantSubmits compares the statuses of the submits of a job.
func (r *rig) wantSubmits(id pipeline.JobID, want ...pipeline.Status) {
	r.Helper()
	var got []pipeline.Status
	for _, s := range r.submits(id) {
		got = append(got, s.Status)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.Fatalf("the submits of job %d are %v, want %v", id, got, want)
	}
}

// retryTime moves the clock to when every retry is due.
func (r *rig) retryTime() { r.clock.Advance(r.cfg.JobPooler.RetryWaitMax.Std() * 2) }

// events counts the lines of a submit's history that hold some words.
func (r *rig) events(e pipeline.Entity, id int64, words string) (n int) {
	r.Helper()
	all, err := r.store.Events(r.Context(), e, id)
	r.must(err)
	for _, ev := range all {
		if strings.Contains(ev.Note, words) {
			n++
		}
	}
	return n
}

// lastEvent is the number of the newest event: it stands still while nothing
// is done.
func (r *rig) lastEvent() int64 {
	r.Helper()
	id, err := r.store.LastEvent(r.Context())
	r.must(err)
	return id
}

// logBuffer is a log that a test reads.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) count(words string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), words)
}

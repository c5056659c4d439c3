package doctor

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"longhaul/internal/commondb"
	"longhaul/internal/config"
	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/queue/local"
	"longhaul/internal/rawdata"
	"longhaul/internal/resultdir"
	"longhaul/internal/results"
	"longhaul/internal/site"
	"longhaul/internal/worker"
)

// TestMain lets this program be the supervisor of a local job, the worker, and
// the stage's command.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case site.Supervise:
			os.Exit(local.SuperviseMain(os.Args[2:]))
		case "worker":
			os.Exit(worker.Main(os.Args[3:]))
		case "stage":
			if err := stage(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// stage leaves the smallest results that the common database takes, once it is
// let go on.
func stage() error {
	input := strings.Split(os.Getenv("DATAFILES"), ";")[0]
	for _, err := os.Stat(os.Getenv("WAIT_WHILE")); err == nil; _, err = os.Stat(os.Getenv("WAIT_WHILE")) {
		time.Sleep(10 * time.Millisecond)
	}
	text := fmt.Sprintf(`{"format": "longhaul-results-1", "records": [{"table": "headers", "values": {"original_file": %q},
		"refs": {"observation_id": {"table": "observations", "values": {"obs_name": %q}}}}]}`, filepath.Base(input), filepath.Base(input))
	return os.WriteFile(filepath.Join(os.Getenv("OUTDIR"), "results.json"), []byte(text), disk.FileMode)
}

// world is a site whose daemons do not run, with a real job-tracker, a real
// common database, and a queue manager that says what the test wants.
type world struct {
	t       *testing.T
	dir     string
	cfg     *config.Config
	store   *jobtracker.Store
	db      *commondb.DB
	dbError error
	queue   *fakeQueue
	clock   *jobtrackertest.Clock
	running []string // daemons
	deep    bool
	submits int
	last    map[int]pipeline.Submit // of each observation
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), clock: jobtrackertest.NewClock(), queue: &fakeQueue{kind: "local"},
		last: make(map[int]pipeline.Submit)}
	w.cfg = newConfig(t, w.dir)
	w.cfg.Background.BackupEvery = 0
	w.check(resultdir.Mark(w.cfg.JobPooler.BaseResultsDirectory))
	w.open()
	var err error
	o := site.CommonDBOptions(w.cfg)
	o.Now = w.clock.Now
	w.db, err = commondb.Open(t.Context(), o)
	w.check(err)
	t.Cleanup(func() { w.db.Close() })
	return w
}

// newConfig makes the directories and databases of a site that polls a
// directory on disk for pairs of files.
func newConfig(t *testing.T, dir string) *config.Config {
	t.Helper()
	for _, d := range []string{"incoming", "raw", "results", "scratch", "log", "joblog"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	if err := rawdata.Mark(filepath.Join(dir, "raw")); err != nil { // it is in use
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	c.Basic = config.Basic{Institution: "Test", Pipeline: "PRESTO", Survey: "S", DeleteRawdata: true,
		LogDir: filepath.Join(dir, "log"), QsublogDir: filepath.Join(dir, "joblog")}
	c.Background.JobtrackerDB = filepath.Join(dir, "jobtracker.db")
	c.Background.ScreenOutput = false
	c.Background.Sleep = config.Duration(100 * time.Millisecond)
	c.CommonDB.Database = filepath.Join(dir, "commondb.db")
	d := &c.Download
	d.Source, d.PollFrom, d.PollDirectory, d.PollStable = "poll", "disk", filepath.Join(dir, "incoming"), 0
	d.Temp, d.SpaceToUse, d.MinFreeSpace = filepath.Join(dir, "raw"), 1<<30, 0
	c.JobPooler.BaseResultsDirectory = filepath.Join(dir, "results")
	c.Processing = config.Processing{BaseWorkingDirectory: filepath.Join(dir, "scratch"), Longhaul: self}
	c.Products = []config.Product{{Name: "pair", Pattern: `^obs(?P<scan>\d+)(?P<half>[ab])\.fits$`, GroupBy: []string{"scan"},
		Complete: map[string][]string{"half": {"a", "b"}}},
		{Name: "single", Pattern: `^one(?P<scan>\d+)\.fits$`, GroupBy: []string{"scan"}}}
	c.Stages = []config.Stage{{Name: "look", Inputs: []string{"pair", "single"}, Command: []string{"longhaul", "stage"},
		Results: "manifest", OutputDir: "{scan}/{time}", Env: map[string]string{"WAIT_WHILE": filepath.Join(dir, "wait")}}}
	for name, content := range emptyDatabases(t) {
		if err := os.WriteFile(filepath.Join(dir, name), content, disk.FileMode); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// made once: it takes longer than most tests.
var (
	makeDatabases sync.Once
	databases     map[string][]byte
)

// emptyDatabases returns an empty job-tracker and an empty common database.
func emptyDatabases(t *testing.T) map[string][]byte {
	t.Helper()
	makeDatabases.Do(func() {
		dir := t.TempDir()
		tracker, common := filepath.Join(dir, "jobtracker.db"), filepath.Join(dir, "commondb.db")
		_, err := jobtracker.Create(t.Context(), tracker)
		_, err2 := commondb.Init(t.Context(), commondb.Options{Database: common})
		a, err3 := os.ReadFile(tracker)
		b, err4 := os.ReadFile(common)
		if err := errors.Join(err, err2, err3, err4); err != nil {
			t.Error(err)
		}
		databases = map[string][]byte{"jobtracker.db": a, "commondb.db": b}
	})
	return databases
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func must[T any](v T, err error) func(*world) T {
	return func(w *world) T {
		w.t.Helper()
		w.check(err)
		return v
	}
}

func (w *world) open() {
	w.t.Helper()
	w.store = w.openAs(w.clock.Now)
}

func (w *world) openAs(now func() time.Time) *jobtracker.Store {
	w.t.Helper()
	s, err := jobtracker.Open(w.t.Context(), w.cfg.Background.JobtrackerDB, jobtracker.Options{Actor: "ann", Now: now})
	w.check(err)
	w.t.Cleanup(func() { s.Close() })
	return s
}

func (w *world) path(elements ...string) string {
	return filepath.Join(append([]string{w.dir}, elements...)...)
}

func (w *world) write(text string, elements ...string) string {
	w.t.Helper()
	path := w.path(elements...)
	w.check(os.MkdirAll(filepath.Dir(path), 0o750))
	w.check(os.WriteFile(path, []byte(text), 0o640))
	return path
}

// sql changes the job-tracker behind its back.
func (w *world) sql(text string) {
	w.t.Helper()
	db := must(sql.Open("sqlite", "file:"+w.cfg.Background.JobtrackerDB+"?_pragma=busy_timeout(5000)"))(w)
	_, err := db.ExecContext(w.t.Context(), text)
	w.check(errors.Join(err, db.Close()))
}

// doctor examines the world.
func (w *world) doctor(repair ...bool) Report {
	w.t.Helper()
	return must(w.tryDoctor(w.t.Context(), w.store, len(repair) > 0, len(repair) > 1))(w)
}

func (w *world) tryDoctor(ctx context.Context, store *jobtracker.Store, repair, release bool) (Report, error) {
	d, err := New(Options{
		Config: w.cfg, Store: store, Now: w.clock.Now, Deep: w.deep, Repair: repair, Release: release,
		Manager: func() (queue.Manager, error) {
			if w.queue.cannotList {
				return struct{ queue.Manager }{w.queue}, nil
			}
			return w.queue, nil
		},
		CommonDB: func(context.Context) (Database, error) { return w.db, w.dbError },
		Running:  func(kind string) bool { return slices.Contains(w.running, kind) },
	})
	if err != nil {
		return Report{}, err
	}
	return d.Run(ctx)
}

// file makes a raw data file of the given status, with its bytes where they
// belong to it.
func (w *world) file(name string, status pipeline.Status) pipeline.File {
	w.t.Helper()
	m, _ := regexpName(name)
	f := jobtrackertest.MakeFile(w.t, w.store, status, func(f *pipeline.File) {
		f.Filename, f.RemoteFilename, f.Path, f.Size = name, "/"+name, w.path("raw", name), 4
		f.Product, f.GroupKey, f.Metadata = "pair", m["scan"], m
	})
	switch status {
	case pipeline.Downloaded, pipeline.Added:
		w.write("data", "raw", name)
	case pipeline.Downloading, pipeline.Unverified:
		w.write("da", "raw", "."+name+".part")
	}
	return f
}

func regexpName(name string) (map[string]string, bool) {
	scan, ok := strings.CutPrefix(strings.TrimSuffix(name, ".fits"), "obs")
	return map[string]string{"scan": scan[:len(scan)-1], "half": scan[len(scan)-1:]}, ok
}

// job makes the job of one observation.
func (w *world) job(scan int) pipeline.Job {
	w.t.Helper()
	files := []pipeline.File{w.file(fmt.Sprintf("obs%da.fits", scan), pipeline.Downloaded), w.file(fmt.Sprintf("obs%db.fits", scan), pipeline.Downloaded)}
	ids := must(w.store.CreateJobs(w.t.Context(), jobtracker.NewJob{Name: fmt.Sprint(scan), Product: "pair", GroupKey: fmt.Sprint(scan),
		Metadata: map[string]string{"scan": fmt.Sprint(scan)}, Stages: []string{"look"}, Files: files}))(w)
	return must(w.store.Job(w.t.Context(), ids[0]))(w)
}

// submit takes a job to a status of its submit; what runs is in the queue, and
// what ended well has left results.
func (w *world) submit(j pipeline.Job, status pipeline.Status) (sub pipeline.Submit) {
	w.t.Helper()
	ctx := w.t.Context()
	w.submits++
	name := fmt.Sprintf("longhaul-%d-%08d", j.ID, w.submits)
	sub = must(w.store.BeginSubmit(ctx, must(w.store.Job(ctx, j.ID))(w), name, "local", w.path("results", j.Name, fmt.Sprint(w.submits))))(w)
	defer func() {
		scan := must(strconv.Atoi(j.Name))(w)
		sub = must(w.store.Submit(ctx, sub.ID))(w)
		w.last[scan] = sub
	}()
	if status == pipeline.Submitting {
		return sub
	}
	var inputs []string
	for _, f := range must(w.store.JobFiles(ctx, j.ID))(w) {
		inputs = append(inputs, f.Path)
	}
	w.queue.add(name, sub.OutputDir, inputs, w.clock.Now(), w.cfg.Processing.Longhaul)
	w.check(w.store.SubmitAccepted(ctx, sub.ID, name))
	sub.Status = pipeline.Running
	if status == pipeline.Running {
		return sub
	}
	w.queue.end(name)
	if status == pipeline.ProcessingFailed {
		w.check(w.store.SubmitFailed(ctx, sub, jobtracker.End{Details: "exit status 1"}))
		w.check(w.store.RetryJob(ctx, j.ID, w.clock.Now(), "again", pipeline.Notice{}))
		return sub
	}
	w.write("{}", "results", j.Name, fmt.Sprint(w.submits), "results.json")
	w.check(w.store.SubmitProcessed(ctx, sub, jobtracker.End{Details: "results are there", EndedAt: w.clock.Now()}))
	sub.Status = pipeline.Processed
	switch status {
	case pipeline.UploadFailed:
		w.check(w.store.UploadFailed(ctx, sub, "the value differs"))
		w.check(w.store.RetryJob(ctx, j.ID, w.clock.Now(), "again", pipeline.Notice{}))
	case pipeline.Uploaded:
		w.upload(sub, j)
		w.check(w.store.SubmitUploaded(ctx, sub, "v1", "read back and equal", true))
		for _, f := range must(w.store.FilesToDelete(ctx))(w) {
			w.check(os.Remove(f.Path))
			w.check(w.store.FileDeleted(ctx, f))
		}
	}
	return sub
}

// upload puts results into the common database.
func (w *world) upload(sub pipeline.Submit, j pipeline.Job) {
	w.t.Helper()
	w.uploadOf(sub, j, fmt.Sprintf("obs%sa.fits", j.Name))
}

// uploadOf puts results into the common database whose header names a file.
func (w *world) uploadOf(sub pipeline.Submit, j pipeline.Job, file string) {
	w.t.Helper()
	b := w.cfg.Basic
	_, err := w.db.Upload(w.t.Context(), commondb.Meta{Submit: sub.Name, Job: j.Name, Stage: j.Stage, Institution: b.Institution,
		Pipeline: b.Pipeline, Survey: b.Survey, Version: "v1"}, []results.Record{{
		Table: "headers", Values: map[string]any{"original_file": file},
		Refs: map[string]results.Record{"observation_id": {Table: "observations", Values: map[string]any{"obs_name": "obs" + j.Name}}},
	}})
	w.check(err)
}

// fakeQueue remembers submissions.
type fakeQueue struct {
	queue.Manager // for what is not asked of it
	kind          string
	all           []*queue.Listed
	cannotList    bool
}

func (q *fakeQueue) add(name, outDir string, inputs []string, at time.Time, longhaul string) {
	q.all = append(q.all, &queue.Listed{ID: name, Name: name, Submitted: at, State: queue.State{Phase: queue.Running},
		Command: []string{longhaul, "worker", "--", longhaul, "stage"}, Env: worker.Environment(inputs, outDir, "/scratch", name)})
}

// end lets a submission end.
func (q *fakeQueue) end(name string) {
	q.named(name).State = queue.State{Phase: queue.Finished, Reason: queue.Exited}
}

// forget forgets a submission.
func (q *fakeQueue) forget(name string) {
	q.all = slices.DeleteFunc(q.all, func(l *queue.Listed) bool { return l.Name == name })
}

func (q *fakeQueue) named(name string) *queue.Listed {
	i := slices.IndexFunc(q.all, func(l *queue.Listed) bool { return l.Name == name })
	if i < 0 {
		return nil
	}
	return q.all[i]
}

func (q *fakeQueue) Kind() string { return q.kind }

func (q *fakeQueue) Find(_ context.Context, name string) (string, error) {
	if l := q.named(name); l != nil {
		return l.ID, nil
	}
	return "", queue.ErrUnknown
}

func (q *fakeQueue) Poll(_ context.Context, refs []queue.Ref) (map[queue.Ref]queue.State, error) {
	states := make(map[queue.Ref]queue.State)
	for _, r := range refs {
		states[r] = queue.State{}
		if l := q.named(r.Name); l != nil && r.Matches(l.Name, l.Submitted) {
			states[r] = l.State
		}
	}
	return states, nil
}

func (q *fakeQueue) List(_ context.Context, skip func(string) bool) ([]queue.Listed, error) {
	var all []queue.Listed
	for _, l := range q.all {
		if !skip(l.Name) {
			all = append(all, *l)
		}
	}
	return all, nil
}

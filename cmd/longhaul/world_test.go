package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
	"longhaul/internal/site"
)

// TestMain lets this program be the supervisors and workers that it starts, and
// read -update.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == site.Supervise || os.Args[1] == "worker") {
		os.Exit(start(os.Args[1:]))
	}
	flag.Bool("update", false, "write the golden files anew")
	// A supervisor with the race detector would wait a second at its end.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	os.Exit(m.Run())
}

// world is a site of its own: directories, a configuration, a job-tracker.
type world struct {
	t     *testing.T
	dir   string
	cfg   *config.Config
	clock time.Time
	store *jobtracker.Store            // as the downloader
	open  map[string]*jobtracker.Store // by actor
	// distinct is set where the history must tell the daemons apart; opening
	// the job-tracker for each takes time.
	distinct bool
}

// emptyTracker is an empty job-tracker, made once: most tests have one of their own.
var emptyTracker = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "longhaul")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "jobtracker.db")
	if _, err := jobtracker.Create(context.Background(), path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// settings are what a test changes in the configuration.
type settings map[string]string

func newWorld(t *testing.T, change settings) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), clock: time.Date(2026, 3, 14, 3, 0, 0, 0, time.UTC),
		open: make(map[string]*jobtracker.Store)}
	for _, d := range []string{"log", "qsub", "raw", "results", "scratch", "state"} {
		w.check(os.Mkdir(w.path(d), 0o750))
	}
	w.check(os.WriteFile(w.path("config.toml"), []byte(w.configuration(change)), 0o640))
	var err error
	w.cfg, err = config.Load(w.path("config.toml"))
	w.check(err)
	w.check(os.WriteFile(w.cfg.Background.JobtrackerDB, must(emptyTracker())(w), 0o640))
	w.store = w.as("downloader")
	return w
}

func (w *world) path(elements ...string) string {
	return filepath.Join(append([]string{w.dir}, elements...)...)
}

func (w *world) configuration(change settings) string {
	set := settings{"delete_rawdata_on_terminal_failure": "false", "max_jobs_running": "2", "max_jobs_queued": "2",
		"space_to_use": `"2GB"`, "numdownloads": "2", "api_service_url": `"http://127.0.0.1:9/api"`, "more": ""}
	for k, v := range change {
		set[k] = v
	}
	return fmt.Sprintf(`
[basic]
institution = "McGill"
delete_rawdata_on_terminal_failure = %s
log_dir = "%[2]s/log"
qsublog_dir = "%[2]s/qsub"
[background]
jobtracker_db = "%[2]s/state/jobtracker.db"
[commondb]
database = "%[2]s/state/commondb.db"
[download]
api_service_url = %[3]s
api_username = "mcgill"
api_password = "secret"
ftp_host = "localhost"
ftp_password = "secret"
temp = "%[2]s/raw"
space_to_use = %[4]s
min_free_space = "0B"
numdownloads = %[5]s
numrestored = 50
[jobpooler]
base_results_directory = "%[2]s/results"
max_jobs_running = %[6]s
max_jobs_queued = %[7]s
[processing]
base_working_directory = "%[2]s/scratch"
%[8]s
[[product]]
name     = "mock"
pattern  = '^4bit-(?P<projid>[Pp]\d{4})\.(?P<date>\d{8})\.(?P<source>.*)\.b(?P<beam>[0-7])s(?P<subband>[01])g0\.(?P<scan>\d{5})\.fits$'
group_by = ["projid", "date", "source", "beam", "scan"]
complete = { subband = ["0", "1"] }
ignore   = { beam = ["7"] }
[[stage]]
name    = "quicklook"
inputs  = ["mock"]
command = ["longhaul", "quicklook"]
`, set["delete_rawdata_on_terminal_failure"], w.dir, set["api_service_url"], set["space_to_use"], set["numdownloads"],
		set["max_jobs_running"], set["max_jobs_queued"], set["more"])
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// must is for calls that return a value.
func must[T any](v T, err error) func(*world) T {
	return func(w *world) T {
		w.t.Helper()
		w.check(err)
		return v
	}
}

// as returns the job-tracker as one of the daemons uses it.
func (w *world) as(actor string) *jobtracker.Store {
	if !w.distinct {
		actor = "downloader"
	}
	return w.opened(actor)
}

func (w *world) opened(actor string) *jobtracker.Store {
	w.t.Helper()
	if s := w.open[actor]; s != nil {
		return s
	}
	s, err := jobtracker.Open(w.t.Context(), w.cfg.Background.JobtrackerDB, jobtracker.Options{Actor: actor, Now: w.now})
	w.check(err)
	w.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			w.t.Error(err)
		}
	})
	w.open[actor] = s
	return s
}

// now is the world's clock, which moves only by pass.
func (w *world) now() time.Time { return w.clock }

func (w *world) pass(d time.Duration) { w.clock = w.clock.Add(d) }

// longhaul runs the command in this process with the world's clock.
func (w *world) longhaul(args ...string) (status int, stdout, stderr string) {
	w.t.Helper()
	var out, complaints bytes.Buffer
	p := &program{stdin: strings.NewReader(""), stdout: &out, stderr: &complaints, now: w.now}
	status = p.run(w.t.Context(), append([]string{"--config", w.path("config.toml")}, args...))
	return status, w.settle(out.String()), w.settle(complaints.String())
}

// ok runs the command, which must go well, and returns what it printed.
func (w *world) ok(args ...string) string {
	w.t.Helper()
	status, stdout, stderr := w.longhaul(args...)
	if status != exitOK || stderr != "" {
		w.t.Fatalf("longhaul %s: exit status %d\n%s%s", strings.Join(args, " "), status, stdout, stderr)
	}
	return stdout
}

// settle replaces what differs from one run to the next.
func (w *world) settle(s string) string {
	s = strings.ReplaceAll(s, w.dir, "DIR")
	s = regexp.MustCompile(`\bprocess \d+ *`).ReplaceAllString(s, "process PID ")
	s = regexp.MustCompile(`[\d.]+ [kMGTPE]?B free on the disk`).ReplaceAllString(s, "FREE free on the disk")
	s = regexp.MustCompile(`free on the disk [\d.]+ [kMGTPE]?B`).ReplaceAllString(s, "free on the disk FREE")
	s = regexp.MustCompile(`"(pid|free)": \d+`).ReplaceAllString(s, `"$1": 0`)
	return strings.ReplaceAll(s, site.Operator(), "OPERATOR")
}

// update says that the golden files are to be written anew.
func update() bool { return flag.Lookup("update").Value.(flag.Getter).Get().(bool) }

// golden compares a text with what testdata holds of it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if update() {
		if err := errors.Join(os.MkdirAll("testdata", 0o750), os.WriteFile(path, []byte(got), 0o640)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s\n(go test -update writes it anew)", path, got, want)
	}
}

// isJSON decodes what the command printed for programs.
func isJSON[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	d := json.NewDecoder(strings.NewReader(text))
	if err := d.Decode(&v); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, text)
	}
	if d.More() {
		t.Fatalf("more than one JSON value:\n%s", text)
	}
	return v
}

// rawName is the name of a raw data file: one subband of an observation.
func rawName(observation, subband int) string {
	return fmt.Sprintf("4bit-p2030.20260301.G34.31+00.%02d.N.b1s%dg0.%05d.fits", observation, subband, 100*observation)
}

func (w *world) rawFile(observation, subband int, size int64) pipeline.File {
	name := rawName(observation, subband)
	return pipeline.File{Filename: name, RemoteFilename: "/guid/" + name, Path: w.path("raw", name), Size: size,
		Product: "mock", GroupKey: fmt.Sprintf("p2030/20260301/G34.31+00.%02d.N/1/%05d", observation, 100*observation),
		Metadata: map[string]string{"projid": "p2030", "date": "20260301", "beam": "1",
			"source": fmt.Sprintf("G34.31+00.%02d.N", observation), "scan": fmt.Sprintf("%05d", 100*observation),
			"subband": fmt.Sprint(subband)}}
}

// enter lists files, as a request brings them, and returns their rows.
func (w *world) enter(files ...pipeline.File) []pipeline.File {
	w.t.Helper()
	ctx := w.t.Context()
	id := must(w.store.BeginRequest(ctx, len(files), 4, "mock"))(w)
	w.check(w.store.NameRequest(ctx, id, fmt.Sprintf("c0ffee00-0000-4000-8000-%012d", id)))
	w.pass(20 * time.Minute)
	must(w.store.FinishRequest(ctx, id, files, fmt.Sprintf("%d files listed, %d wanted", len(files), len(files))))(w)
	var rows []pipeline.File
	for _, f := range files {
		rows = append(rows, must(w.store.FileByName(ctx, f.Filename))(w))
	}
	return rows
}

// begin starts the download of a file and brings some of it.
func (w *world) begin(f pipeline.File, bytes int64) pipeline.Attempt {
	w.t.Helper()
	a := must(w.store.StartAttempt(w.t.Context(), f, f.Bytes))(w)
	w.pass(100 * time.Second)
	w.check(w.store.Progress(w.t.Context(), a, bytes))
	a.Bytes = bytes
	return a
}

// fetch downloads a whole file.
func (w *world) fetch(f pipeline.File) pipeline.File {
	w.t.Helper()
	ctx := w.t.Context()
	a := w.begin(f, f.Size)
	w.check(w.store.EndTransfer(ctx, a, pipeline.Complete, f.Size, "all bytes are here"))
	a.Status = pipeline.Complete
	w.check(w.store.FileVerified(ctx, a, "sha256:"+strings.Repeat("ab", 32)))
	return must(w.store.File(ctx, f.ID))(w)
}

// failDownload fails one attempt; last gives the file up.
func (w *world) failDownload(f pipeline.File, why string, last bool) {
	w.t.Helper()
	ctx := w.t.Context()
	f = must(w.store.File(ctx, f.ID))(w)
	a := must(w.store.StartAttempt(ctx, f, 0))(w)
	w.pass(time.Second)
	w.check(w.store.FailTransfer(ctx, a, pipeline.DownloadFailed, 0, why, true))
	if last {
		w.check(w.store.GiveUpFile(ctx, f.ID, why, pipeline.Notice{Kind: pipeline.NoticeTerminalFailure, Subject: why}))
		return
	}
	w.check(w.store.RetryFile(ctx, f.ID, w.clock.Add(time.Minute), why))
}

// job makes the job of one observation, from listing to grouping.
func (w *world) job(observation int) pipeline.Job {
	w.t.Helper()
	ctx := w.t.Context()
	files := w.enter(w.rawFile(observation, 0, 100e6), w.rawFile(observation, 1, 100e6))
	for i := range files {
		files[i] = w.fetch(files[i])
		w.check(os.WriteFile(files[i].Path, []byte("raw"), 0o640))
	}
	w.pass(time.Second)
	ids := must(w.as("jobpooler").CreateJobs(ctx, jobtracker.NewJob{
		Name: strings.ReplaceAll(files[0].GroupKey, "/", "."), Product: "mock", GroupKey: files[0].GroupKey,
		Metadata: map[string]string{"projid": "p2030"}, Stages: []string{"quicklook"}, Files: files,
	}))(w)
	return must(w.store.Job(ctx, ids[0]))(w)
}

// submit hands a job over, as far as the job-tracker knows.
func (w *world) submit(j pipeline.Job) pipeline.Submit {
	w.t.Helper()
	ctx := w.t.Context()
	pooler := w.as("jobpooler")
	j = must(pooler.Job(ctx, j.ID))(w)
	n := len(must(pooler.SubmitsOf(ctx, j.ID))(w))
	name := fmt.Sprintf("longhaul-%d-%s", j.ID, strings.Repeat(string(rune('a'+n)), 8))
	sub := must(pooler.BeginSubmit(ctx, j, name, "local", w.path("results", name)))(w)
	w.pass(time.Second)
	w.check(pooler.SubmitAccepted(ctx, sub.ID, name))
	return must(pooler.Submit(ctx, sub.ID))(w)
}

// runSubmit submits a job and lets it start on a node.
func (w *world) runSubmit(j pipeline.Job, node string) pipeline.Submit {
	w.t.Helper()
	sub := w.submit(j)
	w.pass(3 * time.Second)
	w.check(w.as("jobpooler").SubmitSeen(w.t.Context(), sub.ID, node, w.clock))
	return must(w.store.Submit(w.t.Context(), sub.ID))(w)
}

// failJob lets a submit of a job fail; last gives the job up.
func (w *world) failJob(j pipeline.Job, why, log string, last bool) {
	w.t.Helper()
	ctx := w.t.Context()
	pooler := w.as("jobpooler")
	sub := w.runSubmit(j, "node17")
	w.check(os.WriteFile(w.path("qsub", sub.Name+".err"), []byte(log), 0o640))
	w.pass(12 * time.Minute)
	w.check(pooler.SubmitFailed(ctx, sub, jobtracker.End{Details: why, Node: "node17", EndedAt: w.clock}))
	if last {
		w.check(pooler.GiveUpJob(ctx, j.ID, why, false, pipeline.Notice{Kind: pipeline.NoticeTerminalFailure, Subject: why}))
		return
	}
	w.check(pooler.RetryJob(ctx, j.ID, w.clock.Add(time.Minute), why, pipeline.Notice{Kind: pipeline.NoticeFailure, Subject: why}))
	w.pass(time.Minute)
}

// upload brings a job to its good end.
func (w *world) upload(j pipeline.Job) {
	w.t.Helper()
	ctx := w.t.Context()
	sub := w.runSubmit(j, "node3")
	w.pass(time.Hour)
	w.check(w.as("jobpooler").SubmitProcessed(ctx, sub, jobtracker.End{Details: "results are there", EndedAt: w.clock}))
	sub.Status = pipeline.Processed
	uploader := w.as("uploader")
	w.check(uploader.SubmitUploaded(ctx, sub, "PIPELINE:1.0", "44 rows, 120 bytes, read back and equal", true))
	for _, f := range must(uploader.FilesToDelete(ctx))(w) {
		w.check(os.Remove(f.Path))
		w.check(uploader.FileDeleted(ctx, f))
	}
}

// until waits for a condition.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

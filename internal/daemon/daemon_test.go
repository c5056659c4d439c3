package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"longhaul/internal/commondb"
	"longhaul/internal/config"
	"longhaul/internal/jobtracker"
	"longhaul/internal/loop"
	"longhaul/internal/notice/smtptest"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue/local"
	"longhaul/internal/site"
	"longhaul/internal/worker"
)

// TestMain lets this program be what a daemon starts: the supervisor of a local
// job, the worker, and the stage's command.
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

// stage leaves the smallest results that the common database takes.
func stage() error {
	in := os.Getenv("DATAFILES")
	if _, err := os.Stat(in); err != nil {
		return err
	}
	text := fmt.Sprintf(`{"format": "longhaul-results-1", "records": [{"table": "headers", "values": {"original_file": %q},
		"refs": {"observation_id": {"table": "observations", "values": {"obs_name": %q}}}}]}`, filepath.Base(in), filepath.Base(in))
	return os.WriteFile(filepath.Join(os.Getenv("OUTDIR"), "results.json"), []byte(text), 0o640)
}

// newSite makes a site that polls a directory on disk, all in one place.
func newSite(t *testing.T) *config.Config {
	t.Helper()
	return newSiteIn(t, t.TempDir())
}

func newSiteIn(t *testing.T, dir string) *config.Config {
	t.Helper()
	for _, d := range []string{"incoming", "raw", "results", "scratch", "log", "joblog"} {
		must(t, os.Mkdir(filepath.Join(dir, d), 0o750))
	}
	self, err := os.Executable()
	must(t, err)
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
	c.Products = []config.Product{{Name: "obs", Pattern: `^obs(?P<scan>\d+)\.fits$`, GroupBy: []string{"scan"}}}
	c.Stages = []config.Stage{{Name: "look", Inputs: []string{"obs"}, Command: []string{"longhaul", "stage"},
		Results: "manifest", OutputDir: "{scan}/{time}"}}
	_, err = jobtracker.Create(t.Context(), c.Background.JobtrackerDB)
	must(t, err)
	_, err = commondb.Init(t.Context(), site.CommonDBOptions(c))
	must(t, err)
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func bring(t *testing.T, c *config.Config, name string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(c.Download.PollDirectory, name), []byte("data"), 0o640))
}

// waitFor waits until a condition holds.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func openTracker(t *testing.T, c *config.Config) *jobtracker.Store {
	t.Helper()
	s, err := jobtracker.Open(t.Context(), c.Background.JobtrackerDB, jobtracker.Options{Actor: "test"})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// start runs daemons until the test, or stop, ends them.
func start(t *testing.T, c *config.Config, kinds ...string) (stop func() error) {
	t.Helper()
	_, stop = startWith(t, c, io.Discard, kinds...)
	return stop
}

// startWith is start for a test that reads what they say, or wants to know when
// they end by themselves.
func startWith(t *testing.T, c *config.Config, stderr io.Writer, kinds ...string) (ended chan struct{}, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var err error
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		err = Run(ctx, c, Options{Kinds: kinds, Stderr: stderr})
	}()
	stop = func() error { cancel(); <-ended; return err }
	t.Cleanup(func() { _ = stop() })
	return ended, stop
}

func TestAllThreeProcessAFile(t *testing.T) {
	t.Parallel()
	c := newSite(t)
	s := openTracker(t, c)
	stop := start(t, c, Kinds()...)
	bring(t, c, "obs1.fits")
	waitFor(t, "the raw data is deleted", func() bool {
		files, err := s.FilesIn(t.Context(), pipeline.Deleted)
		return err == nil && len(files) == 1
	})
	if err := stop(); err != nil {
		t.Errorf("Run = %v after it was told to stop, want nil", err)
	}
	db, err := site.CommonDB(t.Context(), c)
	must(t, err)
	defer db.Close()
	if rows, err := db.Counts(t.Context()); err != nil || rows["headers"] != 1 {
		t.Errorf("%d headers, %v, want one", rows["headers"], err)
	}
	for _, kind := range Kinds() {
		text, err := os.ReadFile(filepath.Join(c.Basic.LogDir, kind+".log"))
		if err != nil || !strings.Contains(string(text), "msg=started") || !strings.Contains(string(text), "msg=stopped") {
			t.Errorf("log of %s: %v\n%s", kind, err, text)
		}
	}
}

// The three hand over to each other by waking, not by waiting for the interval.
func TestAChangeWakesTheOthers(t *testing.T) {
	t.Parallel()
	c := newSite(t)
	c.Background.Sleep = config.Duration(time.Hour)
	bring(t, c, "obs1.fits")
	start(t, c, Kinds()...)
	s := openTracker(t, c)
	waitFor(t, "the results are uploaded", func() bool {
		jobs, err := s.JobsIn(t.Context(), pipeline.Uploaded)
		return err == nil && len(jobs) == 1
	})
}

func TestOnlyOneOfAKind(t *testing.T) {
	t.Parallel()
	c := newSite(t)
	start(t, c, Uploader)
	waitFor(t, "the uploader has started", func() bool {
		text, err := os.ReadFile(filepath.Join(c.Basic.LogDir, Uploader+".log"))
		return err == nil && strings.Contains(string(text), "msg=started")
	})
	err := Run(t.Context(), c, Options{Kinds: []string{Uploader}, Stderr: io.Discard})
	if !errors.Is(err, loop.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("a second uploader: %v, want ErrLocked with the pid of the first", err)
	}
}

func TestOnceMakesOnePass(t *testing.T) {
	t.Parallel()
	c := newSite(t)
	bring(t, c, "obs1.fits")
	// The first pass finds and fetches the file; what it started is waited for.
	must(t, Run(t.Context(), c, Options{Kinds: []string{Downloader}, Once: true, Stderr: io.Discard}))
	files, err := openTracker(t, c).FilesIn(t.Context(), pipeline.Downloaded)
	if err != nil || len(files) != 1 {
		t.Errorf("%d files downloaded, %v, want one", len(files), err)
	}
}

// A daemon that cannot go on says so to a person before it ends.
func TestACrashIsMailed(t *testing.T) {
	t.Parallel()
	c := newSite(t)
	smtp, err := smtptest.Start(smtptest.Options{Dir: t.TempDir()})
	must(t, err)
	defer smtp.Close()
	e := &c.Email
	e.Enabled, e.SMTPHost, e.SMTPPort = true, smtp.Addr().IP.String(), smtp.Addr().Port
	e.Sender, e.Recipient = "a@demo.invalid", []string{"b@demo.invalid"}
	p, err := newPart(t.Context(), c, Uploader, io.Discard)
	must(t, err)
	defer p.close()
	p.pass = func(context.Context) error { return pipeline.Fatal(errors.New("the sky fell")) }
	service, err := loop.NewService()
	must(t, err)
	if err := p.run(t.Context(), service); !errors.Is(err, pipeline.ErrFatal) {
		t.Errorf("run = %v, want a fatal error", err)
	}
	mails, err := smtp.Mails()
	if err != nil || len(mails) != 1 || !strings.Contains(mails[0].Body, "the sky fell") {
		t.Errorf("mails %+v, %v, want one that says why", mails, err)
	}
}

func TestMainRefusesWhatItCannotUse(t *testing.T) {
	t.Parallel()
	bad := filepath.Join(t.TempDir(), "config.toml")
	must(t, os.WriteFile(bad, []byte("[background]\nslep = \"60s\"\n"), 0o640))
	for _, tt := range []struct {
		name string
		args []string
		want int
		says string
	}{
		{"a mistake in the configuration", []string{"--config", bad}, exitUsage, "slep"},
		{"no configuration", []string{"--config", bad + "x"}, exitUsage, "config.tomlx"},
		{"an unknown flag", []string{"--nonsense"}, exitUsage, "nonsense"},
		{"an argument too many", []string{"--config", bad, "now"}, exitUsage, "now"},
		{"help is no failure", []string{"--help"}, exitOK, "-once"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stderr bytes.Buffer
			if got := Main(Uploader, tt.args, &stderr); got != tt.want || !strings.Contains(stderr.String(), tt.says) {
				t.Errorf("exit status %d, want %d; it says %q, want %q in it", got, tt.want, stderr.String(), tt.says)
			}
		})
	}
}

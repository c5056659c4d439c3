package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"longhaul/internal/backup"
	"longhaul/internal/config"
	"longhaul/internal/disk/disktest"
	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
)

// output collects what several goroutines write.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// A job-tracker on a full disk cannot be written, can be read, keeps what it
// has, and goes on when there is room.
func TestAFullDiskUnderTheJobTrackerIsAnOutage(t *testing.T) {
	t.Parallel()
	dir := disktest.New(t, 2<<20)
	path := filepath.Join(dir, "jobtracker.db")
	_, err := jobtracker.Create(t.Context(), path)
	must(t, err)
	s, err := jobtracker.Open(t.Context(), path, jobtracker.Options{Actor: "test"})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	name := func(i int) string { return fmt.Sprintf("obs%d.fits", i) }
	enter := func(i int) error {
		_, err := s.EnterFiles(t.Context(), []pipeline.File{{Filename: name(i), Path: "/raw/" + name(i), Size: 1,
			Product: "obs", GroupKey: name(i), Metadata: map[string]string{"scan": strings.Repeat("9", 500)}}}, "listed")
		return err
	}
	empty := disktest.Fill(t, dir, 100_000)
	entered := 0
	for ; err == nil && entered < 10_000; entered++ {
		err = enter(entered)
	}
	entered-- // the last one was refused
	var out *pipeline.OutageError
	if !errors.As(err, &out) || out.System != pipeline.LocalDisk {
		t.Fatalf("after %d files: %v, want an outage of the disk", entered, err)
	}
	for range 5 {
		if err := enter(entered); !errors.Is(err, pipeline.ErrOutage) {
			t.Errorf("again: %v, want an outage", err)
		}
	}
	if files, err := s.FilesIn(t.Context(), pipeline.New); err != nil || len(files) != entered {
		t.Errorf("%d files, %v, want %d", len(files), err, entered)
	}
	empty()
	must(t, enter(entered))
	if files, err := s.FilesIn(t.Context(), pipeline.New); err != nil || len(files) != entered+1 {
		t.Errorf("with room again: %d files, %v, want %d", len(files), err, entered+1)
	}
	must(t, s.Check(t.Context()))
	jobtrackertest.AssertInvariants(t, s)
}

// The whole site on one disk, which somebody fills: no daemon ends, nothing
// fails, and all goes on by itself when there is room.
func TestDaemonsOutliveAFullDisk(t *testing.T) {
	t.Parallel()
	dir := disktest.New(t, 16<<20)
	c := newSiteIn(t, dir)
	c.Download.PollDirectory = t.TempDir() // the archive's disk is another
	c.Background.MaxSleep, c.Background.LogLevel = c.Background.Sleep, "debug"
	s := openTracker(t, c)
	var stderr output
	ended, stop := startWith(t, c, &stderr, Kinds()...)
	bring(t, c, "obs1.fits")
	uploaded := func(n int) func() bool {
		return func() bool {
			jobs, err := s.JobsIn(t.Context(), pipeline.Uploaded)
			return err == nil && len(jobs) == n
		}
	}
	waitFor(t, "the first job is uploaded", uploaded(1))
	empty := disktest.Fill(t, dir, 0)
	bring(t, c, "obs2.fits")
	waitFor(t, "the downloader's log is full, for it says each time that the outage lasts", func() bool {
		return strings.Contains(stderr.String(), "downloader.log cannot be written")
	})
	if err := s.Notify(t.Context(), pipeline.Notice{Kind: pipeline.NoticeCrash, Subject: "x"}); !errors.Is(err, pipeline.ErrOutage) {
		t.Errorf("the job-tracker took a row on the full disk: %v", err)
	}
	empty()
	waitFor(t, "the second job is uploaded", uploaded(2))
	select {
	case <-ended:
		t.Fatalf("the daemons ended: %v", stop())
	default:
	}
	f, err := s.FileByName(t.Context(), "obs2.fits")
	must(t, err)
	jobs, err := s.JobsIn(t.Context(), pipeline.Uploaded)
	must(t, err)
	if f.Attempts != 0 || jobs[0].Attempts != 0 || jobs[1].Attempts != 0 {
		t.Errorf("attempts were used up: %+v %+v", f, jobs)
	}
	if err := stop(); err != nil {
		t.Errorf("Run = %v after it was told to stop", err)
	}
	if n := strings.Count(stderr.String(), "downloader.log cannot"); n != 1 {
		t.Errorf("the full disk was told %d times:\n%s", n, stderr.String())
	}
	if text := logOf(c, Downloader); !strings.Contains(text, "lines are missing") || !strings.Contains(text, "disk: back after") {
		t.Errorf("the log does not say that lines are missing, or that the disk is back:\n%s", text)
	}
	must(t, s.Check(t.Context()))
	jobtrackertest.AssertInvariants(t, s)
}

func logOf(c *config.Config, kind string) string {
	text, _ := os.ReadFile(filepath.Join(c.Basic.LogDir, kind+".log")) // one that is not there yet is empty
	return string(text)
}

// A backup that has no room leaves nothing, pushes no other out, and is made
// when there is room.
func TestABackupOntoAFullDiskCostsNothing(t *testing.T) {
	t.Parallel()
	s := openTracker(t, newSite(t))
	dir := disktest.New(t, 2<<20)
	now := time.Now()
	r := backup.New(s, backup.Options{Dir: dir, Every: time.Hour, Keep: 1, Lock: filepath.Join(t.TempDir(), "lock"),
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }})
	must(t, r.Pass(t.Context()))
	first, err := backup.List(dir)
	must(t, err)
	empty := disktest.Fill(t, dir, 50_000)
	now = now.Add(2 * time.Hour)
	if err := r.Pass(t.Context()); !errors.Is(err, pipeline.ErrOutage) {
		t.Errorf("%v, want an outage", err)
	}
	left, err := os.ReadDir(dir)
	must(t, err)
	if len(left) != 2 || len(first) != 1 || left[1].Name() != filepath.Base(first[0].Path) { // and what fills the disk
		t.Errorf("there are %v, want %v", left, first)
	}
	empty()
	must(t, r.Pass(t.Context()))
	if now, err := backup.List(dir); err != nil || len(now) != 1 || now[0].Path == first[0].Path {
		t.Errorf("there are %v, %v, want a new one", now, err)
	}
}

// faulty is a file that takes so many bytes.
type faulty struct {
	room int
	text bytes.Buffer
}

func (f *faulty) Write(p []byte) (int, error) {
	n, _ := f.text.Write(p[:min(len(p), f.room)])
	if f.room -= n; n < len(p) {
		return n, &os.PathError{Op: "write", Path: "x.log", Err: unix.EDQUOT}
	}
	return n, nil
}

func TestALogThatCannotBeWrittenIsToldOnceAndGoesOn(t *testing.T) {
	t.Parallel()
	file := &faulty{room: 10}
	var stderr bytes.Buffer
	l := &logFile{path: "x.log", file: file, stderr: &stderr}
	write := func(lines ...string) {
		for _, line := range lines {
			if n, err := l.Write([]byte(line + "\n")); n != len(line)+1 || err != nil {
				t.Fatalf("Write = %d, %v", n, err)
			}
		}
	}
	write("one", "second line", "third")
	file.room = 1000
	write("fourth", "fifth")
	want := "one\nsecond\nlevel=WARN msg=\"lines are missing here: the log could not be written\" lines=2\nfourth\nfifth\n"
	if got := file.text.String(); got != want {
		t.Errorf("the log is\n%s\nwant\n%s", got, want)
	}
	if n := strings.Count(stderr.String(), "\n"); n != 1 || !strings.Contains(stderr.String(), "quota") {
		t.Errorf("stderr is %q, want one line with the reason", stderr.String())
	}
	file.room = 0
	write("sixth")
	if n := strings.Count(stderr.String(), "\n"); n != 2 {
		t.Errorf("another full disk: stderr is %q", stderr.String())
	}
}

func TestAFullLogDiskDoesNotStopADaemonFromStarting(t *testing.T) {
	t.Parallel()
	c := newSite(t)
	c.Basic.LogDir = disktest.New(t, 64<<10)
	_ = disktest.Fill(t, c.Basic.LogDir, 0)
	var stderr output
	must(t, Run(t.Context(), c, Options{Kinds: []string{Uploader}, Once: true, Stderr: &stderr}))
	c.Basic.LogDir = filepath.Join(c.Basic.LogDir, "wrong")
	if err := Run(t.Context(), c, Options{Kinds: []string{Uploader}, Once: true, Stderr: &stderr}); err == nil {
		t.Error("a log directory that is not there is not told")
	}
}

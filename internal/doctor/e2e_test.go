package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/daemon"
	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/site"
)

// run runs the three daemons until stop is called.
func run(t *testing.T, c *config.Config) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- daemon.Run(ctx, c, daemon.Options{Kinds: daemon.Kinds(), Stderr: io.Discard}) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the daemons ended: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// bring lets a pair of files appear where the site looks for them.
func bring(t *testing.T, c *config.Config, scan int) {
	t.Helper()
	for _, half := range []string{"a", "b"} {
		path := filepath.Join(c.Download.PollDirectory, fmt.Sprintf("obs%d%s.fits", scan, half))
		if err := os.WriteFile(path, []byte("data"), disk.FileMode); err != nil {
			t.Fatal(err)
		}
	}
}

// until waits for the job of an observation to have a status.
func until(t *testing.T, s *jobtracker.Store, scan int, want pipeline.Status) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		jobs, err := s.JobsNamed(t.Context(), fmt.Sprint(scan), "look")
		if err == nil && len(jobs) > 0 && jobs[0].Status == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("job of observation %d never %s: %+v, %v", scan, want, jobs, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func openTracker(t *testing.T, c *config.Config) *jobtracker.Store {
	t.Helper()
	s, err := jobtracker.Open(t.Context(), c.Background.JobtrackerDB, jobtracker.Options{Actor: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestADamagedTrackerIsReplacedAndNothingIsDoneTwice runs a site with its real
// parts: the daemons work, the job-tracker is backed up, they work on, its file
// is damaged, the backup takes its place, and they go on to the end, though all
// raw data is offered a second time.
func TestADamagedTrackerIsReplacedAndNothingIsDoneTwice(t *testing.T) {
	t.Parallel()
	ctx, dir := t.Context(), t.TempDir()
	c := newConfig(t, dir)
	path := c.Background.JobtrackerDB
	s := openTracker(t, c)

	stop := run(t, c)
	bring(t, c, 1)
	until(t, s, 1, pipeline.Uploaded)
	backup := filepath.Join(dir, "then.db")
	if err := s.Backup(ctx, backup); err != nil {
		t.Fatal(err)
	}
	bring(t, c, 2)
	until(t, s, 2, pipeline.Uploaded)
	wait := filepath.Join(dir, "wait")
	if err := os.WriteFile(wait, nil, disk.FileMode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(wait) })
	bring(t, c, 3)
	until(t, s, 3, pipeline.Submitted)
	stop() // the job goes on
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	damage(t, path)
	problems, err := jobtracker.Examine(ctx, path)
	if err != nil || len(problems) == 0 {
		t.Fatalf("Examine finds %q, %v", problems, err)
	}
	r, err := jobtracker.Restore(ctx, path, backup, jobtracker.Options{Actor: "ann"})
	if err != nil || len(r.Aside) == 0 {
		t.Fatalf("Restore = %+v, %v", r, err)
	}
	err = daemon.Run(ctx, c, daemon.Options{Kinds: []string{daemon.JobPooler}, Once: true, Stderr: io.Discard})
	if !errors.Is(err, pipeline.ErrFatal) || !strings.Contains(err.Error(), "longhaul doctor --repair") {
		t.Fatalf("a daemon on a restored job-tracker: %v", err)
	}
	s = openTracker(t, c)
	report := repairSite(t, c, s)
	if !report.Released || report.Left() != 0 {
		t.Fatalf("repaired: %+v", report)
	}
	jobtrackertest.AssertInvariants(t, s)

	if err := os.Remove(wait); err != nil {
		t.Fatal(err)
	}
	stop = run(t, c)
	bring(t, c, 4)
	until(t, s, 3, pipeline.Uploaded)
	until(t, s, 4, pipeline.Uploaded)
	stop()
	jobtrackertest.AssertInvariants(t, s)
	db, err := site.CommonDB(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	uploads, err := db.Uploads(ctx, "Test", "PRESTO", "S", 0, 100)
	seen := make(map[string]int)
	for _, u := range uploads {
		seen[u.Job]++
	}
	if err != nil || len(uploads) != 4 || len(seen) != 4 {
		t.Errorf("uploads of the observations: %v, %v, want each of four once", seen, err)
	}
	ran, err := filepath.Glob(filepath.Join(dir, "results", "*", "*", "results.json"))
	if err != nil || len(ran) != 4 {
		t.Errorf("jobs left results %q, %v, want four", ran, err)
	}
}

// damage overwrites the head of every page but the first.
func damage(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for p := 4096; p < len(b); p += 4096 {
		b[p+3] ^= 0xff // the number of cells
	}
	if err := os.WriteFile(path, b, disk.FileMode); err != nil {
		t.Fatal(err)
	}
}

func repairSite(t *testing.T, c *config.Config, s *jobtracker.Store) Report {
	t.Helper()
	db, err := site.CommonDB(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	d, err := New(Options{
		Config: c, Store: s, Repair: true, Running: func(string) bool { return false },
		Manager:  func() (queue.Manager, error) { return site.QueueManager(c, slog.New(slog.DiscardHandler)) },
		CommonDB: func(context.Context) (Database, error) { return db, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := d.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/loop"
	"longhaul/internal/pipeline"
)

// TestMain lets this program be a process that may write little to any file.
func TestMain(m *testing.M) {
	if limited := os.Getenv("LIMITED_BACKUP"); limited != "" {
		os.Exit(backUpWithLimit(limited))
	}
	os.Exit(m.Run())
}

// bench is a job-tracker with a rotation and a clock.
type bench struct {
	*Rotation
	t     *testing.T
	store *jobtracker.Store
	clock *jobtrackertest.Clock
	log   *bytes.Buffer
}

func newBench(t *testing.T, keep int) *bench {
	t.Helper()
	b := &bench{t: t, clock: jobtrackertest.NewClock(), log: new(bytes.Buffer)}
	b.store = jobtrackertest.Open(t)
	jobtrackertest.MakeJob(t, b.store, pipeline.Uploaded)
	dir := filepath.Join(t.TempDir(), "backups")
	b.Rotation = New(b.store, Options{Dir: dir, Every: time.Hour, Keep: keep, Lock: dir + ".lock",
		Log: slog.New(slog.NewTextHandler(b.log, nil)), Now: b.clock.Now})
	return b
}

// pass makes a pass, which must go well, and returns the names that are there.
func (b *bench) pass() []string {
	b.t.Helper()
	if err := b.Pass(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	return b.names()
}

func (b *bench) names() []string {
	b.t.Helper()
	entries, err := os.ReadDir(b.opt.Dir)
	if err != nil {
		b.t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (b *bench) want(what string, got []string, want ...string) {
	b.t.Helper()
	if !slices.Equal(got, want) {
		b.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestBackupsAreMadeWhenDueAndTheOldestGo(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2)
	b.want("first", b.pass(), "jobtracker-20260314T120000Z.db")
	b.clock.Advance(59 * time.Minute)
	b.want("not due", b.pass(), "jobtracker-20260314T120000Z.db")
	b.clock.Advance(time.Minute)
	b.want("due", b.pass(), "jobtracker-20260314T120000Z.db", "jobtracker-20260314T130000Z.db")
	b.clock.Advance(30 * time.Hour) // as after a long stop
	if err := os.WriteFile(filepath.Join(b.opt.Dir, "jobtracker-mine.db"), nil, 0o640); err != nil {
		t.Fatal(err)
	}
	b.want("one too many", b.pass(), "jobtracker-20260314T130000Z.db", "jobtracker-20260315T190000Z.db", "jobtracker-mine.db")
	files, err := List(b.opt.Dir)
	if err != nil || len(files) != 2 || !files[0].At.Equal(b.clock.Now()) {
		t.Fatalf("List = %v, %v, want two, the newest first", files, err)
	}
	s, err := jobtracker.Open(t.Context(), files[0].Path, jobtracker.Options{Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	jobtrackertest.AssertInvariants(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestAClockThatWasSetBackDoesNotEndTheBackups(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	b.pass()
	b.clock.Advance(-48 * time.Hour)
	b.want("two days earlier", b.pass(), "jobtracker-20260312T120000Z.db", "jobtracker-20260314T120000Z.db")
	b.clock.Advance(time.Hour)
	b.want("the one from the future is left alone", b.pass(), "jobtracker-20260312T130000Z.db", "jobtracker-20260314T120000Z.db")
}

func TestADamagedTrackerPushesNoGoodBackupOut(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	first := b.pass()
	b.source = damaged{b.store}
	b.clock.Advance(time.Hour)
	if err := b.Run(t.Context()); !errors.Is(err, pipeline.ErrFatal) {
		t.Errorf("Run = %v, want %v", err, pipeline.ErrFatal)
	}
	b.want("after the damage", b.names(), first...)
}

// damaged is a job-tracker whose copy would be whole.
type damaged struct{ Source }

func (damaged) Check(context.Context) error {
	return pipeline.Fatal(errors.New("row 3 missing from index jobs_status"))
}

func TestOnlyOneDaemonMakesTheBackup(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	lock, err := loop.TryLock(b.opt.Lock)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(b.opt.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the one without the lock did something: %v", err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	b.want("with the lock", b.pass(), "jobtracker-20260314T120000Z.db")
}

func TestWhatAKilledBackupLeftIsRemoved(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3)
	if err := os.Mkdir(b.opt.Dir, 0o750); err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{
		"jobtracker-20260301T000000Z.db.17.tmp":         48 * time.Hour,
		"jobtracker-20260301T000000Z.db.17.tmp-journal": 48 * time.Hour,
		"jobtracker-20260314T115900Z.db.18.tmp":         time.Minute,
		"other.db.19.tmp":                               48 * time.Hour,
	} {
		path := filepath.Join(b.opt.Dir, name)
		at := b.clock.Now().Add(-age)
		if err := errors.Join(os.WriteFile(path, nil, 0o640), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	b.want("what is left", b.pass(), "jobtracker-20260314T115900Z.db.18.tmp", "jobtracker-20260314T120000Z.db", "other.db.19.tmp")
}

// TestADiskThatIsFullCostsNothing lets a process make the backup that may not
// write more than a few pages to a file.
func TestADiskThatIsFullCostsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	first := b.pass()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LIMITED_BACKUP="+b.store.Path()+":"+b.opt.Dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "outage") {
		t.Errorf("%v: %s\nwant an outage of the disk", err, out)
	}
	b.want("what is left", b.names(), first...)
}

func backUpWithLimit(where string) int {
	tracker, dir, _ := strings.Cut(where, ":")
	signal.Ignore(unix.SIGXFSZ)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 16 << 10, Max: 16 << 10}); err != nil {
		fmt.Println(err)
		return 1
	}
	ctx := context.Background()
	s, err := jobtracker.Open(ctx, tracker, jobtracker.Options{Actor: "test"})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer s.Close()
	err = New(s, Options{Dir: dir, Every: time.Second, Keep: 1, Lock: dir + ".limited", Log: slog.New(slog.DiscardHandler)}).Pass(ctx)
	if errors.Is(err, pipeline.ErrOutage) {
		fmt.Println("outage:", err)
		return 0
	}
	fmt.Println("no outage:", err)
	return 1
}

// flaky fails its first backups.
type flaky struct {
	failures int
	made     int
}

func (f *flaky) Check(context.Context) error { return nil }

func (f *flaky) Backup(_ context.Context, path string) error {
	if f.failures > 0 {
		f.failures--
		return pipeline.Outage(pipeline.LocalDisk, unix.ENOSPC)
	}
	f.made++
	return os.WriteFile(path, nil, 0o640)
}

func TestAFailureIsToldAndTriedAgainLater(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		source := &flaky{failures: 2}
		r := New(source, Options{Dir: dir, Every: 24 * time.Hour, Keep: 3, Lock: filepath.Join(dir, "lock"),
			Log: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithTimeout(t.Context(), 49*time.Hour)
		defer cancel()
		if err := r.Run(ctx); err != nil {
			t.Fatal(err)
		}
		// Tried at 0 and 1 h in vain, made at 2 h and at 26 h.
		if n := strings.Count(log.String(), "no backup of the job-tracker was made"); n != 2 || source.made != 2 {
			t.Errorf("%d warnings, %d backups, want 2 and 2:\n%s", n, source.made, log.String())
		}
	})
}

func TestNamesOfOthersAreNoBackups(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "jobtracker-.db", "jobtracker-20260314T120000.db", "jobtracker-20260314T120000Z.db.1.tmp",
		"20260314T120000Z", "jobtracker-20260230T120000Z.db", "jobtracker-jobtracker-20260314T120000Z.db", "jobtracker-20260314T120000Z.db-wal"} {
		if at, ok := parse(name); ok {
			t.Errorf("%q is taken for a backup of %s", name, at)
		}
	}
	at := time.Date(2026, 3, 14, 12, 0, 0, 5e8, time.FixedZone("", 3600))
	if got, ok := parse(Name(at)); !ok || !got.Equal(time.Date(2026, 3, 14, 11, 0, 0, 0, time.UTC)) {
		t.Errorf("%q is read as %s, %v", Name(at), got, ok)
	}
}

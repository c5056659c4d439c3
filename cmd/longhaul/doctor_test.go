package main

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"longhaul/internal/commondb"
	"longhaul/internal/doctor"
	"longhaul/internal/jobtracker"
	"longhaul/internal/resultdir"
	"longhaul/internal/site"
)

// newSoundWorld is a world in which nothing is wrong.
func newSoundWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, settings{"more": "[upload]\nversion_num = \"1\""})
	_, err := commondb.Init(t.Context(), site.CommonDBOptions(w.cfg))
	w.check(err)
	w.check(resultdir.Mark(w.path("results")))
	w.ok("backup")
	return w
}

func TestDoctorPrintsEachFindingWithItsRemedy(t *testing.T) {
	t.Parallel()
	w := newSoundWorld(t)
	if out := w.ok("doctor", "--deep"); out != "Nothing is wrong.\n" {
		t.Errorf("of a sound site it says\n%s", out)
	}
	w.write("raw", "."+rawName(1, 0)+".part", "half")
	w.write("raw", rawName(2, 0), "whole")
	status, stdout, stderr := w.longhaul("doctor")
	if status != exitFailed || stderr != "longhaul: 2 findings left\n" {
		t.Errorf("exit status %d: %s", status, stderr)
	}
	part := "downloads: DIR/raw/." + rawName(1, 0) + ".part: is left of a download that nobody goes on with: no row knows it "
	whole := "warning downloads: DIR/raw/" + rawName(2, 0) + ": is raw data by its name, and no row knows it → to have it processed: longhaul add-files DIR/raw/" +
		rawName(2, 0) + "; or move it away "
	if got := oneLine(stdout); got != "warning "+part+"→ --repair removes it "+whole+"2 findings." {
		t.Errorf("it says\n%s", got)
	}
	status, stdout, _ = w.longhaul("doctor", "--repair")
	if got := oneLine(stdout); status != exitFailed || got != "repaired "+part+whole+"1 finding repaired, 1 left." {
		t.Errorf("exit status %d, and it says\n%s", status, got)
	}
	_, stdout, _ = w.longhaul("doctor", "--json")
	if r := isJSON[doctor.Report](t, stdout); len(r.Findings) != 1 || r.Findings[0].Check != "downloads" || r.Held {
		t.Errorf("as JSON: %+v", r)
	}
	w.check(os.Remove(w.path("raw", rawName(2, 0))))
	if out := w.ok("doctor", "--json"); !strings.Contains(out, `"findings": []`) {
		t.Errorf("as JSON, with nothing wrong: %s", out)
	}
	if status, _, stderr := w.longhaul("doctor", "--release"); status != exitUsage || !strings.Contains(stderr, "goes with --repair") {
		t.Errorf("--release alone: exit status %d: %s", status, stderr)
	}
}

// oneLine undoes line breaks, which depend on where the test's directory is.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// damage changes the job-tracker's file.
func (w *world) damage(fn func([]byte) []byte) {
	w.t.Helper()
	w.check(w.store.Close())
	path := w.cfg.Background.JobtrackerDB
	b := must(os.ReadFile(path))(w)
	w.check(os.WriteFile(path, fn(b), 0o640))
}

func TestADamagedTrackerIsFoundAndReplaced(t *testing.T) {
	t.Parallel()
	const page = 4096
	for name, c := range map[string]struct {
		damage func(w *world)
		says   string // doctor
	}{
		"flipped bytes in its pages": {func(w *world) {
			w.damage(func(b []byte) []byte {
				for p := page; p < len(b); p += page {
					b[p+3] ^= 0xff
				}
				return b
			})
		}, "malformed"},
		"a page of zeros": {func(w *world) {
			w.damage(func(b []byte) []byte { clear(b[2*page : 3*page]); return b })
		}, "btreeInitPage"},
		"truncated to half":    {func(w *world) { w.damage(func(b []byte) []byte { return b[:len(b)/2/page*page] }) }, "malformed"},
		"truncated to nothing": {func(w *world) { w.damage(func([]byte) []byte { return nil }) }, "it is empty"},
		"its -wal is missing": {func(w *world) {
			w.damage(func(b []byte) []byte { return b })
			w.check(os.WriteFile(w.cfg.Background.JobtrackerDB+"-shm", make([]byte, 32768), 0o640))
		}, "its -wal is missing"},
		"it is gone": {func(w *world) {
			w.check(w.store.Close())
			w.check(os.Remove(w.cfg.Background.JobtrackerDB))
		}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newSoundWorld(t)
			w.pass(time.Hour)
			w.job(1)
			w.pass(time.Hour)
			w.ok("backup")
			w.pass(time.Hour)
			w.job(2)
			c.damage(w)
			status, stdout, stderr := w.longhaul("doctor")
			if said := oneLine(stdout + stderr); status != exitFailed || !strings.Contains(said, c.says) {
				t.Errorf("doctor: exit status %d, want %d and %q in\n%s", status, exitFailed, c.says, said)
			}
			lost := missing(w.cfg.Background.JobtrackerDB)
			out := w.ok("restore-backup", "latest")
			for _, says := range []string{"from:        DIR/state/backups/jobtracker-20260314T", "longhaul doctor --repair"} {
				if !strings.Contains(out, says) {
					t.Errorf("restore-backup does not say %q:\n%s", says, out)
				}
			}
			if strings.Contains(out, "moved aside: DIR/state/jobtracker.db.damaged-") == lost {
				t.Errorf("what was there, was moved aside:\n%s", out)
			}
			if status, _, stderr := w.longhaul("run", "--once", "jobpooler"); status != exitFailed || !strings.Contains(stderr, "longhaul doctor --repair") {
				t.Errorf("a daemon starts on it: exit status %d: %s", status, stderr)
			}
			_, stdout, stderr = w.longhaul("doctor", "--repair") // job 2's raw data is told
			if !strings.Contains(stdout, "The daemons may start") {
				t.Errorf("doctor --repair says\n%s%s", stdout, stderr)
			}
			s, err := jobtracker.Open(t.Context(), w.cfg.Background.JobtrackerDB, jobtracker.Options{Actor: "test"})
			w.check(err)
			defer s.Close()
			if j, err := s.JobsNamed(t.Context(), "p2030.20260301.G34.31+00.01.N.1.00100", "quicklook"); err != nil || len(j) != 1 {
				t.Errorf("the backup's job: %v, %v", j, err)
			}
		})
	}
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

func TestRestoreBackupRefusesWhatWouldHarm(t *testing.T) {
	t.Parallel()
	w := newSoundWorld(t)
	w.job(1)
	before := w.ok("list", "files")
	bad := w.write("", "bad.db", "no database")
	newer := w.path("state", "backups", "jobtracker-20260401T000000Z.db")
	for args, want := range map[string]string{
		bad:                              "file is not a database",
		w.path("nosuch.db"):              "no such file",
		w.cfg.Background.JobtrackerDB:    "one and the same file",
		w.path("state", "downloader.db"): "no such file",
	} {
		if status, stdout, stderr := w.longhaul("restore-backup", args); status != exitFailed || !strings.Contains(stderr, want) || stdout != "" {
			t.Errorf("%s: exit status %d: %s%s", args, status, stdout, stderr)
		}
	}
	w.daemonRuns("uploader")
	if status, _, stderr := w.longhaul("restore-backup", "latest"); status != exitFailed || !strings.Contains(stderr, "the uploader is running") {
		t.Errorf("beside a daemon: exit status %d: %s", status, stderr)
	}
	if after := w.ok("list", "files"); after != before {
		t.Errorf("something changed: %s", after)
	}

	w = newSoundWorld(t)
	newer = strings.Replace(newer, newer[:strings.Index(newer, "/state/")], w.dir, 1)
	w.check(os.WriteFile(newer, []byte("not whole"), 0o640))
	status, stdout, stderr := w.longhaul("restore-backup", "latest")
	if status != exitOK || !strings.Contains(stderr, "backup DIR/state/backups/jobtracker-20260401T000000Z.db cannot be used") ||
		!strings.Contains(stdout, "from:        DIR/state/backups/jobtracker-20260314T030000Z.db") {
		t.Errorf("with a damaged newest: exit status %d\n%s%s", status, stdout, stderr)
	}
	w.check(os.RemoveAll(w.path("state", "backups")))
	if status, _, stderr := w.longhaul("restore-backup", "latest"); status != exitFailed || !strings.Contains(stderr, "no backup in DIR/state/backups") {
		t.Errorf("without any: exit status %d: %s", status, stderr)
	}
}

// TestRestoreKeepsWhatItMovesAside also with its -wal.
func TestRestoreKeepsWhatItMovesAside(t *testing.T) {
	t.Parallel()
	w := newSoundWorld(t)
	w.job(1)
	backups, err := os.ReadDir(w.path("state", "backups"))
	w.check(err)
	w.pass(time.Second)
	out := w.ok("restore-backup", w.path("state", "backups", backups[0].Name())) // the store is open, as a killed daemon's would be
	aside := w.cfg.Background.JobtrackerDB + ".damaged-" + w.clock.Format("20060102T150405Z")
	if !strings.Contains(out, "damaged-"+w.clock.Format("20060102T150405Z")+"-wal") || missing(aside) {
		t.Errorf("moved aside:\n%s", out)
	}
	s, err := jobtracker.Open(t.Context(), aside, jobtracker.Options{Actor: "test"})
	w.check(err)
	if j, err := s.Job(t.Context(), 1); err != nil || j.ID != 1 {
		t.Errorf("the job in it: %v, %v", j, err)
	}
	w.check(s.Close())
}

package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
	"longhaul/internal/site"
)

// history returns the events of one thing that the operator made.
func (w *world) history(entity pipeline.Entity, id int64) (mine []pipeline.Event) {
	w.t.Helper()
	for _, e := range must(w.store.Events(w.t.Context(), entity, id))(w) {
		if e.Actor == site.Operator() {
			mine = append(mine, e)
		}
	}
	return mine
}

func (w *world) file(id pipeline.FileID) pipeline.File {
	w.t.Helper()
	return must(w.store.File(w.t.Context(), id))(w)
}

// submitAndJob returns the statuses of a submit and of its job.
func (w *world) submitAndJob(id pipeline.SubmitID) (submit, job pipeline.Status) {
	w.t.Helper()
	s := must(w.store.Submit(w.t.Context(), id))(w)
	return s.Status, w.jobStatus(s.JobID)
}

func (w *world) jobStatus(id pipeline.JobID) pipeline.Status {
	w.t.Helper()
	return must(w.store.Job(w.t.Context(), id))(w).Status
}

func (w *world) write(dir, name, content string) string {
	w.t.Helper()
	path := w.path(dir, name)
	w.check(os.WriteFile(path, []byte(content), 0o640))
	return path
}

func TestAddFilesTakesWhatAProductRecognisesAndSaysWhyNotTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.check(os.Mkdir(w.path("disk7"), 0o750))
	good := w.write("disk7", rawName(1, 0), "good data")
	w.write("disk7", rawName(1, 1), "")
	w.write("disk7", "README", "not data")
	w.write("disk7", strings.Replace(rawName(2, 0), "b1s0", "b7s0", 1), "beam 7")
	w.check(os.Symlink(good, w.path("disk7", rawName(3, 0))))
	w.check(syscall.Mkfifo(w.path("disk7", rawName(4, 0)), 0o640))
	w.check(os.Mkdir(w.path("disk7", rawName(5, 0)), 0o750))
	w.enter(w.rawFile(6, 0, 5))
	w.write("disk7", rawName(6, 0), "tracked")
	golden(t, "add-files-dry-run", w.ok("add-files", "--dry-run", w.path("disk7")))
	if out := w.ok("list", "files", "--status", "added"); out != "no such files\n" {
		t.Fatalf("a dry run added files:\n%s", out)
	}
	golden(t, "add-files", w.ok("add-files", w.path("disk7"), "--reason", "disk from Arecibo"))
	f := w.file(2)
	if f.Filename != rawName(1, 0) || f.Status != pipeline.Added || f.Size != 9 || f.Bytes != 9 || f.Product != "mock" || f.Metadata["beam"] != "1" {
		t.Errorf("added as %+v", f)
	}
	if mine := w.history(pipeline.EntityFile, 2); len(mine) != 1 || mine[0].Note != "added: disk from Arecibo" {
		t.Errorf("history: %+v", mine)
	}
}

func TestAddFilesUnderstandsPathsAndPatterns(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args   []string
		status int
		added  int
		says   string
	}{
		"a file":                        {[]string{"DIR/a/" + rawName(1, 0)}, exitOK, 1, "1 file added"},
		"a relative path is made whole": {[]string{"REL/a/" + rawName(1, 0)}, exitOK, 1, "DIR/a/" + rawName(1, 0) + ": added"},
		"the same file twice":           {[]string{"DIR/a/" + rawName(1, 0), "DIR/a/" + rawName(1, 0)}, exitOK, 1, "1 file added"},
		"a pattern":                     {[]string{"-g", "DIR/a/*.fits"}, exitOK, 2, "2 files added"},
		"one name in two directories":   {[]string{"DIR/a", "DIR/b"}, exitOK, 2, "another file of this name is added: DIR/a/" + rawName(1, 0)},
		"a named file left alone":       {[]string{"DIR/a/" + rawName(1, 0), "DIR/a/notes"}, exitFailed, 1, "no product has such names"},
		"a missing file":                {[]string{"DIR/a/" + rawName(9, 0)}, exitFailed, 0, "no such file"},
		"a pattern that fits nothing":   {[]string{"-g", "DIR/a/*.fit"}, exitFailed, 0, "matches nothing"},
		"a pattern that is none":        {[]string{"-g", "DIR/a/[.fits"}, exitFailed, 0, "syntax error in pattern"},
		"a path that jobs cannot read":  {[]string{"DIR/c;d"}, exitOK, 0, "contains ';'"},
		"nothing":                       {nil, exitUsage, 0, "name files, a directory, or a pattern"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			for _, d := range []string{"a", "b", "c;d"} {
				w.check(os.Mkdir(w.path(d), 0o750))
				w.write(d, rawName(1, 0), "data")
			}
			w.write("a", rawName(1, 1), "data")
			w.write("a", "notes", "text")
			cwd, err := os.Getwd()
			w.check(err)
			rel, err := filepath.Rel(cwd, w.dir)
			w.check(err)
			args := []string{"add-files"}
			for _, a := range c.args {
				args = append(args, strings.NewReplacer("DIR/", w.dir+"/", "REL/", rel+"/").Replace(a))
			}
			status, stdout, stderr := w.longhaul(args...)
			if status != c.status || !strings.Contains(stdout+stderr, c.says) {
				t.Errorf("exit status %d, want %d and %q:\n%s%s", status, c.status, c.says, stdout, stderr)
			}
			if got := must(w.store.Files(t.Context(), jobtracker.Filter{}))(w); len(got) != c.added {
				t.Errorf("%d files added, want %d", len(got), c.added)
			}
		})
	}
}

func TestADeletedFileMayComeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.upload(w.job(1))
	w.write("raw", rawName(1, 0), "brought back")
	w.ok("add-files", w.path("raw", rawName(1, 0)))
	if f := w.file(3); f.Filename != rawName(1, 0) || f.Status != pipeline.Added {
		t.Errorf("it is %+v", f)
	}
}

func TestRemoveFilesMarksForTheUploader(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	given := w.enter(w.rawFile(1, 0, 5), w.rawFile(2, 0, 5))
	w.failDownload(given[0], "gone", true)
	w.job(3)
	status, stdout, stderr := w.longhaul("remove-files", "1", rawName(3, 0), "2", "99", "--reason", "bad beam")
	want := "file 1 " + rawName(1, 0) + ": to be deleted, 0 B\nThe uploader does not run: what is marked is deleted when it does.\n"
	if status != exitFailed || stdout != want || !strings.HasSuffix(stderr, "longhaul: 3 of 4 could not be done\n") {
		t.Errorf("exit status %d\n%s%s", status, stdout, stderr)
	}
	for _, why := range []string{rawName(3, 0) + ": remove file 3: no such transition: a job needs it", "2: remove file 2: no such transition: it is new", "99: file 99: not found"} {
		if !strings.Contains(stderr, why) {
			t.Errorf("not told %q:\n%s", why, stderr)
		}
	}
	if mine := w.history(pipeline.EntityFile, 1); len(mine) != 1 || mine[0].Note != "to be deleted: bad beam" {
		t.Errorf("history: %+v", mine)
	}
	w.daemonRuns("uploader")
	if out := w.ok("explain", "file", "1"); !strings.Contains(out, "the uploader deletes it at its next pass") {
		t.Errorf("explained as\n%s", out)
	}
}

func TestRetryFilesFetchesAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	f := w.enter(w.rawFile(1, 0, 5))[0]
	if status, _, stderr := w.longhaul("retry-files", "1"); status != exitFailed || !strings.Contains(stderr, "it is new; only a file that was given up") {
		t.Errorf("a new file: exit status %d: %s", status, stderr)
	}
	w.failDownload(f, "gone", true)
	w.ok("retry-files", f.Filename, "--reason", "they found it")
	if got := w.file(1).Status; got != pipeline.Retrying {
		t.Errorf("it is %s", got)
	}
	if mine := w.history(pipeline.EntityFile, 1); len(mine) != 1 || !strings.HasSuffix(mine[0].Note, "they found it") {
		t.Errorf("history: %+v", mine)
	}
}

func TestKillJobsGivesUpAndRetryJobsTakesItBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.job(1)
	w.job(2)
	out := w.ok("kill-jobs", "1", "-i", "2", "--reason", "wrong pointing")
	if out != "job 1 p2030.20260301.G34.31+00.01.N.1.00100: given up; its raw data is kept\n"+
		"job 2 p2030.20260301.G34.31+00.02.N.1.00200: given up; its raw data is kept\n" {
		t.Errorf("it says\n%s", out)
	}
	if mine := w.history(pipeline.EntityJob, 1); len(mine) != 1 || mine[0].Became != pipeline.TerminalFailure || mine[0].Note != "killed: wrong pointing" {
		t.Errorf("history: %+v", mine)
	}
	if out := w.ok("explain", "job", "1"); !strings.Contains(out, "given up at 2026-03-14 03:46:42 after 0 attempts: killed: wrong") || !strings.Contains(out, "longhaul retry-jobs 1") {
		t.Errorf("explained as\n%s", out)
	}
	w.ok("retry-jobs", "1")
	if got := w.jobStatus(1); got != pipeline.Retrying {
		t.Errorf("retried, it is %s", got)
	}
	status, _, stderr := w.longhaul("retry-jobs", "1", "2")
	if status != exitFailed || !strings.Contains(stderr, "1: it is retrying; only a job that was given up") || w.jobStatus(2) != pipeline.Retrying {
		t.Errorf("one of two: exit status %d: %s", status, stderr)
	}
}

func TestKillJobsDeletesRawDataAsTheConfigurationAndTheFlagSay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		setting, flag string
		doomed        bool
	}{
		"kept by the configuration":       {"false", "", false},
		"deleted by the configuration":    {"true", "", true},
		"deleted by the flag":             {"false", "--delete-rawdata", true},
		"kept by the flag":                {"true", "--delete-rawdata=false", false},
		"deleted by both, told only once": {"true", "--delete-rawdata", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, settings{"delete_rawdata_on_terminal_failure": c.setting})
			w.job(1)
			w.ok(strings.Fields("kill-jobs 1 " + c.flag)...)
			f := w.file(1)
			if f.DeleteWanted != c.doomed {
				t.Errorf("to be deleted: %v, want %v", f.DeleteWanted, c.doomed)
			}
			if status, _, stderr := w.longhaul("retry-jobs", "1"); (status == exitOK) == c.doomed {
				t.Errorf("retry-jobs afterwards: exit status %d: %s", status, stderr)
			}
		})
	}
}

func TestKillJobsByFileAndItsRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.job(1)
	w.upload(w.job(2))
	ctx := t.Context()
	waits := w.runSubmit(w.job(3), "node1")
	w.check(w.as("jobpooler").SubmitProcessed(ctx, waits, endOf("results are there")))
	w.unanswered(w.job(4))
	w.ok("kill-jobs", "-f", rawName(1, 1))
	if got := w.jobStatus(1); got != pipeline.TerminalFailure {
		t.Errorf("job of the file is %s", got)
	}
	for args, want := range map[string]string{
		"2":                   "2: it is uploaded; there is nothing to kill",
		"3":                   "longhaul stop-jobs --also-processed -s 2",
		"4":                   "its submission was cut short; start the jobpooler",
		"99":                  "99: job 99: not found",
		"-f " + rawName(2, 0): "has no job that could be killed (1 job in all)",
		"-f nosuch.fits":      "nosuch.fits: file \"nosuch.fits\": not found",
	} {
		status, _, stderr := w.longhaul(strings.Fields("kill-jobs " + args)...)
		if status != exitFailed || !strings.Contains(stderr, want) {
			t.Errorf("kill-jobs %s: exit status %d: %s", args, status, stderr)
		}
	}
	if out := w.ok("kill-jobs", "1"); !strings.Contains(out, "is given up already") {
		t.Errorf("killed twice: %s", out)
	}
}

func TestInitMakesBothDatabasesOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.check(w.store.Close())
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(w.cfg.Background.JobtrackerDB + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	status, _, stderr := w.longhaul("status")
	if status != exitFailed || !strings.Contains(stderr, "'longhaul init' makes it") {
		t.Errorf("without a job-tracker: exit status %d: %s", status, stderr)
	}
	if out := w.ok("init"); !strings.Contains(out, "jobtracker.db: made\n") || !strings.Contains(out, "commondb.db: made\n") {
		t.Errorf("first: %s", out)
	}
	if out := w.ok("init"); strings.Count(out, "exists already, left as it is") != 2 {
		t.Errorf("second: %s", out)
	}
	if out := w.ok("migrate"); !strings.Contains(out, "nothing was changed") {
		t.Errorf("migrate: %s", out)
	}
	w.daemonRuns("uploader")
	if status, _, stderr := w.longhaul("migrate"); status != exitFailed || !strings.Contains(stderr, "the uploader is running") {
		t.Errorf("migrate beside a daemon: exit status %d: %s", status, stderr)
	}
	if out := w.ok("status"); !strings.Contains(out, "downloader  NOT RUNNING") {
		t.Errorf("a lock was not given back:\n%s", out)
	}
}

func TestBackupIsAJobTracker(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.job(1)
	if out := w.ok("backup"); out != "DIR/state/backups/jobtracker-20260314T032321Z.db\n" {
		t.Errorf("it says %q", out)
	}
	w.ok("backup", w.path("copy.db"))
	before := w.ok("list", "files")
	text, err := os.ReadFile(w.path("config.toml"))
	w.check(err)
	w.write("", "config.toml", strings.Replace(string(text), "/state/jobtracker.db", "/copy.db", 1))
	if after := w.ok("list", "files"); after != before {
		t.Errorf("the copy has\n%s\nnot\n%s", after, before)
	}
	if status, _, stderr := w.longhaul("backup", w.path("copy.db")); status != exitFailed || !strings.Contains(stderr, "exists") {
		t.Errorf("over a file that is there: exit status %d: %s", status, stderr)
	}
}

package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"longhaul/internal/loop"
	"longhaul/internal/operator"
	"longhaul/internal/pipeline"
	"longhaul/internal/site"
)

const withMail = "[email]\nenabled = true\nsender = \"a@example.org\"\nrecipient = [\"b@example.org\"]"

// busyWorld has something of everything: one observation uploaded, one given
// up, one running after a failure, one in the queue, and downloads that run,
// wait, fail, and were given up.
func busyWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, settings{"more": withMail})
	w.distinct = true
	w.upload(w.job(1))
	given := w.job(2)
	w.failJob(given, "exit status 71: longhaul worker on node17: input: read /data/raw/4bit-1.fits: input/output error",
		"loading\nread error\n", false)
	w.failJob(given, "exit status 1: ValueError: no channel 512 in block 17", "ValueError: no channel 512 in block 17\n", false)
	w.failJob(given, "exit status 1: ValueError: no channel 513 in block 4",
		"Traceback (most recent call last):\n  File \"search.py\", line 12\nValueError: \x1b[31mno channel 513\x1b[0m in block 4\n", true)
	again := w.job(3)
	w.failJob(again, "exit status 1: ValueError: no channel 12 in block 3", "ValueError: no channel 12 in block 3\n", false)
	files := w.enter(w.rawFile(4, 0, 400e6), w.rawFile(4, 1, 400e6), w.rawFile(5, 0, 400e6), w.rawFile(5, 1, 400e6),
		w.rawFile(6, 0, 400e6), w.rawFile(6, 1, 400e6))
	for range 3 {
		w.failDownload(files[0], "150 opened, then: connection reset by peer", false)
		w.pass(2 * time.Minute)
	}
	w.failDownload(files[0], "checksum is 12ab34cd, the archive says 56ef7890", true)
	w.fetch(files[1])
	w.failDownload(files[2], "150 opened, then: connection reset by peer", false)
	w.runSubmit(again, "node9")
	w.submit(w.job(7))
	w.begin(files[3], 123e6)
	w.begin(files[4], 4e6)
	w.outage("downloader", pipeline.FileServer, "dial tcp 192.0.2.7:31001: connect: connection refused")
	must(w.store.BeginRequest(t.Context(), 5, 4, "mock"))(w)
	w.pass(30 * time.Second)
	return w
}

func (w *world) outage(daemon string, system pipeline.System, why string) {
	w.t.Helper()
	w.check(w.opened(daemon).OutageBegan(w.t.Context(), system, why, pipeline.Notice{Kind: pipeline.NoticeOutage, Subject: "outage"}))
}

// daemonRuns lets a daemon seem to run.
func (w *world) daemonRuns(kinds ...string) {
	w.t.Helper()
	for _, kind := range kinds {
		lock, err := loop.TryLock(site.LockPath(w.cfg, kind))
		w.check(err)
		w.t.Cleanup(func() {
			if err := lock.Unlock(); err != nil {
				w.t.Error(err)
			}
		})
	}
}

// TestReading asks one busy world everything that changes nothing.
func TestReading(t *testing.T) {
	t.Parallel()
	w := busyWorld(t)
	w.daemonRuns("downloader", "uploader")
	for name, test := range map[string]func(*testing.T, *world){
		"output is as in the golden files":        outputIsGolden,
		"every command prints one JSON value":     printsJSON,
		"a list has the rows that were asked for": listChoosesRows,
		"a name is as good as a number":           namesAreKnown,
	} {
		t.Run(name, func(t *testing.T) { test(t, w) })
	}
}

func outputIsGolden(t *testing.T, w *world) {
	for name, args := range map[string]string{
		"status":            "status",
		"list-requests":     "list requests",
		"list-files":        "list files",
		"list-attempts":     "list attempts",
		"list-jobs":         "list jobs",
		"list-submits":      "list submits",
		"show-request":      "show request 4",
		"show-file":         "show file 7",
		"show-attempt":      "show attempt 12",
		"show-job":          "show job 2",
		"show-submit":       "show submit 4",
		"explain-request":   "explain request 4",
		"explain-file":      "explain file 8",
		"explain-job":       "explain job 2",
		"failures":          "failures",
		"failures-full":     "failures --full",
		"status-json":       "status --json",
		"show-submit-json":  "show submit 4 --json",
		"explain-file-json": "explain file 8 --json",
		"failures-json":     "failures --json",
		"list-jobs-json":    "list jobs --limit 1 --json",
		"help":              "help",
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, w.ok(strings.Fields(args)...)) })
	}
}

func TestStatusOfAnEmptySiteIsQuiet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.daemonRuns("downloader", "jobpooler", "uploader")
	golden(t, "status-empty", w.ok("status"))
}

func TestStatusFitsOnAScreenAndItsWidth(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{"numdownloads": "20", "space_to_use": `"9TB"`, "max_jobs_running": "99"})
	var files []pipeline.File
	for i := range 20 {
		files = append(files, w.rawFile(20+i, 0, 400e6))
	}
	for _, f := range w.enter(files...) {
		w.begin(f, 5e6)
	}
	for i := range 8 {
		w.runSubmit(w.job(50+i), "a-node-with-a-very-long-name-017.example.org")
	}
	out := w.ok("status")
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) > 40 {
		t.Errorf("%d lines:\n%s", len(lines), out)
	}
	for _, line := range lines {
		if n := len([]rune(line)); n > pageWidth {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if !strings.Contains(out, "and 14 more") || !strings.Contains(out, "and 2 more") {
		t.Errorf("not all is counted:\n%s", out)
	}
}

func printsJSON(t *testing.T, full *world) {
	empty := newWorld(t, nil)
	for _, args := range []string{"status --json", "failures --json", "failures --full --json", "list requests --json",
		"list files --json", "list attempts --json", "list jobs --json", "list submits --json", "version --json"} {
		for _, w := range []*world{full, empty} {
			v := isJSON[any](t, w.ok(strings.Fields(args)...))
			if v == nil {
				t.Errorf("%s prints null", args)
			}
		}
	}
	for _, kind := range []string{"request", "file", "attempt", "job", "submit"} {
		thing := isJSON[map[string]json.RawMessage](t, full.ok("show", kind, "1", "--json"))
		if thing[kind] == nil || thing["events"] == nil {
			t.Errorf("show %s 1 has no %s or no events: %v", kind, kind, thing)
		}
		why := isJSON[operator.Explanation](t, full.ok("explain", kind, "1", "--json"))
		if len(why.Why) == 0 || why.Next == "" {
			t.Errorf("explain %s 1 says %+v", kind, why)
		}
	}
}

func listChoosesRows(t *testing.T, w *world) {
	for args, want := range map[string][]pipeline.FileID{
		"--status terminal_failure,retrying": {9, 7},
		"--text G34.31+00.05":                {10, 9},
		"--text reset --status retrying":     {9},
		"--limit 2":                          {14, 13},
		"--limit 2 --before 13":              {12, 11},
		"--text nothing-like-this":           {},
	} {
		var got []pipeline.FileID
		for _, f := range isJSON[[]operator.FileView](t, w.ok(strings.Fields("list files --json "+args)...)) {
			got = append(got, f.ID)
		}
		if len(got) != len(want) {
			t.Errorf("list files %s: %v, want %v", args, got, want)
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("list files %s: %v, want %v", args, got, want)
			}
		}
	}
	if out := w.ok("list", "jobs", "--limit", "2"); !strings.HasSuffix(out, "the newest 2; for older ones: --before 3\n") {
		t.Errorf("no way on:\n%s", out)
	}
}

func namesAreKnown(t *testing.T, w *world) {
	for name, want := range map[string]string{
		rawName(2, 1):                           "file 4 is downloaded",
		"/some/where/" + rawName(2, 1):          "file 4 is downloaded",
		"longhaul-2-bbbbbbbb":                   "submit 3 is processing_failed",
		"p2030.20260301.G34.31+00.02.N.1.00200": "job 2 is terminal_failure",
		"c0ffee00-0000-4000-8000-000000000003":  "request 3 is finished",
	} {
		if out := w.ok("show", name); !strings.HasPrefix(out, want+"\n") {
			t.Errorf("show %s: %s", name, out)
		}
	}
	for _, args := range [][]string{{"show", "12"}, {"show", "job"}, {"explain", "boat", "1"}, {"list", "boats"}} {
		if status, _, stderr := w.longhaul(args...); status != exitUsage {
			t.Errorf("%v: exit status %d: %s", args, status, stderr)
		}
	}
	if status, _, stderr := w.longhaul("show", "no-such-thing"); status != exitFailed || stderr != "longhaul: nothing is called \"no-such-thing\": not found\n" {
		t.Errorf("exit status %d: %s", status, stderr)
	}
}

func TestANameOfTwoThingsIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.submit(w.job(1))
	w.check(w.as("jobpooler").SubmitAccepted(t.Context(), w.unanswered(w.job(2)).ID, "longhaul-1-aaaaaaaa"))
	status, _, stderr := w.longhaul("show", "longhaul-1-aaaaaaaa")
	if status != exitFailed || !strings.Contains(stderr, "fits submit 1, submit 2; name one of them") {
		t.Errorf("exit status %d: %s", status, stderr)
	}
}

// unanswered begins a submit whose answer does not come.
func (w *world) unanswered(j pipeline.Job) pipeline.Submit {
	w.t.Helper()
	return must(w.as("jobpooler").BeginSubmit(w.t.Context(), j, "longhaul-unanswered", "local", w.path("results", "unanswered")))(w)
}

func TestForeignTextCannotCommandTheTerminal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	evil := "gone\x1b[2J\x1b]0;title\x07\r\nlonghaul: all is well \u202e\u009b31m"
	w.failDownload(w.enter(w.rawFile(1, 0, 5))[0], evil, true)
	for _, args := range []string{"status", "list files", "show file 1", "explain file 1", "failures --full", "show attempt 1"} {
		out := w.ok(strings.Fields(args)...)
		if strings.ContainsAny(out, "\x1b\x07\r\u202e\u009b") {
			t.Errorf("%s: %q", args, out)
		}
		if strings.Contains(out, "\nlonghaul: all is well") {
			t.Errorf("%s: foreign text has a line of its own: %q", args, out)
		}
	}
}

func TestTheErrorLogIsReadFromTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.failJob(w.job(1), "exit status 1", strings.Repeat("a line that nobody wants\n", 100_000)+"the last line\n", true)
	out := w.ok("show", "submit", "1")
	if !strings.HasSuffix(out, "  | the last line\n") || strings.Count(out, "nobody wants") > 40 {
		t.Errorf("%d bytes, ending in %q", len(out), out[max(len(out)-200, 0):])
	}
	w.check(os.Remove(w.path("qsub", "longhaul-1-aaaaaaaa.err")))
	if out := w.ok("show", "submit", "1"); !strings.Contains(out, "is empty") {
		t.Errorf("without a log: %s", out)
	}
}

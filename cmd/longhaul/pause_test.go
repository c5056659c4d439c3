package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
)

func TestAPauseIsShownFirstAndExplained(t *testing.T) {
	t.Parallel()
	for kind, ask := range map[string]string{"downloads": "file 3", "submissions": "job 1", "uploads": "job 2"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.daemonRuns("downloader", "jobpooler", "uploader")
			w.job(1)
			w.processed(w.job(2))
			w.enter(w.rawFile(3, 0, 5))
			if kind == "downloads" {
				ask = fmt.Sprintf("file %d", must(w.store.FileByName(t.Context(), rawName(3, 0)))(w).ID)
			}
			out := w.ok("pause", kind, "--reason", "power cut on Sunday")
			if !strings.Contains(out, kind+" are paused: no") || !strings.Contains(out, "longhaul resume "+kind) {
				t.Errorf("pause says %q", out)
			}
			w.pass(2 * time.Hour)
			page := w.ok("status")
			first := strings.Join(strings.Split(page, "\n")[:6], "\n")
			for _, want := range []string{"PAUSED     " + kind + " since", "(2h00m), by OPERATOR", "power cut on Sunday", "longhaul resume " + kind} {
				if !strings.Contains(first, want) {
					t.Errorf("the first lines of status lack %q:\n%s", want, page)
				}
			}
			if !strings.Contains(page, kind+" are paused, 2h00m ago") {
				t.Errorf("nobody is reminded:\n%s", page)
			}
			why := strings.Join(strings.Fields(w.ok(append([]string{"explain"}, strings.Fields(ask)...)...)), " ")
			for _, want := range []string{kind + " are paused since", "by OPERATOR: power cut on Sunday", "Next: it waits until somebody resumes " + kind} {
				if !strings.Contains(why, want) {
					t.Errorf("explain lacks %q: %s", want, why)
				}
			}
			if status, _, stderr := w.longhaul("pause", kind); status != exitFailed || !strings.Contains(stderr, "paused since") {
				t.Errorf("paused twice: exit status %d, %s", status, stderr)
			}
			if out := w.ok("resume", kind); !strings.Contains(out, kind+" go on; they were paused for 2h00m by OPERATOR: power cut on Sunday") {
				t.Errorf("resume says %q", out)
			}
			page = w.ok("status")
			if strings.Contains(page, "PAUSED") || !strings.Contains(page, kind+" are back after 2h0m0s") {
				t.Errorf("after the resume:\n%s", page)
			}
			if status, _, stderr := w.longhaul("resume", kind); status != exitFailed || !strings.Contains(stderr, "not paused") {
				t.Errorf("resumed twice: exit status %d, %s", status, stderr)
			}
		})
	}
}

func TestOnlyKnownPartsCanBePaused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, args := range [][]string{{"pause"}, {"pause", "everything"}, {"resume", "jobs"}, {"resume", "uploads", "downloads"}} {
		if status, _, stderr := w.longhaul(args...); status != exitUsage || !strings.Contains(stderr, "downloads, submissions, uploads") {
			t.Errorf("%q: exit status %d, %s", args, status, stderr)
		}
	}
}

func TestTheBreakersPauseSaysWhatComesNext(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.daemonRuns("downloader", "jobpooler", "uploader")
	j := w.job(1)
	_, _, err := w.store.TripBreaker(t.Context(), jobtracker.Trip{ProbeAt: w.clock.Add(time.Minute),
		Reason: "the last 10 submits failed in a row, 10 of them within a minute of their start; the last: exit status 127: libfftw3f.so.3: cannot open shared object file: No such file or directory"})
	w.check(err)
	w.pass(30 * time.Second)
	golden(t, "status-paused", w.ok("status"))
	golden(t, "explain-paused", w.ok("explain", "job", fmt.Sprint(j.ID)))
	if out := w.ok("resume", "submissions"); !strings.Contains(out, "by the breaker: the last 10 submits") {
		t.Errorf("resume says %q", out)
	}
}

func TestAJobThatTheSiteFailsStaysInSight(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.daemonRuns("downloader", "jobpooler", "uploader")
	j := w.job(1)
	for range 3 {
		sub := w.runSubmit(j, "node13")
		w.pass(time.Hour)
		w.check(w.as("jobpooler").TakeBack(t.Context(), sub, jobtracker.TakenBack{
			End:     jobtracker.End{Details: "the site's fault, does not count: exit status 75: worker on node13: no space left on device", Node: "node13", EndedAt: w.clock},
			RetryAt: w.clock.Add(time.Hour), Disk: "exit status 75: worker on node13: no space left on device",
			Notice: pipeline.Notice{Kind: pipeline.NoticeOutage, Subject: "x"},
		}))
		w.pass(time.Minute)
	}
	for args, wants := range map[string][]string{
		"status":        {"disk does not answer the worker since", "no space left on device", "1 job met trouble of the site", "longhaul explain job 1"},
		"explain job 1": {"its last 3 submits were taken back", "on node13: the site's fault, does not count", "0 of 3 attempts are used up", "tried again by itself in 59m00s"},
		"failures":      {"does not count", "no space left on device"},
	} {
		page := strings.Join(strings.Fields(w.ok(strings.Fields(args)...)), " ")
		for _, want := range wants {
			if !strings.Contains(page, want) {
				t.Errorf("longhaul %s lacks %q:\n%s", args, want, page)
			}
		}
	}
	w.upload(j)
	if over, err := w.store.EndWorkersOutage(t.Context()); err != nil || !over {
		t.Errorf("EndWorkersOutage = %v, %v", over, err)
	}
	if page := w.ok("status"); !strings.Contains(page, "disk is back after") {
		t.Errorf("nothing says that it is back:\n%s", page)
	}
}

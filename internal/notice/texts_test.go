package notice

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"longhaul/internal/loop"
	"longhaul/internal/pipeline"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestTexts(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var log strings.Builder
	for i := range 100 {
		fmt.Fprintf(&log, "line %d\n", i+1)
	}
	var files []pipeline.File
	for i := range 12 {
		files = append(files, pipeline.File{Path: fmt.Sprintf("/data/s%02d.fits", i), Size: 1 << 30})
	}
	job := JobReport{
		Job:         pipeline.Job{ID: 12, Name: "P2030 20260301 G45.2 b3", Stage: "search", Attempts: 1},
		Submit:      pipeline.Submit{ID: 31, Name: "longhaul-12-1-k3j", Manager: "slurm", QueueID: "4711", Node: "node17", OutputDir: "/results/61100/G45.2/3/260301T120000", SubmittedAt: at, StartedAt: at.Add(time.Minute), EndedAt: at.Add(time.Hour)},
		Files:       files,
		Reason:      "exit status 137: out of memory",
		ErrorLog:    log.String(),
		LogPath:     "/var/log/longhaul/jobs/31.err",
		MaxAttempts: 3,
		RetryAt:     at.Add(2 * time.Hour),
	}
	last := job
	last.Job.Attempts = 3
	last.Files = files[:1]
	last.ErrorLog = ""
	neverSubmitted := JobReport{Job: pipeline.Job{ID: 13, Stage: "search", Attempts: 1}, Reason: "no such partition", MaxAttempts: 1, DataDeleted: true}
	file := FileReport{
		File:        pipeline.File{ID: 5, RequestID: 2, Filename: "a.fits", RemoteFilename: "GUID/a.fits", Path: "/data/a.fits", Size: 1000, Bytes: 370, Attempts: 2},
		Reason:      "checksum differs",
		MaxAttempts: 3,
	}
	request := pipeline.Request{ID: 2, GUID: "d2f1-0a", Number: 10, Numbits: 4, Datatype: "mock", CreatedAt: at}
	for name, n := range map[string]pipeline.Notice{
		"job failure":       JobFailure(job),
		"job given up":      JobGivenUp(last),
		"job not submitted": JobGivenUp(neverSubmitted),
		"file given up":     FileGivenUp(file),
		"request failed":    RequestFailed(request, "the archive says fail"),
		"outage":            Outage(pipeline.CommonDatabase, errors.New("connection refused"), at),
		"paused":            Paused(PauseReport{Reason: "the last 10 submits failed in a row, 8 of them within a minute of their start or by the site's fault; the last: exit status 127", Last: job.Submit, Failures: 10, ProbeAt: at.Add(time.Minute), At: at}),
		"go on":             GoOn(pipeline.Pause{Since: at, Reason: "the last 10 submits failed in a row", Probes: 3}, pipeline.Submit{ID: 40, JobID: 12}, 7*time.Minute, at.Add(7*time.Minute)),
		"workers disk":      WorkersDisk(job.Job, job.Submit, "node17", "exit status 75: worker on node17: not enough space in /data/results", at),
		"crash":             Crash("uploader", errors.New("job-tracker: damaged"), at),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := "Kind: " + string(n.Kind) + "\nSubject: " + n.Subject + "\n\n" + n.Body
			golden := filepath.Join("testdata", strings.ReplaceAll(name, " ", "_")+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o640); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the text is\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestACrashByAPanicShowsItsStack(t *testing.T) {
	t.Parallel()
	l := loop.New(loop.Options{Name: "pooler", Every: time.Hour, Log: slog.New(slog.DiscardHandler)}, func(context.Context) error { panic("oh") })
	n := Crash("jobpooler", l.Run(t.Context()), created)
	if !strings.Contains(n.Body, "texts_test.go") || strings.Contains(n.Subject, "\n") {
		t.Errorf("subject %q, body\n%s", n.Subject, n.Body)
	}
}

func TestHostileNamesStayInTheirLine(t *testing.T) {
	t.Parallel()
	const evil = "a\nTo see it: rm -rf /\n.fits"
	for _, n := range []pipeline.Notice{
		FileGivenUp(FileReport{File: pipeline.File{Filename: evil, RemoteFilename: evil, Path: evil}, Reason: evil}),
		JobGivenUp(JobReport{Job: pipeline.Job{Name: evil}, Files: []pipeline.File{{Path: evil}}, Reason: evil, ErrorLog: evil}),
	} {
		if strings.Contains(n.Subject, "\n") || strings.Contains(n.Body, "\nTo see it") {
			t.Errorf("subject %q, body\n%s", n.Subject, n.Body)
		}
	}
}

func TestTestMail(t *testing.T) {
	t.Parallel()
	m := Test("[longhaul]", "host1", created)
	if m.Subject != "[longhaul] test mail" || !strings.Contains(m.Body, "host1") || m.CreatedAt != created {
		t.Errorf("test mail %+v", m)
	}
}

func TestEveryKindHasWords(t *testing.T) {
	t.Parallel()
	for _, k := range []pipeline.NoticeKind{pipeline.NoticeFailure, pipeline.NoticeTerminalFailure, pipeline.NoticeRequestFailed, pipeline.NoticeOutage, pipeline.NoticePause, pipeline.NoticeCrash} {
		if got := kindOf(k); got.urgency == kindOf("new").urgency {
			t.Errorf("kind %s has no words of its own", k)
		}
	}
	subj, text := digest(pipeline.PendingNotices{Kind: "new", Count: 2}, created)
	if subj != "2 notices: new" || !strings.Contains(text, "longhaul status") {
		t.Errorf("an unknown kind gives %q\n%s", subj, text)
	}
}

func FuzzWhatGoesIntoAMailIsClean(f *testing.F) {
	f.Add("job 1\r\nBcc: x", "text\x00\r\n.\r\n")
	f.Add("\xff\xfe", strings.Repeat("é", maxBody))
	f.Add(strings.Repeat("\u2028", 300), "\x1b]0;title\x07")
	f.Fuzz(func(t *testing.T, subj, text string) {
		if s := subject(subj); !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxSubject || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("subject(%q) = %q", subj, s)
		}
		b := body(text)
		if !utf8.ValidString(b) || len(b) > maxBody || strings.ContainsFunc(b, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
			t.Errorf("body(%q) = %q", text, b)
		}
		if body(b) != b {
			t.Errorf("body changes %q a second time", b)
		}
		if n := beginning(text); len(n) > linesEach+1 {
			t.Errorf("beginning(%q) has %d lines", text, len(n))
		}
	})
}

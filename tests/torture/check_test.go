package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"longhaul/internal/commondb"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/notice/smtptest"
	"longhaul/internal/pipeline"
)

// mail is one as the server keeps it.
func mail(id, subject, body string) smtptest.Mail {
	return smtptest.Mail{MessageID: "<longhaul-mail-" + id + ".1.demo@demo.invalid>", Subject: subject, Body: body}
}

func TestMailsThatAreMissingOrTooManyAreSeen(t *testing.T) {
	t.Parallel()
	due := []string{"job 1 (a) given up after", "job 2 (b) given up after"}
	known := []pipeline.Mail{{ID: 1, Subject: "first"}, {ID: 12, Subject: "digest"}}
	one := mail("1", "[x] job 1 (a) given up after 3 attempts", "")
	two := mail("12", "[x] 2 things", "  - job 2 (b) given\n    up after 3 attempts")
	for _, tt := range []struct {
		name  string
		came  []smtptest.Mail
		twice int
		want  string // "": nothing is wrong
	}{
		{"each once", []smtptest.Mail{one, two}, 0, ""},
		{"one twice", []smtptest.Mail{one, two, one}, 1, ""},
		{"one three times", []smtptest.Mail{one, two, one, one}, 0, "came 3 times"},
		{"one never", []smtptest.Mail{one}, 0, `"job 2 (b) given up after" is in 0 mails`},
		{"one under two names", []smtptest.Mail{one, two, mail("13", one.Subject, "")}, 0, "is in 2 mails"},
		{"none", nil, 0, "never came"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			twice, err := compareMails(due, known, tt.came)
			if twice != tt.twice || (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%d twice, %v; want %d and %q", twice, err, tt.twice, tt.want)
			}
		})
	}
}

func TestRawDataThatIsGoneTooEarlyIsSeen(t *testing.T) {
	t.Parallel()
	store := jobtrackertest.Open(t)
	dir := filepath.Dir(store.Path())
	if _, err := commondb.Init(t.Context(), commondb.Options{Database: filepath.Join(dir, "commondb.db")}); err != nil {
		t.Fatal(err)
	}
	job := jobtrackertest.MakeJob(t, store, pipeline.Processed)
	files, err := store.JobFiles(t.Context(), job.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		jobtrackertest.WriteRaw(t, f)
	}
	want := func(step, path string) {
		t.Helper()
		if got, err := goneTooEarly(t.Context(), store, dir); got != path || err != nil {
			t.Errorf("%s: %q, %v; want %q", step, got, err, path)
		}
	}
	want("all is there", "")
	if err := os.Remove(files[0].Path); err != nil {
		t.Fatal(err)
	}
	want("one is gone and nothing uploaded", files[0].Path)
}

func TestADeathIsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	d := death{"uploader", 12, "raw data unlink"}
	if got, err := parseDeath(d.String()); got != d || err != nil {
		t.Errorf("%v became %v, %v", d, got, err)
	}
	for _, text := range []string{"uploader", "uploader:1", "uploader:x:mail"} {
		if _, err := parseDeath(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

package demo

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"longhaul/internal/commondb"
	"longhaul/internal/notice/smtptest"
	"longhaul/internal/pipeline"
	"longhaul/internal/rawdata"
)

// check compares, one thing after the other, what the pipeline did with what
// was made up. A check that cannot be made is a check that failed.
func (d *demo) check(ctx context.Context, finished bool, db *commondb.DB, mails []smtptest.Mail) []Check {
	var all []Check
	add := func(name string, note string, err error) {
		c := Check{Name: name, OK: err == nil, Note: note}
		if err != nil {
			c.Note = err.Error()
		}
		all = append(all, c)
	}
	var late error
	if !finished {
		late = fmt.Errorf("not after %s", d.opt.Timeout)
	}
	add("everything came to its end", "", late)
	note, err := d.checkHeaders(ctx, db)
	add("every good observation is in the common database, with the right header", note, err)
	note, err = d.checkDiagnostics(ctx, db)
	add("each has its diagnostics and plots there", note, err)
	note, err = d.checkRuns(ctx)
	add("each submit's command ran once", note, err)
	note, err = d.checkDisk()
	add("raw data is deleted where it should be, and nowhere else", note, err)
	note, err = d.checkLeftAlone(ctx)
	add("beam 7 and stray files were left alone", note, err)
	add("half a pair waits for its other half", "", d.checkWaiting(ctx))
	note, err = d.checkCut(ctx)
	add("the transfer that was cut went on where it was", note, err)
	note, err = d.checkCorrupted(ctx)
	add("the transfer that was corrupted was caught and fetched again", note, err)
	add("the file that is gone was given up", "", d.checkGone(ctx))
	add("the job that failed once was tried again", "", d.checkJob(ctx, jobFails1, 1, pipeline.Uploaded))
	add("the job that fails always was given up", "", d.checkJob(ctx, jobFailsN, d.cfg.JobPooler.MaxAttempts, pipeline.TerminalFailure))
	note, err = d.checkMails(ctx, mails)
	add("every mail that was due came, and none twice", note, err)
	note, err = d.checkHistory(ctx)
	add("the history explains every status", note, err)
	return all
}

// checkHeaders compares the common database with the made-up sky.
func (d *demo) checkHeaders(ctx context.Context, db *commondb.DB) (string, error) {
	headers, err := db.Rows(ctx, "headers")
	if err != nil {
		return "", err
	}
	observations, err := db.Rows(ctx, "observations")
	if err != nil {
		return "", err
	}
	uploads, err := db.Rows(ctx, "uploads")
	if err != nil {
		return "", err
	}
	items := d.survey.uploadable()
	if len(headers) != len(items) || len(uploads) != len(items) {
		return "", fmt.Errorf("%d headers of %d uploads, want %d of each", len(headers), len(uploads), len(items))
	}
	values := 0
	for _, it := range items {
		n, err := matchHeader(it, headers, observations)
		if err != nil {
			return "", err
		}
		values += n
	}
	return fmt.Sprintf("%d observations, %d values", len(items), values), nil
}

// matchHeader finds the header of an observation and compares all its values.
func matchHeader(it item, headers, observations []map[string]any) (int, error) {
	want := it.WantHeader()
	var last error
	for _, h := range headers {
		if h["original_file"] != want["original_file"] {
			continue
		}
		row := make(map[string]any)
		for _, o := range observations {
			if o["id"] == h["observation_id"] {
				for k, v := range o {
					row[k] = v
				}
			}
		}
		for k, v := range h {
			row[k] = v
		}
		for k, v := range want {
			if !sameValue(row[k], v) {
				last = fmt.Errorf("%s: %s is %v, want %v", it.files[0], k, row[k], v)
			}
		}
		return len(want), last
	}
	return 0, fmt.Errorf("%s is not there", it.files[0])
}

// sameValue compares what was made up with what came back: numbers to eight
// digits, since the sky is made in other units than a header's.
func sameValue(got, want any) bool {
	a, ok1 := number(got)
	b, ok2 := number(want)
	if ok1 && ok2 {
		return math.Abs(a-b) <= 1e-8*max(1, math.Abs(b))
	}
	return fmt.Sprint(got) == fmt.Sprint(want)
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

func (d *demo) checkDiagnostics(ctx context.Context, db *commondb.DB) (string, error) {
	headers, err := db.Rows(ctx, "headers")
	if err != nil {
		return "", err
	}
	counts := map[string]int{}
	for _, table := range []string{"diagnostics", "diagnostic_plots"} {
		rows, err := db.Rows(ctx, table)
		if err != nil {
			return "", err
		}
		per := make(map[any]int)
		for _, r := range rows {
			per[r["header_id"]]++
		}
		for _, h := range headers {
			if per[h["id"]] == 0 {
				return "", fmt.Errorf("header %v has no %s", h["id"], table)
			}
		}
		counts[table] = len(rows)
	}
	return fmt.Sprintf("%d numbers, %d plots", counts["diagnostics"], counts["diagnostic_plots"]), nil
}

// checkRuns reads the traces that the jobs' commands left: a submit that ran
// twice has two lines, and one that the tracker does not know is a stray.
func (d *demo) checkRuns(ctx context.Context) (string, error) {
	submits, err := d.store.Submits(ctx, allRows)
	if err != nil {
		return "", err
	}
	names := make(map[string]bool)
	for _, s := range submits {
		names[s.Name] = true
	}
	traces, err := os.ReadDir(d.at.runs())
	if err != nil {
		return "", err
	}
	for _, t := range traces {
		text, err := os.ReadFile(filepath.Join(d.at.runs(), t.Name()))
		if err != nil {
			return "", err
		}
		if n := strings.Count(string(text), "\n"); n != 1 {
			return "", fmt.Errorf("submit %s ran %d times", t.Name(), n)
		}
		if !names[t.Name()] {
			return "", fmt.Errorf("submit %s ran, but the job-tracker does not know it", t.Name())
		}
	}
	return fmt.Sprintf("%d submits", len(traces)), nil
}

func (d *demo) checkDisk() (string, error) {
	entries, err := os.ReadDir(d.at.raw())
	if err != nil {
		return "", err
	}
	var there []string
	for _, e := range entries {
		if e.Name() != rawdata.Marker {
			there = append(there, e.Name())
		}
	}
	want := files(d.survey.with(jobFailsN, half))
	slices.Sort(want)
	if !slices.Equal(there, want) {
		return "", fmt.Errorf("there are %v, want %v", there, want)
	}
	scratch, err := os.ReadDir(d.at.scratch())
	if err != nil {
		return "", err
	}
	if len(scratch) > 0 {
		return "", fmt.Errorf("a workspace was left behind: %s", scratch[0].Name())
	}
	return fmt.Sprintf("%d deleted, %d kept", len(files(d.survey.uploadable())), len(want)), nil
}

func (d *demo) checkLeftAlone(ctx context.Context) (string, error) {
	tracked, err := d.store.Files(ctx, allRows)
	if err != nil {
		return "", err
	}
	left := files(d.survey.with(unwanted))
	for _, f := range tracked {
		if slices.Contains(append(left, strayFile, "SHA256SUMS"), f.Filename) {
			return "", fmt.Errorf("%s was taken", f.Filename)
		}
	}
	if want := len(files(d.survey.items)) - len(left); len(tracked) != want {
		return "", fmt.Errorf("%d files are tracked, want %d", len(tracked), want)
	}
	return fmt.Sprintf("%d of %d files taken", len(tracked), len(files(d.survey.items))+1), nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"longhaul/internal/jobtracker"
	"longhaul/internal/notice/smtptest"
	"longhaul/internal/pipeline"
)

// checkMails holds the mail server's own record of a run against what happened
// in it: of everything that a person must be told there is one mail, it came at
// least once and at most twice, and the job-tracker knows no mail that did not
// come. It returns how many came twice.
func checkMails(ctx context.Context, dir string) (twice int, err error) {
	store, err := jobtracker.Open(ctx, filepath.Join(dir, "jobtracker.db"), jobtracker.Options{Actor: "torture"})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	came, err := smtptest.ReadDir(filepath.Join(dir, "mails"))
	if err != nil {
		return 0, err
	}
	due, err := dueMails(ctx, store)
	if err != nil {
		return 0, err
	}
	known, err := store.Mails(ctx, 1_000_000)
	if err != nil {
		return 0, err
	}
	return compareMails(due, known, came)
}

// compareMails compares what must be told, the mails that the job-tracker
// knows, and those that the server took.
func compareMails(due []string, known []pipeline.Mail, came []smtptest.Mail) (twice int, err error) {
	var errs []error
	times, text := make(map[string]int), make(map[string]string)
	for _, m := range came {
		times[m.MessageID]++
		text[m.MessageID] = strings.Join(strings.Fields(m.Subject+" "+m.Body), " ")
	}
	for id, n := range times {
		switch {
		case n == 2:
			twice++
		case n > 2:
			errs = append(errs, fmt.Errorf("the mail %s came %d times", id, n))
		}
	}
	for _, what := range due {
		var in []string
		for id, t := range text {
			if strings.Contains(t, what) {
				in = append(in, id)
			}
		}
		if slices.Sort(in); len(in) != 1 {
			errs = append(errs, fmt.Errorf("%q is in %d mails, want one: %v", what, len(in), in))
		}
	}
	for _, m := range known {
		prefix := fmt.Sprintf("<longhaul-mail-%d.", m.ID)
		found := false
		for id := range times {
			found = found || strings.HasPrefix(id, prefix)
		}
		if !found {
			errs = append(errs, fmt.Errorf("mail %d (%s) never came", m.ID, m.Subject))
		}
	}
	if len(known) != len(times) {
		errs = append(errs, fmt.Errorf("%d different mails came, the job-tracker knows %d", len(times), len(known)))
	}
	return twice, errors.Join(errs...)
}

// dueMails returns the words by which everything is told that a person must
// know, according to the history.
func dueMails(ctx context.Context, store *jobtracker.Store) ([]string, error) {
	var due []string
	failures := make(map[int64]int) // of a job
	for after := int64(0); ; {
		events, err := store.EventsAfter(ctx, after, 1000)
		if err != nil || len(events) == 0 {
			return due, err
		}
		for _, e := range events {
			after = e.ID
			if e.Entity == pipeline.EntityJob && e.Became == pipeline.Failed {
				failures[e.EntityID]++
			}
			what, err := tells(ctx, store, e, failures[e.EntityID])
			if err != nil {
				return nil, err
			}
			if what != "" {
				due = append(due, what)
			}
		}
	}
}

// tells returns the words by which a mail tells of an event; "" if none does.
// failures is how often the event's job has failed.
func tells(ctx context.Context, store *jobtracker.Store, e pipeline.Event, failures int) (string, error) {
	switch {
	case e.Entity == pipeline.EntityRequest && e.Became == pipeline.Failed:
		return fmt.Sprintf("request %d to the archive failed:", e.EntityID), nil
	case e.Entity == pipeline.EntityFile && e.Became == pipeline.TerminalFailure:
		f, err := store.File(ctx, pipeline.FileID(e.EntityID))
		return fmt.Sprintf("download of %s given up after", f.Filename), err
	case e.Entity == pipeline.EntityJob && e.Was == pipeline.Failed:
		j, err := store.Job(ctx, pipeline.JobID(e.EntityID))
		if e.Became == pipeline.TerminalFailure {
			return fmt.Sprintf("job %d (%s) given up after", j.ID, j.Name), err
		}
		return fmt.Sprintf("job %d (%s) failed, attempt %d of", j.ID, j.Name, failures), err
	}
	return "", nil
}

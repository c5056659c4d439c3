package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"longhaul/internal/jobtracker"
	"longhaul/internal/notice/smtptest"
	"longhaul/internal/pipeline"
)

// allRows is a filter that lets everything through.
var allRows jobtracker.Filter

func (d *demo) file(ctx context.Context, name string) (pipeline.File, []pipeline.Attempt, error) {
	f, err := d.store.FileByName(ctx, name)
	if err != nil {
		return f, nil, fmt.Errorf("%s: %w", name, err)
	}
	attempts, err := d.store.AttemptsOf(ctx, f.ID)
	return f, attempts, err
}

func (d *demo) checkWaiting(ctx context.Context) error {
	for _, name := range files(d.survey.with(half)) {
		f, _, err := d.file(ctx, name)
		if err != nil {
			return err
		}
		jobs, err := d.store.JobsOfFile(ctx, f.ID)
		if err != nil {
			return err
		}
		if f.Status != pipeline.Downloaded || len(jobs) != 0 {
			return fmt.Errorf("%s is %s and has %d jobs", name, f.Status, len(jobs))
		}
	}
	return nil
}

// checkCut wants a second attempt that went on where the first was cut. A
// daemon that was killed just then may have had to begin again.
func (d *demo) checkCut(ctx context.Context) (string, error) {
	_, attempts, err := d.file(ctx, d.survey.damages[0].file)
	if err != nil {
		return "", err
	}
	killed := false
	for _, a := range attempts {
		if a.Offset > 0 {
			return fmt.Sprintf("at byte %d", a.Offset), nil
		}
		killed = killed || a.Status == pipeline.VerificationFailed
	}
	if killed {
		return "a daemon was killed meanwhile: from the beginning", nil
	}
	return "", fmt.Errorf("%d attempts, all from the beginning", len(attempts))
}

// checkCorrupted wants an attempt that was refused for its checksum. The archive
// corrupts one transfer only: if the daemon was killed in it, what was corrupted
// may never have come to the disk. The file's checksum was right in the end, or
// it would not be downloaded.
func (d *demo) checkCorrupted(ctx context.Context) (string, error) {
	_, attempts, err := d.file(ctx, d.survey.damages[1].file)
	if err != nil {
		return "", err
	}
	killed := false
	for _, a := range attempts {
		if a.Status != pipeline.VerificationFailed {
			continue
		}
		if strings.Contains(a.Details, "checksum") {
			return "", nil
		}
		killed = true
	}
	if killed && interrupted(d.at) {
		return "a daemon was killed meanwhile: the wrong bytes never came", nil
	}
	return "", fmt.Errorf("%d attempts, none refused for its checksum", len(attempts))
}

func (d *demo) checkGone(ctx context.Context) error {
	for _, name := range files(d.survey.with(gone)) {
		f, attempts, err := d.file(ctx, name)
		if err != nil {
			return err
		}
		refused := 0
		for _, a := range attempts {
			if a.Status == pipeline.NoRemoteFile {
				refused++
			}
		}
		if f.Status != pipeline.TerminalFailure || refused != d.cfg.Download.NumRetries {
			return fmt.Errorf("%s is %s after %d attempts", name, f.Status, refused)
		}
	}
	return nil
}

// checkJob wants a job with a number of submits that failed, and its end.
func (d *demo) checkJob(ctx context.Context, of fate, failures int, end pipeline.Status) error {
	for _, it := range d.survey.with(of) {
		f, _, err := d.file(ctx, it.files[0])
		if err != nil {
			return err
		}
		jobs, err := d.store.JobsOfFile(ctx, f.ID)
		if err != nil {
			return err
		}
		if len(jobs) != 1 {
			return fmt.Errorf("%s has %d jobs, want one", it.files[0], len(jobs))
		}
		submits, err := d.store.SubmitsOf(ctx, jobs[0].ID)
		if err != nil {
			return err
		}
		failed := 0
		for _, s := range submits {
			if s.Status == pipeline.ProcessingFailed {
				failed++
			}
		}
		if jobs[0].Status != end || failed != failures {
			return fmt.Errorf("job %d is %s with %d failed submits, want %s with %d", jobs[0].ID, jobs[0].Status, failed, end, failures)
		}
	}
	return nil
}

// checkMails wants each thing that a person must know in a mail, by name, and
// no mail twice.
func (d *demo) checkMails(ctx context.Context, mails []smtptest.Mail) (string, error) {
	ids := make(map[string]bool)
	var text strings.Builder
	for _, m := range mails {
		// A daemon that was killed between a mail and its record sends it again.
		if ids[m.MessageID] && !interrupted(d.at) {
			return "", fmt.Errorf("%q came twice", m.Subject)
		}
		ids[m.MessageID] = true
		fmt.Fprintln(&text, m.Subject)
		fmt.Fprintln(&text, m.Body)
	}
	var missing []error
	for _, it := range d.survey.with(gone, jobFails1, jobFailsN) {
		name, err := d.nameInMail(ctx, it)
		if err == nil && !strings.Contains(text.String(), name) {
			err = fmt.Errorf("no mail names %s", name)
		}
		missing = append(missing, err)
	}
	if !strings.Contains(text.String(), "to the archive failed") {
		missing = append(missing, errors.New("no mail says that the archive has nothing more"))
	}
	return fmt.Sprintf("%d mails", len(ids)), errors.Join(missing...)
}

// nameInMail is how a mail calls an observation: by its job if it has one,
// else by its file.
func (d *demo) nameInMail(ctx context.Context, it item) (string, error) {
	f, _, err := d.file(ctx, it.files[0])
	if err != nil {
		return "", err
	}
	jobs, err := d.store.JobsOfFile(ctx, f.ID)
	if err != nil || len(jobs) == 0 {
		return f.Filename, err
	}
	return jobs[0].Name, nil
}

// checkHistory follows the events of everything: each begins where the last one
// ended, each is a transition of the state machine, and the last one is the
// status.
func (d *demo) checkHistory(ctx context.Context) (string, error) {
	type thing struct {
		entity pipeline.Entity
		id     int64
	}
	at := make(map[thing]pipeline.Status)
	n := 0
	for after := int64(0); ; {
		events, err := d.store.EventsAfter(ctx, after, 1000)
		if err != nil {
			return "", err
		}
		if len(events) == 0 {
			break
		}
		for _, e := range events {
			after = e.ID
			if e.Was == e.Became {
				continue // a note
			}
			n++
			k := thing{e.Entity, e.EntityID}
			if at[k] != e.Was || !pipeline.MachineOf(e.Entity).Allows(e.Was, e.Became) {
				return "", fmt.Errorf("%s %d went from %q to %q, but was %q", e.Entity, e.EntityID, e.Was, e.Became, at[k])
			}
			at[k] = e.Became
		}
	}
	counts, err := d.store.Counts(ctx)
	if err != nil {
		return "", err
	}
	for k, status := range at {
		counts[k.entity][status]--
	}
	for entity, by := range counts {
		for status, left := range by {
			if left != 0 {
				return "", fmt.Errorf("%d of %s are %s without a history", left, entity, status)
			}
		}
	}
	return fmt.Sprintf("%d changes of status", n), nil
}

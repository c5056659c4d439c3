package demo

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"longhaul/internal/pipeline"
)

// followInterval is how often the demo looks at the job-tracker.
const followInterval = 100 * time.Millisecond

// progress prints one line for each thing that happens.
type progress struct {
	mu      sync.Mutex
	w       io.Writer
	started time.Time
}

func (p *progress) say(who, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, "%6.1fs  %-10s  %s\n", time.Since(p.started).Seconds(), who, what)
}

// follow shows what the daemons do until the survey is done; it returns false
// if that takes too long.
func (d *demo) follow(ctx context.Context) bool {
	deadline := time.Now().Add(d.opt.Timeout)
	tick := time.NewTicker(followInterval)
	defer tick.Stop()
	var seen int64
	var lastErr error
	for time.Now().Before(deadline) {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		seen = d.show(ctx, seen)
		done, err := d.done(ctx)
		if err != nil && (lastErr == nil || err.Error() != lastErr.Error()) {
			lastErr = err
			d.out.say("demo", err.Error())
		}
		if done {
			d.show(ctx, seen)
			return true
		}
	}
	d.out.say("demo", fmt.Sprintf("not done after %s", d.opt.Timeout))
	return false
}

// show prints the events after one, and returns the last.
func (d *demo) show(ctx context.Context, after int64) int64 {
	events, err := d.store.EventsAfter(ctx, after, 1000)
	if err != nil {
		return after
	}
	for _, e := range events {
		after = e.ID
		if what := d.describe(ctx, e); what != "" {
			d.out.say(e.Actor, what)
		}
	}
	return after
}

// describe puts an event into one line; "" for those that say nothing new.
func (d *demo) describe(ctx context.Context, e pipeline.Event) string {
	switch e.Entity {
	case pipeline.EntityRequest:
		return strings.TrimSpace(fmt.Sprintf("request %d %s", e.EntityID, e.Became)) + colon(e.Note)
	case pipeline.EntityFile:
		return d.describeFile(ctx, e)
	case pipeline.EntityJob:
		return d.describeJob(ctx, e)
	case pipeline.EntitySystem:
		return e.Note
	}
	return ""
}

func (d *demo) describeFile(ctx context.Context, e pipeline.Event) string {
	switch e.Became {
	case pipeline.Downloading, pipeline.Unverified, pipeline.New, pipeline.Retrying:
		if !strings.HasPrefix(e.Note, "going on") {
			return ""
		}
	}
	f, err := d.store.File(ctx, pipeline.FileID(e.EntityID))
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s %s%s", f.Filename, e.Became, colon(e.Note))
}

func (d *demo) describeJob(ctx context.Context, e pipeline.Event) string {
	j, err := d.store.Job(ctx, pipeline.JobID(e.EntityID))
	if err != nil {
		return ""
	}
	return fmt.Sprintf("job %d %s %s%s", j.ID, j.Name, e.Became, colon(e.Note))
}

// colon puts a note behind a line, shortened: all of it is in the history.
func colon(note string) string {
	const most = 120
	if note == "" {
		return ""
	}
	if r := []rune(note); len(r) > most {
		note = string(r[:most]) + "…"
	}
	return ": " + note
}

// done reports whether everything has come to the end that it should come to.
func (d *demo) done(ctx context.Context) (bool, error) {
	counts, err := d.store.Counts(ctx)
	if err != nil {
		return false, err
	}
	jobs, filesBy, requests := counts[pipeline.EntityJob], counts[pipeline.EntityFile], counts[pipeline.EntityRequest]
	ready := jobs[pipeline.Uploaded] == len(d.survey.uploadable()) &&
		jobs[pipeline.TerminalFailure] == len(d.survey.with(jobFailsN)) &&
		filesBy[pipeline.TerminalFailure] == len(d.survey.with(gone)) &&
		filesBy[pipeline.Downloaded] == len(files(d.survey.with(jobFailsN, half))) &&
		filesBy[pipeline.Deleted] == len(files(d.survey.uploadable())) &&
		requests[pipeline.Waiting] == 0 && requests[pipeline.Failed] > 0
	if !ready {
		return false, nil
	}
	pending, err := d.store.PendingNotices(ctx)
	if err != nil || len(pending) > 0 {
		return false, err
	}
	unsent, err := d.store.UnsentMails(ctx)
	return len(unsent) == 0, err
}

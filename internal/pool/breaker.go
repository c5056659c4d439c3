package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"longhaul/internal/jobtracker"
	"longhaul/internal/notice"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
)

// The breaker guards the attempts of the whole survey against what is wrong with
// the site: a node that fails every job in a second would have them all given up
// by the morning. When the last submits failed in a row, and many of them at
// once, submissions are paused, the failures do not count, and single jobs are
// tried, less and less often, until one goes well or a person resumes.

// quickly is how soon after its start a submit fails that is quick to fail; the
// reason of a pause says "a minute".
const quickly = time.Minute

// watchBreaker trips the breaker if it is time, or ends its pause if its probe
// went well.
func (p *Pooler) watchBreaker(ctx context.Context) error {
	over, err := p.Store.EndWorkersOutage(ctx)
	if err != nil {
		return err
	} else if over {
		p.Log.Info("no job waits any more for a disk on the nodes")
	}
	pause, held, err := p.Store.Paused(ctx, pipeline.PauseSubmissions)
	switch {
	case err != nil:
		return err
	case !held:
		p.sayResumed()
		return p.tripIfDue(ctx)
	}
	p.sayPaused(pause)
	if pause.Breaker && pause.Probe != 0 {
		return p.judgeProbe(ctx, pause)
	}
	return nil
}

// sayPaused and sayResumed tell the log once of what others did.
func (p *Pooler) sayPaused(pause pipeline.Pause) {
	if p.paused == nil || !p.paused.Since.Equal(pause.Since) {
		p.Log.Warn("submissions are paused", "since", pause.Since.Format(time.RFC3339), "by", pause.Actor, "why", pause.Reason)
	}
	p.paused = &pause
}

func (p *Pooler) sayResumed() {
	if p.paused != nil {
		p.Log.Info(fmt.Sprintf("submissions: back after %s", p.Now().Sub(p.paused.Since).Round(time.Second)))
	}
	p.paused = nil
}

// tripIfDue pauses submissions if the last ends say so.
func (p *Pooler) tripIfDue(ctx context.Context) error {
	c := p.Config.JobPooler
	if c.BreakerFailures == 0 {
		return nil
	}
	// A pass may find the ends of all jobs that a broken node had.
	ends, err := p.Store.LastEnds(ctx, c.BreakerFailures)
	if err != nil || !inTrouble(ends, c.BreakerFailures, c.BreakerQuick) {
		return err
	}
	if ends, err = p.Store.LastEnds(ctx, c.BreakerFailures+c.MaxJobsRunning); err != nil {
		return err
	}
	return p.trip(ctx, ends)
}

// inTrouble reports whether the last n submits failed in a row, at least quick
// of them quickly. Later ends come first.
func inTrouble(ends []pipeline.Submit, n, quick int) bool {
	if len(ends) < n {
		return false
	}
	for _, sub := range ends[:n] {
		if !endedBadly(sub) {
			return false
		}
		if endedQuickly(sub) {
			quick--
		}
	}
	return quick <= 0
}

func endedBadly(sub pipeline.Submit) bool {
	switch sub.Status {
	case pipeline.Processed, pipeline.Uploaded, pipeline.UploadFailed:
		return false
	}
	return true
}

// endedQuickly reports whether a failure says something about the site. One
// whose start nobody saw does, and one that is the site's for certain.
func endedQuickly(sub pipeline.Submit) bool {
	return sub.SiteFault || sub.StartedAt.IsZero() || sub.EndedAt.Sub(sub.StartedAt) < quickly
}

// run returns the failures in a row that made the breaker trip: the last n, and
// what failed before them in the same manner.
func run(ends []pipeline.Submit, n int) (ids []pipeline.SubmitID, quick int) {
	for i, sub := range ends {
		fast := endedQuickly(sub)
		if !endedBadly(sub) || i >= n && !fast {
			break
		}
		if fast {
			quick++
		}
		ids = append(ids, sub.ID)
	}
	return ids, quick
}

func (p *Pooler) trip(ctx context.Context, ends []pipeline.Submit) error {
	c := p.Config.JobPooler
	ids, quick := run(ends, c.BreakerFailures)
	t := jobtracker.Trip{
		Reason: oneLine(fmt.Sprintf("the last %d submits failed in a row, %d of them within a minute of their start or by the site's fault; the last: %s",
			len(ids), quick, ends[0].Details)),
		Submits:  ids,
		ProbeAt:  p.Now().Add(p.probeWait(0)),
		MostBack: c.MaxAttempts,
	}
	t.Notice = notice.Paused(notice.PauseReport{Reason: t.Reason, Last: ends[0], Failures: len(ids), ProbeAt: t.ProbeAt, At: p.Now()})
	pause, back, err := p.Store.TripBreaker(ctx, t)
	if errors.Is(err, pipeline.ErrPaused) {
		return nil // a person was quicker
	} else if err != nil {
		return err
	}
	p.Log.Error("too many submits failed in a row: submissions are paused", "why", t.Reason, "attempts_given_back", back,
		"first_probe", t.ProbeAt.UTC().Format(time.RFC3339), "hint", "longhaul resume submissions")
	p.paused = &pause
	return nil
}

// probeWait is how long to wait for the next probe after a number of them.
func (p *Pooler) probeWait(probes int) time.Duration {
	c := p.Config.JobPooler
	return pipeline.RetryWait(probes+1, c.RetryWait.Std(), c.RetryWaitMax.Std())
}

// judgeProbe ends the breaker's pause if the last probe went well. Whatever
// else became of it, the next one follows when its time comes.
func (p *Pooler) judgeProbe(ctx context.Context, pause pipeline.Pause) error {
	sub, err := p.Store.Submit(ctx, pause.Probe)
	if err != nil || sub.EndedAt.IsZero() || endedBadly(sub) {
		return err
	}
	after := p.Now().Sub(pause.Since).Round(time.Second)
	err = p.Store.ResumeAfterProbe(ctx, sub.ID, notice.GoOn(pause, sub, after, p.Now()))
	if err != nil {
		return unlessStale(err) // a person was quicker
	}
	p.paused = nil
	p.Log.Info(fmt.Sprintf("submissions: back after %s", after), "probe", sub.ID, "probes", pause.Probes)
	return nil
}

// probe submits one job while the breaker holds the others back, when its time
// has come and no other one is on its way.
func (p *Pooler) probe(ctx context.Context, pause pipeline.Pause) error {
	if p.Now().Before(pause.ProbeAt) {
		return nil
	}
	if pause.Probe != 0 {
		last, err := p.Store.Submit(ctx, pause.Probe)
		if err != nil || last.Status == pipeline.Submitting || last.Status == pipeline.Running {
			return err
		}
	}
	candidates, err := p.candidates(ctx, pause)
	if err != nil || len(candidates) == 0 {
		return err
	}
	if err := p.disks(ctx); err != nil {
		return err
	}
	if room, err := p.roomInQueue(ctx); err != nil || room < 1 {
		return err
	}
	var errs []error
	for _, j := range candidates {
		err := p.submitJob(ctx, j, &pause)
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("submit job %d %s as a probe: %w", j.ID, j.Name, err))
		if !errors.Is(err, errHeld) {
			break
		}
	}
	return errors.Join(errs...)
}

// candidates are the jobs of which one may be the next probe: by turns those
// that were never tried, in case it is not the site but the jobs that failed, and
// those that have failed.
func (p *Pooler) candidates(ctx context.Context, pause pipeline.Pause) ([]pipeline.Job, error) {
	order := []pipeline.Status{pipeline.New, pipeline.Retrying}
	if pause.Probes%2 == 1 {
		order = []pipeline.Status{pipeline.Retrying, pipeline.New}
	}
	var all []pipeline.Job
	for _, status := range order {
		some, err := p.Store.DueJobsIn(ctx, status, mostHeld)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// fault says whose fault it is that a submit ended badly; none of it counts
// unless it is the job's.
type fault int

const (
	jobsFault  fault = iota
	siteFault        // a disk, as the worker says
	pauseFault       // the breaker has tripped since it was submitted, or it is a probe
)

// faultOf decides it. What fails while the breaker holds submissions paused has
// the same cause as what made it trip, as far as anybody knows.
func (p *Pooler) faultOf(ctx context.Context, st queue.State) (fault, error) {
	if ofSite(st) {
		return siteFault, nil
	}
	pause, held, err := p.Store.Paused(ctx, pipeline.PauseSubmissions)
	if err == nil && held && pause.Breaker {
		return pauseFault, nil
	}
	return jobsFault, err
}

// takeBack records a bad end of which the job is not guilty.
func (p *Pooler) takeBack(ctx context.Context, sub pipeline.Submit, e jobtracker.End, of fault) error {
	j, err := p.Store.Job(ctx, sub.JobID)
	if err != nil {
		return err
	}
	c := p.Config.JobPooler
	b := jobtracker.TakenBack{
		End: e, RetryAt: p.Now().Add(pipeline.RetryWait(j.SiteFaults+1, c.RetryWait.Std(), c.RetryWaitMax.Std())),
	}
	switch of {
	case siteFault:
		b.Disk = e.Details
		b.Notice = notice.WorkersDisk(j, sub, e.Node, e.Details, p.Now())
		b.End.Details = "the site's fault, does not count: " + e.Details
	default:
		b.End.Details = "does not count, for submissions are paused: " + e.Details
	}
	if err := p.Store.TakeBack(ctx, sub, b); err != nil {
		return err
	}
	p.Log.Error("submit taken back", "job", sub.JobID, "submit", sub.ID, "node", e.Node, "err", b.End.Details,
		"in_a_row", j.SiteFaults+1, "retry_at", b.RetryAt.UTC().Format(time.RFC3339))
	return nil
}

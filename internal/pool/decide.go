package pool

import (
	"context"
	"fmt"

	"longhaul/internal/notice"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
)

// decide gives every failed job another try, or gives it up, and tells a person.
func (p *Pooler) decide(ctx context.Context) error {
	failed, err := p.Store.JobsIn(ctx, pipeline.Failed)
	if err != nil {
		return err
	}
	for _, j := range failed {
		p.Progress()
		if err := unlessStale(p.decideOne(ctx, j)); err != nil { // stale: an operator killed it
			return fmt.Errorf("job %d: %w", j.ID, err)
		}
	}
	return nil
}

func (p *Pooler) decideOne(ctx context.Context, j pipeline.Job) error {
	report, err := p.report(ctx, j)
	if err != nil {
		return err
	}
	c := p.Config.JobPooler
	if j.Attempts >= c.MaxAttempts {
		report.DataDeleted = p.Config.Basic.DeleteRawdataOnTerminalFailure
		p.Log.Error("job given up", "job", j.ID, "name", j.Name, "attempts", j.Attempts, "err", j.Details)
		return p.Store.GiveUpJob(ctx, j.ID, j.Details, report.DataDeleted, notice.JobGivenUp(report))
	}
	report.RetryAt = p.Now().Add(pipeline.RetryWait(j.Attempts, c.RetryWait.Std(), c.RetryWaitMax.Std()))
	return p.Store.RetryJob(ctx, j.ID, report.RetryAt, j.Details, notice.JobFailure(report))
}

// report collects what a person wants to know about a failed job.
func (p *Pooler) report(ctx context.Context, j pipeline.Job) (notice.JobReport, error) {
	files, err := p.Store.JobFiles(ctx, j.ID)
	if err != nil {
		return notice.JobReport{}, err
	}
	submits, err := p.Store.SubmitsOf(ctx, j.ID)
	if err != nil {
		return notice.JobReport{}, err
	}
	r := notice.JobReport{Job: j, Files: files, Reason: j.Details, MaxAttempts: p.Config.JobPooler.MaxAttempts}
	// A job that could not be submitted has no submit of its own, or only older
	// ones, whose logs would mislead.
	if n := len(submits); n > 0 && submits[n-1].Details == j.Details {
		r.Submit = submits[n-1]
		r.LogPath = StderrPath(p.Config, r.Submit.Name)
		// A log that cannot be had is no reason to stay silent.
		if r.ErrorLog, err = p.errorLog(ctx, r.Submit); err != nil {
			r.ErrorLog, _ = queue.Tail(r.LogPath)
		}
	}
	return r, nil
}

package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"longhaul/internal/jobtracker"
	"longhaul/internal/notice"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
)

// follow asks the queue manager about all submits that run, with one question.
func (p *Pooler) follow(ctx context.Context) error {
	running, err := p.Store.SubmitsIn(ctx, pipeline.Running)
	if err != nil || len(running) == 0 {
		return err
	}
	refs := make([]queue.Ref, len(running))
	for i, sub := range running {
		refs[i] = ref(sub)
	}
	states, err := p.Manager.Poll(ctx, refs)
	if err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	for i, sub := range running {
		err := p.followOne(ctx, sub, states[refs[i]])
		if err != nil && !errors.Is(err, pipeline.ErrStale) { // stale: an operator stopped it meanwhile
			return fmt.Errorf("submit %d: %w", sub.ID, err)
		}
	}
	return nil
}

func ref(sub pipeline.Submit) queue.Ref {
	return queue.Ref{ID: sub.QueueID, Name: sub.Name, Submitted: sub.SubmittedAt.Unix()}
}

func (p *Pooler) followOne(ctx context.Context, sub pipeline.Submit, st queue.State) error {
	if st.Phase != queue.Unknown {
		delete(p.unknownSince, sub.ID)
	}
	switch st.Phase {
	case queue.Running:
		if sub.StartedAt.IsZero() && !st.StartedAt.IsZero() {
			return p.Store.SubmitSeen(ctx, sub.ID, st.Node, st.StartedAt)
		}
		return nil
	case queue.Finished:
		return p.finish(ctx, sub, st)
	case queue.Unknown:
		return p.missing(ctx, sub)
	}
	return nil
}

// missing handles a submit that the queue manager does not know. It may have
// ended long ago and be forgotten; if it left results, it ended well. Without
// results it gets lost_after to turn up again.
func (p *Pooler) missing(ctx context.Context, sub pipeline.Submit) error {
	if resultsExist(sub) {
		delete(p.unknownSince, sub.ID)
		return p.processed(ctx, sub, queue.State{Detail: "forgotten by the queue manager; its results are there"})
	}
	since, ok := p.unknownSince[sub.ID]
	if !ok {
		p.unknownSince[sub.ID] = p.Now()
		p.Log.Warn("the queue manager does not know a submit", "submit", sub.ID, "queue_id", sub.QueueID,
			"lost_after", p.Config.JobPooler.LostAfter)
		return nil
	}
	if p.Now().Sub(since) < p.Config.JobPooler.LostAfter.Std() {
		return nil
	}
	delete(p.unknownSince, sub.ID)
	return p.failed(ctx, sub, queue.State{Reason: queue.Lost},
		fmt.Sprintf("the queue manager has not known it for %s, and it left no results", p.Config.JobPooler.LostAfter))
}

// finish decides what an end means. A job that ended by itself is judged by
// its exit status; one that was ended by others may have put its results in
// place just before, which is the worker's last act.
func (p *Pooler) finish(ctx context.Context, sub pipeline.Submit, st queue.State) error {
	log, err := p.Manager.Errors(ctx, sub.QueueID)
	if errors.Is(err, pipeline.ErrOutage) {
		return err
	}
	switch results := resultsExist(sub); {
	case st.Succeeded() && !results:
		return p.failed(ctx, sub, st, "ended with exit status 0, but left no results in "+sub.OutputDir)
	case p.Config.JobPooler.StderrIsFailure && strings.TrimSpace(log) != "":
		return p.failed(ctx, sub, st, "wrote to its standard error: "+lastLine(log))
	case st.Succeeded(), results && st.Reason != queue.Exited:
		return p.processed(ctx, sub, st)
	}
	return p.failed(ctx, sub, st, describe(st, log))
}

func (p *Pooler) processed(ctx context.Context, sub pipeline.Submit, st queue.State) error {
	p.Log.Info("job processed", "job", sub.JobID, "submit", sub.ID, "node", st.Node)
	return p.Store.SubmitProcessed(ctx, sub, end(st, strings.TrimSpace("results are there "+bracket(st.Detail))))
}

func (p *Pooler) failed(ctx context.Context, sub pipeline.Submit, st queue.State, why string) error {
	p.Log.Error("job failed", "job", sub.JobID, "submit", sub.ID, "node", st.Node, "err", why)
	return p.Store.SubmitFailed(ctx, sub, end(st, why))
}

func end(st queue.State, details string) jobtracker.End {
	return jobtracker.End{Details: details, Node: st.Node, StartedAt: st.StartedAt, EndedAt: st.EndedAt}
}

// describe says why a job ended, in one line, with the last line of its error log.
func describe(st queue.State, log string) string {
	s := string(st.Reason)
	if st.Reason == queue.Exited {
		s = fmt.Sprintf("exit status %d", st.ExitCode)
	}
	s += " " + bracket(st.Detail)
	if last := lastLine(log); last != "" {
		s = strings.TrimSpace(s) + ": " + last
	}
	return strings.TrimSpace(s)
}

func bracket(s string) string {
	if s == "" {
		return ""
	}
	return "(" + s + ")"
}

// lastLine returns the last line of an error log that says something, at most
// 300 bytes of it. The worker's own line, which only repeats the exit status,
// comes after the command's.
func lastLine(log string) string {
	const most = 300
	last := ""
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		if line != "" && (last == "" || !strings.HasPrefix(line, "worker on ")) {
			last = line
		}
	}
	if len(last) > most {
		last = last[:most] + "…"
	}
	return strings.ToValidUTF8(last, "�")
}

// decide gives every failed job another try, or gives it up, and tells a person.
func (p *Pooler) decide(ctx context.Context) error {
	failed, err := p.Store.JobsIn(ctx, pipeline.Failed)
	if err != nil {
		return err
	}
	for _, j := range failed {
		if err := p.decideOne(ctx, j); err != nil && !errors.Is(err, pipeline.ErrStale) {
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
	if len(submits) > 0 {
		r.Submit = submits[len(submits)-1]
		r.LogPath = StderrPath(p.Config, r.Submit.Name)
		// A log that cannot be read is no reason to stay silent.
		r.ErrorLog, _ = p.Manager.Errors(ctx, r.Submit.QueueID)
	}
	return r, nil
}

package operator

import (
	"context"
	"fmt"
	"slices"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
)

func (o *Operator) explainJob(ctx context.Context, e *Explanation) error {
	j, err := o.Store.Job(ctx, pipeline.JobID(e.ID))
	if err != nil {
		return err
	}
	e.Name, e.Status, e.Since = j.Name, j.Status, j.UpdatedAt
	switch j.Status {
	case pipeline.New, pipeline.Retrying:
		return o.explainUnsubmitted(ctx, e, j)
	case pipeline.Submitted:
		return o.explainSubmitted(ctx, e, j)
	case pipeline.Processed:
		e.because("it ended well at %s, and its results wait for the uploader", Stamp(j.UpdatedAt))
		o.daemonRuns(e, uploader)
		if err := o.notPaused(ctx, e, pipeline.PauseUploads); err != nil {
			return err
		}
		if err := o.answers(ctx, e, uploader, pipeline.CommonDatabase, pipeline.LocalDisk); err != nil {
			return err
		}
		e.next(fmt.Sprintf("the uploader uploads it at its next pass, within %s; uploads are made one after the other", o.Config.Background.Sleep))
	case pipeline.Failed:
		if _, err := o.errorsOf(ctx, e); err != nil {
			return err
		}
		o.daemonRuns(e, jobpooler)
		e.next(fmt.Sprintf("the jobpooler tries it again or gives it up at its next pass (%d of %d attempts are used up)",
			j.Attempts, o.Config.JobPooler.MaxAttempts))
	case pipeline.TerminalFailure:
		return o.explainJobGivenUp(ctx, e, j)
	default:
		return o.explainUploaded(ctx, e, j)
	}
	return nil
}

// explainUnsubmitted is about a job that is not in the queue.
func (o *Operator) explainUnsubmitted(ctx context.Context, e *Explanation, j pipeline.Job) error {
	o.daemonRuns(e, jobpooler)
	if err := o.notPaused(ctx, e, pipeline.PauseSubmissions); err != nil {
		return err
	}
	if err := o.answers(ctx, e, jobpooler, pipeline.QueueManager, pipeline.LocalDisk); err != nil {
		return err
	}
	if err := o.explainSiteFaults(ctx, e, j); err != nil {
		return err
	}
	if j.Status == pipeline.Retrying {
		if _, err := o.errorsOf(ctx, e); err != nil {
			return err
		}
		e.because("%d of %d attempts are used up", j.Attempts, o.Config.JobPooler.MaxAttempts)
	}
	o.due(e, j.NextTry)
	unsettled, err := o.Store.SubmitsIn(ctx, pipeline.Submitting)
	if err != nil {
		return err
	}
	if len(unsettled) > 0 {
		e.because("nothing is submitted until the jobpooler knows whether submit %d, %s, has reached the queue",
			unsettled[0].ID, unsettled[0].Name)
	}
	if err := o.explainQueue(ctx, e); err != nil {
		return err
	}
	due, err := o.Store.DueJobs(ctx, mostBefore)
	if err != nil {
		return err
	}
	if before := slices.IndexFunc(due, func(d pipeline.Job) bool { return d.ID == j.ID }); before > 0 {
		e.because("%s due before it", areOrIs(before, "job"))
	}
	o.nextPass(e, jobpooler, "submits it")
	return nil
}

// explainQueue adds a reason if the queue is full or does not answer.
func (o *Operator) explainQueue(ctx context.Context, e *Explanation) error {
	running, queued, err := o.queueStatus(ctx)
	if err != nil {
		e.because("the queue manager cannot be asked: %v", err)
		e.next("the jobpooler asks it again by itself", try("test the queue manager", "longhaul preflight queue"))
		return nil
	}
	live, err := o.Store.LiveSubmits(ctx)
	if err != nil {
		return err
	}
	c := o.Config.JobPooler
	if max(running+queued, live) < c.MaxJobsRunning && queued < c.MaxJobsQueued {
		return nil
	}
	e.because("the queue is full: %d running and %d waiting of ours, %d that have not been seen to end (max_jobs_running %d, max_jobs_queued %d)",
		running, queued, live, c.MaxJobsRunning, c.MaxJobsQueued)
	e.next("it is submitted by itself when one of those has ended", try("how long they have run", "longhaul status"))
	return nil
}

func (o *Operator) queueStatus(ctx context.Context) (running, queued int, err error) {
	m, err := o.Outside.Manager()
	if err != nil {
		return 0, 0, err
	}
	return m.Status(ctx)
}

// explainSubmitted is about a job that is in the queue.
func (o *Operator) explainSubmitted(ctx context.Context, e *Explanation, j pipeline.Job) error {
	submits, err := o.Store.SubmitsOf(ctx, j.ID)
	if err != nil {
		return err
	}
	for _, sub := range slices.Backward(submits) {
		switch sub.Status {
		case pipeline.Submitting:
			e.because("submit %d, %s, was begun at %s, and the queue manager's answer is not here", sub.ID, sub.Name, Stamp(sub.SubmittedAt))
			o.daemonRuns(e, jobpooler)
			if err := o.answers(ctx, e, jobpooler, pipeline.QueueManager); err != nil {
				return err
			}
			e.next("the jobpooler asks the queue manager for it by its name at its next pass")
			return nil
		case pipeline.Running:
			return o.explainInQueue(ctx, e, j, sub)
		}
	}
	e.because("it has no submit in the queue; the jobpooler is just writing down what became of it")
	e.next("look again", see(pipeline.EntityJob, int64(j.ID)))
	return nil
}

// explainInQueue asks the queue manager about a submit.
func (o *Operator) explainInQueue(ctx context.Context, e *Explanation, j pipeline.Job, sub pipeline.Submit) error {
	name := fmt.Sprintf("submit %d, queue ID %s", sub.ID, sub.QueueID)
	state, err := o.poll(ctx, sub)
	if err != nil {
		e.because("%s, was submitted at %s; the queue manager cannot be asked: %v", name, Stamp(sub.SubmittedAt), err)
		e.next("the jobpooler asks it again by itself", try("test the queue manager", "longhaul preflight queue"))
		return nil
	}
	switch state.Phase {
	case queue.Queued:
		e.because("%s, waits in the queue since %s (%s)", name, Stamp(sub.SubmittedAt), o.ago(sub.SubmittedAt))
		e.next("the batch system starts it by itself", try("take it out", "longhaul stop-jobs %s", sub.QueueID))
	case queue.Running:
		e.because("%s, is running%s%s", name, onNode(state.Node), o.runningSince(state.StartedAt))
		e.next("nothing needs to be done, unless it has run for too long",
			try("take it back", "longhaul stop-jobs %s", sub.QueueID))
	case queue.Finished:
		e.because("%s, has ended%s: %s", name, onNode(state.Node), ending(state))
		o.daemonRuns(e, jobpooler)
		e.next(fmt.Sprintf("the jobpooler writes its end down at its next pass, within %s", o.Config.Background.Sleep))
	default:
		e.because("%s, is not known to the queue manager", name)
		o.daemonRuns(e, jobpooler)
		e.next(fmt.Sprintf("if it does not turn up within %s (lost_after) and has left no results, the job fails", o.Config.JobPooler.LostAfter))
	}
	return nil
}

func (o *Operator) poll(ctx context.Context, sub pipeline.Submit) (queue.State, error) {
	m, err := o.Outside.Manager()
	if err != nil {
		return queue.State{}, err
	}
	r := ref(sub)
	states, err := m.Poll(ctx, []queue.Ref{r})
	return states[r], err
}

func onNode(node string) string {
	if node == "" {
		return ""
	}
	return " on " + node
}

func (o *Operator) runningSince(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return fmt.Sprintf(" since %s (%s)", Stamp(t), o.ago(t))
}

func ending(s queue.State) string {
	what := string(s.Reason)
	if s.Reason == queue.Exited {
		what = fmt.Sprintf("exit status %d", s.ExitCode)
	}
	if s.Detail != "" {
		what += " (" + s.Detail + ")"
	}
	return what
}

func (o *Operator) explainJobGivenUp(ctx context.Context, e *Explanation, j pipeline.Job) error {
	last, err := o.errorsOf(ctx, e)
	if err != nil {
		return err
	}
	why := ""
	if j.Details != last { // it was killed
		why = ": " + j.Details
	}
	e.because("it was given up at %s after %s%s", Stamp(j.UpdatedAt), Count(j.Attempts, "attempt"), why)
	if sub, ok, err := o.lastSubmit(ctx, j.ID); err != nil {
		return err
	} else if ok {
		e.because("the end of its last error log: longhaul show submit %d", sub.ID)
	}
	files, err := o.Store.JobFiles(ctx, j.ID)
	if err != nil {
		return err
	}
	gone := func(f pipeline.File) bool { return f.Status == pipeline.Deleted || f.DeleteWanted }
	if i := slices.IndexFunc(files, gone); i >= 0 {
		e.because("its raw data is deleted: %s", fileName(files[i]))
		e.next("to process it again its files must be brought back, which makes a new job",
			try("add them", "longhaul add-files PATH..."))
		return nil
	}
	e.next("mend the cause, then try it again", try("submit it again", "longhaul retry-jobs %d", j.ID))
	return nil
}

func (o *Operator) explainUploaded(ctx context.Context, e *Explanation, j pipeline.Job) error {
	e.because("its results are in the common database since %s: %s", Stamp(j.UpdatedAt), j.Details)
	files, err := o.Store.JobFiles(ctx, j.ID)
	if err != nil {
		return err
	}
	kept := slices.IndexFunc(files, func(f pipeline.File) bool { return f.Status != pipeline.Deleted })
	if kept < 0 {
		e.because("its raw data is deleted")
		e.next("nothing: the job is done")
		return nil
	}
	e.next("the job is done; its raw data is still here", see(pipeline.EntityFile, int64(files[kept].ID)))
	return nil
}

// explainSubmit says how a submit stands; one that is over has moved its job on.
func (o *Operator) explainSubmit(ctx context.Context, e *Explanation) error {
	sub, err := o.Store.Submit(ctx, pipeline.SubmitID(e.ID))
	if err != nil {
		return err
	}
	j, err := o.Store.Job(ctx, sub.JobID)
	if err != nil {
		return err
	}
	e.Name, e.Status, e.Since = sub.Name, sub.Status, sub.UpdatedAt
	if sub.Status == pipeline.Running {
		return o.explainInQueue(ctx, e, j, sub)
	}
	if sub.Details != "" {
		e.because("%s", sub.Details)
	}
	e.because("its job, %d, is %s", j.ID, j.Status)
	e.next("it is the job that moves on", see(pipeline.EntityJob, int64(j.ID)))
	return nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

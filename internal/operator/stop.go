package operator

import (
	"context"
	"errors"
	"fmt"

	"longhaul/internal/loop"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
)

// StopOptions say how submits are stopped.
type StopOptions struct {
	// Fail counts the submit as an attempt that failed. Without it the job is
	// submitted again as if this submit had never been.
	Fail bool
	// AlsoProcessed stops submits that have ended and wait for their upload.
	AlsoProcessed bool
	Reason        string
}

// SubmitInQueue returns the submit that the queue manager knows by an ID. IDs
// are used again: of several, the one that can still be stopped is meant.
func (o *Operator) SubmitInQueue(ctx context.Context, queueID string) (pipeline.Submit, error) {
	all, err := o.Store.SubmitsByQueueID(ctx, queueID)
	if err != nil {
		return pipeline.Submit{}, err
	}
	if len(all) == 0 {
		return pipeline.Submit{}, fmt.Errorf("no submit has the queue ID %s: %w", queueID, pipeline.ErrNotFound)
	}
	for _, s := range all {
		if s.Status == pipeline.Running || s.Status == pipeline.Processed {
			return s, nil
		}
	}
	return all[len(all)-1], nil
}

// StopSubmit takes a submit out of the queue and then back, and says what it
// did. If the queue manager does not answer, nothing is changed.
func (o *Operator) StopSubmit(ctx context.Context, sub pipeline.Submit, opt StopOptions) (done string, err error) {
	switch sub.Status {
	case pipeline.Running:
		return o.stopRunning(ctx, sub, opt)
	case pipeline.Processed:
		if !opt.AlsoProcessed {
			return "", errors.New("it has ended and waits for its upload; --also-processed takes that back as well")
		}
		return o.stopProcessed(ctx, sub, opt)
	case pipeline.Submitting:
		return "", o.justSubmitting()
	}
	return "", fmt.Errorf("it is %s; there is nothing to stop", sub.Status)
}

// justSubmitting is why a submit without an answer of the queue manager is left
// alone: only the jobpooler, which asked, may settle it.
func (o *Operator) justSubmitting() error {
	if o.Daemon(jobpooler).State == DaemonStopped {
		return fmt.Errorf("its submission was cut short; %s, which finds out whether it is in the queue", startHint(jobpooler))
	}
	return errors.New("it is being submitted just now; try again in a moment")
}

func (o *Operator) stopRunning(ctx context.Context, sub pipeline.Submit, opt StopOptions) (string, error) {
	was, err := o.takeOut(ctx, sub)
	if err != nil {
		return "", err
	}
	if err := o.Store.StopSubmit(ctx, sub, opt.Fail, opt.Reason); errors.Is(err, pipeline.ErrStale) {
		return o.endedMeanwhile(ctx, sub, was, opt.Reason)
	} else if err != nil {
		return "", err
	}
	return submitName(sub) + ": " + was + "; " + afterStop(sub, opt), nil
}

func afterStop(sub pipeline.Submit, opt StopOptions) string {
	if opt.Fail {
		return fmt.Sprintf("job %d failed, and this counts as an attempt", sub.JobID)
	}
	return fmt.Sprintf("job %d will be submitted again, and this attempt does not count", sub.JobID)
}

// takeOut removes a submit from the queue and says what was found there. A job
// is asked for by name and time before it is deleted by its ID: batch systems
// use an ID again, and another's job may have it by now.
func (o *Operator) takeOut(ctx context.Context, sub pipeline.Submit) (was string, err error) {
	m, err := o.Outside.Manager()
	if err != nil {
		return "", pipeline.Outage(pipeline.QueueManager, err)
	}
	r := ref(sub)
	states, err := m.Poll(ctx, []queue.Ref{r})
	if err != nil {
		return "", err
	}
	switch phase := states[r].Phase; phase {
	case queue.Unknown:
		return "the queue manager does not know it any more", nil
	case queue.Finished:
		return "it had ended", nil
	default:
		if err := m.Delete(ctx, sub.QueueID); err != nil && !errors.Is(err, queue.ErrUnknown) {
			return "", err
		}
		return fmt.Sprintf("was %s, out of the queue", phase), nil
	}
}

// endedMeanwhile says what the jobpooler made of a submit whose end it saw
// before the stop was written down, and leaves a word of the stop in its history.
func (o *Operator) endedMeanwhile(ctx context.Context, sub pipeline.Submit, was, reason string) (string, error) {
	note := "stopped by hand"
	if reason != "" {
		note += ": " + reason
	}
	if err := o.Store.Note(ctx, pipeline.EntitySubmit, int64(sub.ID), note); err != nil {
		return "", err
	}
	now, err := o.Store.Submit(ctx, sub.ID)
	if err != nil {
		return "", err
	}
	job, err := o.Store.Job(ctx, sub.JobID)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: %s; the jobpooler saw it end first: it is %s, job %d is %s after %s",
		submitName(sub), was, now.Status, job.ID, job.Status, Count(job.Attempts, "attempt")), nil
}

// stopProcessed takes results back before they are uploaded. It holds the
// uploader's lock meanwhile, and asks the common database: results that are
// there already would be there twice once the job has run again.
func (o *Operator) stopProcessed(ctx context.Context, sub pipeline.Submit, opt StopOptions) (done string, err error) {
	lock, err := o.Store.TryLock(ctx, uploader)
	if errors.Is(err, loop.ErrLocked) {
		return "", fmt.Errorf("the uploader may be uploading its results just now; stop the uploader first: systemctl stop longhaul-uploader (%w)", err)
	} else if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	uploaded, at, err := o.Outside.Uploaded(ctx, sub.Name)
	if err != nil {
		return "", err
	}
	if uploaded {
		return "", fmt.Errorf("its results are in the common database since %s UTC; the uploader will find that out", Stamp(at))
	}
	if err := o.Store.StopSubmit(ctx, sub, opt.Fail, opt.Reason); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: its results are not uploaded and stay in %s; %s", submitName(sub), sub.OutputDir, afterStop(sub, opt)), nil
}

func ref(sub pipeline.Submit) queue.Ref {
	return queue.Ref{ID: sub.QueueID, Name: sub.Name, Submitted: sub.SubmittedAt.Unix()}
}

func submitName(sub pipeline.Submit) string { return fmt.Sprintf("submit %d %s", sub.ID, sub.Name) }

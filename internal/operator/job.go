package operator

import (
	"context"
	"errors"
	"fmt"

	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
)

// KillOptions say how jobs are killed.
type KillOptions struct {
	DeleteRaw bool // its raw data is deleted, if no other job needs it
	Reason    string
}

// races is how often a change is tried again because a daemon was quicker.
const races = 5

// KillJob takes a job out of the queue, gives it up, and says what it did.
func (o *Operator) KillJob(ctx context.Context, id pipeline.JobID, opt KillOptions) (done string, err error) {
	var stopped string
	for range races {
		job, err := o.Store.Job(ctx, id)
		if err != nil {
			return "", err
		}
		switch job.Status {
		case pipeline.New, pipeline.Retrying, pipeline.Failed:
			err := o.Store.KillJob(ctx, job, opt.DeleteRaw, opt.Reason)
			if errors.Is(err, pipeline.ErrStale) {
				continue
			} else if err != nil {
				return "", err
			}
			return o.killed(ctx, job, stopped, opt)
		case pipeline.Submitted:
			if stopped, err = o.stopForKill(ctx, job, opt); err != nil {
				return "", err
			}
		case pipeline.TerminalFailure:
			return fmt.Sprintf("%s: %sis given up already", jobName(job), stopped), nil
		case pipeline.Processed:
			return "", o.waitsForUpload(ctx, job)
		default:
			return "", fmt.Errorf("it is %s; there is nothing to kill", job.Status)
		}
	}
	return "", errors.New("the jobpooler was quicker time after time; try again")
}

// killed says what became of a job and its raw data.
func (o *Operator) killed(ctx context.Context, job pipeline.Job, stopped string, opt KillOptions) (string, error) {
	files, err := o.Store.JobFiles(ctx, job.ID)
	if err != nil {
		return "", err
	}
	doomed := 0
	for _, f := range files {
		if f.DeleteWanted {
			doomed++
		}
	}
	raw := "its raw data is kept"
	switch {
	case doomed > 0:
		raw = Count(doomed, "file") + " of raw data to be deleted"
	case opt.DeleteRaw:
		raw = "its raw data is kept for other jobs, or gone"
	}
	return fmt.Sprintf("%s: %sgiven up; %s", jobName(job), stopped, raw), nil
}

// stopForKill takes the submit of a job out of the queue. It counts as an
// attempt, so that the jobpooler lets some time pass before it would submit the
// job again, which is killed before.
func (o *Operator) stopForKill(ctx context.Context, job pipeline.Job, opt KillOptions) (string, error) {
	submits, err := o.Store.SubmitsOf(ctx, job.ID)
	if err != nil {
		return "", err
	}
	for _, sub := range submits {
		switch sub.Status {
		case pipeline.Submitting:
			return "", o.justSubmitting()
		case pipeline.Running:
			was, err := o.takeOut(ctx, sub)
			if err != nil {
				return "", err
			}
			err = o.Store.StopSubmit(ctx, sub, true, opt.Reason)
			if err != nil && !errors.Is(err, pipeline.ErrStale) { // stale: the jobpooler saw it end
				return "", err
			}
			return was + ", ", nil
		}
	}
	return "", nil // it ended meanwhile
}

// waitsForUpload is why a job that ended well is not killed.
func (o *Operator) waitsForUpload(ctx context.Context, job pipeline.Job) error {
	sub, _, err := o.lastSubmit(ctx, job.ID)
	if err != nil {
		return err
	}
	return fmt.Errorf("it has ended well and waits for its upload; to take that back first: longhaul stop-jobs --also-processed -s %d", sub.ID)
}

// lastSubmit returns the newest submit of a job; ok is false if it has none.
func (o *Operator) lastSubmit(ctx context.Context, id pipeline.JobID) (sub pipeline.Submit, ok bool, err error) {
	submits, err := o.Store.SubmitsOf(ctx, id)
	if err != nil || len(submits) == 0 {
		return sub, false, err
	}
	return submits[len(submits)-1], true, nil
}

// JobsOfFile returns the jobs of a file that are not done: those that
// kill-jobs -f means.
func (o *Operator) JobsOfFile(ctx context.Context, idOrName string) ([]pipeline.JobID, error) {
	f, err := o.File(ctx, idOrName)
	if err != nil {
		return nil, err
	}
	jobs, err := o.Store.JobsOfFile(ctx, f.ID)
	if err != nil {
		return nil, err
	}
	var ids []pipeline.JobID
	for _, j := range jobs {
		if j.Status != pipeline.Uploaded && j.Status != pipeline.TerminalFailure {
			ids = append(ids, j.ID)
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%s has no job that could be killed (%s in all)", fileName(f), Count(len(jobs), "job"))
	}
	return ids, nil
}

// RetryJob lets a job that was given up be tried again.
func (o *Operator) RetryJob(ctx context.Context, id pipeline.JobID, reason string) (done string, err error) {
	job, err := o.Store.Job(ctx, id)
	if err != nil {
		return "", err
	}
	if job.Status != pipeline.TerminalFailure {
		return "", fmt.Errorf("it is %s; only a job that was given up can be retried by hand", job.Status)
	}
	err = o.Store.RetryGivenUpJob(ctx, id, reason)
	if errors.Is(err, jobtracker.ErrRawDataGone) {
		return "", jobtracker.ErrRawDataGone // it says all there is to say
	} else if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: will be submitted again, with %s", jobName(job), Count(o.Config.JobPooler.MaxAttempts, "attempt")), nil
}

func jobName(j pipeline.Job) string { return fmt.Sprintf("job %d %s", j.ID, j.Name) }

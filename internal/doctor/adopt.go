package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
)

// adopt enters a forgotten submit. It may be called again after it was cut short.
func (d *Doctor) adopt(ctx context.Context, l lost) error {
	const why = "doctor: forgotten by the restored job-tracker"
	if d.db == nil {
		return errors.New("the common database does not answer")
	}
	job, err := d.jobFor(ctx, l, why)
	if err != nil || job.Status == pipeline.Uploaded {
		return err // uploaded: nothing would be done again
	}
	if job, err = d.free(ctx, job, l, why); err != nil {
		return err
	}
	sub, err := d.Store.AdoptSubmit(ctx, job, pipeline.Submit{Name: l.name, Manager: l.manager, QueueID: l.queueID,
		OutputDir: l.outputDir, SubmittedAt: l.submitted}, why)
	if err != nil || l.upload == nil {
		return err
	}
	return d.recordUpload(ctx, sub, *l.upload)
}

// jobFor finds the job of a forgotten submit, or makes it.
func (d *Doctor) jobFor(ctx context.Context, l lost, why string) (pipeline.Job, error) {
	job, known, err := d.knownJob(ctx, l)
	if err == nil && !known {
		job, known, err = d.jobOfInputs(ctx, l)
	}
	if err != nil || known {
		return job, err
	}
	if why := d.unrecognised(l); why != "" {
		return pipeline.Job{}, errors.New(why)
	}
	var files []pipeline.File
	for _, path := range l.inputs {
		f, err := d.fileFor(ctx, path, l, why)
		if err != nil {
			return pipeline.Job{}, err
		}
		files = append(files, f)
	}
	groups := d.products.Group(files)
	if len(groups) != 1 {
		return pipeline.Job{}, fmt.Errorf("its inputs are of %d groups: %s", len(groups), strings.Join(baseNames(l.inputs), ", "))
	}
	g := groups[0]
	ids, err := d.Store.CreateJobs(ctx, jobtracker.NewJob{Name: g.Name, Product: g.Product, GroupKey: g.Key,
		Metadata: g.Metadata, Stages: d.Config.StagesOf(g.Product), Files: g.Files})
	if err != nil {
		return pipeline.Job{}, err
	}
	return d.Store.Job(ctx, ids[slices.Index(d.Config.StagesOf(g.Product), l.stage)])
}

// jobOfInputs finds the newest job of a stage that has the inputs of a submit.
func (d *Doctor) jobOfInputs(ctx context.Context, l lost) (job pipeline.Job, ok bool, err error) {
	for _, path := range l.inputs {
		f, err := d.Store.FileByName(ctx, filepath.Base(path))
		if errors.Is(err, pipeline.ErrNotFound) {
			return job, false, nil
		} else if err != nil {
			return job, false, err
		}
		jobs, err := d.Store.JobsOfFile(ctx, f.ID)
		if err != nil {
			return job, false, err
		}
		i := slices.IndexFunc(jobs, func(j pipeline.Job) bool { return j.Stage == l.stage })
		if i < 0 || ok && jobs[i].ID != job.ID {
			return job, false, nil
		}
		job, ok = jobs[i], true
	}
	return job, ok, nil
}

// fileFor returns the row of an input, made if need be. One that was not here
// yet when the backup was made has come, been processed, and perhaps been
// deleted since: its row is ended, and another takes its place, as if it had
// been added by hand.
func (d *Doctor) fileFor(ctx context.Context, path string, l lost, why string) (pipeline.File, error) {
	name := filepath.Base(path)
	old, err := d.Store.FileByName(ctx, name)
	switch {
	case errors.Is(err, pipeline.ErrNotFound):
	case err != nil:
		return old, err
	case old.Status == pipeline.Downloaded, old.Status == pipeline.Added:
		return old, nil
	default:
		if err := d.retire(ctx, old, why); err != nil {
			return old, err
		}
	}
	m, _ := d.products.Recognise(name)
	f := pipeline.File{Filename: name, Path: path, Size: old.Size, Product: m.Product, GroupKey: m.GroupKey, Metadata: m.Metadata}
	st, err := os.Stat(path)
	switch {
	case err == nil:
		f.Size = st.Size()
	case l.upload == nil || !errors.Is(err, os.ErrNotExist):
		return f, fmt.Errorf("its input: %w", err)
	}
	if err := d.Store.AddFiles(ctx, []pipeline.File{f}, why); err != nil {
		return f, err
	}
	return d.Store.FileByName(ctx, name)
}

// retire ends the row of a file that was waiting for its download.
func (d *Doctor) retire(ctx context.Context, f pipeline.File, why string) (err error) {
	for f.Status != pipeline.Deleted {
		switch f.Status {
		case pipeline.New, pipeline.Retrying:
			var a pipeline.Attempt
			if a, err = d.Store.StartAttempt(ctx, f, 0); err == nil {
				err = d.Store.FailTransfer(ctx, a, pipeline.DownloadFailed, 0, why, false)
			}
		case pipeline.Downloading, pipeline.Unverified:
			err = d.endAttempt(ctx, f, why)
		case pipeline.Failed:
			err = d.Store.GiveUpFile(ctx, f.ID, why, pipeline.Notice{})
		default:
			err = d.forget(ctx, f, why)
		}
		if err != nil {
			return err
		}
		if f, err = d.Store.File(ctx, f.ID); err != nil {
			return err
		}
	}
	return nil
}

// endAttempt ends the download that was under way when the backup was made.
func (d *Doctor) endAttempt(ctx context.Context, f pipeline.File, why string) error {
	attempts, err := d.Store.AttemptsOf(ctx, f.ID)
	if err != nil {
		return err
	}
	if len(attempts) == 0 {
		return fmt.Errorf("file %d is %s and has no attempt", f.ID, f.Status)
	}
	a := attempts[len(attempts)-1]
	if a.Status == pipeline.Downloading {
		return d.Store.FailTransfer(ctx, a, pipeline.DownloadFailed, a.Bytes, why, false)
	}
	return d.Store.VerificationFailed(ctx, a, 0, why, false)
}

// free brings a job to where a submit can be entered: what the job-tracker
// takes for its submit ended before the forgotten one was made. If that is not
// so, the job is left alone.
func (d *Doctor) free(ctx context.Context, job pipeline.Job, l lost, why string) (_ pipeline.Job, err error) {
	switch job.Status {
	case pipeline.New, pipeline.Retrying:
		return job, nil
	case pipeline.Failed:
		err = d.Store.RetryJob(ctx, job.ID, d.Now(), why, pipeline.Notice{})
	case pipeline.TerminalFailure:
		err = d.Store.RetryGivenUpJob(ctx, job.ID, why)
	case pipeline.Submitted, pipeline.Processed:
		err = d.takeBack(ctx, job, l, why)
	default:
		err = fmt.Errorf("job %d is %s", job.ID, job.Status)
	}
	if err != nil {
		return job, err
	}
	return d.Store.Job(ctx, job.ID)
}

// takeBack ends the live submit of a job.
func (d *Doctor) takeBack(ctx context.Context, job pipeline.Job, l lost, why string) error {
	subs, err := d.Store.SubmitsOf(ctx, job.ID)
	if err != nil {
		return err
	}
	live := subs[len(subs)-1]
	if !live.SubmittedAt.Before(l.submitted) {
		return fmt.Errorf("job %d has a later submit, %d", job.ID, live.ID)
	}
	if uploaded, at, err := d.db.Find(ctx, live.Name); err != nil {
		return err
	} else if uploaded {
		return fmt.Errorf("the results of submit %d of the same job are in the common database as well, since %s", live.ID, at.Format(time.DateTime))
	}
	if live.Status == pipeline.Processed {
		return d.Store.StopSubmit(ctx, live, false, why)
	}
	m, err := d.queueManager()
	if err != nil {
		return err
	}
	// By its name: what was lost may be the queue manager's answer.
	id, err := m.Find(ctx, live.Name)
	if err == nil {
		r := queue.Ref{ID: id, Name: live.Name, Submitted: live.SubmittedAt.Unix()}
		states, err := m.Poll(ctx, []queue.Ref{r})
		if err != nil {
			return err
		}
		if phase := states[r].Phase; phase == queue.Queued || phase == queue.Running {
			return fmt.Errorf("submit %d of the same job is %s; stop it first: longhaul stop-jobs -s %d", live.ID, phase, live.ID)
		}
	} else if !errors.Is(err, queue.ErrUnknown) {
		return err
	}
	if live.Status == pipeline.Submitting {
		return d.Store.SubmitNeverArrived(ctx, live, why)
	}
	return d.Store.StopSubmit(ctx, live, false, why)
}

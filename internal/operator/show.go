package operator

import (
	"context"
	"fmt"

	"longhaul/internal/pipeline"
	"longhaul/internal/pool"
	"longhaul/internal/queue"
)

// Thing is all that the job-tracker knows about one row, and about those that
// belong to it.
type Thing struct {
	Ref
	Request *RequestView `json:"request,omitempty"`
	File    *FileView    `json:"file,omitempty"`
	Attempt *AttemptView `json:"attempt,omitempty"`
	Job     *JobView     `json:"job,omitempty"`
	Submit  *SubmitView  `json:"submit,omitempty"`

	Files    []FileView    `json:"files,omitempty"`
	Attempts []AttemptView `json:"attempts,omitempty"`
	Jobs     []JobView     `json:"jobs,omitempty"`
	Submits  []SubmitView  `json:"submits,omitempty"`
	Events   []EventView   `json:"events"`

	// ErrorLog is the end of what a submit wrote to its standard error, and
	// ErrorLogPath where all of it is.
	ErrorLog     string `json:"error_log,omitempty"`
	ErrorLogPath string `json:"error_log_path,omitempty"`
}

// Show collects everything about one row.
func (o *Operator) Show(ctx context.Context, r Ref) (Thing, error) {
	t := Thing{Ref: r}
	var err error
	switch r.Entity {
	case pipeline.EntityRequest:
		err = o.showRequest(ctx, &t)
	case pipeline.EntityFile:
		err = o.showFile(ctx, &t)
	case pipeline.EntityAttempt:
		err = o.showAttempt(ctx, &t)
	case pipeline.EntityJob:
		err = o.showJob(ctx, &t)
	case pipeline.EntitySubmit:
		err = o.showSubmit(ctx, &t)
	default:
		err = fmt.Errorf("no such kind of thing: %q", r.Entity)
	}
	if err != nil {
		return Thing{}, err
	}
	events, err := o.Store.Events(ctx, r.Entity, r.ID)
	t.Events = Views(events, ViewEvent)
	return t, err
}

func (o *Operator) showRequest(ctx context.Context, t *Thing) error {
	r, err := o.Store.Request(ctx, pipeline.RequestID(t.ID))
	if err != nil {
		return err
	}
	files, err := o.Store.FilesOfRequest(ctx, r.ID)
	t.Request, t.Files = ptr(ViewRequest(r)), Views(files, ViewFile)
	return err
}

func (o *Operator) showFile(ctx context.Context, t *Thing) error {
	f, err := o.Store.File(ctx, pipeline.FileID(t.ID))
	if err != nil {
		return err
	}
	attempts, err := o.Store.AttemptsOf(ctx, f.ID)
	if err != nil {
		return err
	}
	jobs, err := o.Store.JobsOfFile(ctx, f.ID)
	t.File, t.Attempts, t.Jobs = ptr(ViewFile(f)), Views(attempts, ViewAttempt), Views(jobs, ViewJob)
	return err
}

func (o *Operator) showAttempt(ctx context.Context, t *Thing) error {
	a, err := o.Store.Attempt(ctx, pipeline.AttemptID(t.ID))
	if err != nil {
		return err
	}
	f, err := o.Store.File(ctx, a.FileID)
	t.Attempt, t.Files = ptr(ViewAttempt(a)), []FileView{ViewFile(f)}
	return err
}

func (o *Operator) showJob(ctx context.Context, t *Thing) error {
	j, err := o.Store.Job(ctx, pipeline.JobID(t.ID))
	if err != nil {
		return err
	}
	files, err := o.Store.JobFiles(ctx, j.ID)
	if err != nil {
		return err
	}
	submits, err := o.Store.SubmitsOf(ctx, j.ID)
	t.Job, t.Files, t.Submits = ptr(ViewJob(j)), Views(files, ViewFile), Views(submits, ViewSubmit)
	return err
}

func (o *Operator) showSubmit(ctx context.Context, t *Thing) error {
	s, err := o.Store.Submit(ctx, pipeline.SubmitID(t.ID))
	if err != nil {
		return err
	}
	j, err := o.Store.Job(ctx, s.JobID)
	if err != nil {
		return err
	}
	t.Submit, t.Jobs = ptr(ViewSubmit(s)), []JobView{ViewJob(j)}
	t.ErrorLogPath = o.errorLogPath(s)
	t.ErrorLog = o.errorLog(s)
	return nil
}

func (o *Operator) errorLogPath(s pipeline.Submit) string { return pool.StderrPath(o.Config, s.Name) }

// errorLog returns the end of a submit's error log; if it cannot be read, why.
func (o *Operator) errorLog(s pipeline.Submit) string {
	text, err := queue.Tail(o.errorLogPath(s))
	if err != nil {
		return fmt.Sprintf("(cannot be read: %v)", err)
	}
	return text
}

func ptr[T any](v T) *T { return &v }

package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"longhaul/internal/commondb"
	"longhaul/internal/daemon"
	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
	"longhaul/internal/rawdata"
	"longhaul/internal/resultdir"
)

// pageSize is how many rows are read at a time of what has no end.
const pageSize = 1000

// uploads compares submits with the common database, in both directions.
func (d *Doctor) uploads(ctx context.Context) ([]Finding, error) {
	var err error
	if d.db, err = d.CommonDB(ctx); err != nil {
		return nil, err
	}
	there := make(map[string]bool) // submits, and work as workOf names it
	var unknown []commondb.Uploaded
	var found []Finding
	b := d.Config.Basic
	for after := int64(0); ; {
		page, err := d.db.Uploads(ctx, b.Institution, b.Pipeline, b.Survey, after, pageSize)
		if err != nil {
			return found, err
		}
		for _, u := range page {
			there[u.Submit], there[workOf(u.Job, u.Stage)], after = true, true, u.ID
			sub, err := d.Store.SubmitByName(ctx, u.Submit)
			if errors.Is(err, pipeline.ErrNotFound) {
				unknown = append(unknown, u)
				continue
			} else if err != nil {
				return found, err
			}
			f, wrong, err := d.uploaded(ctx, sub, u)
			if err != nil {
				return found, err
			}
			if wrong {
				found = append(found, f)
			}
		}
		if len(page) < pageSize {
			break
		}
	}
	missing, err := d.notThere(ctx, there)
	if err != nil {
		return found, err
	}
	lost, err := d.unknownUploads(ctx, unknown)
	return append(append(found, missing...), lost...), err
}

// uploaded judges a submit whose results are in the common database.
func (d *Doctor) uploaded(ctx context.Context, sub pipeline.Submit, u commondb.Uploaded) (f Finding, wrong bool, err error) {
	f = Finding{Severity: Error, Where: row(pipeline.EntitySubmit, sub.ID), Holds: d.held}
	switch sub.Status {
	case pipeline.Uploaded:
		return f, false, nil
	case pipeline.Submitting, pipeline.Running, pipeline.Processed:
		if results, err := resultdir.Exists(sub.OutputDir); err != nil || results {
			return f, false, err // the daemons find it by its name, and compare
		}
		f.What = fmt.Sprintf("is %s, its results are gone from %s, but they are in the common database since %s", sub.Status, sub.OutputDir, u.At.Format(time.DateTime))
		f.Remedy = "--repair records it as uploaded"
		d.claimed[sub.Name] = true
		f.stops = daemon.Kinds()
		f.fix = func(ctx context.Context) error { return d.recordUpload(ctx, sub, u) }
		return f, true, nil
	}
	job, err := d.Store.Job(ctx, sub.JobID)
	if err != nil {
		return f, false, err
	}
	f.What = fmt.Sprintf("is %s, but its results are in the common database since %s; job %d is %s", sub.Status, u.At.Format(time.DateTime), job.ID, job.Status)
	switch job.Status {
	case pipeline.Uploaded:
		f.Remedy, f.Holds = "they are there twice: take one of the two out of the common database", false
	case pipeline.TerminalFailure:
		f.Remedy, f.Holds = "do not retry the job; or take them out of the common database first", false
	default:
		f.Remedy = fmt.Sprintf("so that they do not come there twice: longhaul kill-jobs %d", job.ID)
	}
	return f, true, nil
}

// recordUpload records what is known to be in the common database. It marks no
// raw data for deletion; what is gone already is recorded as deleted.
func (d *Doctor) recordUpload(ctx context.Context, sub pipeline.Submit, u commondb.Uploaded) error {
	why := "doctor: found in the common database, of " + u.At.Format(time.DateTime)
	if sub.Status == pipeline.Submitting {
		if err := d.Store.SubmitAccepted(ctx, sub.ID, sub.Name); err != nil {
			return err
		}
		sub.Status = pipeline.Running
	}
	if sub.Status == pipeline.Running {
		if err := d.Store.SubmitProcessed(ctx, sub, jobtracker.End{Details: why, EndedAt: u.At}); err != nil {
			return err
		}
	}
	sub.Status = pipeline.Processed
	if err := d.Store.SubmitUploaded(ctx, sub, u.Version, why, false); err != nil {
		return err
	}
	files, err := d.Store.JobFiles(ctx, sub.JobID)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Status == pipeline.Deleted {
			continue
		}
		if is, err := rawdata.Gone(f.Path); err != nil {
			return err
		} else if !is {
			continue
		}
		err := d.forget(ctx, f, why)
		if err != nil && !errors.Is(err, pipeline.ErrForbidden) { // a job of another stage wants it
			return err
		}
	}
	return nil
}

// forget records a file as deleted that is not on the disk.
func (d *Doctor) forget(ctx context.Context, f pipeline.File, why string) error {
	if err := d.Store.WantFileDeleted(ctx, f.ID, why); err != nil {
		return err
	}
	return d.Store.FileDeleted(ctx, f)
}

// notThere finds submits that are said to be uploaded and are not.
func (d *Doctor) notThere(ctx context.Context, there map[string]bool) ([]Finding, error) {
	var found []Finding
	filter := jobtracker.Filter{Statuses: []pipeline.Status{pipeline.Uploaded}, Limit: pageSize}
	for {
		page, err := d.Store.Submits(ctx, filter)
		if err != nil {
			return found, err
		}
		for _, sub := range page {
			filter.Before = int64(sub.ID)
			if there[sub.Name] {
				continue
			}
			// It may have come since, or under another institution's name; or
			// the same work was there already, by another submit.
			ok, _, err := d.db.Find(ctx, sub.Name)
			if err != nil {
				return found, err
			}
			job, err := d.Store.Job(ctx, sub.JobID)
			if err != nil {
				return found, err
			}
			if !ok && !there[workOf(job.Name, job.Stage)] {
				found = append(found, Finding{Severity: Error, Where: row(pipeline.EntitySubmit, sub.ID),
					What:   "is uploaded, but the common database does not have it; its results were in " + sub.OutputDir,
					Remedy: "restore the common database; or have its raw data processed again: longhaul add-files"})
			}
		}
		if len(page) < pageSize {
			return found, nil
		}
	}
}

// workOf names what a job does, whoever submits it. A submit's name has no '/'.
func workOf(job, stage string) string { return stage + "/" + job }

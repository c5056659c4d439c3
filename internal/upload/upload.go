// Package upload is the uploader's pass: it reads the results of processed
// jobs, puts each into the common database in one transaction, and marks its
// raw data for deletion once that is committed and read back.
//
// The submit's unique name is the upload's key in the common database. An
// upload whose outcome was not recorded here is recognised there by that key;
// nothing is uploaded twice.
//
// What is in the results is the business of package results, how they are
// written and compared that of package commondb.
package upload

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"longhaul/internal/commondb"
	"longhaul/internal/config"
	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
	"longhaul/internal/rawdata"
	"longhaul/internal/resultdir"
	"longhaul/internal/results"
)

// Database is the common database.
type Database interface {
	// Upload writes all records in one transaction, reads them back, compares
	// and commits. An upload with the same key that is there already and equal
	// is no error. commondb.ErrRejected and commondb.ErrMismatch: these
	// results cannot be uploaded. pipeline.ErrOutage: ask again later.
	Upload(ctx context.Context, meta commondb.Meta, records []results.Record) (commondb.Receipt, error)
}

// Options are what an Uploader works with.
type Options struct {
	Config   *config.Config
	Store    *jobtracker.Store
	Database Database
	// Readers are the forms of results, by the name a stage gives.
	Readers map[string]results.Reader
	Log     *slog.Logger
	// Progress is called between two things that a pass does; nil: nobody watches.
	Progress func()
}

// Uploader makes the passes. Passes do not overlap.
type Uploader struct {
	Options
	saidHeld bool // that uploads are paused has been logged
}

// New returns an Uploader.
func New(opt Options) *Uploader {
	if opt.Progress == nil {
		opt.Progress = func() {}
	}
	return &Uploader{Options: opt}
}

// Pass uploads what is processed, oldest first, and deletes the raw data whose
// deletion is decided. An outage of the common database ends the uploads of
// this pass; results that cannot be read now are passed over; bad results fail
// their job only.
func (u *Uploader) Pass(ctx context.Context) error {
	return errors.Join(u.uploadAll(ctx), rawdata.Sweep(ctx, u.Store, u.Log))
}

func (u *Uploader) uploadAll(ctx context.Context) error {
	if held, err := u.held(ctx); held || err != nil {
		return err
	}
	processed, err := u.Store.SubmitsIn(ctx, pipeline.Processed)
	if err != nil {
		return err
	}
	var errs []error
	for _, sub := range processed {
		u.Progress()
		err := u.uploadOne(ctx, sub)
		if err == nil {
			continue
		}
		errs = append(errs, fmt.Errorf("upload submit %d: %w", sub.ID, err))
		if !errors.Is(err, errHeld) {
			break
		}
	}
	return errors.Join(errs...)
}

// held reports whether a person has paused uploads, and tells the log once.
func (u *Uploader) held(ctx context.Context) (bool, error) {
	p, held, err := u.Store.Paused(ctx, pipeline.PauseUploads)
	if held != u.saidHeld && err == nil {
		u.saidHeld = held
		if held {
			u.Log.Warn("uploads are paused", "since", p.Since.Format(time.RFC3339), "by", p.Actor, "why", p.Reason)
		} else {
			u.Log.Info("uploads go on")
		}
	}
	return held, err
}

// Errors by which an upload that did not happen is judged. What is neither of
// them says nothing about the results.
var (
	// errHeld: these results cannot be read now. It is an outage of the disk.
	errHeld = errors.New("held up")
	// errUnusable: these results can never be uploaded; the job fails.
	errUnusable = errors.New("results cannot be uploaded")
)

// uploadOne uploads the results of one submit and records it. If somebody took
// the submit back meanwhile, its history says what became of it.
func (u *Uploader) uploadOne(ctx context.Context, sub pipeline.Submit) error {
	job, err := u.Store.Job(ctx, sub.JobID)
	if err != nil {
		return err
	}
	receipt, ver, err := u.send(ctx, job, sub)
	if errors.Is(err, errUnusable) {
		u.Log.Error("upload failed", "job", job.ID, "submit", sub.ID, "err", err)
		err = u.Store.UploadFailed(ctx, sub, err.Error())
		if errors.Is(err, pipeline.ErrStale) {
			return nil
		}
		return err
	} else if err != nil {
		return err
	}
	u.Log.Info("results uploaded", "job", job.ID, "name", job.Name, "submit", sub.ID,
		"rows", receipt.Rows, "bytes", receipt.Bytes, "already", receipt.Already)
	// What is committed there must be recorded here even while being stopped.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	err = u.Store.SubmitUploaded(ctx, sub, ver, describe(receipt), u.Config.Basic.DeleteRawdata)
	if errors.Is(err, pipeline.ErrStale) {
		u.Log.Error("uploaded after it was taken back", "job", job.ID, "submit", sub.ID, "err", err)
		return u.Store.Note(ctx, pipeline.EntitySubmit, int64(sub.ID), "uploaded after it was taken back: "+describe(receipt))
	}
	return err
}

// recordTimeout bounds the writing of what has happened.
const recordTimeout = time.Minute

func describe(r commondb.Receipt) string {
	switch {
	case r.By != "":
		return "the same work was uploaded before, by submit " + r.By
	case r.Already:
		return "found in the common database, equal"
	}
	return fmt.Sprintf("%d rows, %d bytes, read back and equal", r.Rows, r.Bytes)
}

// send reads a submit's results and puts them into the common database.
func (u *Uploader) send(ctx context.Context, job pipeline.Job, sub pipeline.Submit) (commondb.Receipt, string, error) {
	var none commondb.Receipt
	stage, ok := u.Config.Stage(job.Stage)
	if !ok {
		return none, "", fmt.Errorf("%w: the configuration has no stage %q", errUnusable, job.Stage)
	}
	reader, ok := u.Readers[stage.Results]
	if !ok {
		return none, "", fmt.Errorf("%w: stage %s: no reader for results %q", errUnusable, stage.Name, stage.Results)
	}
	if there, err := resultdir.Exists(sub.OutputDir); err != nil {
		return none, "", held(err)
	} else if !there {
		return none, "", fmt.Errorf("%w: %s is not there any more", errUnusable, sub.OutputDir)
	}
	ver, err := VersionNumber(ctx, sub.OutputDir, u.Config.Upload.VersionNum)
	if err != nil {
		return none, "", err
	}
	b := u.Config.Basic
	records, err := reader.Read(ctx, results.Source{
		Dir: sub.OutputDir, Institution: b.Institution, Pipeline: b.Pipeline, Survey: b.Survey,
		Version: ver, Metadata: job.Metadata,
	})
	if err != nil {
		return none, "", judge(ctx, fmt.Errorf("read results: %w", err), held)
	}
	work, err := u.workKey(ctx, job, ver)
	if err != nil {
		return none, ver, err
	}
	receipt, err := u.Database.Upload(ctx, commondb.Meta{
		Submit: sub.Name, Work: work, Job: job.Name, Stage: job.Stage,
		Institution: b.Institution, Pipeline: b.Pipeline, Survey: b.Survey, Version: ver,
	}, records)
	return receipt, ver, judge(ctx, err, func(err error) error { return pipeline.Outage(pipeline.CommonDatabase, err) })
}

// judge sorts what a reader or the common database said: what is wrong with
// these results, what is an outage already, and what is wrong with neither.
func judge(ctx context.Context, err error, otherwise func(error) error) error {
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, pipeline.ErrFatal):
		return err
	case errors.Is(err, results.ErrInvalid), errors.Is(err, commondb.ErrRejected), errors.Is(err, commondb.ErrMismatch):
		return fmt.Errorf("%w: %w", errUnusable, err)
	}
	var out *pipeline.OutageError
	if errors.As(err, &out) && out.System != pipeline.LocalDisk {
		return err
	}
	return otherwise(err)
}

// held makes an outage of the disk that holds up one upload only.
func held(err error) error {
	if !errors.Is(err, pipeline.ErrOutage) {
		err = pipeline.Outage(pipeline.LocalDisk, err)
	}
	return fmt.Errorf("%w: %w", errHeld, err)
}

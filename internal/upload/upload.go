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
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"longhaul/internal/commondb"
	"longhaul/internal/config"
	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
	"longhaul/internal/rawdata"
	"longhaul/internal/results"
	"longhaul/internal/version"
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
type Uploader struct{ Options }

// New returns an Uploader.
func New(opt Options) *Uploader {
	if opt.Progress == nil {
		opt.Progress = func() {}
	}
	return &Uploader{opt}
}

// Pass uploads what is processed, oldest first, and deletes the raw data whose
// deletion is decided. An outage ends the uploads of this pass; bad results
// fail their job only.
func (u *Uploader) Pass(ctx context.Context) error {
	return errors.Join(u.uploadAll(ctx), rawdata.Sweep(ctx, u.Store, u.Log))
}

func (u *Uploader) uploadAll(ctx context.Context) error {
	processed, err := u.Store.SubmitsIn(ctx, pipeline.Processed)
	if err != nil {
		return err
	}
	for _, sub := range processed {
		u.Progress()
		err := u.uploadOne(ctx, sub)
		if err != nil && !errors.Is(err, pipeline.ErrStale) { // stale: an operator took it back meanwhile
			return fmt.Errorf("upload submit %d: %w", sub.ID, err)
		}
	}
	return nil
}

func (u *Uploader) uploadOne(ctx context.Context, sub pipeline.Submit) error {
	job, err := u.Store.Job(ctx, sub.JobID)
	if err != nil {
		return err
	}
	receipt, ver, err := u.send(ctx, job, sub)
	switch {
	case errors.Is(err, pipeline.ErrOutage), errors.Is(err, pipeline.ErrFatal), ctx.Err() != nil:
		return err
	case err != nil:
		u.Log.Error("upload failed", "job", job.ID, "submit", sub.ID, "err", err)
		return u.Store.UploadFailed(ctx, sub, err.Error())
	}
	u.Log.Info("results uploaded", "job", job.ID, "name", job.Name, "submit", sub.ID,
		"rows", receipt.Rows, "bytes", receipt.Bytes, "already", receipt.Already)
	details := fmt.Sprintf("%d rows, %d bytes, read back and equal", receipt.Rows, receipt.Bytes)
	if receipt.Already {
		details = "found in the common database, equal"
	}
	// What is committed there must be recorded here even while being stopped.
	return u.Store.SubmitUploaded(context.WithoutCancel(ctx), sub, ver, details, u.Config.Basic.DeleteRawdata)
}

// send reads a submit's results and puts them into the common database.
func (u *Uploader) send(ctx context.Context, job pipeline.Job, sub pipeline.Submit) (commondb.Receipt, string, error) {
	stage, ok := u.Config.Stage(job.Stage)
	if !ok {
		return commondb.Receipt{}, "", fmt.Errorf("the configuration has no stage %q", job.Stage)
	}
	reader, ok := u.Readers[stage.Results]
	if !ok {
		return commondb.Receipt{}, "", fmt.Errorf("stage %s: no reader for results %q", stage.Name, stage.Results)
	}
	ver, err := VersionNumber(ctx, sub.OutputDir, u.Config.Upload.VersionNum)
	if err != nil {
		return commondb.Receipt{}, "", err
	}
	b := u.Config.Basic
	records, err := reader.Read(ctx, results.Source{
		Dir: sub.OutputDir, Institution: b.Institution, Pipeline: b.Pipeline, Survey: b.Survey,
		Version: ver, Metadata: job.Metadata,
	})
	if err != nil {
		return commondb.Receipt{}, ver, fmt.Errorf("read results: %w", err)
	}
	receipt, err := u.Database.Upload(ctx, commondb.Meta{
		Submit: sub.Name, Job: job.Name, Stage: job.Stage,
		Institution: b.Institution, Pipeline: b.Pipeline, Survey: b.Survey, Version: ver,
	}, records)
	return receipt, ver, err
}

// versionFile holds the version number of the software that made a results
// directory, in its first line; the original's name for it.
const versionFile = "version_number.txt"

// VersionNumber returns the version number of the software that made the
// results in dir. A job may have written it; otherwise it is computed from the
// template, once, and kept there.
func VersionNumber(ctx context.Context, dir, template string) (string, error) {
	path := filepath.Join(dir, versionFile)
	text, err := readLimited(path)
	if errors.Is(err, os.ErrNotExist) {
		ver, err := config.ExpandVersionNum(template, version.Program(),
			func(dir string) (string, error) { return version.Git(ctx, dir) })
		if err != nil {
			return "", err
		}
		err = disk.WriteFile(path, func(w io.Writer) error {
			_, err := io.WriteString(w, ver+"\n")
			return err
		})
		if err != nil {
			return "", pipeline.Outage(pipeline.LocalDisk, err)
		}
		return ver, nil
	} else if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(text, "\n")
	first = strings.TrimSpace(first)
	if first == "" {
		return "", fmt.Errorf("%s: its first line is empty, want a version number", path)
	}
	return first, nil
}

// readLimited reads the beginning of a file that a job wrote; a version number
// has no more than 4 KiB. The file must be a regular one in its directory.
func readLimited(path string) (string, error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return "", fmt.Errorf("results directory: %w", err)
	}
	defer root.Close()
	f, err := root.Open(filepath.Base(path))
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4<<10))
	return string(b), err
}

package jobtracker

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"longhaul/internal/pipeline"
)

const jobColumns = `jobs.id, jobs.name, jobs.stage, jobs.product, jobs.group_key, jobs.metadata, jobs.size,
	jobs.attempts, jobs.site_faults, jobs.next_try_at, jobs.status, jobs.details, jobs.created_at, jobs.updated_at`

func scanJob(rows *sql.Rows, j *pipeline.Job) error {
	return rows.Scan(&j.ID, &j.Name, &j.Stage, &j.Product, &j.GroupKey, jsonScanner{&j.Metadata}, &j.Size,
		&j.Attempts, &j.SiteFaults, timeScanner{&j.NextTry}, &j.Status, &j.Details, timeScanner{&j.CreatedAt}, timeScanner{&j.UpdatedAt})
}

// UngroupedFiles returns the files that are here and belong to no job yet.
func (s *Store) UngroupedFiles(ctx context.Context) ([]pipeline.File, error) {
	return query(ctx, s, "ungrouped files", `
		SELECT `+fileColumns+` FROM files
		 WHERE grouped = 0 AND status IN ('downloaded', 'added')
		 ORDER BY product, group_key, filename`, scanFile)
}

// NewJob is a complete group that is to become a job of each of its stages.
type NewJob struct {
	Name     string
	Product  string
	GroupKey string
	Metadata map[string]string
	Stages   []string
	Files    []pipeline.File
}

// CreateJobs makes the jobs of one complete group, one for each stage, in one
// transaction. It returns pipeline.ErrStale if one of the files has got a job,
// or is to be deleted, meanwhile. A group without files or stages is refused: its
// files would never be looked at again.
func (s *Store) CreateJobs(ctx context.Context, g NewJob) ([]pipeline.JobID, error) {
	var ids []pipeline.JobID
	err := s.write(ctx, "create jobs of "+g.Name, func(tx *txn) error {
		if len(g.Files) == 0 || len(g.Stages) == 0 {
			return fmt.Errorf("%d files, %d stages: %w", len(g.Files), len(g.Stages), pipeline.ErrForbidden)
		}
		ids = ids[:0]
		for _, f := range g.Files {
			res, err := tx.ExecContext(ctx, `
				UPDATE files SET grouped = 1
				 WHERE id = ? AND grouped = 0 AND status IN ('downloaded', 'added')`, f.ID)
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil {
				return err
			} else if n == 0 {
				return fmt.Errorf("file %d: %w", f.ID, pipeline.ErrStale)
			}
		}
		for _, stage := range g.Stages {
			id, err := tx.createJob(ctx, g, stage)
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return nil
	})
	return ids, err
}

func (tx *txn) createJob(ctx context.Context, g NewJob, stage string) (pipeline.JobID, error) {
	var size int64
	for _, f := range g.Files {
		size += f.Size
	}
	id, err := tx.insert(ctx, `
		INSERT INTO jobs (name, stage, product, group_key, metadata, size, status, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		g.Name, stage, g.Product, g.GroupKey, jsonText(g.Metadata), size, pipeline.New, tx.at, tx.at)
	if err != nil {
		return 0, err
	}
	for _, f := range g.Files {
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO job_files (file_id, job_id, created_at, updated_at) VALUES (?, ?, ?, ?)`,
			f.ID, id, tx.at, tx.at); err != nil {
			return 0, err
		}
	}
	return pipeline.JobID(id), tx.record(ctx, pipeline.EntityJob, id, pipeline.Created, pipeline.New,
		fmt.Sprintf("%d files for stage %s", len(g.Files), stage))
}

// Job returns one job.
func (s *Store) Job(ctx context.Context, id pipeline.JobID) (pipeline.Job, error) {
	return queryOne(ctx, s, fmt.Sprintf("job %d", id),
		`SELECT `+jobColumns+` FROM jobs WHERE id = ?`, scanJob, id)
}

// JobGeneration counts the jobs of the same stage for the same group up to this
// one: 1 for the first, 2 when an operator had its data processed once more.
func (s *Store) JobGeneration(ctx context.Context, j pipeline.Job) (int, error) {
	var n int
	err := s.ro.QueryRowContext(ctx, `
		SELECT count(*) FROM jobs WHERE group_key = ? AND id <= ? AND stage = ? AND product = ?`,
		j.GroupKey, j.ID, j.Stage, j.Product).Scan(&n)
	return n, wrap(fmt.Sprintf("generation of job %d", j.ID), s.classify(ctx, err))
}

// JobFiles returns the input files of a job, by name.
func (s *Store) JobFiles(ctx context.Context, id pipeline.JobID) ([]pipeline.File, error) {
	return query(ctx, s, fmt.Sprintf("files of job %d", id), `
		SELECT `+fileColumns+` FROM job_files JOIN files ON files.id = job_files.file_id
		 WHERE job_files.job_id = ? ORDER BY files.filename`, scanFile, id)
}

// JobsOfFile returns the jobs that a file is an input of, oldest first.
func (s *Store) JobsOfFile(ctx context.Context, id pipeline.FileID) ([]pipeline.Job, error) {
	return query(ctx, s, fmt.Sprintf("jobs of file %d", id), `
		SELECT `+jobColumns+` FROM job_files JOIN jobs ON jobs.id = job_files.job_id
		 WHERE job_files.file_id = ? ORDER BY jobs.id`, scanJob, id)
}

// DueJobs returns at most limit jobs that may be submitted now: first those to
// be tried again, then new ones, oldest first.
func (s *Store) DueJobs(ctx context.Context, limit int) ([]pipeline.Job, error) {
	var due []pipeline.Job
	for _, status := range []pipeline.Status{pipeline.Retrying, pipeline.New} {
		if len(due) >= limit {
			break
		}
		some, err := s.DueJobsIn(ctx, status, limit-len(due))
		if err != nil {
			return nil, err
		}
		due = append(due, some...)
	}
	return due, nil
}

// DueJobsIn is DueJobs for one status.
func (s *Store) DueJobsIn(ctx context.Context, status pipeline.Status, limit int) ([]pipeline.Job, error) {
	return query(ctx, s, "jobs to submit", `
		SELECT `+jobColumns+` FROM jobs
		 WHERE status = ? AND next_try_at <= ?
		 ORDER BY next_try_at, id LIMIT ?`, scanJob, status, formatTime(s.now()), limit)
}

// JobsIn returns the jobs of one status, oldest first.
func (s *Store) JobsIn(ctx context.Context, status pipeline.Status) ([]pipeline.Job, error) {
	return query(ctx, s, "jobs "+string(status), `
		SELECT `+jobColumns+` FROM jobs WHERE status = ? ORDER BY id`, scanJob, status)
}

// FailJob records that a job cannot be submitted at all; nothing was handed to
// the queue manager. It counts as an attempt.
func (s *Store) FailJob(ctx context.Context, j pipeline.Job, details string) error {
	return s.write(ctx, fmt.Sprintf("fail job %d", j.ID), func(tx *txn) error {
		if j.Status != pipeline.New && j.Status != pipeline.Retrying {
			return fmt.Errorf("it is %s: %w", j.Status, pipeline.ErrForbidden)
		}
		return tx.failJob(ctx, j.ID, j.Status, details)
	})
}

func (tx *txn) failJob(ctx context.Context, id pipeline.JobID, from pipeline.Status, details string) error {
	if err := tx.move(ctx, pipeline.EntityJob, int64(id), from, pipeline.Failed, details); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE jobs SET attempts = attempts + 1 WHERE id = ?`, id); err != nil {
		return err
	}
	return tx.blameless(ctx, id)
}

// RetryJob schedules another try of a failed job and leaves a notice.
func (s *Store) RetryJob(ctx context.Context, id pipeline.JobID, at time.Time, details string, n pipeline.Notice) error {
	return s.write(ctx, fmt.Sprintf("retry job %d", id), func(tx *txn) error {
		if err := tx.moveJobToRetry(ctx, id, pipeline.Failed, formatTime(at), details); err != nil {
			return err
		}
		return tx.notify(ctx, n)
	})
}

func (tx *txn) moveJobToRetry(ctx context.Context, id pipeline.JobID, from pipeline.Status, at, details string) error {
	if err := tx.move(ctx, pipeline.EntityJob, int64(id), from, pipeline.Retrying, details); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE jobs SET next_try_at = ? WHERE id = ?`, at, id)
	return err
}

// GiveUpJob ends the tries of a failed job, leaves a notice and, if so wished,
// marks its raw data for deletion.
func (s *Store) GiveUpJob(ctx context.Context, id pipeline.JobID, details string, deleteRaw bool, n pipeline.Notice) error {
	return s.write(ctx, fmt.Sprintf("give up job %d", id), func(tx *txn) error {
		if err := tx.move(ctx, pipeline.EntityJob, int64(id), pipeline.Failed, pipeline.TerminalFailure, details); err != nil {
			return err
		}
		if err := tx.wantRawDeleted(ctx, id, deleteRaw); err != nil {
			return err
		}
		return tx.notify(ctx, n)
	})
}

// wantRawDeleted says that a job needs its inputs no more, and marks for
// deletion those that no other job needs. A job that is uploaded needs none;
// one that was given up keeps its own unless its own call has said otherwise.
func (tx *txn) wantRawDeleted(ctx context.Context, id pipeline.JobID, wanted bool) error {
	if !wanted {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `UPDATE jobs SET raw_needed = 0 WHERE id = ?`, id); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `
		UPDATE files SET delete_wanted = 1
		 WHERE id IN (SELECT file_id FROM job_files WHERE job_id = ?1)
		   AND status IN ('downloaded', 'added')
		   AND NOT EXISTS (SELECT 1 FROM job_files JOIN jobs ON jobs.id = job_files.job_id
		                    WHERE job_files.file_id = files.id AND jobs.id <> ?1
		                      AND NOT (jobs.status = 'uploaded'
		                               OR jobs.status = 'terminal_failure' AND jobs.raw_needed = 0))`, id)
	return err
}

// KillJob gives up a job at an operator's wish. It must not be in the queue:
// stop its submit first. A job that failed, waits, or is to be tried again can
// be killed.
func (s *Store) KillJob(ctx context.Context, j pipeline.Job, deleteRaw bool, reason string) error {
	return s.write(ctx, fmt.Sprintf("kill job %d", j.ID), func(tx *txn) error {
		if err := tx.move(ctx, pipeline.EntityJob, int64(j.ID), j.Status, pipeline.TerminalFailure, note("killed", reason)); err != nil {
			return err
		}
		if err := tx.blameless(ctx, j.ID); err != nil {
			return err
		}
		return tx.wantRawDeleted(ctx, j.ID, deleteRaw)
	})
}

// ErrRawDataGone: a job cannot be tried again because its input is deleted.
var ErrRawDataGone = errors.New("its raw data is deleted; restore it and add it with 'longhaul add-files'")

// RetryGivenUpJob lets a job that was given up be tried again from its first
// attempt, at an operator's wish. It returns ErrRawDataGone if its raw data is
// deleted, or is marked for deletion: the uploader may be deleting it now.
func (s *Store) RetryGivenUpJob(ctx context.Context, id pipeline.JobID, reason string) error {
	return s.write(ctx, fmt.Sprintf("retry job %d", id), func(tx *txn) error {
		if gone, err := tx.rawDataGone(ctx, id); err != nil {
			return err
		} else if gone {
			return ErrRawDataGone
		}
		if err := tx.moveJobToRetry(ctx, id, pipeline.TerminalFailure, tx.at, note("retried by hand", reason)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE jobs SET attempts = 0, raw_needed = 1 WHERE id = ?`, id)
		return err
	})
}

// rawDataGone reports whether a part of a job's input is deleted, or may be now.
func (tx *txn) rawDataGone(ctx context.Context, id pipeline.JobID) (bool, error) {
	var gone int
	err := tx.QueryRowContext(ctx, `
		SELECT count(*) FROM job_files JOIN files ON files.id = job_files.file_id
		 WHERE job_files.job_id = ? AND (files.status = 'deleted' OR files.delete_wanted = 1)`, id).Scan(&gone)
	return gone > 0, err
}

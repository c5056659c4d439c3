package jobtracker

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"longhaul/internal/pipeline"
)

const submitColumns = `id, job_id, name, manager, queue_id, output_dir, status, details, node, version, site_fault,
	submitted_at, started_at, ended_at, created_at, updated_at`

func scanSubmit(rows *sql.Rows, s *pipeline.Submit) error {
	return rows.Scan(&s.ID, &s.JobID, &s.Name, &s.Manager, &s.QueueID, &s.OutputDir, &s.Status, &s.Details,
		&s.Node, &s.Version, &s.SiteFault, timeScanner{&s.SubmittedAt}, timeScanner{&s.StartedAt}, timeScanner{&s.EndedAt},
		timeScanner{&s.CreatedAt}, timeScanner{&s.UpdatedAt})
}

// BeginSubmit writes down the intent to hand a job to the queue manager under
// a name that nothing else ever had. It returns pipeline.ErrStale if somebody
// else was quicker, and an error that wraps pipeline.ErrPaused while submissions
// are paused.
func (s *Store) BeginSubmit(ctx context.Context, j pipeline.Job, name, manager, outputDir string) (sub pipeline.Submit, err error) {
	err = s.write(ctx, fmt.Sprintf("begin submit of job %d", j.ID), func(tx *txn) error {
		if p, held, err := tx.paused(ctx, pipeline.PauseSubmissions); err != nil {
			return err
		} else if held {
			return alreadyPaused(p)
		}
		sub, err = tx.beginSubmit(ctx, j, name, manager, outputDir)
		return err
	})
	return sub, err
}

func (tx *txn) beginSubmit(ctx context.Context, j pipeline.Job, name, manager, outputDir string) (pipeline.Submit, error) {
	sub := pipeline.Submit{JobID: j.ID, Name: name, Manager: manager, OutputDir: outputDir, Status: pipeline.Submitting}
	if err := tx.move(ctx, pipeline.EntityJob, int64(j.ID), j.Status, pipeline.Submitted, "submit "+name); err != nil {
		return sub, err
	}
	id, err := tx.insert(ctx, `
		INSERT INTO job_submits (job_id, name, manager, output_dir, status, submitted_at, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, j.ID, name, manager, outputDir, sub.Status, tx.at, tx.at, tx.at)
	if err != nil {
		return sub, err
	}
	sub.ID = pipeline.SubmitID(id)
	sub.SubmittedAt, _ = time.Parse(timeLayout, tx.at)
	sub.CreatedAt, sub.UpdatedAt = sub.SubmittedAt, sub.SubmittedAt
	return sub, tx.record(ctx, pipeline.EntitySubmit, id, pipeline.Created, sub.Status, name)
}

// SubmitAccepted records the queue manager's ID for a submit.
func (s *Store) SubmitAccepted(ctx context.Context, id pipeline.SubmitID, queueID string) error {
	return s.write(ctx, fmt.Sprintf("submit %d accepted", id), func(tx *txn) error {
		if err := tx.move(ctx, pipeline.EntitySubmit, int64(id), pipeline.Submitting, pipeline.Running, "queue ID "+queueID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE job_submits SET queue_id = ? WHERE id = ?`, queueID, id)
		return err
	})
}

// SubmitRefused records that the queue manager rejected a submit; the job
// fails, and it counts as an attempt.
func (s *Store) SubmitRefused(ctx context.Context, sub pipeline.Submit, details string) error {
	return s.write(ctx, fmt.Sprintf("submit %d refused", sub.ID), func(tx *txn) error {
		if err := tx.move(ctx, pipeline.EntitySubmit, int64(sub.ID), pipeline.Submitting, pipeline.SubmissionFailed, details); err != nil {
			return err
		}
		if err := tx.setRun(ctx, sub.ID, pipeline.SubmissionFailed, "", time.Time{}, s.now()); err != nil {
			return err
		}
		return tx.failJob(ctx, sub.JobID, pipeline.Submitted, details)
	})
}

// SubmitNeverArrived records that the queue manager never got a submit; the job
// is submitted again, and nothing counts.
func (s *Store) SubmitNeverArrived(ctx context.Context, sub pipeline.Submit, details string) error {
	return s.write(ctx, fmt.Sprintf("submit %d never arrived", sub.ID), func(tx *txn) error {
		if err := tx.move(ctx, pipeline.EntitySubmit, int64(sub.ID), pipeline.Submitting, pipeline.SubmissionFailed, details); err != nil {
			return err
		}
		return tx.moveJobToRetry(ctx, sub.JobID, pipeline.Submitted, tx.at, details)
	})
}

// SubmitsIn returns the submits of one status, oldest first.
func (s *Store) SubmitsIn(ctx context.Context, status pipeline.Status) ([]pipeline.Submit, error) {
	return query(ctx, s, "submits "+string(status), `
		SELECT `+submitColumns+` FROM job_submits WHERE status = ? ORDER BY id`, scanSubmit, status)
}

// SubmitsOf returns all submits of a job, oldest first.
func (s *Store) SubmitsOf(ctx context.Context, id pipeline.JobID) ([]pipeline.Submit, error) {
	return query(ctx, s, fmt.Sprintf("submits of job %d", id), `
		SELECT `+submitColumns+` FROM job_submits WHERE job_id = ? ORDER BY id`, scanSubmit, id)
}

// Submit returns one submit.
func (s *Store) Submit(ctx context.Context, id pipeline.SubmitID) (pipeline.Submit, error) {
	return queryOne(ctx, s, fmt.Sprintf("submit %d", id),
		`SELECT `+submitColumns+` FROM job_submits WHERE id = ?`, scanSubmit, id)
}

// SubmitsByQueueID returns the submits that a queue manager knew by an ID,
// oldest first; batch systems use an ID again.
func (s *Store) SubmitsByQueueID(ctx context.Context, queueID string) ([]pipeline.Submit, error) {
	return query(ctx, s, "submits with queue ID "+queueID, `
		SELECT `+submitColumns+` FROM job_submits WHERE queue_id = ? ORDER BY id`, scanSubmit, queueID)
}

// OutputDirTaken reports whether a submit was ever given that output directory.
func (s *Store) OutputDirTaken(ctx context.Context, dir string) (bool, error) {
	var n int
	err := s.ro.QueryRowContext(ctx, `SELECT count(*) FROM job_submits WHERE output_dir = ?`, dir).Scan(&n)
	return n > 0, wrap("output directory", s.classify(ctx, err))
}

// OutputDirsBeneath reports whether a submit was ever given an output
// directory beneath that one.
func (s *Store) OutputDirsBeneath(ctx context.Context, dir string) (bool, error) {
	var any bool
	err := s.ro.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM job_submits WHERE output_dir >= ? AND output_dir < ?)`,
		dir+"/", dir+"0").Scan(&any) // '0' is the byte after '/'
	return any, wrap("output directories", s.classify(ctx, err))
}

// LiveSubmits counts the submits that the queue manager has, or may have.
func (s *Store) LiveSubmits(ctx context.Context) (int, error) {
	var n int
	err := s.ro.QueryRowContext(ctx, `
		SELECT count(*) FROM job_submits WHERE status IN ('submitting', 'running')`).Scan(&n)
	return n, wrap("live submits", s.classify(ctx, err))
}

// UnseenEnds returns the earlier submits of the jobs that run now which were
// given up or taken back without anybody having seen their end, oldest first:
// they may come back.
func (s *Store) UnseenEnds(ctx context.Context) ([]pipeline.Submit, error) {
	return query(ctx, s, "submits whose end nobody saw", `
		SELECT `+submitColumns+` FROM job_submits
		 WHERE id IN (SELECT old.id FROM job_submits AS live
		                JOIN job_submits AS old ON old.job_id = live.job_id AND old.id < live.id
		               WHERE live.status = 'running' AND old.ended_at = ''
		                 AND old.status IN ('submission_failed', 'processing_failed', 'stopped', 'removed'))
		 ORDER BY id`, scanSubmit)
}

// SubmitSeen records when and where a submit was seen to run, without an event.
// Of one that runs no more it says nothing.
func (s *Store) SubmitSeen(ctx context.Context, id pipeline.SubmitID, node string, startedAt time.Time) error {
	return s.write(ctx, fmt.Sprintf("submit %d seen", id), func(tx *txn) error {
		return tx.setRun(ctx, id, pipeline.Running, node, startedAt, time.Time{})
	})
}

func (tx *txn) setRun(ctx context.Context, id pipeline.SubmitID, is pipeline.Status, node string, started, ended time.Time) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE job_submits SET node = coalesce(nullif(?, ''), node), started_at = coalesce(nullif(?, ''), started_at),
		       ended_at = coalesce(nullif(?, ''), ended_at)
		 WHERE id = ? AND status = ?`, node, formatTime(started), formatTime(ended), id, is)
	return err
}

// End is what is known of a submit's end.
type End struct {
	Details            string
	Node               string
	StartedAt, EndedAt time.Time
	RanOut             pipeline.Resource // of which a failed one had too little; "" for another cause
}

// SubmitProcessed records that a submit ended well and left results.
func (s *Store) SubmitProcessed(ctx context.Context, sub pipeline.Submit, end End) error {
	return s.write(ctx, fmt.Sprintf("submit %d processed", sub.ID), func(tx *txn) error {
		return tx.processed(ctx, sub, end)
	})
}

// SubmitFoundProcessed records that a submit whose acceptance was never heard
// of has ended well and left results, so that it was accepted.
func (s *Store) SubmitFoundProcessed(ctx context.Context, sub pipeline.Submit, end End) error {
	return s.write(ctx, fmt.Sprintf("submit %d found processed", sub.ID), func(tx *txn) error {
		if err := tx.move(ctx, pipeline.EntitySubmit, int64(sub.ID), pipeline.Submitting, pipeline.Running, "accepted, since it left results"); err != nil {
			return err
		}
		return tx.processed(ctx, sub, end)
	})
}

func (tx *txn) processed(ctx context.Context, sub pipeline.Submit, end End) error {
	if err := tx.move(ctx, pipeline.EntitySubmit, int64(sub.ID), pipeline.Running, pipeline.Processed, end.Details); err != nil {
		return err
	}
	if err := tx.setRun(ctx, sub.ID, pipeline.Processed, end.Node, end.StartedAt, end.EndedAt); err != nil {
		return err
	}
	if err := tx.blameless(ctx, sub.JobID); err != nil {
		return err
	}
	return tx.move(ctx, pipeline.EntityJob, int64(sub.JobID), pipeline.Submitted, pipeline.Processed, end.Details)
}

// SubmitEndedLate keeps for the history what became of a submit that had been
// given up or taken back before. Nothing else changes: its job goes on without
// it. end.EndedAt must be known. Of one whose end is known already, or that has
// not been given up, it says nothing.
func (s *Store) SubmitEndedLate(ctx context.Context, id pipeline.SubmitID, end End) error {
	return s.write(ctx, fmt.Sprintf("late end of submit %d", id), func(tx *txn) error {
		res, err := tx.ExecContext(ctx, `
			UPDATE job_submits SET node = coalesce(nullif(?, ''), node),
			       started_at = coalesce(nullif(?, ''), started_at), ended_at = ?
			 WHERE id = ? AND ended_at = ''
			   AND status IN ('submission_failed', 'processing_failed', 'stopped', 'removed')`,
			end.Node, formatTime(end.StartedAt), formatTime(end.EndedAt), id)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return tx.record(ctx, pipeline.EntitySubmit, int64(id), "", "", end.Details)
	})
}

// SubmitFailed records that a submit ended badly; the job fails, and it counts
// as an attempt.
func (s *Store) SubmitFailed(ctx context.Context, sub pipeline.Submit, end End) error {
	return s.write(ctx, fmt.Sprintf("submit %d failed", sub.ID), func(tx *txn) error {
		if err := tx.move(ctx, pipeline.EntitySubmit, int64(sub.ID), pipeline.Running, pipeline.ProcessingFailed, end.Details); err != nil {
			return err
		}
		if err := tx.setRun(ctx, sub.ID, pipeline.ProcessingFailed, end.Node, end.StartedAt, end.EndedAt); err != nil {
			return err
		}
		if end.RanOut != "" {
			if _, err := tx.ExecContext(ctx, `UPDATE job_submits SET ran_out = ? WHERE id = ?`, end.RanOut, sub.ID); err != nil {
				return err
			}
		}
		return tx.failJob(ctx, sub.JobID, pipeline.Submitted, end.Details)
	})
}

// RanOut counts the submits of a job that failed because of each resource.
func (s *Store) RanOut(ctx context.Context, id pipeline.JobID) (map[pipeline.Resource]int, error) {
	type row struct {
		of pipeline.Resource
		n  int
	}
	rows, err := query(ctx, s, fmt.Sprintf("what job %d ran out of", id), `
		SELECT ran_out, count(*) FROM job_submits WHERE job_id = ? AND ran_out <> '' GROUP BY ran_out`,
		func(rows *sql.Rows, r *row) error { return rows.Scan(&r.of, &r.n) }, id)
	counts := make(map[pipeline.Resource]int)
	for _, r := range rows {
		counts[r.of] = r.n
	}
	return counts, err
}

// SubmitUploaded records that the results of a submit are committed in the
// common database and read back there; version is that of the software that
// made them. If so wished its raw data is marked for deletion, in the same
// transaction: raw data is never deleted before this.
func (s *Store) SubmitUploaded(ctx context.Context, sub pipeline.Submit, version, details string, deleteRaw bool) error {
	return s.write(ctx, fmt.Sprintf("submit %d uploaded", sub.ID), func(tx *txn) error {
		if err := tx.move(ctx, pipeline.EntitySubmit, int64(sub.ID), pipeline.Processed, pipeline.Uploaded, details); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE job_submits SET version = ? WHERE id = ?`, version, sub.ID); err != nil {
			return err
		}
		if err := tx.move(ctx, pipeline.EntityJob, int64(sub.JobID), pipeline.Processed, pipeline.Uploaded, details); err != nil {
			return err
		}
		return tx.wantRawDeleted(ctx, sub.JobID, deleteRaw)
	})
}

// UploadFailed records that the results of a submit cannot be uploaded; the job
// fails, and it counts as an attempt.
func (s *Store) UploadFailed(ctx context.Context, sub pipeline.Submit, details string) error {
	return s.write(ctx, fmt.Sprintf("upload of submit %d failed", sub.ID), func(tx *txn) error {
		if err := tx.move(ctx, pipeline.EntitySubmit, int64(sub.ID), pipeline.Processed, pipeline.UploadFailed, details); err != nil {
			return err
		}
		return tx.failJob(ctx, sub.JobID, pipeline.Processed, details)
	})
}

// StopSubmit takes a submit back at an operator's wish, once it is out of the
// queue. With fail it counts as an attempt that failed; otherwise the job is
// submitted again and nothing counts.
func (s *Store) StopSubmit(ctx context.Context, sub pipeline.Submit, fail bool, reason string) error {
	return s.write(ctx, fmt.Sprintf("stop submit %d", sub.ID), func(tx *txn) error {
		if sub.Status != pipeline.Running && sub.Status != pipeline.Processed { // its job may have another submit by now
			return fmt.Errorf("it is %s: %w", sub.Status, pipeline.ErrForbidden)
		}
		to, job := pipeline.RemovedByOperator, pipeline.Submitted
		if fail {
			to = pipeline.Stopped
		}
		if sub.Status == pipeline.Processed {
			job = pipeline.Processed
		}
		details := note("stopped by hand", reason)
		if err := tx.move(ctx, pipeline.EntitySubmit, int64(sub.ID), sub.Status, to, details); err != nil {
			return err
		}
		if fail {
			return tx.failJob(ctx, sub.JobID, job, details)
		}
		return tx.moveJobToRetry(ctx, sub.JobID, job, tx.at, details)
	})
}

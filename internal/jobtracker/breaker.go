package jobtracker

import (
	"context"
	"fmt"
	"time"

	"longhaul/internal/pipeline"
)

// LastEnds returns the submits that ended last, at most limit, the latest first:
// of those that ended since submissions were last resumed. One that an operator
// took back is left out; one that was taken back because of the site is not.
func (s *Store) LastEnds(ctx context.Context, limit int) ([]pipeline.Submit, error) {
	return query(ctx, s, "last ends", `
		SELECT `+submitColumns+` FROM job_submits INDEXED BY job_submits_ends
		 WHERE (site_fault = 1 OR status IN ('processed', 'processing_failed', 'submission_failed', 'uploaded', 'upload_failed'))
		   AND ended_at > (SELECT coalesce(max(resumed_at), '') FROM pauses WHERE kind = 'submissions')
		 ORDER BY ended_at DESC, id DESC LIMIT ?`, scanSubmit, limit)
}

// Trip is what the breaker found.
type Trip struct {
	Reason  string
	Submits []pipeline.SubmitID // that failed in a row
	ProbeAt time.Time           // the first probe is not made before this
	// MostBack is how often a job may get an attempt back: one that fails
	// again after each resume is to blame itself, and must be given up some day.
	MostBack int
	Notice   pipeline.Notice
}

// TripBreaker pauses submissions, and gives the jobs of the submits that failed
// their attempts back: these submits become removed, and a job that has failed,
// or was given up by us, is tried again. It returns the pause, and how many
// attempts that were. If submissions are paused already it changes nothing and
// returns an error that wraps pipeline.ErrPaused.
func (s *Store) TripBreaker(ctx context.Context, t Trip) (p pipeline.Pause, back int, err error) {
	err = s.write(ctx, "trip the breaker", func(tx *txn) error {
		var held bool
		if p, held, err = tx.paused(ctx, pipeline.PauseSubmissions); err != nil {
			return err
		} else if held {
			return alreadyPaused(p)
		}
		back = 0
		for _, id := range t.Submits {
			did, err := tx.giveBack(ctx, id, t.MostBack)
			if err != nil {
				return fmt.Errorf("attempt of submit %d: %w", id, err)
			}
			if did {
				back++
			}
		}
		p = pipeline.Pause{Kind: pipeline.PauseSubmissions, Actor: tx.actor, Breaker: true, Reason: t.Reason, ProbeAt: t.ProbeAt}
		p.Since, _ = time.Parse(timeLayout, tx.at)
		if err := tx.beginPause(ctx, p); err != nil {
			return err
		}
		return tx.notify(ctx, t.Notice)
	})
	return p, back, err
}

// giveBack makes one failure not count. It does nothing, and returns false, if
// the failure does not count now, the job is done or was killed by a person, or
// has got back enough.
func (tx *txn) giveBack(ctx context.Context, id pipeline.SubmitID, most int) (bool, error) {
	var was, job pipeline.Status
	var details string
	var jobID pipeline.JobID
	var attempts int
	err := tx.QueryRowContext(ctx, `
		SELECT job_submits.status, job_submits.details, jobs.id, jobs.status, jobs.attempts
		  FROM job_submits JOIN jobs ON jobs.id = job_id WHERE job_submits.id = ?`, id).
		Scan(&was, &details, &jobID, &job, &attempts)
	if err != nil {
		return false, err
	}
	if attempts == 0 || was != pipeline.ProcessingFailed && was != pipeline.SubmissionFailed {
		return false, nil
	}
	if may, err := tx.mayGetBack(ctx, jobID, job, most); err != nil || !may {
		return false, err
	}
	const why = "does not count, for submissions were paused since too many failed in a row"
	details = note(why, details)
	if err := tx.move(ctx, pipeline.EntitySubmit, int64(id), was, pipeline.RemovedByOperator, details); err != nil {
		return false, err
	}
	if job == pipeline.Failed || job == pipeline.TerminalFailure {
		err = tx.moveJobToRetry(ctx, jobID, job, tx.at, details)
	} else {
		err = tx.record(ctx, pipeline.EntityJob, int64(jobID), "", "", fmt.Sprintf("submit %d %s", id, why))
	}
	if err != nil {
		return false, err
	}
	_, err = tx.ExecContext(ctx, `UPDATE jobs SET attempts = attempts - 1, raw_needed = 1 WHERE id = ?`, jobID)
	if err != nil {
		return false, err
	}
	return true, tx.blameSite(ctx, id, jobID)
}

// mayGetBack reports whether a job may get an attempt back.
func (tx *txn) mayGetBack(ctx context.Context, id pipeline.JobID, is pipeline.Status, most int) (bool, error) {
	var before int
	err := tx.QueryRowContext(ctx, `
		SELECT count(*) FROM job_submits JOIN events ON entity = 'submit' AND entity_id = job_submits.id
		 WHERE job_id = ? AND was IN ('processing_failed', 'submission_failed') AND became = 'removed'`, id).Scan(&before)
	if err != nil || before >= most || is == pipeline.Uploaded {
		return false, err
	}
	if is != pipeline.TerminalFailure {
		return true, nil
	}
	// Only our own decision is taken back, and only where there is input left.
	var was pipeline.Status
	var actor string
	err = tx.QueryRowContext(ctx, `
		SELECT was, actor FROM events WHERE entity = 'job' AND entity_id = ? AND became = 'terminal_failure'
		 ORDER BY id DESC LIMIT 1`, id).Scan(&was, &actor)
	if err != nil || was != pipeline.Failed || actor != tx.actor {
		return false, err
	}
	gone, err := tx.rawDataGone(ctx, id)
	return !gone, err
}

// blameSite marks an end of which the job is not guilty.
func (tx *txn) blameSite(ctx context.Context, id pipeline.SubmitID, job pipeline.JobID) error {
	if _, err := tx.ExecContext(ctx, `UPDATE job_submits SET site_fault = 1 WHERE id = ?`, id); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE jobs SET site_faults = site_faults + 1 WHERE id = ?`, job)
	return err
}

// blameless ends the count of a job's ends for which the site was to blame.
func (tx *txn) blameless(ctx context.Context, job pipeline.JobID) error {
	_, err := tx.ExecContext(ctx, `UPDATE jobs SET site_faults = 0 WHERE id = ? AND site_faults > 0`, job)
	return err
}

// BeginProbe is BeginSubmit while the breaker holds submissions paused: this
// one job is tried, and no other one before next. It returns pipeline.ErrStale if
// that pause is over, or its last probe has not ended.
func (s *Store) BeginProbe(ctx context.Context, j pipeline.Job, name, manager, outputDir string, next time.Time) (sub pipeline.Submit, err error) {
	err = s.write(ctx, fmt.Sprintf("begin probe with job %d", j.ID), func(tx *txn) error {
		p, held, err := tx.paused(ctx, pipeline.PauseSubmissions)
		if err != nil {
			return err
		}
		if !held || !p.Breaker {
			return fmt.Errorf("the breaker's pause is over: %w", pipeline.ErrStale)
		}
		var live int
		err = tx.QueryRowContext(ctx, `
			SELECT count(*) FROM job_submits WHERE id = ? AND status IN ('submitting', 'running')`, p.Probe).Scan(&live)
		if err != nil {
			return err
		} else if live > 0 {
			return fmt.Errorf("probe %d has not ended: %w", p.Probe, pipeline.ErrStale)
		}
		if sub, err = tx.beginSubmit(ctx, j, name, manager, outputDir); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			UPDATE pauses SET probes = probes + 1, probe = ?, probe_at = ? WHERE kind = 'submissions'`,
			sub.ID, formatTime(next))
		return err
	})
	return sub, err
}

// TakenBack is the end of a submit of which its job is not guilty.
type TakenBack struct {
	End     End
	RetryAt time.Time // the job is not submitted again before
	// Disk says what a worker met, if it is a disk that is in trouble: an
	// outage, of which a person is told once.
	Disk   string
	Notice pipeline.Notice
}

// Worker is whose outage it is when a disk is in trouble on a compute node.
const Worker = "worker"

// TakeBack records that a submit has ended badly, or was refused, and that its
// job is not to blame: nothing counts, and the job is submitted again.
func (s *Store) TakeBack(ctx context.Context, sub pipeline.Submit, b TakenBack) error {
	return s.write(ctx, fmt.Sprintf("take submit %d back", sub.ID), func(tx *txn) error {
		var to pipeline.Status
		switch sub.Status {
		case pipeline.Submitting:
			to = pipeline.SubmissionFailed
		case pipeline.Running:
			to = pipeline.RemovedByOperator
		default: // its job may have another submit by now
			return fmt.Errorf("it is %s: %w", sub.Status, pipeline.ErrForbidden)
		}
		if err := tx.move(ctx, pipeline.EntitySubmit, int64(sub.ID), sub.Status, to, b.End.Details); err != nil {
			return err
		}
		if err := tx.setRun(ctx, sub.ID, to, b.End.Node, b.End.StartedAt, b.End.EndedAt); err != nil {
			return err
		}
		if err := tx.moveJobToRetry(ctx, sub.JobID, pipeline.Submitted, formatTime(b.RetryAt), b.End.Details); err != nil {
			return err
		}
		if err := tx.blameSite(ctx, sub.ID, sub.JobID); err != nil || b.Disk == "" {
			return err
		}
		return tx.outageBegan(ctx, pipeline.LocalDisk, Worker, b.Disk, b.Notice)
	})
}

// SiteFaultedJobs returns the jobs whose last submit was taken back because of
// the site and that have not ended otherwise since, by number.
func (s *Store) SiteFaultedJobs(ctx context.Context) ([]pipeline.Job, error) {
	return query(ctx, s, "jobs that the site has failed", `
		SELECT `+jobColumns+` FROM jobs WHERE site_faults > 0 ORDER BY id`, scanJob)
}

// EndWorkersOutage ends the outage that TakeBack began, once all jobs that met it
// have ended otherwise; over reports whether it did.
func (s *Store) EndWorkersOutage(ctx context.Context) (over bool, err error) {
	const due = `SELECT EXISTS (SELECT 1 FROM outages WHERE daemon = ?)
		AND NOT EXISTS (SELECT 1 FROM jobs WHERE site_faults > 0)`
	err = s.ro.QueryRowContext(ctx, due, Worker).Scan(&over)
	if err != nil || !over {
		return false, wrap("outage of the workers", s.classify(ctx, err))
	}
	err = s.write(ctx, "end of the workers' outage", func(tx *txn) error {
		err := tx.QueryRowContext(ctx, due, Worker).Scan(&over)
		if err != nil || !over {
			return err
		}
		return tx.outageOver(ctx, pipeline.LocalDisk, Worker)
	})
	return over && err == nil, err
}

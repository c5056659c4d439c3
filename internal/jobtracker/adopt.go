package jobtracker

import (
	"context"
	"fmt"

	"longhaul/internal/pipeline"
)

// AdoptSubmit enters a submit that was made before this job-tracker was
// restored and that it has forgotten: the job is submitted, the submit runs,
// and the daemons, or the next call, say how it ended. Of sub, the fields
// Name, Manager, QueueID, OutputDir and SubmittedAt are used.
func (s *Store) AdoptSubmit(ctx context.Context, j pipeline.Job, sub pipeline.Submit, why string) (pipeline.Submit, error) {
	sub.JobID, sub.Status = j.ID, pipeline.Running
	err := s.write(ctx, fmt.Sprintf("adopt submit %s of job %d", sub.Name, j.ID), func(tx *txn) error {
		if err := tx.move(ctx, pipeline.EntityJob, int64(j.ID), j.Status, pipeline.Submitted, why); err != nil {
			return err
		}
		id, err := tx.insert(ctx, `
			INSERT INTO job_submits (job_id, name, manager, queue_id, output_dir, status, submitted_at, created_at, updated_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, j.ID, sub.Name, sub.Manager, sub.QueueID, sub.OutputDir,
			pipeline.Submitting, formatTime(sub.SubmittedAt), tx.at, tx.at)
		if err != nil {
			return err
		}
		sub.ID = pipeline.SubmitID(id)
		if err := tx.record(ctx, pipeline.EntitySubmit, id, pipeline.Created, pipeline.Submitting, why); err != nil {
			return err
		}
		return tx.move(ctx, pipeline.EntitySubmit, id, pipeline.Submitting, pipeline.Running, why)
	})
	return sub, err
}

// SubmitByName returns the submit with a name.
func (s *Store) SubmitByName(ctx context.Context, name string) (pipeline.Submit, error) {
	return queryOne(ctx, s, fmt.Sprintf("submit %q", name),
		`SELECT `+submitColumns+` FROM job_submits WHERE name = ?`, scanSubmit, name)
}

// JobsNamed returns the jobs of a stage for the observation with a name, the
// newest first. It reads the whole table: for people, not for a pass.
func (s *Store) JobsNamed(ctx context.Context, name, stage string) ([]pipeline.Job, error) {
	return query(ctx, s, fmt.Sprintf("jobs %q", name), `
		SELECT `+jobColumns+` FROM jobs WHERE name = ? AND stage = ? ORDER BY id DESC`, scanJob, name, stage)
}

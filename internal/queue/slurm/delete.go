package slurm

import (
	"context"
	"fmt"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
)

// deleteTime is how long a job may take to end: KillWait of slurm.conf, usually
// 30 s, and as much again for its node to clean up.
const deleteTime = 90 * time.Second

// lookAgain is the time between two looks at whether it has.
const lookAgain = 250 * time.Millisecond

// Delete implements queue.Manager.
func (m *Manager) Delete(ctx context.Context, id string) error {
	if !validID(id) {
		return fmt.Errorf("%w: %q is no ID of a job", queue.ErrUnknown, id)
	}
	jobs, err := m.askJobs(ctx)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if j.ID != id || !m.ours(j) {
			continue
		}
		if j.state().Phase == queue.Finished {
			return nil
		}
		if err := m.cancel(ctx, j); err != nil {
			return err
		}
		return m.awaitEnd(ctx, j)
	}
	jobs, err = m.accounted(ctx, []string{id})
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if j.ID == id {
			return nil // the controller does not know it: it runs no more
		}
	}
	return fmt.Errorf("%w: job %s", queue.ErrUnknown, id)
}

// cancel asks for a job's end. Its name goes with the ID, which may have become
// another job's by now.
func (m *Manager) cancel(ctx context.Context, j job) error {
	defer m.touch()
	out, err := m.run.Run(ctx, nil, "scancel", "--user="+uid(), "--name="+j.Name, j.ID)
	if err == nil && out.ExitCode != 0 {
		err = unanswered("scancel", out)
	}
	return err
}

// awaitEnd returns when a job has ended or is forgotten.
func (m *Manager) awaitEnd(ctx context.Context, cancelled job) error {
	ctx, stop := context.WithTimeoutCause(ctx, deleteTime,
		pipeline.Outage(pipeline.QueueManager, fmt.Errorf("job %s has not ended %s after scancel", cancelled.ID, deleteTime)))
	defer stop()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		jobs, err := m.askJobs(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err == nil && !lives(jobs, cancelled) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return pipeline.Outage(pipeline.QueueManager, context.Cause(ctx))
		}
	}
}

// lives reports whether a job is among jobs and has not ended.
func lives(jobs []job, which job) bool {
	for _, j := range jobs {
		if j.ID == which.ID && j.Name == which.Name {
			return j.state().Phase != queue.Finished
		}
	}
	return false
}

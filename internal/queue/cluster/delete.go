package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
)

// Delete implements queue.Manager. Of the user's jobs it deletes only ours.
func (m *Manager) Delete(ctx context.Context, id string) error {
	return m.wrap(fmt.Sprintf("delete %.80q", id), m.delete(ctx, id))
}

func (m *Manager) delete(ctx context.Context, id string) error {
	if !m.sys.ValidID(id) && m.dir.name(id) == "" {
		return queue.ErrUnknown
	}
	j, live, err := m.live(ctx, id)
	switch {
	case err != nil:
		return err
	case !live:
		return m.wasThere(ctx, id)
	}
	if err := m.dir.markDeleted(j.Name); err != nil {
		return pipeline.Outage(pipeline.LocalDisk, err)
	}
	defer m.touch()
	if err := m.sys.Delete(ctx, id); err != nil {
		return err
	}
	return m.awaitEnd(ctx, id)
}

// live returns our job with an ID if it waits or runs.
func (m *Manager) live(ctx context.Context, id string) (Job, bool, error) {
	jobs, err := m.jobsAfter(ctx, time.Now())
	if err != nil {
		return Job{}, false, err
	}
	for _, j := range jobs {
		if j.ID == id && m.ours(j) && queue.ValidName(j.Name) && j.State.Phase != queue.Finished {
			return j, true, nil
		}
	}
	return Job{}, false, nil
}

// wasThere returns ErrUnknown unless there once was a submission with an ID.
func (m *Manager) wasThere(ctx context.Context, id string) error {
	if m.dir.name(id) != "" {
		return nil
	}
	jobs, err := m.sys.History(ctx, []string{id})
	if err != nil {
		return err
	}
	if len(jobs) == 0 {
		return queue.ErrUnknown
	}
	return nil
}

// awaitEnd returns when a job that was deleted is gone.
func (m *Manager) awaitEnd(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, m.o.DeleteWait,
		fmt.Errorf("it is still there %s after its deletion was asked for", m.o.DeleteWait))
	defer cancel()
	wait := deletePoll
	for {
		_, live, err := m.live(ctx, id)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil || !live {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		wait = min(2*wait, deletePollMax)
	}
}

// Errors implements queue.Manager.
func (m *Manager) Errors(ctx context.Context, id string) (string, error) {
	text, err := m.errors(ctx, id)
	if err != nil {
		return "", m.wrap(fmt.Sprintf("errors of %.80q", id), err)
	}
	return text, nil
}

func (m *Manager) errors(ctx context.Context, id string) (string, error) {
	name := m.dir.name(id)
	if name == "" {
		j, live, err := m.live(ctx, id)
		if err != nil {
			return "", err
		}
		if !live {
			return "", queue.ErrUnknown
		}
		name = j.Name
	}
	j, err := m.dir.get(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: nothing is kept about %s", queue.ErrUnknown, name)
	} else if err != nil {
		return "", pipeline.Outage(pipeline.LocalDisk, err)
	}
	text, err := queue.Tail(j.Stderr)
	return text, pipeline.Outage(pipeline.LocalDisk, err)
}

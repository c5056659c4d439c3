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

// Submit implements queue.Manager.
func (m *Manager) Submit(ctx context.Context, spec queue.Spec) (string, error) {
	id, err := m.submit(ctx, spec)
	if err != nil {
		return "", m.wrap("submit "+spec.Name, err)
	}
	return id, nil
}

func (m *Manager) submit(ctx context.Context, spec queue.Spec) (string, error) {
	if err := spec.Check(); err != nil {
		return "", err
	}
	// Nothing is on the disk as long as nothing can have been submitted, so
	// that Find is sure at once.
	if err := m.pace.Wait(ctx); err != nil {
		return "", err
	}
	spec.Resources.CPUs = max(spec.Resources.CPUs, m.o.share())
	directives, err := m.sys.Directives(spec)
	if err != nil {
		return "", err
	}
	script, err := m.dir.put(spec, directives, m.sys.ScriptMode(), m.o.Now())
	if err != nil {
		return "", err
	}
	defer m.touch()
	m.count(&m.begun)
	id, err := m.sys.Submit(ctx, spec, script)
	m.count(&m.ended)
	if errors.Is(err, queue.ErrRejected) || errors.Is(err, ErrRefused) {
		return "", errors.Join(err, m.dir.remove(spec.Name))
	} else if err != nil {
		return "", err
	}
	if !m.sys.ValidID(id) {
		return "", fmt.Errorf("it answered with %.80q, which is no ID", id)
	}
	m.saw(id, spec.Name, queue.State{Phase: queue.Queued})
	if err := m.dir.setID(spec.Name, id); err != nil {
		// The job is in. Without the note its ID is looked up by name.
		m.o.Log.Warn("the ID of a job could not be noted", "job", spec.Name, "id", id, "err", err)
	}
	return id, nil
}

// share is how many CPUs a job must ask for so that not too many fit on a node.
func (o Options) share() int {
	if o.CPUsPerNode <= 0 || o.JobsPerNode <= 0 {
		return 0
	}
	// The least number of which JobsPerNode+1 do not fit.
	return o.CPUsPerNode/(o.JobsPerNode+1) + 1
}

// Find implements queue.Manager.
func (m *Manager) Find(ctx context.Context, name string) (string, error) {
	id, err := m.find(ctx, name)
	if err != nil {
		return "", m.wrap("find "+name, err)
	}
	if err := m.dir.setID(name, id); err != nil {
		m.o.Log.Warn("the ID of a job could not be noted", "job", name, "id", id, "err", err)
	}
	return id, nil
}

func (m *Manager) find(ctx context.Context, name string) (string, error) {
	if !queue.ValidName(name) {
		return "", fmt.Errorf("%w: %q is no name", queue.ErrUnknown, name)
	}
	for {
		id, err := m.look(ctx, name)
		if id != "" || err != nil {
			return id, err
		}
		wait, err := m.unsettled(name)
		if err != nil {
			return "", err
		}
		if wait <= 0 {
			return "", queue.ErrUnknown
		}
		m.o.Log.Info("waiting to be sure that a job did not arrive", "job", name, "wait", wait.Round(time.Second))
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return "", ctx.Err()
		}
	}
}

// look returns the ID of a submission, "" if nothing is known of it now.
func (m *Manager) look(ctx context.Context, name string) (string, error) {
	jobs, err := m.jobsAfter(ctx, time.Now())
	if err != nil {
		return "", err
	}
	noted, err := m.dir.id(name)
	if err == nil {
		return noted, nil // its Submit, or an earlier Find, got as far as that
	}
	for _, j := range jobs {
		if j.Name == name {
			return j.ID, nil
		}
	}
	if jobs, err = m.sys.HistoryByName(ctx, name); err != nil {
		return "", err
	}
	for _, j := range jobs {
		if j.Name == name {
			return j.ID, nil
		}
	}
	if _, ok := m.record(name); ok {
		return name, nil // it ran and has ended; what its ID was does not matter any more
	}
	return "", nil
}

// unsettled returns how long it takes until the batch system must know of a
// submission if it got it; 0 if it must know now.
func (m *Manager) unsettled(name string) (time.Duration, error) {
	j, err := m.dir.get(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil // nobody tried to submit it
	} else if err != nil {
		return 0, pipeline.Outage(pipeline.LocalDisk, err)
	}
	age := m.o.Now().Sub(j.Submitted)
	if age < 0 {
		return 0, nil // the clock was set back
	}
	return m.o.Settle - age, nil
}

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

// List implements queue.Lister with what is kept on disk; of that, what the
// batch system, its history and the worker know nothing about is left out.
func (m *Manager) List(ctx context.Context, skip func(name string) bool) ([]queue.Listed, error) {
	all, err := m.listed(ctx, skip)
	if err != nil {
		return nil, m.wrap("list", err)
	}
	return all, nil
}

func (m *Manager) listed(ctx context.Context, skip func(name string) bool) ([]queue.Listed, error) {
	names, err := m.dir.names()
	if err != nil {
		return nil, pipeline.Outage(pipeline.LocalDisk, err)
	}
	kept := make(map[queue.Ref]job)
	var refs []queue.Ref
	for _, name := range names {
		if skip(name) {
			continue
		}
		j, err := m.dir.get(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // pruned just now
		} else if err != nil {
			return nil, pipeline.Outage(pipeline.LocalDisk, err)
		}
		id, err := m.dir.id(name)
		if err != nil {
			if id, err = m.find(ctx, name); errors.Is(err, queue.ErrUnknown) {
				continue // it was never taken
			} else if err != nil {
				return nil, err
			}
		}
		ref := queue.Ref{ID: id, Name: name, Submitted: j.Submitted.Unix()}
		kept[ref] = j
		refs = append(refs, ref)
	}
	states, err := m.poll(ctx, refs, len(refs))
	if err != nil {
		return nil, err
	}
	var all []queue.Listed
	for _, ref := range refs {
		if j, s := kept[ref], states[ref]; s.Phase != queue.Unknown {
			all = append(all, queue.Listed{
				ID: ref.ID, Name: ref.Name, Submitted: j.Submitted, State: s, Command: j.Command, Env: j.Env,
			})
		}
	}
	return all, nil
}

// Prune forgets what was submitted longer ago than that and does not wait or
// run any more. Keep it longer than the job pooler needs to learn of an end,
// downtime included.
func (m *Manager) Prune(ctx context.Context, olderThan time.Duration) (pruned int, err error) {
	pruned, err = m.prune(ctx, olderThan)
	if err != nil {
		return pruned, m.wrap("prune", err)
	}
	return pruned, nil
}

func (m *Manager) prune(ctx context.Context, olderThan time.Duration) (pruned int, err error) {
	names, err := m.dir.names()
	if err != nil {
		return 0, pipeline.Outage(pipeline.LocalDisk, err)
	}
	jobs, err := m.jobsAfter(ctx, time.Now())
	if err != nil {
		return 0, err
	}
	live := make(map[string]bool)
	for _, j := range jobs {
		if j.State.Phase != queue.Finished {
			live[j.Name] = true
		}
	}
	for _, name := range names {
		j, err := m.dir.get(name)
		if err != nil || live[name] || m.o.Now().Sub(j.Submitted) <= olderThan {
			continue // somebody else is pruning, or it is not over, or young
		}
		if err := m.dir.remove(name); err != nil {
			return pruned, pipeline.Outage(pipeline.LocalDisk, fmt.Errorf("%s: %w", name, err))
		}
		pruned++
	}
	return pruned, nil
}

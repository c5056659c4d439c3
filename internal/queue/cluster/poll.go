package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
)

// Poll implements queue.Manager: one list for all refs, and for what is not in
// it the records and, within limits, the history.
func (m *Manager) Poll(ctx context.Context, refs []queue.Ref) (map[queue.Ref]queue.State, error) {
	states, err := m.poll(ctx, refs, m.o.HistoryMax)
	if err != nil {
		return nil, m.wrap("poll", err)
	}
	return states, nil
}

func (m *Manager) poll(ctx context.Context, refs []queue.Ref, most int) (map[queue.Ref]queue.State, error) {
	states := make(map[queue.Ref]queue.State, len(refs))
	if len(refs) == 0 {
		return states, nil
	}
	jobs, err := m.jobs(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.takeBack(ctx, jobs, refs); err != nil {
		return nil, err
	}
	byID := index(jobs)
	var gone []queue.Ref
	for _, ref := range refs {
		j, ok := match(byID, ref)
		if ok && j.State.Phase != queue.Finished && !j.Stuck {
			states[ref] = j.State
			m.saw(ref.ID, ref.Name, j.State)
			continue
		}
		states[ref] = queue.State{}
		rec, ended := m.record(ref.Name)
		switch {
		case ended && clean(rec) && m.same(ref):
			states[ref] = rec.State()
		case ok && j.State.Phase == queue.Finished:
			states[ref] = m.decide(ref.Name, j.State)
		case ok:
			states[ref] = j.State // stuck
		default:
			gone = append(gone, ref)
		}
	}
	return states, m.lookBack(ctx, gone, most, states)
}

// takeBack deletes what was submitted twice, as when the batch system's client
// repeats by itself what it got no answer to.
func (m *Manager) takeBack(ctx context.Context, jobs []Job, refs []queue.Ref) error {
	known := make(map[string]string, len(refs))
	for _, ref := range refs {
		known[ref.Name] = ref.ID
	}
	there := index(jobs)
	for _, j := range jobs {
		id, ok := known[j.Name]
		if !ok || j.Name == "" || j.ID == id || j.State.Phase == queue.Finished {
			continue
		}
		// Only beside the one that is known: what of it is not, Find settles.
		if _, ok := match(there, queue.Ref{ID: id, Name: j.Name}); !ok {
			continue
		}
		m.o.Log.Warn("a job is there twice; one is deleted", "job", j.Name, "kept", id, "deleted", j.ID)
		if err := m.sys.Delete(ctx, j.ID); err != nil {
			return fmt.Errorf("take back %s, the same as %s: %w", j.ID, id, err)
		}
		m.touch()
	}
	return nil
}

// clean reports whether a job ended by itself beyond doubt. Of any other end
// the batch system may know the reason.
func clean(r batch.Record) bool { return r.Signal == 0 && r.ExitCode < 128 }

// index sorts jobs by their IDs, the last of an ID being the newest.
func index(jobs []Job) map[string][]Job {
	byID := make(map[string][]Job, len(jobs))
	for _, j := range jobs {
		byID[j.ID] = append(byID[j.ID], j)
	}
	return byID
}

// match finds the job that a ref means, and not another with its ID.
func match(byID map[string][]Job, ref queue.Ref) (Job, bool) {
	for _, j := range slices.Backward(byID[ref.ID]) {
		if ref.Matches(j.Name, j.Submitted) {
			return j, true
		}
	}
	return Job{}, false
}

// same reports whether what is kept on disk under the name of a ref is what it
// means.
func (m *Manager) same(ref queue.Ref) bool {
	j, err := m.dir.get(ref.Name)
	if err != nil {
		// The record of the end has the name, which is unique.
		return true
	}
	return ref.Matches(j.Name, j.Submitted)
}

// record returns what the worker left of the end of a submission.
func (m *Manager) record(name string) (batch.Record, bool) {
	rec, err := batch.ReadRecord(m.dir.path, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && queue.ValidName(name) {
		m.o.Log.Warn("the record of a job's end cannot be read", "job", name, "err", err)
	}
	return rec, err == nil
}

// lookBack completes states for refs that are not in the list.
func (m *Manager) lookBack(ctx context.Context, gone []queue.Ref, most int, states map[queue.Ref]queue.State) error {
	ask := m.due(gone, most)
	if len(ask) > 0 {
		var ids []string
		for _, ref := range ask {
			ids = append(ids, ref.ID)
		}
		jobs, err := m.sys.History(ctx, ids)
		if err != nil {
			return err
		}
		m.note(ask, index(jobs), states)
	}
	for _, ref := range gone {
		if states[ref].Phase == queue.Unknown && m.same(ref) {
			states[ref] = m.lastWord(ref)
		}
	}
	return nil
}

// lastWord is what is known about a submission that the batch system does not
// know any more, or not yet: its history lags behind, by up to Settle. So long
// it counts as what it was when it was last seen.
func (m *Manager) lastWord(ref queue.Ref) queue.State {
	rec, ended := m.record(ref.Name)
	switch {
	case m.dir.deleted(ref.Name):
		return m.decide(ref.Name, queue.State{Phase: queue.Finished, Reason: queue.Lost})
	case !ended:
		return m.lately(ref)
	case m.sys.ValidID(ref.ID) && (!m.wasMissed(ref) || m.o.Now().Sub(rec.EndedAt).Abs() < m.o.Settle):
		return m.lately(ref) // the history may still tell why it was ended
	}
	return rec.State()
}

func (m *Manager) wasMissed(ref queue.Ref) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.missed[ref].IsZero()
}

// due returns the refs that the history is to be asked about, those that it was
// not asked about for the longest time first.
func (m *Manager) due(gone []queue.Ref, most int) []queue.Ref {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.o.Now()
	for ref, at := range m.missed {
		if now.Sub(at).Abs() > max(time.Hour, 10*m.o.HistoryEvery) {
			delete(m.missed, ref) // nobody asks any more
		}
	}
	var ask []queue.Ref
	for _, ref := range gone {
		if m.sys.ValidID(ref.ID) && now.Sub(m.missed[ref]).Abs() >= m.o.HistoryEvery {
			ask = append(ask, ref)
		}
	}
	slices.SortStableFunc(ask, func(a, b queue.Ref) int { return m.missed[a].Compare(m.missed[b]) })
	return ask[:min(len(ask), most)]
}

// note takes the history's answer, and remembers whom it did not know.
func (m *Manager) note(asked []queue.Ref, byID map[string][]Job, states map[queue.Ref]queue.State) {
	for _, ref := range asked {
		j, ok := match(byID, ref)
		if ok && j.State.Phase == queue.Finished {
			states[ref] = m.decide(ref.Name, j.State)
		}
		m.mu.Lock()
		if ok {
			delete(m.missed, ref)
		} else {
			m.missed[ref] = m.o.Now()
		}
		m.mu.Unlock()
	}
}

// decide completes what a batch system says of an end by what it cannot know:
// whether the signal was ours, and what the worker saw.
func (m *Manager) decide(name string, s queue.State) queue.State {
	if rec, ok := m.record(name); ok {
		if s.Reason == queue.Exited || s.Reason == queue.Signaled {
			s.Reason, s.ExitCode = rec.State().Reason, rec.ExitCode
		}
		if s.Node == "" {
			s.Node = rec.Node
		}
		if s.StartedAt.IsZero() {
			s.StartedAt = rec.StartedAt
		}
		if s.EndedAt.IsZero() {
			s.EndedAt = rec.EndedAt
		}
	}
	// A worker that is told to stop exits by itself, with 128 + signal.
	told := s.Reason == queue.Exited && s.ExitCode > 128
	if (told || s.Reason == queue.Signaled || s.Reason == queue.Preempted || s.Reason == queue.Lost) && m.dir.deleted(name) {
		s.Reason = queue.Cancelled
	}
	return s
}

// Status implements queue.Manager.
func (m *Manager) Status(ctx context.Context) (running, queued int, err error) {
	jobs, err := m.jobs(ctx)
	if err != nil {
		return 0, 0, m.wrap("status", err)
	}
	for _, j := range jobs {
		if !m.ours(j) {
			continue
		}
		switch j.State.Phase {
		case queue.Running:
			running++
		case queue.Queued:
			queued++
		}
	}
	return running, queued, nil
}

func (m *Manager) ours(j Job) bool { return strings.HasPrefix(j.Name, m.o.Prefix) }

package slurm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"time"

	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
)

// Find implements queue.Manager. What only the accounting knows was accepted,
// and is found, also if it says that the job runs and the controller has lost it.
func (m *Manager) Find(ctx context.Context, name string) (string, error) {
	if !queue.ValidName(name) {
		return "", fmt.Errorf("%w: %q is no name of a submission", queue.ErrUnknown, name)
	}
	jobs, err := m.jobs(ctx, time.Time{})
	if err != nil {
		return "", err
	}
	if found := named(jobs, name); len(found) > 0 {
		return found[0].ID, nil
	}
	jobs, err = m.sacct(ctx, "--name="+name)
	if err != nil {
		return "", err
	}
	if found := named(jobs, name); len(found) > 0 {
		return found[0].ID, nil
	}
	return "", fmt.Errorf("%w: %s", queue.ErrUnknown, name)
}

// Poll implements queue.Manager.
func (m *Manager) Poll(ctx context.Context, refs []queue.Ref) (map[queue.Ref]queue.State, error) {
	states := make(map[queue.Ref]queue.State, len(refs))
	if len(refs) == 0 {
		return states, nil
	}
	var newest int64
	for _, ref := range refs {
		newest = max(newest, ref.Submitted)
	}
	jobs, err := m.jobs(ctx, time.Unix(newest, 0))
	if err != nil {
		return nil, err
	}
	known, names := index(jobs), m.living(jobs)
	var missing []queue.Ref
	for _, ref := range refs {
		j, ok := known.find(ref)
		if !ok {
			missing = append(missing, ref)
			continue
		}
		states[ref] = m.stateOf(ctx, ref, j)
		m.dropOthers(ctx, ref, names[ref.Name])
	}
	if err := m.pollForgotten(ctx, missing, states); err != nil {
		return nil, err
	}
	for ref, s := range states {
		m.nodes.observe(ref.Name, s)
	}
	return states, nil
}

// pollForgotten answers for what the controller does not know. If the
// accounting cannot be asked, the jobs' own records will do, if they are there.
func (m *Manager) pollForgotten(ctx context.Context, refs []queue.Ref, states map[queue.Ref]queue.State) error {
	if len(refs) == 0 {
		return nil
	}
	ids := make([]string, 0, len(refs))
	for _, ref := range refs {
		if validID(ref.ID) {
			ids = append(ids, ref.ID)
		}
	}
	jobs, failed := m.accounted(ctx, ids)
	known := index(jobs)
	for _, ref := range refs {
		j, ok := known.find(ref)
		if ok {
			if s := m.stateOf(ctx, ref, j); s.Phase == queue.Finished {
				states[ref] = s
				continue
			}
		}
		switch record, err := m.record(ref.Name); {
		case err == nil:
			states[ref] = record.State()
		case failed != nil:
			return failed
		case ok: // the controller has lost it, or has forgotten an end that the accounting does not have yet
			states[ref] = queue.State{Phase: queue.Unknown, Detail: "unknown to the controller; the accounting says " + j.State}
		default:
			states[ref] = queue.State{Phase: queue.Unknown}
		}
	}
	return nil
}

// record is what the job left of its own end. One that cannot be read is none.
func (m *Manager) record(name string) (batch.Record, error) {
	record, err := batch.ReadRecord(m.opt.Dir, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.log.Warn("record of a job's end", "submit", name, "err", err)
	}
	return record, err
}

// byID are jobs by their IDs, which may have been given more than once.
type byID map[string][]job

func index(jobs []job) byID {
	known := make(byID, len(jobs))
	for _, j := range jobs {
		known[j.ID] = append(known[j.ID], j)
	}
	return known
}

// find returns the job that ref means, and not another with its ID. Of several
// entries, as the accounting has of a job that was put back, the last counts.
func (k byID) find(ref queue.Ref) (job, bool) {
	var found job
	ok := false
	for _, j := range k[ref.ID] {
		name := j.Name
		if j.Comment == ref.Name {
			name = ref.Name
		}
		if ref.Matches(name, j.Submitted) && (!ok || !j.Submitted.Before(found.Submitted)) {
			found, ok = j, true
		}
	}
	return found, ok
}

// stateOf is j.state with what the job's own files say.
func (m *Manager) stateOf(ctx context.Context, ref queue.Ref, j job) queue.State {
	s := j.state()
	switch {
	case j.heldForGood():
		return m.giveUp(ctx, ref, j, s)
	case s.Phase != queue.Finished || s.Reason != queue.Exited && s.Reason != queue.Signaled || s.Succeeded():
		return s
	case s.Reason == queue.Signaled && s.ExitCode == 128+9 && m.ranOutOfMemory(j):
		s.Reason, s.ExitCode = queue.OutOfMemory, 0
		return s
	}
	// The accounting takes 128 off an exit status above 128, and no batch
	// system knows that the stage, and not the worker, was killed.
	if record, err := m.record(ref.Name); err == nil && record.ExitCode != 0 {
		s.Reason, s.ExitCode = record.State().Reason, record.ExitCode
	} else if j.accounted && s.Reason == queue.Exited {
		s.Detail = fmt.Sprintf("exit status %d or %d", s.ExitCode, 128+s.ExitCode)
	}
	return s
}

// memoryKill is slurmstepd's line about a job that it killed for its memory.
var memoryKill = regexp.MustCompile(`(?m)^slurmstepd\S* error: .*([Ee]xceeded (job )?memory limit|oom[-_]kill)`)

func (m *Manager) ranOutOfMemory(j job) bool {
	if j.Stderr == "" || !m.ours(j) {
		return false
	}
	text, err := queue.Tail(j.Stderr)
	return err == nil && memoryKill.MatchString(text)
}

// giveUp takes a job out of the queue that Slurm could not start and would keep
// for ever. It may have run all the same: Slurm also does this to a job whose
// end it missed while its controller was away.
func (m *Manager) giveUp(ctx context.Context, ref queue.Ref, j job, s queue.State) queue.State {
	if err := m.cancel(ctx, j); err != nil {
		m.log.Warn("job that slurm will not start cannot be cancelled", "submit", ref.Name, "id", j.ID, "err", err)
		s.Detail = NeverStarts + j.Reason
		return s
	}
	if record, err := m.record(ref.Name); err == nil {
		return record.State()
	}
	return queue.State{Phase: queue.Finished, Reason: queue.Lost, Detail: "slurm could not start it and held it: " + j.Reason, EndedAt: time.Now().UTC()}
}

// living are our submissions that have not ended, by their names.
func (m *Manager) living(jobs []job) map[string][]job {
	names := make(map[string][]job)
	for _, j := range jobs {
		if m.ours(j) && j.state().Phase != queue.Finished {
			names[j.Name] = append(names[j.Name], j)
		}
	}
	return names
}

// dropOthers cancels what else was accepted under the name of a submission.
func (m *Manager) dropOthers(ctx context.Context, ref queue.Ref, living []job) {
	for _, j := range living {
		if j.ID == ref.ID {
			continue
		}
		m.log.Warn("slurm has a submission twice; the other one is cancelled", "submit", ref.Name, "id", ref.ID, "other", j.ID)
		if err := m.cancel(ctx, j); err != nil {
			m.log.Warn("submission that slurm has twice cannot be cancelled", "submit", ref.Name, "other", j.ID, "err", err)
		}
	}
}

// Status implements queue.Manager.
func (m *Manager) Status(ctx context.Context) (running, queued int, err error) {
	jobs, err := m.jobs(ctx, time.Time{})
	if err != nil {
		return 0, 0, err
	}
	for _, j := range jobs {
		if !m.ours(j) {
			continue
		}
		switch j.state().Phase {
		case queue.Running:
			running++
		case queue.Queued:
			queued++
		}
	}
	return running, queued, nil
}

// Errors implements queue.Manager. What Slurm has forgotten is ErrUnknown: its
// standard error is where the Spec said.
func (m *Manager) Errors(ctx context.Context, id string) (string, error) {
	jobs, err := m.jobs(ctx, time.Time{})
	if err != nil {
		return "", err
	}
	for _, j := range jobs {
		if j.ID == id && m.ours(j) {
			return queue.Tail(j.Stderr)
		}
	}
	return "", fmt.Errorf("%w: job %s", queue.ErrUnknown, id)
}

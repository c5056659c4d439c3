package pool

import (
	"context"
	"errors"
	"fmt"

	"longhaul/internal/crashpoint"
	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/resultdir"
)

// followEarlier looks after a submit that was given up or taken back without
// anybody having seen its end, while another submit of its job runs. If it has
// come back it is taken out of the queue, so that the job runs once; what it
// left is not used, and kept for the history.
func (p *Pooler) followEarlier(ctx context.Context, sub pipeline.Submit, st queue.State) error {
	if !p.ours(sub) {
		return nil
	}
	id, err := p.cameBack(ctx, sub, st)
	if err != nil {
		return err
	}
	if id != "" {
		crashpoint.Reach(crashpoint.Delete)
		if err := p.Manager.Delete(ctx, id); errors.Is(err, queue.ErrUnknown) {
			return nil // gone again
		} else if err != nil {
			return fmt.Errorf("take it out of the queue: %w", unanswered(err))
		}
		return p.endedLate(ctx, sub, st, fmt.Sprintf("was in the queue again, as %s, and was taken out", id))
	}
	results, err := resultdir.Exists(sub.OutputDir)
	switch {
	case err != nil:
		return held(err)
	case results:
		return p.endedLate(ctx, sub, st, "left results in "+sub.OutputDir)
	case st.Phase == queue.Finished:
		return p.endedLate(ctx, sub, st, describe(st))
	}
	return nil
}

// cameBack returns the queue manager's ID of a submit that waits or runs again;
// "" if it does not. One that was thought never to have arrived has no ID yet,
// and is asked for by its name.
func (p *Pooler) cameBack(ctx context.Context, sub pipeline.Submit, st queue.State) (string, error) {
	if sub.QueueID != "" {
		if st.Phase == queue.Queued || st.Phase == queue.Running {
			return sub.QueueID, nil
		}
		return "", nil
	}
	id, err := p.Manager.Find(ctx, sub.Name)
	if errors.Is(err, queue.ErrUnknown) {
		return "", nil
	}
	return id, unanswered(err)
}

// endedLate keeps for the history what became of a submit that does not count
// any more.
func (p *Pooler) endedLate(ctx context.Context, sub pipeline.Submit, st queue.State, what string) error {
	p.Log.Warn("late end of a submit that had been given up; refused", "job", sub.JobID, "submit", sub.ID, "what", what)
	e := jobtracker.End{Details: "late, and refused: " + what, Node: st.Node, StartedAt: st.StartedAt, EndedAt: st.EndedAt}
	if e.EndedAt.IsZero() {
		e.EndedAt = p.Now()
	}
	return p.Store.SubmitEndedLate(ctx, sub.ID, e)
}

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

// settle finds the submissions whose outcome was not recorded, and asks the
// queue manager whether it has them.
func (p *Pooler) settle(ctx context.Context) error {
	open, err := p.Store.SubmitsIn(ctx, pipeline.Submitting)
	if err != nil {
		return err
	}
	for _, sub := range open {
		p.Progress()
		if err := p.settleOne(ctx, sub); err != nil {
			return fmt.Errorf("settle submit %d %s: %w", sub.ID, sub.Name, err)
		}
	}
	return nil
}

func (p *Pooler) settleOne(ctx context.Context, sub pipeline.Submit) error {
	ours := p.ours(sub)
	if ours {
		crashpoint.Reach(crashpoint.Find)
		id, err := p.Manager.Find(ctx, sub.Name)
		if err == nil {
			p.Log.Info("submission found again", "submit", sub.ID, "name", sub.Name, "queue_id", id)
			return p.Store.SubmitAccepted(ctx, sub.ID, id)
		} else if !errors.Is(err, queue.ErrUnknown) {
			return unanswered(err)
		}
	}
	results, err := resultdir.Exists(sub.OutputDir)
	switch {
	case err != nil:
		return err
	case results:
		// It ran to its end, and the queue manager has forgotten it.
		p.Log.Info("submission found by its results", "submit", sub.ID, "name", sub.Name)
		return p.Store.SubmitFoundProcessed(ctx, sub, jobtracker.End{Details: "results are there", EndedAt: p.Now()})
	case !ours, p.Now().Sub(sub.SubmittedAt) < p.SettleAfter:
		return nil
	}
	p.Log.Warn("submission never reached the queue manager; the job is submitted again", "submit", sub.ID, "name", sub.Name)
	return p.Store.SubmitNeverArrived(ctx, sub, "the queue manager does not know "+sub.Name)
}

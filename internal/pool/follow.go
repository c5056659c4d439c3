package pool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"longhaul/internal/crashpoint"
	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/resultdir"
)

// follow asks the queue manager about all submits that run, and about those
// that may come back, with one question.
func (p *Pooler) follow(ctx context.Context) error {
	running, err := p.Store.SubmitsIn(ctx, pipeline.Running)
	if err != nil || len(running) == 0 {
		return err
	}
	earlier, err := p.Store.UnseenEnds(ctx)
	if err != nil {
		return err
	}
	all := slices.Concat(running, earlier)
	states, err := p.poll(ctx, all)
	if err != nil {
		// While it cannot be asked, it has not been asked: how long it does not
		// know a submit is counted from its next answer.
		clear(p.unknownSince)
		return fmt.Errorf("poll: %w", err)
	}
	maps.DeleteFunc(p.unknownSince, func(id pipeline.SubmitID, _ time.Time) bool {
		st, asked := states[id]
		return !asked || st.Phase != queue.Unknown
	})
	var errs []error
	for i, sub := range all {
		p.Progress()
		act := p.followOne
		if i >= len(running) {
			act = p.followEarlier
		}
		if err := act(ctx, sub, states[sub.ID]); err != nil {
			errs = append(errs, fmt.Errorf("submit %d: %w", sub.ID, err))
			if !errors.Is(err, errHeld) {
				break
			}
		}
	}
	return errors.Join(errs...)
}

// poll returns the states of those submits that our queue manager has an ID for.
func (p *Pooler) poll(ctx context.Context, subs []pipeline.Submit) (map[pipeline.SubmitID]queue.State, error) {
	var refs []queue.Ref
	var ids []pipeline.SubmitID
	for _, sub := range subs {
		if sub.QueueID != "" && p.ours(sub) {
			refs = append(refs, queue.Ref{ID: sub.QueueID, Name: sub.Name, Submitted: sub.SubmittedAt.Unix()})
			ids = append(ids, sub.ID)
		}
	}
	states := make(map[pipeline.SubmitID]queue.State, len(refs))
	if len(refs) == 0 {
		return states, nil
	}
	crashpoint.Reach(crashpoint.Poll)
	answer, err := p.Manager.Poll(ctx, refs)
	for i, ref := range refs {
		states[ids[i]] = answer[ref]
	}
	return states, unanswered(err)
}

func (p *Pooler) followOne(ctx context.Context, sub pipeline.Submit, st queue.State) error {
	switch st.Phase {
	case queue.Running:
		if sub.StartedAt.IsZero() && !st.StartedAt.IsZero() || sub.Node == "" && st.Node != "" {
			return p.Store.SubmitSeen(ctx, sub.ID, st.Node, st.StartedAt)
		}
	case queue.Finished:
		return p.finish(ctx, sub, st)
	case queue.Unknown:
		return p.missing(ctx, sub)
	}
	return nil
}

// missing handles a submit that the queue manager does not know. It may have
// ended long ago and be forgotten; if it left results, it ended well. Without
// results it gets lost_after to turn up again.
func (p *Pooler) missing(ctx context.Context, sub pipeline.Submit) error {
	gone := queue.State{Reason: queue.Lost, Detail: "forgotten by the queue manager"}
	results, err := resultdir.Exists(sub.OutputDir)
	if err != nil {
		return held(err)
	} else if results {
		gone.EndedAt = p.Now()
		return p.finish(ctx, sub, gone)
	}
	if !p.ours(sub) {
		return nil
	}
	since, known := p.unknownSince[sub.ID]
	if !known {
		p.unknownSince[sub.ID] = p.Now()
		p.Log.Warn("the queue manager does not know a submit", "submit", sub.ID, "queue_id", sub.QueueID,
			"lost_after", p.Config.JobPooler.LostAfter)
		return nil
	}
	if p.Now().Sub(since) < p.Config.JobPooler.LostAfter.Std() {
		return nil
	}
	return p.end(ctx, sub, gone,
		fmt.Sprintf("the queue manager has not known it for %s, and it left no results", p.Config.JobPooler.LostAfter))
}

// finish decides what an end means, and records it.
func (p *Pooler) finish(ctx context.Context, sub pipeline.Submit, st queue.State) error {
	results, err := resultdir.Exists(sub.OutputDir)
	if err != nil {
		return held(err)
	}
	if st.Reason == queue.Cancelled && !results && p.justCancelled(sub) {
		return nil
	}
	var log string
	if !results || !st.Succeeded() || p.Config.JobPooler.StderrIsFailure {
		if log, err = p.errorLog(ctx, sub); err != nil {
			return held(err)
		}
	}
	return p.end(ctx, sub, st, p.verdict(sub, st, results, log))
}

// cancelGrace is how long an operator's command has, after it took a submit out
// of the queue, to record that it did.
const cancelGrace = 5 * time.Second

// justCancelled reports whether a submit was first seen to be cancelled a moment
// ago. An operator who stops a job takes it out of the queue first and records
// it then; in between the job is not ours to fail.
func (p *Pooler) justCancelled(sub pipeline.Submit) bool {
	since, known := p.cancelledSince[sub.ID]
	if !known {
		since = p.Now()
		p.cancelledSince[sub.ID] = since
	}
	return p.Now().Sub(since) < cancelGrace
}

// verdict says why a job that has ended did not end well; "" if it did. A job
// that ended by itself is judged by its exit status; one that was ended by
// others may have put its results in place just before, which is the worker's
// last act.
func (p *Pooler) verdict(sub pipeline.Submit, st queue.State, results bool, log string) string {
	switch {
	case st.Succeeded() && !results:
		return "ended with exit status 0, but left no results in " + sub.OutputDir + quoteLast(log, st)
	case !results, st.Reason == queue.Exited && st.ExitCode != 0:
		return describe(st) + quoteLast(log, st)
	case p.Config.JobPooler.StderrIsFailure && strings.TrimSpace(log) != "":
		return "wrote to its standard error" + quoteLast(log, st)
	}
	return ""
}

// end records that a submit has ended: badly, if why is not empty. If an
// operator took it back meanwhile, its end is kept for the history only.
func (p *Pooler) end(ctx context.Context, sub pipeline.Submit, st queue.State, why string) error {
	e := jobtracker.End{Details: why, Node: st.Node, StartedAt: st.StartedAt, EndedAt: st.EndedAt, RanOut: ranOut(st.Reason)}
	if now := p.Now(); e.EndedAt.IsZero() && st.Phase == queue.Finished || e.EndedAt.After(now) {
		e.EndedAt = now // no end at all is the mark of one that nobody saw
	}
	var err error
	if why == "" {
		e.Details = strings.TrimSpace("results are there " + bracket(st.Detail))
		err = p.Store.SubmitProcessed(ctx, sub, e)
	} else {
		err = p.endBadly(ctx, sub, st, e)
	}
	switch {
	case errors.Is(err, pipeline.ErrStale):
		return p.endedLate(ctx, sub, st, e.Details)
	case err != nil:
		return err
	case why == "":
		p.Log.Info("job processed", "job", sub.JobID, "submit", sub.ID, "node", st.Node)
	}
	delete(p.unknownSince, sub.ID)
	delete(p.cancelledSince, sub.ID)
	return nil
}

// endBadly records a bad end: a failure of the job, unless it is not to blame.
func (p *Pooler) endBadly(ctx context.Context, sub pipeline.Submit, st queue.State, e jobtracker.End) error {
	of, err := p.faultOf(ctx, st)
	if err != nil {
		return err
	}
	if of != jobsFault {
		return p.takeBack(ctx, sub, e, of)
	}
	if err := p.Store.SubmitFailed(ctx, sub, e); err != nil {
		return err
	}
	p.Log.Error("job failed", "job", sub.JobID, "submit", sub.ID, "node", st.Node, "err", e.Details)
	return nil
}

package doctor

import (
	"context"
	"errors"
	"fmt"

	"longhaul/internal/daemon"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/resultdir"
)

// queue compares submits with the queue manager, in both directions.
func (d *Doctor) queue(ctx context.Context) ([]Finding, error) {
	m, err := d.queueManager()
	if err != nil {
		return nil, err
	}
	found, err := d.notInQueue(ctx, m)
	if err != nil {
		return found, err
	}
	unknown, err := d.remembered(ctx)
	if errors.Is(err, errCannotList) {
		f := Finding{Severity: Note, Where: m.Kind(), What: err.Error()}
		f.Remedy = "look with its own command for names that begin with " + d.Config.JobPooler.JobBasename
		if d.held {
			f.Severity = Warning
			f.Remedy += "; nobody uploads what such a job leaves, and its observation is processed again"
		}
		return append(found, f), nil
	} else if err != nil {
		return found, err
	}
	lost, err := d.unknownSubmissions(ctx, unknown)
	return append(found, lost...), err
}

func (d *Doctor) queueManager() (_ queue.Manager, err error) {
	if d.manager == nil {
		d.manager, err = d.Manager()
	}
	return d.manager, err
}

// notInQueue finds submits that run here and are not known there.
func (d *Doctor) notInQueue(ctx context.Context, m queue.Manager) ([]Finding, error) {
	running, err := d.Store.SubmitsIn(ctx, pipeline.Running)
	if err != nil || len(running) == 0 {
		return nil, err
	}
	refs := make([]queue.Ref, len(running))
	for i, sub := range running {
		refs[i] = ref(sub)
	}
	states, err := m.Poll(ctx, refs)
	if err != nil {
		return nil, err
	}
	var found []Finding
	for i, sub := range running {
		f := Finding{Severity: Error, Where: row(pipeline.EntitySubmit, sub.ID)}
		switch {
		case sub.Manager != m.Kind():
			f.What = fmt.Sprintf("was given to %s, but jobpooler.queue_manager is %s", sub.Manager, m.Kind())
			f.Remedy = fmt.Sprintf("set it back until the job has ended, or: longhaul stop-jobs -s %d", sub.ID)
		case states[refs[i]].Phase != queue.Unknown:
			continue
		default:
			now, err := d.Store.Submit(ctx, sub.ID)
			if err != nil {
				return found, err
			}
			results, err := resultdir.Exists(sub.OutputDir)
			if err != nil {
				return found, err
			}
			if now.Status != pipeline.Running || results {
				continue // the jobpooler goes by the results
			}
			f.Severity = Warning
			f.What = fmt.Sprintf("runs, but the queue manager does not know %s, and there are no results", sub.QueueID)
			f.Remedy = fmt.Sprintf("the jobpooler gives it %s to turn up, then it has failed; at once: longhaul stop-jobs -s %d",
				d.Config.JobPooler.LostAfter, sub.ID)
			if !d.runs(daemon.JobPooler) {
				f.Severity = Note
			}
		}
		found = append(found, f)
	}
	return found, nil
}

func ref(sub pipeline.Submit) queue.Ref {
	return queue.Ref{ID: sub.QueueID, Name: sub.Name, Submitted: sub.SubmittedAt.Unix()}
}

// errCannotList: the queue manager knows its submissions by name only.
var errCannotList = errors.New("the queue manager cannot list submissions that the job-tracker does not know")

// remembered are the submissions that the queue manager knows and the
// job-tracker does not.
func (d *Doctor) remembered(ctx context.Context) ([]queue.Listed, error) {
	m, err := d.queueManager()
	if err != nil {
		return nil, err
	}
	lister, ok := m.(queue.Lister)
	if !ok {
		return nil, errCannotList
	}
	var failed error
	all, err := lister.List(ctx, func(name string) bool {
		_, err := d.Store.SubmitByName(ctx, name)
		if err != nil && !errors.Is(err, pipeline.ErrNotFound) {
			failed = err
		}
		return err == nil
	})
	return all, errors.Join(err, failed)
}

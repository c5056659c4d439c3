package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/queue/queuefake"
)

// queueFront is the batch system as the jobpooler sees it, or an operator, for
// whom d is nil.
type queueFront struct {
	*farm
	d *daemon
}

var _ queue.Manager = (*queueFront)(nil)

// Kind implements queue.Manager.
func (q *queueFront) Kind() string { return q.fake.Kind() }

func (q *queueFront) before(what string) error { return q.s.before(q.d, pipeline.QueueManager, what) }

func (q *queueFront) afterwards(what string) error {
	return q.s.afterwards(q.d, pipeline.QueueManager, what)
}

// Submit implements queue.Manager.
func (q *queueFront) Submit(_ context.Context, spec queue.Spec) (string, error) {
	s := q.s
	if err := q.before("submit"); err != nil {
		return "", err
	}
	switch {
	case s.chance(s.rates.refused):
		q.blamed[spec.Name] = "rejected"
		s.tracef("the queue manager rejects a job")
		return "", fmt.Errorf("%w: no such queue", queue.ErrRejected)
	case s.chance(s.rates.limbo):
		s.tracef("a submission is late")
		q.late++
		s.after(s.between(tick, settleAfter-tick), func() {
			q.late--
			_, err := q.accept(spec)
			s.check(err)
		})
		return "", pipeline.Outage(pipeline.QueueManager, errors.New("time-out"))
	}
	id, err := q.accept(spec)
	if err != nil {
		return "", err
	}
	return id, q.afterwards("submit")
}

// Find implements queue.Manager.
func (q *queueFront) Find(ctx context.Context, name string) (string, error) {
	if err := q.before("find"); err != nil {
		return "", err
	}
	if q.hidden(name) { // Find is certain, or it does not answer
		return "", pipeline.Outage(pipeline.QueueManager, errors.New("starting up"))
	}
	id, err := q.fake.Find(ctx, name)
	if err != nil {
		return "", err
	}
	return id, q.afterwards("find")
}

// hidden reports whether a submission is there and out of sight.
func (f *farm) hidden(name string) bool {
	return slices.ContainsFunc(f.fake.Jobs(), func(j queuefake.Job) bool { return j.Spec.Name == name && j.Forgotten })
}

// Poll implements queue.Manager. Sometimes the batch system has just been
// started, and knows nothing.
func (q *queueFront) Poll(ctx context.Context, refs []queue.Ref) (map[queue.Ref]queue.State, error) {
	if err := q.before("poll"); err != nil {
		return nil, err
	}
	if q.d != nil && q.mayHide() && q.s.chance(q.s.rates.empty) {
		q.s.tracef("the queue manager answers a poll with nothing")
		q.hid = q.s.at
		q.d.soon = true // really the next poll comes in a minute
		states := make(map[queue.Ref]queue.State, len(refs))
		for _, ref := range refs {
			states[ref] = queue.State{}
		}
		return states, nil
	}
	states, err := q.fake.Poll(ctx, refs)
	if err != nil {
		return nil, err
	}
	return states, q.afterwards("poll")
}

// Status implements queue.Manager.
func (q *queueFront) Status(ctx context.Context) (running, queued int, err error) {
	if err := q.before("status"); err != nil {
		return 0, 0, err
	}
	if q.s.chance(q.s.rates.empty) {
		q.s.tracef("the queue manager says that it is empty")
		return 0, 0, nil
	}
	return q.fake.Status(ctx)
}

// Delete implements queue.Manager.
func (q *queueFront) Delete(ctx context.Context, id string) error {
	if err := q.before("delete"); err != nil {
		return err
	}
	if err := q.fake.Delete(ctx, id); err != nil {
		return err
	}
	if r := q.find(id); r != nil && !r.ended {
		r.ended = true
		q.s.tracef("%s, %s, is deleted from the queue", r.obs.name, id)
		if q.d == nil {
			q.blamed[r.name] = "an operator deleted it"
		}
	}
	return q.afterwards("delete")
}

// Errors implements queue.Manager.
func (q *queueFront) Errors(ctx context.Context, id string) (string, error) {
	if err := q.before("errors"); err != nil {
		return "", err
	}
	text, err := q.fake.Errors(ctx, id)
	if err != nil {
		return "", err
	}
	return text, q.afterwards("errors")
}

// live checks that no two copies of one job wait or run, but for those that
// nobody could know of.
func (f *farm) live() {
	byInput := make(map[string]string)
	running := make(map[string]*run) // by input, one that is not excused
	for _, r := range f.runs {
		if !r.ended && !r.excused {
			running[r.inputs[0]] = r
		}
	}
	for _, j := range f.fake.Jobs() {
		if !j.Live() {
			continue
		}
		r, input := f.find(j.ID), j.Spec.Env["DATAFILES"]
		if r != nil && r.excused {
			f.lingers(r, j.Forgotten, running[r.inputs[0]])
			continue
		}
		if other, twice := byInput[input]; twice {
			f.s.breaks("the same job is in the queue twice, as %s and %s", other, j.ID)
		}
		byInput[input] = j.ID
	}
}

// lingers checks that a run which was given up for lost and has come back is
// soon taken out of the queue when another one of its job runs.
func (f *farm) lingers(r *run, forgotten bool, other *run) {
	pooler := f.s.daemon(jobpooler)
	if forgotten || other == nil || pooler.sound < r.back {
		r.back = pooler.sound
	} else if pooler.sound > r.back+3 {
		f.s.breaks("%s, %s, has come back beside %s, and was left in the queue", r.obs.name, r.id, other.id)
	}
}

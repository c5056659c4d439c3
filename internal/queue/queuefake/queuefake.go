// Package queuefake is a batch system without processes, for tests of what is
// built on a queue.Manager. It does what a test tells it: start and end jobs,
// refuse, lose replies, forget, answer "unknown", give an ID again, take a
// submission late or twice, be down.
//
// Faults come in two ways. Hooks run before and after every call and can turn
// it into an error, look at the world, or panic to stand for a crash. And the
// methods beside those of queue.Manager change what the batch system holds.
// What a job would do to the disk is left to the test.
package queuefake

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
)

// Op is one of the calls of queue.Manager.
type Op string

// The calls.
const (
	Submit Op = "submit"
	Find   Op = "find"
	Poll   Op = "poll"
	Status Op = "status"
	Delete Op = "delete"
	Errors Op = "errors"
)

// Call is what a hook is told about a call.
type Call struct {
	Op   Op
	Name string     // of the submission; "" for Poll and Status
	Spec queue.Spec // of Submit
	Refs int        // of Poll
}

// Hook runs before or after a call; an error becomes the call's. Before it, the
// call then has no effect; after it, the effect stays and the reply is lost.
// It may call the Manager's own methods.
type Hook func(Call) error

// Job is one submission that the batch system took.
type Job struct {
	ID        string
	Spec      queue.Spec
	Submitted time.Time
	State     queue.State
	Stderr    string
	Forgotten bool // no call knows it, but it goes on
	Deleted   bool
}

// Live reports whether a job waits or runs, known or not.
func (j Job) Live() bool { return j.State.Phase == queue.Queued || j.State.Phase == queue.Running }

// Manager is the batch system. Make it with New.
type Manager struct {
	now func() time.Time

	mu            sync.Mutex
	before, after Hook
	jobs          []*Job
	limbo         []queue.Spec
	limboing      bool
	twice         bool
	amnesia       bool
	ids           []string
	nextID        int
	calls         map[Op]int
}

var _ queue.Manager = (*Manager)(nil)

// New returns a batch system without jobs, in which every job waits until it is
// told to run. now is its clock; nil: time.Now.
func New(now func() time.Time) *Manager {
	if now == nil {
		now = time.Now
	}
	return &Manager{now: now, nextID: 1000, calls: make(map[Op]int)}
}

// Outage is the error of a batch system that does not answer.
func Outage() error {
	return pipeline.Outage(pipeline.QueueManager, errors.New("no answer"))
}

// Before sets the hook that runs before every call; nil: none.
func (m *Manager) Before(h Hook) { m.lock(func() { m.before = h }) }

// After sets the hook that runs after every call that has succeeded; nil: none.
func (m *Manager) After(h Hook) { m.lock(func() { m.after = h }) }

// Down makes the given calls, or all if none is given, fail with Outage. Up, or
// another Before, ends that.
func (m *Manager) Down(ops ...Op) {
	m.Before(func(c Call) error {
		for _, op := range ops {
			if op == c.Op {
				return Outage()
			}
		}
		if len(ops) == 0 {
			return Outage()
		}
		return nil
	})
}

// Up removes both hooks.
func (m *Manager) Up() { m.lock(func() { m.before, m.after = nil, nil }) }

// Forgetful sets whether Poll, Status and Errors answer as if the batch system
// had no jobs, as one that has just been started. Find, which must be certain,
// then is an outage.
func (m *Manager) Forgetful(on bool) { m.lock(func() { m.amnesia = on }) }

// Twice sets whether submissions are taken twice, as by a client that repeats
// by itself what it got no answer to.
func (m *Manager) Twice(on bool) { m.lock(func() { m.twice = on }) }

// Late sets whether submissions are held back: Submit answers with an outage,
// nothing knows them, and Arrive lets them in.
func (m *Manager) Late(on bool) { m.lock(func() { m.limboing = on }) }

// Arrive takes what Late has held back, and returns how many that were.
func (m *Manager) Arrive() (n int) {
	m.lock(func() {
		for _, spec := range m.limbo {
			m.accept(spec)
		}
		n, m.limbo = len(m.limbo), nil
	})
	return n
}

// NextID makes the next submissions have these IDs, which may have been used.
func (m *Manager) NextID(ids ...string) { m.lock(func() { m.ids = append(m.ids, ids...) }) }

// Start makes a waiting job run on a node.
func (m *Manager) Start(name, node string) {
	m.change(name, func(j *Job) {
		j.State = queue.State{Phase: queue.Running, Node: node, StartedAt: m.now()}
	})
}

// End makes a job end with an exit status, and with what it wrote to its
// standard error.
func (m *Manager) End(name string, exit int, stderr string) {
	m.change(name, func(j *Job) {
		j.Stderr = stderr
		j.State.Phase, j.State.Reason, j.State.ExitCode = queue.Finished, queue.Exited, exit
		j.State.EndedAt = m.now()
	})
}

// Kill makes a job end for another reason than its own exit.
func (m *Manager) Kill(name string, reason queue.Reason, detail string) {
	m.change(name, func(j *Job) {
		j.State.Phase, j.State.Reason, j.State.Detail, j.State.EndedAt = queue.Finished, reason, detail, m.now()
	})
}

// Forget makes the batch system not know a job, which goes on all the same.
func (m *Manager) Forget(name string) { m.change(name, func(j *Job) { j.Forgotten = true }) }

// Recall makes it know the job again.
func (m *Manager) Recall(name string) { m.change(name, func(j *Job) { j.Forgotten = false }) }

// Jobs returns all jobs that were ever taken, oldest first, whatever became of
// them.
func (m *Manager) Jobs() (all []Job) {
	m.lock(func() {
		for _, j := range m.jobs {
			all = append(all, *j)
		}
	})
	return all
}

// Calls returns how often a call was made, those that failed included.
func (m *Manager) Calls(op Op) (n int) {
	m.lock(func() { n = m.calls[op] })
	return n
}

// Kind implements queue.Manager.
func (m *Manager) Kind() string { return "fake" }

// Submit implements queue.Manager. Jobs wait until Start.
func (m *Manager) Submit(ctx context.Context, spec queue.Spec) (id string, err error) {
	err = m.call(ctx, Call{Op: Submit, Name: spec.Name, Spec: spec}, func() error {
		if err := spec.Check(); err != nil {
			return err
		}
		if m.limboing {
			m.limbo = append(m.limbo, spec)
			return Outage()
		}
		id = m.accept(spec)
		if m.twice {
			m.accept(spec)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return id, nil
}

// Find implements queue.Manager.
func (m *Manager) Find(ctx context.Context, name string) (id string, err error) {
	err = m.call(ctx, Call{Op: Find, Name: name}, func() error {
		if m.amnesia {
			return Outage()
		}
		for _, j := range m.known() {
			if j.Spec.Name == name {
				id = j.ID
				return nil
			}
		}
		return fmt.Errorf("%s: %w", name, queue.ErrUnknown)
	})
	return id, err
}

// Poll implements queue.Manager.
func (m *Manager) Poll(ctx context.Context, refs []queue.Ref) (map[queue.Ref]queue.State, error) {
	states := make(map[queue.Ref]queue.State, len(refs))
	err := m.call(ctx, Call{Op: Poll, Refs: len(refs)}, func() error {
		byID := make(map[string][]*Job)
		for _, j := range m.known() {
			byID[j.ID] = append(byID[j.ID], j)
		}
		for _, ref := range refs {
			states[ref] = queue.State{}
			for _, j := range byID[ref.ID] {
				if ref.Matches(j.Spec.Name, j.Submitted) {
					states[ref] = j.State
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return states, nil
}

// Status implements queue.Manager.
func (m *Manager) Status(ctx context.Context) (running, queued int, err error) {
	err = m.call(ctx, Call{Op: Status}, func() error {
		for _, j := range m.known() {
			switch j.State.Phase {
			case queue.Running:
				running++
			case queue.Queued:
				queued++
			}
		}
		return nil
	})
	return running, queued, err
}

// Delete implements queue.Manager.
func (m *Manager) Delete(ctx context.Context, id string) error {
	return m.call(ctx, Call{Op: Delete, Name: m.nameOf(id)}, func() error {
		j := m.byID(id)
		if j == nil {
			return fmt.Errorf("%s: %w", id, queue.ErrUnknown)
		}
		if j.Live() {
			j.State.Phase, j.State.Reason, j.State.EndedAt = queue.Finished, queue.Cancelled, m.now()
			j.Deleted = true
		}
		return nil
	})
}

// Errors implements queue.Manager.
func (m *Manager) Errors(ctx context.Context, id string) (text string, err error) {
	err = m.call(ctx, Call{Op: Errors, Name: m.nameOf(id)}, func() error {
		j := m.byID(id)
		if j == nil {
			return fmt.Errorf("%s: %w", id, queue.ErrUnknown)
		}
		text = j.Stderr
		return nil
	})
	return text, err
}

// call runs one call between its hooks.
func (m *Manager) call(ctx context.Context, c Call, act func() error) error {
	var before, after Hook
	m.lock(func() {
		m.calls[c.Op]++
		before, after = m.before, m.after
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	if before != nil {
		if err := before(c); err != nil {
			return fmt.Errorf("fake: %s %s: %w", c.Op, c.Name, err)
		}
	}
	var err error
	m.lock(func() { err = act() })
	if err == nil && after != nil {
		err = after(c)
	}
	if err != nil {
		return fmt.Errorf("fake: %s %s: %w", c.Op, c.Name, err)
	}
	return nil
}

func (m *Manager) lock(fn func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fn()
}

// accept adds a job; the lock is held.
func (m *Manager) accept(spec queue.Spec) string {
	id := strconv.Itoa(m.nextID)
	if len(m.ids) > 0 {
		id, m.ids = m.ids[0], m.ids[1:]
	} else {
		m.nextID++
	}
	m.jobs = append(m.jobs, &Job{ID: id, Spec: spec, Submitted: m.now(), State: queue.State{Phase: queue.Queued}})
	return id
}

// known returns the jobs that calls know; the lock is held.
func (m *Manager) known() (all []*Job) {
	for _, j := range m.jobs {
		if !j.Forgotten && !m.amnesia {
			all = append(all, j)
		}
	}
	return all
}

// byID returns the newest job with an ID, nil if there is none; the lock is held.
func (m *Manager) byID(id string) (found *Job) {
	for _, j := range m.known() {
		if j.ID == id {
			found = j
		}
	}
	return found
}

func (m *Manager) nameOf(id string) (name string) {
	m.lock(func() {
		if j := m.byID(id); j != nil {
			name = j.Spec.Name
		}
	})
	return name
}

// change changes all jobs of a name; a name that was never taken is a mistake
// of the test.
func (m *Manager) change(name string, fn func(*Job)) {
	m.lock(func() {
		found := false
		for _, j := range m.jobs {
			if j.Spec.Name == name {
				fn(j)
				found = true
			}
		}
		if !found {
			panic("queuefake: no job was taken under the name " + name)
		}
	})
}

// Package queue is the interface to a batch system. Each implementation is a
// package below this one and passes package queuetest, which is the
// specification in executable form.
//
// It decides nothing: how many jobs may run, what is submitted next and what
// an end means for a job is the job pooler's business (package pool).
package queue

import (
	"context"
	"errors"
	"time"
)

// Errors by which the job pooler decides. Anything that is neither of these nor
// pipeline.ErrOutage nor pipeline.ErrFatal is treated as an outage.
var (
	// ErrUnknown: the batch system has no record of the job. Batch systems
	// forget, so this alone is no evidence of failure.
	ErrUnknown = errors.New("unknown to the queue manager")
	// ErrRejected: the batch system looked at this job and will not have it.
	// The job fails; others may pass.
	ErrRejected = errors.New("rejected by the queue manager")
)

// Spec is one submission.
type Spec struct {
	// Name is unique for ever, at most 64 of [A-Za-z0-9_-], and starts with a letter.
	Name string
	// Command is what the node runs: a program and its arguments, never a shell line.
	Command []string
	// Env is added to the environment in which Command runs.
	Env map[string]string
	// Stdout and Stderr are absolute paths of files to be made; their directory exists.
	Stdout, Stderr string
	Resources      Resources
	// Args are further arguments for the batch system's command, as a site
	// wants them for jobs of this kind; package local has no use for them.
	Args []string
}

// Resources is what a job asks for; zero leaves it to the batch system.
type Resources struct {
	CPUs     int
	Memory   int64 // bytes
	WallTime time.Duration
}

// Ref identifies a submission beyond doubt. Batch systems use an ID again, so
// the name and the time of submission go with it.
type Ref struct {
	ID        string
	Name      string
	Submitted int64 // Unix time, s, just before Submit was called; 0 if not known
}

// Phase is where a submission is.
type Phase int

// The phases.
const (
	Unknown  Phase = iota // no record of it
	Queued                // accepted, not started, or held
	Running               // started
	Finished              // ended, well or not
)

func (p Phase) String() string {
	return [...]string{"unknown", "queued", "running", "finished"}[p]
}

// Reason is why a job ended, in words common to all batch systems.
type Reason string

// The reasons. Other than Exited means that the job did not end by itself.
const (
	Exited      Reason = "exited"        // by itself; ExitCode says how
	Signaled    Reason = "signal"        // by a signal that was not the batch system's
	TimedOut    Reason = "time limit"    // WallTime was used up
	OutOfMemory Reason = "out of memory" // Memory was used up
	NodeFailed  Reason = "node failure"  // the node died under it
	Cancelled   Reason = "cancelled"     // somebody removed it
	Preempted   Reason = "preempted"     // the batch system took its place away
	Lost        Reason = "lost"          // it is gone, and nobody knows its exit status
)

// State is the answer of a poll about one submission.
type State struct {
	Phase    Phase
	ExitCode int    // of a Finished job that Exited; else 128 + signal, if known
	Reason   Reason // of a Finished job
	Detail   string // the batch system's own words, if they add something
	Node     string
	// StartedAt and EndedAt are zero while not known.
	StartedAt, EndedAt time.Time
}

// Succeeded reports whether the job ended by itself with status 0.
func (s State) Succeeded() bool {
	return s.Phase == Finished && s.Reason == Exited && s.ExitCode == 0
}

// Manager is a batch system. Its methods are safe for concurrent use and each
// ends within a time-out of its own. An error that wraps pipeline.ErrOutage
// means that nothing is known: ask again later.
type Manager interface {
	// Kind is the name of the implementation in the configuration.
	Kind() string
	// Submit hands over spec once and returns the batch system's ID for it.
	// ErrRejected: it will never take it. Any other error leaves open whether
	// it was accepted: Find it by name before a second try. Most batch systems
	// run what is submitted twice twice; package local is one that does not.
	Submit(ctx context.Context, spec Spec) (id string, err error)
	// Find returns the ID of the submission with that name, whether it waits,
	// runs or has ended, or ErrUnknown when the batch system surely has none.
	Find(ctx context.Context, name string) (id string, err error)
	// Poll reports on all refs with one question to the batch system. Every
	// ref has an entry in the answer; one that is not known is Unknown.
	Poll(ctx context.Context, refs []Ref) (map[Ref]State, error)
	// Status counts our submissions that run and that wait.
	Status(ctx context.Context) (running, queued int, err error)
	// Delete removes a submission, and returns when it no longer runs or will
	// not start. One that has ended already is no error; ErrUnknown if there
	// never was one.
	Delete(ctx context.Context, id string) error
	// Errors returns the last part, at most 16 KiB, of what the job wrote to
	// its standard error; "" if that is empty or missing.
	Errors(ctx context.Context, id string) (string, error)
}

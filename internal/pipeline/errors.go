package pipeline

import (
	"errors"
	"fmt"
)

// Callers branch on these with errors.Is.
var (
	// ErrNotFound: there is no such row.
	ErrNotFound = errors.New("not found")
	// ErrStale: the row has left the status that the caller thought it had.
	// Somebody else was quicker; look again.
	ErrStale = errors.New("its status has moved on")
	// ErrForbidden: the state machine has no such transition. A bug, or an
	// operator's wish that makes no sense; never retried.
	ErrForbidden = errors.New("no such transition")
	// ErrOutage: something outside did not answer. Not a failure of the thing
	// asked about: nothing is marked, no attempt is used up, ask again later.
	ErrOutage = errors.New("outage")
	// ErrPaused: a person or the breaker has stopped this for a while.
	ErrPaused = errors.New("paused")
	// ErrFatal: going on cannot help or would harm; the daemon stops.
	ErrFatal = errors.New("fatal")
)

// System names something outside that can have an outage.
type System string

// The outside systems, in the order in which data meets them.
const (
	RestoreService System = "restore service"
	FileServer     System = "file server"
	QueueManager   System = "queue manager"
	CommonDatabase System = "common database"
	MailServer     System = "mail server"
	LocalDisk      System = "disk"
	JobTracker     System = "job-tracker" // where it is a database on a server
)

// OutageError says which outside system did not answer, and how that showed.
// errors.Is(err, ErrOutage) holds.
type OutageError struct {
	System System
	Err    error
}

// Outage marks err as an outage of a system; nil stays nil.
func Outage(system System, err error) error {
	if err == nil {
		return nil
	}
	return &OutageError{system, err}
}

func (e *OutageError) Error() string { return fmt.Sprintf("%s: %v", e.System, e.Err) }

// Unwrap makes both ErrOutage and the cause visible to errors.Is.
func (e *OutageError) Unwrap() []error { return []error{ErrOutage, e.Err} }

// Fatal marks err as one that must stop the daemon; nil stays nil.
func Fatal(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrFatal, err)
}

package queue

import (
	"context"
	"time"
)

// Listed is a submission as a queue manager remembers it.
type Listed struct {
	ID, Name  string
	Submitted time.Time
	State     State
	// Command and Env are those of its Spec.
	Command []string
	Env     map[string]string
}

// Lister is a queue manager that can tell of submissions whose names nobody
// gives it: what a job-tracker that was restored from a backup has forgotten.
type Lister interface {
	// List returns the submissions that wait, run or have ended, as long as
	// they are remembered, but for those whose names skip knows.
	List(ctx context.Context, skip func(name string) bool) ([]Listed, error)
}

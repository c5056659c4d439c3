package batch

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"longhaul/internal/pipeline"
)

// Pace returns a limit of so many submissions a second; 0: none.
func Pace(perSecond float64) *rate.Limiter {
	if perSecond <= 0 {
		return rate.NewLimiter(rate.Inf, 1)
	}
	return rate.NewLimiter(rate.Limit(perSecond), 1)
}

// Cache keeps the answer to a question that must not be asked too often. It is
// safe for concurrent use; one caller asks, the others wait for the answer.
type Cache[T any] struct {
	every time.Duration
	now   func() time.Time
	turn  chan struct{} // holds one token: whoever has it may use what follows
	asked time.Time     // when the last answer's question was begun, zero: no answer
	next  time.Time     // not asked again before
	value T
}

// NewCache returns a Cache that asks at most once in a time; 0: always.
func NewCache[T any](every time.Duration) *Cache[T] {
	c := &Cache[T]{every: every, now: time.Now, turn: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	return c
}

// Get returns the last answer if it was asked for after a time - that of the
// newest thing that the answer must know of - and is not older than the time
// between two questions. Otherwise it asks, if need be when that time is over.
// An error is not kept, but it does put off the next question.
func (c *Cache[T]) Get(ctx context.Context, after time.Time, ask func(context.Context) (T, error)) (T, error) {
	var zero T
	select {
	case <-c.turn:
		defer func() { c.turn <- struct{}{} }()
	case <-ctx.Done():
		return zero, pipeline.Outage(pipeline.QueueManager, ctx.Err())
	}
	now := c.now()
	if wait := c.next.Sub(now); wait > 0 && wait <= c.every { // more: the clock was set back
		if !c.asked.IsZero() && c.asked.After(after) {
			return c.value, nil
		}
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return zero, pipeline.Outage(pipeline.QueueManager, ctx.Err())
		}
	}
	begin := c.now()
	value, err := ask(ctx)
	c.next = c.now().Add(c.every)
	if err != nil {
		c.asked = time.Time{}
		return zero, err
	}
	c.asked, c.value = begin, value
	return value, nil
}

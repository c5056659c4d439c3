// Package pool is the job pooler's pass: it groups files into jobs, submits
// them to the queue manager, follows them to their end, and retries or gives
// up those that fail.
//
// Every submission is written down under a unique name before the queue
// manager is asked. One whose answer was lost is settled by asking the queue
// manager for that name; it is never handed over again under another.
//
// A job fails for what itself did, or for what is certain about its input and
// its results. Where the queue manager or a disk does not answer, the job waits,
// and others go on. What a worker says of a disk in trouble is no failure of the
// job; and when too many fail in a row, the breaker pauses submissions.
//
// How a batch system is spoken to is the business of package queue; what a job
// does on its node is that of package worker.
package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
	"longhaul/internal/product"
	"longhaul/internal/queue"
)

// Options are what a Pooler works with.
type Options struct {
	Config   *config.Config
	Store    *jobtracker.Store
	Manager  queue.Manager
	Products *product.Set
	Log      *slog.Logger
	// Progress is called between two things that a pass does; nil: nobody watches.
	Progress func()
	// SettleAfter is how long after its Submit a submission may still turn up
	// in the queue when the reply was lost. Until then nothing is concluded from
	// its absence. 0 suits a queue manager whose Find is certain at once.
	SettleAfter time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Pooler makes the passes. Passes do not overlap.
type Pooler struct {
	Options
	unknownSince map[pipeline.SubmitID]time.Time // the queue manager has not known it since
	// cancelledSince is when a submit was first seen to have been cancelled.
	cancelledSince map[pipeline.SubmitID]time.Time
	said           map[string]bool // warnings that are given once
	unread         int             // error logs in a row that could not be had in this pass
	paused         *pipeline.Pause // of submissions, as the log was told; nil: none
}

// errHeld marks what keeps one job from going on, and others not: its input,
// its results or its error log cannot be looked at now. It is an outage.
var errHeld = errors.New("held up")

// mostHeld bounds how many jobs a pass passes over because they are held up. So
// many are not single jobs with a mishap but a disk that is gone.
const mostHeld = 100

// recordTimeout bounds the writing of what has happened.
const recordTimeout = time.Minute

// New returns a Pooler.
func New(opt Options) *Pooler {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Progress == nil {
		opt.Progress = func() {}
	}
	return &Pooler{
		Options: opt, unknownSince: make(map[pipeline.SubmitID]time.Time),
		cancelledSince: make(map[pipeline.SubmitID]time.Time), said: make(map[string]bool),
	}
}

// Pass advances everything once. Each part is tried even if another failed, but
// nothing is submitted while a submission of before has no known outcome.
func (p *Pooler) Pass(ctx context.Context) error {
	p.unread = 0
	settled := p.settle(ctx)
	errs := []error{settled, p.follow(ctx), p.watchBreaker(ctx), p.decide(ctx), p.group(ctx)}
	if settled == nil && ctx.Err() == nil {
		errs = append(errs, p.submit(ctx))
	}
	return errors.Join(errs...)
}

// group makes jobs of the files that are here and complete.
func (p *Pooler) group(ctx context.Context) error {
	files, err := p.Store.UngroupedFiles(ctx)
	if err != nil {
		return err
	}
	for _, g := range p.Products.Group(files) {
		switch {
		case g.Wrong != "":
			p.warnOnce(g.Product+"/"+g.Key, "files that can make no job", "group", g.Name, "product", g.Product, "why", g.Wrong)
		case g.Complete():
			if err := p.createJobs(ctx, g); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Pooler) createJobs(ctx context.Context, g product.Group) error {
	stages := p.Config.StagesOf(g.Product)
	if len(stages) == 0 {
		return nil // the configuration check has said so
	}
	ids, err := p.Store.CreateJobs(ctx, jobtracker.NewJob{
		Name: g.Name, Product: g.Product, GroupKey: g.Key, Metadata: g.Metadata, Stages: stages, Files: g.Files,
	})
	if errors.Is(err, pipeline.ErrStale) {
		return nil // an operator took a file away meanwhile
	} else if err != nil {
		return err
	}
	p.Log.Info("job made", "job", ids, "name", g.Name, "files", len(g.Files))
	return nil
}

func (p *Pooler) warnOnce(key, msg string, args ...any) {
	if !p.said[key] {
		p.said[key] = true
		p.Log.Warn(msg, args...)
	}
}

// ours reports whether a submit is with our queue manager. One that was handed
// to another, before the configuration was changed, may well run there: only its
// results can end it, or an operator.
func (p *Pooler) ours(sub pipeline.Submit) bool {
	if sub.Manager == p.Manager.Kind() {
		return true
	}
	p.warnOnce("manager/"+sub.Name, "a submit is with another queue manager and is left to it",
		"submit", sub.ID, "its_manager", sub.Manager, "configured", p.Manager.Kind(),
		"hint", fmt.Sprintf("if it is not there any more: longhaul stop-jobs -s %d", sub.ID))
	return false
}

// recording returns a context for writing down what has happened outside, which
// must be done even while the daemon is being stopped.
func recording(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
}

// unanswered makes an outage of every error of the queue manager that the
// caller knows no better use for.
func unanswered(err error) error {
	if err == nil || errors.Is(err, pipeline.ErrOutage) || errors.Is(err, pipeline.ErrFatal) {
		return err
	}
	return pipeline.Outage(pipeline.QueueManager, err)
}

// held makes an outage of the disk that holds up one job only.
func held(err error) error {
	if !errors.Is(err, pipeline.ErrOutage) {
		err = pipeline.Outage(pipeline.LocalDisk, err)
	}
	return fmt.Errorf("%w: %w", errHeld, err)
}

// Package pool is the job pooler's pass: it groups files into jobs, submits
// them to the queue manager, follows them to their end, and retries or gives
// up those that fail.
//
// Every submission is written down under a unique name before the queue
// manager is asked. One whose answer was lost is settled by asking the queue
// manager for that name; it is never handed over again under another.
//
// How a batch system is spoken to is the business of package queue; what a job
// does on its node is that of package worker.
package pool

import (
	"context"
	"errors"
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
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Pooler makes the passes. Passes do not overlap.
type Pooler struct {
	Options
	unknownSince map[pipeline.SubmitID]time.Time // the queue manager has not known it since
	saidWrong    map[string]bool                 // groups that can never be complete, said once
}

// New returns a Pooler.
func New(opt Options) *Pooler {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Progress == nil {
		opt.Progress = func() {}
	}
	return &Pooler{Options: opt,
		unknownSince: make(map[pipeline.SubmitID]time.Time), saidWrong: make(map[string]bool)}
}

// Pass advances everything once. Each part is tried even if another failed, but
// nothing is submitted while a submission of before has no known outcome.
func (p *Pooler) Pass(ctx context.Context) error {
	settled := p.settle(ctx)
	errs := []error{settled, p.follow(ctx), p.decide(ctx), p.group(ctx)}
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
			if key := g.Product + "/" + g.Key; !p.saidWrong[key] {
				p.saidWrong[key] = true
				p.Log.Warn("files that can make no job", "group", g.Name, "product", g.Product, "why", g.Wrong)
			}
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

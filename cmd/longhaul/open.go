package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/jobtracker"
	"longhaul/internal/operator"
	"longhaul/internal/queue"
	"longhaul/internal/site"
)

// config reads the configuration as those need it that do not act as a daemon:
// without secrets, which an operator may not be allowed to read.
func (p *program) config() (*config.Config, error) { return config.LoadFile(p.configPath) }

// configWithSecrets reads the configuration for asking the outside, without a
// look at this host's directories.
func (p *program) configWithSecrets() (*config.Config, error) {
	text, err := os.ReadFile(p.configPath)
	if err != nil {
		return nil, err
	}
	return config.Parse(p.configPath, text, config.OSEnv())
}

// tracker is where the job-tracker is, with its password if there is one that the
// person may read. Without it, PostgreSQL's own places for passwords are left.
func (p *program) tracker(c *config.Config) string {
	if c.Background.OnServer() {
		if full, err := p.configWithSecrets(); err == nil {
			c = full
		}
	}
	return site.JobTracker(c)
}

// withOperator opens the job-tracker for the person who runs the command.
func (p *program) withOperator(ctx context.Context, fn func(*operator.Operator) error) (err error) {
	c, err := p.config()
	if err != nil {
		return err
	}
	store, err := jobtracker.Open(ctx, p.tracker(c),
		jobtracker.Options{Actor: site.Operator(), Now: p.now, Wants: site.Wants(c.Email)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	op, err := operator.New(operator.Options{Config: c, Store: store, Outside: p.outside(c), Now: p.now})
	if err != nil {
		return err
	}
	return fn(op)
}

// outside makes the clients of the outside systems when they are wanted.
func (p *program) outside(c *config.Config) operator.Outside {
	log := slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return operator.Outside{
		Manager: sync.OnceValues(func() (queue.Manager, error) { return site.QueueGuest(c, log) }),
		Uploaded: func(ctx context.Context, submit string) (found bool, at time.Time, err error) {
			c, err := p.configWithSecrets()
			if err != nil {
				return false, at, err
			}
			db, err := site.CommonDB(ctx, c)
			if err != nil {
				return false, at, err
			}
			defer func() { err = errors.Join(err, db.Close()) }()
			return db.Find(ctx, submit)
		},
		Location: func(ctx context.Context, guid string) (done bool, word string, err error) {
			c, err := p.configWithSecrets()
			if err != nil {
				return false, "", err
			}
			restorer, err := site.Restorer(c)
			if err != nil {
				return false, "", err
			}
			if restorer == nil {
				return false, "", fmt.Errorf("download.source is %q, so no restore service is asked", c.Download.Source)
			}
			return restorer.Location(ctx, guid)
		},
	}
}

// each does something to each of the things that a person named, says what was
// done, and goes on after errors. stop says after which errors the rest would
// fare no better.
func (p *program) each(ctx context.Context, things []string, do func(string) (string, error), stop func(error) bool) error {
	bad := 0
	for i, thing := range things {
		done, err := do(thing)
		if err == nil {
			if _, err := io.WriteString(p.stdout, clean(done)+"\n"); err != nil {
				return err
			}
			continue
		}
		p.complain(fmt.Errorf("%s: %w", thing, err))
		bad++
		if rest := len(things) - i - 1; rest > 0 && (ctx.Err() != nil || stop(err)) {
			return fmt.Errorf("%d of %d could not be done, %d were not tried", bad, len(things), rest)
		}
	}
	switch {
	case bad == 0:
		return nil
	case len(things) == 1:
		return errors.New("nothing was changed")
	}
	return fmt.Errorf("%d of %d could not be done", bad, len(things))
}

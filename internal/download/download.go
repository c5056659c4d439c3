// Package download is the downloader's pass: it asks the archive for data when
// there is room, enters the files that appear, fetches and verifies them, and
// gives up what cannot be had.
//
// A pass looks at the job-tracker, advances what can be advanced and returns;
// transfers go on in the background and are counted in the tracker. It leaves
// protocols to package archive and SQL to package jobtracker.
//
// Every transfer is written down before it starts. One that was cut short by a
// crash is settled by looking at the part file: what is there is kept, and the
// next attempt goes on from it.
package download

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"longhaul/internal/archive"
	"longhaul/internal/config"
	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
	"longhaul/internal/product"
)

// Options are what a Downloader works with.
type Options struct {
	Config   config.Download
	Store    *jobtracker.Store
	Restorer archive.Restorer // nil unless the source is "restore"
	Server   archive.FileServer
	Products *product.Set
	// Every is how often the archive is asked whether something is ready.
	Every time.Duration
	// Wake asks for a pass soon; called when a transfer has ended.
	Wake func()
	Log  *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Free returns the free bytes of the file system of a path; nil means disk.Free.
	Free func(path string) (int64, error)
}

// Downloader makes the passes. Passes do not overlap; transfers run beside them.
type Downloader struct {
	Options
	wg sync.WaitGroup

	mu     sync.Mutex
	active map[pipeline.FileID]pipeline.Attempt
	outage error // what the last transfer that could not reach the server said

	// Only the pass uses these.
	asked        time.Time // when the archive was last asked for what is ready
	refusals     int       // requests refused in a row
	notBefore    time.Time // no request before this
	seen         map[string]sighting
	saidFull     bool // that there is no room has been logged
	lastLocation map[pipeline.RequestID]string
}

// New returns a Downloader.
func New(opt Options) *Downloader {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Free == nil {
		opt.Free = disk.Free
	}
	if opt.Wake == nil {
		opt.Wake = func() {}
	}
	return &Downloader{
		Options: opt, active: make(map[pipeline.FileID]pipeline.Attempt), seen: make(map[string]sighting),
		lastLocation: make(map[pipeline.RequestID]string),
	}
}

// Pass advances everything once. Each part is tried even if another failed, so
// that an outage of the restore service does not hold up the file server.
// Transfers that it starts end with ctx; Wait waits for them.
func (d *Downloader) Pass(ctx context.Context) error {
	errs := []error{d.takeOutage()}
	for _, part := range []func(context.Context) error{
		d.settle, d.verifyAll, d.decide, d.receive, d.start, d.request,
	} {
		if ctx.Err() != nil {
			break
		}
		errs = append(errs, part(ctx))
	}
	return errors.Join(errs...)
}

// Wait returns when no transfer is running.
func (d *Downloader) Wait() { d.wg.Wait() }

// Active counts the running transfers.
func (d *Downloader) Active() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.active)
}

func (d *Downloader) isActive(id pipeline.FileID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.active[id]
	return ok
}

// takeOutage returns what a transfer reported since the last pass, so that the
// loop sees the outage and backs off.
func (d *Downloader) takeOutage() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.outage
	d.outage = nil
	return err
}

// decide gives every failed file another try, or gives it up.
func (d *Downloader) decide(ctx context.Context) error {
	failed, err := d.Store.FilesIn(ctx, pipeline.Failed)
	if err != nil {
		return err
	}
	for _, f := range failed {
		if f.Attempts >= d.Config.NumRetries {
			err = d.giveUp(ctx, f)
		} else {
			at := d.Now().Add(pipeline.RetryWait(f.Attempts, d.Config.RetryWait.Std(), d.Config.RetryWaitMax.Std()))
			err = d.Store.RetryFile(ctx, f.ID, at, f.Details)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

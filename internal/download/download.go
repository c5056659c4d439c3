// Package download is the downloader's pass: it asks the archive for data when
// there is room, enters the files that appear, fetches and verifies them, and
// gives up what cannot be had.
//
// A pass looks at the job-tracker, advances what can be advanced and returns;
// transfers go on in the background and are counted in the tracker. It leaves
// protocols to package archive and SQL to package jobtracker.
//
// Every transfer is written down before it starts. One that was cut short by a
// crash is settled by looking at the part file: what is there for certain is
// kept, and the next attempt goes on from it.
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
	"longhaul/internal/notice"
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
	// Progress is called between two things that a pass does; nil: nobody watches.
	Progress func()
	Log      *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Free returns the free bytes of the file system of a path; nil means disk.Free.
	Free func(path string) (int64, error)
}

// Downloader makes the passes. Passes do not overlap; transfers run beside them.
type Downloader struct {
	Options
	wg      sync.WaitGroup
	writing sync.Mutex // makes the look at the free space and the write one step

	mu     sync.Mutex
	active map[pipeline.FileID]bool // the running transfers; true if begun during an outage
	outages

	// Only the pass uses these.
	asked     time.Time // when the archive was last asked for what is ready
	fruitless int       // requests in a row that brought nothing new
	notBefore time.Time // no request before this
	patience
	guids        map[pipeline.RequestID]string // that the tracker could not take yet
	lastWord     map[pipeline.RequestID]string // of the archive, as it was logged
	sumsTried    map[string]int                // how often the checksums in a directory could not be read
	seen         map[string]sighting
	namesRefused int  // in the polled directory, as it was logged
	saidFull     bool // that there is no room has been logged
	saidHeld     bool // that downloads are paused has been logged
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
	if opt.Progress == nil {
		opt.Progress = func() {}
	}
	return &Downloader{
		Options:   opt,
		active:    make(map[pipeline.FileID]bool),
		outages:   outages{of: make(map[pipeline.System]error)},
		guids:     make(map[pipeline.RequestID]string),
		lastWord:  make(map[pipeline.RequestID]string),
		sumsTried: make(map[string]int),
	}
}

// Pass advances everything once. Each part is tried even if another failed, so
// that an outage of the restore service does not hold up the file server. While
// the disk is not mounted, only what does not touch it goes on.
// Transfers that it starts end with ctx; Wait waits for them.
func (d *Downloader) Pass(ctx context.Context) error {
	missing := d.mounted(ctx)
	parts := []func(context.Context) error{d.settle, d.verifyAll, d.decide, d.receive, d.start, d.request}
	if missing != nil {
		parts = []func(context.Context) error{d.settle, d.receive}
	}
	errs := []error{missing}
	for _, part := range parts {
		if ctx.Err() != nil {
			break
		}
		d.Progress()
		errs = append(errs, part(ctx))
	}
	return errors.Join(append(errs, d.lasting(errs)...)...)
}

// held reports whether a person has paused downloads, and tells the log once.
func (d *Downloader) held(ctx context.Context) (bool, error) {
	p, held, err := d.Store.Paused(ctx, pipeline.PauseDownloads)
	if held != d.saidHeld && err == nil {
		d.saidHeld = held
		if held {
			d.Log.Warn("downloads are paused", "since", p.Since.Format(time.RFC3339), "by", p.Actor, "why", p.Reason)
		} else {
			d.Log.Info("downloads go on")
		}
	}
	return held, err
}

// Wait returns when no transfer is running.
func (d *Downloader) Wait() { d.wg.Wait() }

// Active counts the running transfers.
func (d *Downloader) Active() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.active)
}

// running returns the files whose transfers run now. It must be asked before
// the tracker is: a transfer that ends in between has then not been overlooked.
func (d *Downloader) running() map[pipeline.FileID]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	files := make(map[pipeline.FileID]bool, len(d.active))
	for id := range d.active {
		files[id] = true
	}
	return files
}

// decide gives every failed file another try, or gives it up.
func (d *Downloader) decide(ctx context.Context) error {
	failed, err := d.Store.FilesIn(ctx, pipeline.Failed)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range failed {
		if f.Attempts >= d.Config.NumRetries {
			errs = append(errs, d.giveUp(ctx, f))
			continue
		}
		at := d.Now().Add(pipeline.RetryWait(f.Attempts, d.Config.RetryWait.Std(), d.Config.RetryWaitMax.Std()))
		errs = append(errs, d.Store.RetryFile(ctx, f.ID, at, f.Details))
	}
	return errors.Join(errs...)
}

// giveUp removes what is here of a file, ends its tries, and tells a person. In
// that order: a crash in between leaves a file to be given up, never a part
// file that nobody knows of.
func (d *Downloader) giveUp(ctx context.Context, f pipeline.File) error {
	if err := removePart(f); err != nil {
		return err
	}
	d.Log.Error("file given up", "file", f.ID, "name", f.Filename, "attempts", f.Attempts, "err", f.Details)
	n := notice.FileGivenUp(notice.FileReport{File: f, Reason: f.Details, MaxAttempts: d.Config.NumRetries})
	return d.Store.GiveUpFile(ctx, f.ID, f.Details, n)
}

// Package daemon puts the three daemons together: it opens the job-tracker,
// takes the lock of its kind, makes the pass, and runs it in a loop with logs,
// notices and systemd's notifications around it.
//
// A daemon runs alone in its process (cmd/downloader, cmd/jobpooler,
// cmd/uploader) or with the others in one (longhaul run); both call Run.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"longhaul/internal/config"
	"longhaul/internal/crashpoint"
	"longhaul/internal/jobtracker"
	"longhaul/internal/loop"
	"longhaul/internal/notice"
	"longhaul/internal/pipeline"
	"longhaul/internal/site"
)

// The kinds of daemon, in the order in which data meets them.
const (
	Downloader = "downloader"
	JobPooler  = "jobpooler"
	Uploader   = "uploader"
)

// Kinds returns all kinds of daemon.
func Kinds() []string { return []string{Downloader, JobPooler, Uploader} }

const (
	// watchInterval is how often a daemon looks for changes of the others;
	// one look costs some tens of microseconds.
	watchInterval = 200 * time.Millisecond
	// outagePatience is how long an outage lasts before a person is told.
	outagePatience = 10 * time.Minute
	// lastWords is the time for what must still be written when a daemon ends.
	lastWords = 30 * time.Second
)

// Options say what is run.
type Options struct {
	Kinds []string
	// Once makes one pass, waits for what it started, and returns.
	Once   bool
	Stderr io.Writer
}

// Run runs daemons in this process until ctx is done, or one of them cannot go
// on. A daemon that ends with an error leaves a notice first.
func Run(ctx context.Context, c *config.Config, opt Options) error {
	service, err := loop.NewService()
	if err != nil {
		return err
	}
	var parts []*part
	defer func() {
		for _, p := range slices.Backward(parts) {
			p.close()
		}
	}()
	for _, kind := range opt.Kinds {
		p, err := newPart(ctx, c, kind, opt.Stderr)
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		parts = append(parts, p)
	}
	if opt.Once {
		return runOnce(ctx, c, parts)
	}
	if err := service.Ready(); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, p := range parts {
		group.Go(func() error { return p.run(ctx, service) })
	}
	if c.Email.Enabled {
		group.Go(func() error { return runMailer(ctx, c, parts[0], service) })
	}
	<-ctx.Done()
	return errors.Join(group.Wait(), service.Stopping())
}

func runOnce(ctx context.Context, c *config.Config, parts []*part) error {
	var errs []error
	for _, p := range parts {
		errs = append(errs, p.pass(ctx))
		p.wait()
	}
	if c.Email.Enabled {
		m, err := newMailer(c, parts[0])
		if err == nil {
			err = m.Pass(ctx)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// part is one daemon.
type part struct {
	kind  string
	cfg   *config.Config
	store *jobtracker.Store
	lock  *jobtracker.Lock
	log   *slog.Logger
	pass  func(context.Context) error
	wait  func() // returns when nothing that a pass started goes on
	// watch, if set, calls wake when the outside system of this daemon has
	// news, so that the interval is not the latency.
	watch func(ctx context.Context, wake func())
	// wake asks for a pass, progress tells the watchdog that a long one gets
	// somewhere; both are set before the first pass.
	wake, progress func()
	ends           []func() error
}

func newPart(ctx context.Context, c *config.Config, kind string, stderr io.Writer) (_ *part, err error) {
	crashpoint.Arm(kind)
	p := &part{kind: kind, cfg: c, wait: func() {}, wake: func() {}, progress: func() {}}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	p.lock, err = jobtracker.TryLock(ctx, site.JobTracker(c), kind)
	if err != nil {
		return nil, err
	}
	p.ends = append(p.ends, p.lock.Unlock)
	log, closeLog, err := newLogger(c, kind, stderr)
	if err != nil {
		return nil, err
	}
	p.log = log
	p.ends = append(p.ends, closeLog)
	p.store, err = jobtracker.Open(ctx, site.JobTracker(c),
		jobtracker.Options{Actor: kind, Wants: site.Wants(c.Email)})
	if err != nil {
		return nil, err
	}
	p.ends = append(p.ends, p.store.Close)
	if err := p.store.Guard(ctx, p.lock, func(last string, wait time.Duration) {
		p.log.Warn("the last one did not say that it ended; waiting until it must have", "last", last, "wait", wait)
	}); err != nil {
		return nil, err
	}
	if err := p.refuseHeld(ctx); err != nil {
		return nil, err
	}
	switch kind {
	case Downloader:
		err = p.makeDownloader()
	case JobPooler:
		err = p.makePooler()
	case Uploader:
		err = p.makeUploader(ctx)
	default:
		err = fmt.Errorf("no such daemon; there are %v", Kinds())
	}
	return p, err
}

func (p *part) close() {
	for _, end := range slices.Backward(p.ends) {
		if err := end(); err != nil && p.log != nil {
			p.log.Warn("while ending", "err", err)
		}
	}
}

// run is one daemon from its first pass to its end.
func (p *part) run(ctx context.Context, service *loop.Service) error {
	beat := service.Watch()
	defer beat.Done()
	l := loop.New(loop.Options{
		Name: p.kind, Every: p.cfg.Background.Sleep.Std(), Max: p.cfg.Background.MaxSleep.Std(),
		Log: p.log, Patience: outagePatience, OnOutage: p.outage, OnBack: p.back, Beat: beat,
		Status: func(line string) { _ = service.Status(line) },
	}, clearing(p.store, p.pass, func(s pipeline.System) bool { return s != pipeline.MailServer }))
	p.wake, p.progress = l.Wake, l.Progress
	p.log.Info("started", "pid", os.Getpid(), "job_tracker", p.store.Path())
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var helpers errgroup.Group
	helpers.Go(func() error { p.store.Watch(ctx, watchInterval, l.Wake); return nil })
	helpers.Go(func() error {
		if err := p.store.Check(ctx); errors.Is(err, pipeline.ErrFatal) {
			cancel(err)
		}
		return nil
	})
	helpers.Go(func() error { p.keepBackups(ctx, cancel); return nil })
	helpers.Go(func() error {
		select {
		case <-ctx.Done():
		case <-p.lock.Lost():
			cancel(pipeline.Fatal(jobtracker.ErrLockLost))
		}
		return nil
	})
	if p.watch != nil {
		helpers.Go(func() error { p.watch(ctx, l.Wake); return nil })
	}
	err := l.Run(ctx)
	if cause := context.Cause(ctx); err == nil && errors.Is(cause, pipeline.ErrFatal) {
		err = cause
	}
	cancel(nil)
	p.wait()
	_ = helpers.Wait() // they return nil
	if err != nil {
		p.crashed(err)
		return err
	}
	p.log.Info("stopped")
	return nil
}

// outage and back write what the loop found out; failing to write it is logged,
// since the outage may be that of the disk itself.
func (p *part) outage(ctx context.Context, system pipeline.System, err error, began time.Time) {
	if err := p.store.OutageBegan(ctx, system, err.Error(), notice.Outage(system, err, began)); err != nil {
		p.log.Error("outage not recorded", "err", err)
	}
}

func (p *part) back(ctx context.Context, system pipeline.System, _ time.Duration, _ int) {
	if err := p.store.OutageOver(ctx, system); err != nil {
		p.log.Error("end of outage not recorded", "err", err)
	}
}

// crashed leaves a notice, and tries to mail it: nobody else may be there to.
func (p *part) crashed(err error) {
	p.log.Error("ended", "err", err)
	ctx, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	if err := p.store.Notify(ctx, notice.Crash(p.kind, err, time.Now())); err != nil {
		p.log.Error("crash not recorded", "err", err)
		return
	}
	if !p.cfg.Email.Enabled {
		return
	}
	m, err := newMailer(p.cfg, p)
	if err == nil {
		err = m.Pass(ctx)
	}
	if err != nil {
		p.log.Error("crash not mailed; it will be when a daemon runs again", "err", err)
	}
}

// clearing makes the first pass without an error end the outages that were
// recorded by this daemon before it was started again: nobody else would.
func clearing(s *jobtracker.Store, pass func(context.Context) error, ours func(pipeline.System) bool) func(context.Context) error {
	cleared := false
	return func(ctx context.Context) error {
		if err := pass(ctx); err != nil || cleared {
			return err
		}
		outages, err := s.Outages(ctx)
		if err != nil {
			return err
		}
		for _, o := range outages {
			if o.Daemon != s.Actor() || !ours(o.System) {
				continue
			}
			if err := s.OutageOver(ctx, o.System); err != nil {
				return err
			}
		}
		cleared = true
		return nil
	}
}

func newMailer(c *config.Config, p *part) (*mailer, error) {
	smtp, err := site.SMTP(c)
	if err != nil {
		return nil, fmt.Errorf("mailer: %w", err)
	}
	return &mailer{p.store, notice.New(p.store, smtp, notice.Policy{
		Prefix: site.MailPrefix(c), DigestDelay: c.Email.DigestDelay.Std(), MaxPerHour: c.Email.MaxPerHour,
	}, time.Now, p.log)}, nil
}

// mailer is the one mailer of a job-tracker that is at work, of all daemons'.
type mailer struct {
	store  *jobtracker.Store
	mailer *notice.Mailer
}

// Pass is that of the notice.Mailer, or nothing if another daemon's is at work.
func (m *mailer) Pass(ctx context.Context) (err error) {
	lock, err := m.store.TryLock(ctx, "mailer")
	if errors.Is(err, loop.ErrLocked) {
		return nil
	} else if err != nil {
		return fmt.Errorf("mailer: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	return m.mailer.Pass(ctx)
}

// runMailer sends the notices of all daemons. Whichever daemon has the mailer's
// lock sends; the others look on and take over when it is gone.
func runMailer(ctx context.Context, c *config.Config, p *part, service *loop.Service) error {
	m, err := newMailer(c, p)
	if err != nil {
		return err
	}
	beat := service.Watch()
	defer beat.Done()
	return loop.New(loop.Options{
		Name: "mailer", Every: min(max(c.Email.DigestDelay.Std()/2, time.Second), 30*time.Second),
		Max: c.Background.MaxSleep.Std(), Log: p.log.With("part", "mailer"), Beat: beat,
		Patience: outagePatience, OnOutage: p.outage, OnBack: p.back,
	}, clearing(p.store, m.Pass, func(s pipeline.System) bool { return s == pipeline.MailServer })).Run(ctx)
}

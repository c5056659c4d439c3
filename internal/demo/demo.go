// Package demo runs the whole pipeline on a made-up survey, with real parts: an
// archive with a restore service over HTTP and a file server over FTP and TLS,
// a mail server, the three daemons as processes of their own, jobs as real
// processes, and PSRFITS observations that are written for it.
//
// The archive misbehaves on purpose. At the end the demo compares what the
// pipeline did with what it made up, and says what it checked.
package demo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
	"longhaul/internal/loop"
	"longhaul/internal/notice/smtptest"
)

// Options say how the demo is run.
type Options struct {
	Beams int    // good Mock pairs; at least 1
	Dir   string // where everything is kept; empty: a temporary directory. One that is there already is gone on with.
	Keep  bool   // leave a temporary directory behind
	Self  string // the longhaul program
	// Queue is the queue manager, "local" if empty. Its commands find their
	// batch system by the environment.
	Queue string
	// CommonDB is the kind of the common database, "sqlite" if empty. A server
	// is found by the variables that its own clients know, and its database must
	// have no uploads yet.
	CommonDB string
	// Progress is where the demo says what is happening.
	Progress io.Writer
	// Timeout is how long the pipeline may take to finish the survey.
	Timeout time.Duration
}

type demo struct {
	opt     Options
	at      layout
	survey  survey
	started time.Time
	out     *progress
	archive *remoteArchive
	mail    *smtptest.Server
	cfg     *config.Config
	store   *jobtracker.Store
}

// Run runs the demo to its end. An error means that it could not be run; what
// the pipeline did wrong is in the report.
func Run(ctx context.Context, opt Options) (_ *Report, err error) {
	temporary := opt.Dir == ""
	if temporary {
		if opt.Dir, err = os.MkdirTemp("", "longhaul-demo-"); err != nil {
			return nil, err
		}
	}
	if opt.Dir, err = filepath.Abs(opt.Dir); err != nil {
		return nil, err
	}
	d := &demo{opt: opt, at: layout{opt.Dir}, survey: newSurvey(opt.Beams), started: time.Now()}
	d.out = &progress{w: opt.Progress, started: d.started}
	report, err := d.run(ctx)
	switch {
	case temporary && !opt.Keep && err == nil && report.OK:
		return report, os.RemoveAll(opt.Dir)
	case temporary:
		d.out.say("demo", "everything is left in "+opt.Dir)
	}
	return report, err
}

func (d *demo) run(ctx context.Context) (*Report, error) {
	if err := d.prepare(ctx); err != nil {
		return nil, err
	}
	defer d.end()
	lock, err := loop.TryLock(d.at.path("demo.lock"))
	if err != nil {
		return nil, fmt.Errorf("another demo runs in %s: %w", d.at.dir, err)
	}
	defer lock.Unlock()
	daemons := startDaemons(ctx, d.opt.Self, d.at, d.out.say)
	defer daemons.Stop()
	d.out.say("demo", fmt.Sprintf("%d observations, %d files; everything is in %s",
		len(d.survey.items), len(files(d.survey.items)), d.at.dir))
	finished := d.follow(ctx)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w; go on with: longhaul demo --dir %s", context.Cause(ctx), d.at.dir)
	}
	daemons.Stop()
	return d.report(ctx, finished, daemons.Restarts())
}

// prepare makes the site and starts its outside world.
func (d *demo) prepare(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			d.end()
		}
	}()
	if err := os.MkdirAll(d.at.dir, disk.DirMode); err != nil {
		return err
	}
	again := false
	if _, err := os.Stat(d.at.config()); err == nil { // a run before
		again = true
		if err := markInterrupted(d.at); err != nil {
			return err
		}
	}
	if err := makeDirs(d.at); err != nil {
		return err
	}
	if err := planFailures(d.at, d.survey); err != nil {
		return err
	}
	if d.archive, err = startArchive(d.at, d.survey); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	cert := d.archive.ca.ServerConfig().Certificates[0]
	if d.mail, err = startMail(d.at, &cert); err != nil {
		return fmt.Errorf("mail server: %w", err)
	}
	if d.cfg, err = d.setUp(ctx, again); err != nil {
		return fmt.Errorf("site: %w", err)
	}
	d.store, err = jobtracker.Open(ctx, d.at.tracker(), jobtracker.Options{Actor: "demo"})
	return err
}

func startMail(at layout, cert *tls.Certificate) (*smtptest.Server, error) {
	return smtptest.Start(smtptest.Options{Dir: at.mails(), Certificate: cert})
}

// end closes what prepare opened.
func (d *demo) end() {
	var errs []error
	if d.store != nil {
		errs = append(errs, d.store.Close())
	}
	if d.mail != nil {
		errs = append(errs, d.mail.Close())
	}
	if d.archive != nil {
		errs = append(errs, d.archive.Close())
	}
	if err := errors.Join(errs...); err != nil {
		d.out.say("demo", "while ending: "+err.Error())
	}
}

// Package doctor compares the job-tracker with itself, with the configuration,
// and with the world: the disk, the queue manager, the common database. Each
// difference is a Finding with its remedy. On request it repairs those where
// nothing can be lost, by the same methods of the job-tracker that the daemons
// use, so that the history says what was done and by whom.
//
// After a restore from a backup it also looks for what happened since, and
// enters it, so that nothing is done a second time; see lost.go.
//
// It deletes no raw data and no results, and it does not decide what an
// operator should: it names the command.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"longhaul/internal/commondb"
	"longhaul/internal/config"
	"longhaul/internal/daemon"
	"longhaul/internal/jobtracker"
	"longhaul/internal/loop"
	"longhaul/internal/product"
	"longhaul/internal/queue"
)

// Severity is how much a finding matters.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // something is wrong
	Warning Severity = "warning" // a person should look at it some time
	Note    Severity = "note"    // the daemons settle it by themselves
)

// Finding is one difference.
type Finding struct {
	Check      string   `json:"check"`
	Severity   Severity `json:"severity"`
	Where      string   `json:"where"` // a row, as "file 12", or a path
	What       string   `json:"what"`
	Remedy     string   `json:"remedy"`          // a command, or what the repair does
	Repairable bool     `json:"repairable"`      // by --repair
	Repaired   bool     `json:"repaired"`        //
	Trouble    string   `json:"trouble"`         // why the repair was not done
	Holds      bool     `json:"holds,omitempty"` // while it is there, a restored job-tracker stays held

	fix   func(context.Context) error
	stops []string // daemons that must not run meanwhile
}

// Database is the common database, as far as it is asked here.
type Database interface {
	Uploads(ctx context.Context, institution, pipeline, survey string, after int64, limit int) ([]commondb.Uploaded, error)
	OriginalFiles(ctx context.Context, upload int64) ([]string, error)
	Find(ctx context.Context, submit string) (bool, time.Time, error)
}

// Options say what is examined, and how.
type Options struct {
	Config   *config.Config
	Store    *jobtracker.Store // opened under the operator's name
	Manager  func() (queue.Manager, error)
	CommonDB func(ctx context.Context) (Database, error)
	// Running reports whether a kind of daemon runs.
	Running func(kind string) bool
	Deep    bool // also read raw data and the newest backup, and compare digests
	Repair  bool
	// Release, with Repair, ends the hold of a restored job-tracker whatever was found.
	Release bool
	Now     func() time.Time // nil means time.Now
}

// Report is what was found.
type Report struct {
	At       time.Time `json:"at"`
	Held     bool      `json:"held"`     // the job-tracker was restored from a backup, and the daemons wait
	Released bool      `json:"released"` // they need not any more
	Findings []Finding `json:"findings"`
}

// Left counts the errors and warnings that are still there.
func (r Report) Left() int {
	n := 0
	for _, f := range r.Findings {
		if !f.Repaired && f.Severity != Note {
			n++
		}
	}
	return n
}

// Doctor examines one site, once.
type Doctor struct {
	Options
	products *product.Set
	locks    map[string]*jobtracker.Lock // of the daemons that cannot start meanwhile
	hold     jobtracker.Hold
	held     bool
	manager  queue.Manager
	db       Database
	// claimed are the rows, paths and names that a finding about a forgotten
	// submit speaks of, so that no other speaks of them.
	claimed map[string]bool
}

// New returns a Doctor.
func New(opt Options) (*Doctor, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	products, err := product.New(opt.Config.Products)
	if err != nil {
		return nil, err
	}
	return &Doctor{Options: opt, products: products, locks: make(map[string]*jobtracker.Lock), claimed: make(map[string]bool)}, nil
}

// check looks at one thing. A check that comes later finds repaired what an
// earlier one has repaired.
type check struct {
	name string
	run  func(context.Context) ([]Finding, error)
	// needed to end the hold: without it, what was forgotten is not known.
	needed bool
}

func (d *Doctor) checks() []check {
	return []check{
		{"history", d.history, false},
		{"configuration", d.configuration, false},
		{"common database", d.uploads, true},
		{"queue", d.queue, true},
		{"in between", d.inBetween, false},
		{"raw data", d.rawData, false},
		{"deletions", d.deletions, false},
		{"downloads", d.strays, false},
		{"results", d.results, false},
		{"mail", d.mail, false},
		{"backups", d.backups, false},
	}
}

// Run makes all checks, and the repairs if so wished. A check that cannot be
// made is a finding; the error is one that prevents all of them.
func (d *Doctor) Run(ctx context.Context) (r Report, err error) {
	r.At = d.Now()
	if d.Repair {
		if err := d.lock(ctx); err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, d.unlock()) }()
	}
	if r.Findings, err = d.damage(ctx); err != nil || len(r.Findings) > 0 {
		return r, err // nothing in it can be relied on
	}
	if d.hold, d.held, err = d.Store.Held(ctx); err != nil {
		return r, err
	}
	r.Held = d.held
	for _, c := range d.checks() {
		found, err := c.run(ctx)
		if ctx.Err() != nil {
			return r, context.Cause(ctx)
		} else if err != nil {
			found = append(found, Finding{Severity: Warning, What: "cannot be checked: " + err.Error(),
				Remedy: "longhaul preflight", Holds: d.held && c.needed})
		}
		for i := range found {
			found[i].Check = c.name
			found[i].Repairable = found[i].fix != nil
			if d.Repair {
				d.repair(ctx, &found[i])
			}
		}
		r.Findings = append(r.Findings, found...)
	}
	return r, d.release(ctx, &r)
}

// lock takes the locks of the daemons that do not run.
func (d *Doctor) lock(ctx context.Context) error {
	for _, kind := range daemon.Kinds() {
		lock, err := d.Store.TryLock(ctx, kind)
		if errors.Is(err, loop.ErrLocked) {
			continue
		} else if err != nil {
			return errors.Join(err, d.unlock())
		}
		d.locks[kind] = lock
	}
	return nil
}

func (d *Doctor) unlock() error {
	var errs []error
	for _, l := range d.locks {
		errs = append(errs, l.Unlock())
	}
	return errors.Join(errs...)
}

// runs reports whether a daemon runs; one whose lock is held here does not.
func (d *Doctor) runs(kind string) bool { return d.locks[kind] == nil && d.Running(kind) }

// repair does what the finding says, unless a daemon could do something else
// at the same time.
func (d *Doctor) repair(ctx context.Context, f *Finding) {
	if f.fix == nil {
		return
	}
	for _, kind := range f.stops {
		if d.locks[kind] == nil {
			f.Trouble = fmt.Sprintf("the %s runs; stop it first: systemctl stop longhaul-%[1]s", kind)
			return
		}
	}
	if err := f.fix(ctx); err != nil {
		f.Trouble = err.Error()
		return
	}
	f.Repaired = true
}

// release ends the hold of a restored job-tracker, once nothing that it has
// forgotten could be done a second time.
func (d *Doctor) release(ctx context.Context, r *Report) error {
	if !d.held {
		return nil
	}
	left := 0
	for _, f := range r.Findings {
		if f.Holds && !f.Repaired {
			left++
		}
	}
	if d.Repair && (d.Release || left == 0) {
		r.Released = true
		return d.Store.Release(ctx, fmt.Sprintf("doctor: daemons may start; %d findings left, %d of them about what was forgotten", r.Left(), left))
	}
	f := Finding{Check: "restore", Severity: Error, Where: d.Store.Path(),
		What: fmt.Sprintf("was %s: no daemon starts until that is looked into", d.hold), Remedy: "longhaul doctor --repair"}
	if d.Repair {
		f.What = fmt.Sprintf("was %s, and %d things of that could be done again: no daemon starts", d.hold, left)
		f.Remedy = "settle what is left, then again; or, if that may be: longhaul doctor --repair --release"
	}
	r.Findings = append(r.Findings, f)
	return nil
}

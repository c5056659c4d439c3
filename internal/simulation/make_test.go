package simulation

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"longhaul/internal/disk"
	"longhaul/internal/download"
	"longhaul/internal/jobtracker"
	"longhaul/internal/notice"
	"longhaul/internal/operator"
	"longhaul/internal/pipeline"
	"longhaul/internal/pool"
	"longhaul/internal/product"
	"longhaul/internal/queue"
	"longhaul/internal/results"
	"longhaul/internal/site"
	"longhaul/internal/upload"
)

// emptyTracker is the content of an empty job-tracker, made once.
var emptyTracker = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "simulation-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "jobtracker.db")
	if _, err := jobtracker.Create(context.Background(), path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// manifest reads results; compiling its schema takes longer than a simulated week.
var manifest = sync.OnceValues(func() (*results.Manifest, error) { return results.NewManifest(0) })

// oneRun makes one run, in a directory that is in memory where that can be had:
// syncing is what a run would wait for most.
func oneRun(t testing.TB, seed uint64, days int, what lie, echo func(string)) result {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "longhaul-simulation-")
	if err != nil {
		dir = t.TempDir()
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}()
	s := newSim(seed, days, dir, what)
	s.echo = echo
	return simulate(t.Context(), s)
}

// open makes the directories, the job-tracker and the daemons.
func (s *sim) open(ctx context.Context) error {
	c := s.cfg
	for _, dir := range []string{c.Download.Temp, c.Basic.QsublogDir, c.JobPooler.BaseResultsDirectory, s.added()} {
		if err := disk.MakeDir(dir); err != nil {
			return err
		}
	}
	empty, err := emptyTracker()
	if err == nil {
		err = os.WriteFile(c.Background.JobtrackerDB, empty, disk.FileMode)
	}
	if err != nil {
		return err
	}
	if s.store, err = jobtracker.Open(ctx, c.Background.JobtrackerDB, jobtracker.Options{Actor: "operator", Now: s.now}); err != nil {
		return err
	}
	if s.history.db, err = sql.Open("sqlite", "file:"+c.Background.JobtrackerDB+"?_pragma=busy_timeout(10000)&_pragma=synchronous(OFF)"); err != nil {
		return err
	}
	for _, kind := range []string{downloader, jobpooler, uploader, mailer} {
		d := &daemon{s: s, kind: kind, gate: newGate()}
		if d.store, err = jobtracker.Open(ctx, c.Background.JobtrackerDB, jobtracker.Options{Actor: kind, Now: d.now}); err != nil {
			return err
		}
		s.daemons = append(s.daemons, d)
	}
	s.person = &person{s: s}
	s.op, err = operator.New(operator.Options{Config: c, Store: s.store, Now: s.now, Outside: operator.Outside{
		Manager:  func() (queue.Manager, error) { return &queueFront{s.farm, nil}, nil },
		Uploaded: s.db.uploaded,
	}})
	return err
}

// close ends everything, also in the middle.
func (s *sim) close() error {
	var errs []error
	for _, d := range s.daemons {
		if d.up {
			d.kill()
		}
		errs = append(errs, d.store.Close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.history.db != nil {
		errs = append(errs, s.history.db.Close())
	}
	return errors.Join(errs...)
}

// given is v, or what a lie makes of it.
func given[T any](lie func(T) T, v T) T {
	if lie == nil {
		return v
	}
	return lie(v)
}

// added is where an operator puts raw data.
func (s *sim) added() string { return filepath.Join(s.dir, "added") }

// make builds the pass of a daemon, as package daemon does.
func (d *daemon) make() {
	s, c := d.s, d.s.cfg
	products, err := product.New(c.Products)
	s.check(err)
	switch d.kind {
	case downloader:
		settings := c.Download
		if d.windDown {
			settings.NumRestored, settings.SpaceToUse = 0, 100_000 // halves may wait for others to have room
		}
		d.dl = download.New(download.Options{
			Config: settings, Store: d.store, Restorer: &restorer{s.archive, d}, Server: &fileServer{s.archive, d},
			Products: products, Every: tick * 65 / 100, Wake: d.gate.stir, Log: d.log(), Now: s.now, Free: s.free,
		})
		d.pass = d.dl.Pass
	case jobpooler:
		d.pass = pool.New(pool.Options{
			Config: c, Store: d.store, Manager: given[queue.Manager](s.lie.manager, &queueFront{s.farm, d}),
			Products: products, Log: d.log(), SettleAfter: settleAfter, Now: s.now,
		}).Pass
	case uploader:
		reader, err := manifest()
		s.check(err)
		d.pass = upload.New(upload.Options{
			Config: c, Store: d.store, Database: given[upload.Database](s.lie.database, &dbFront{s.db, d}),
			Readers: map[string]results.Reader{"manifest": reader}, Log: d.log(),
		}).Pass
	case mailer:
		policy := notice.Policy{Prefix: "[longhaul]", DigestDelay: c.Email.DigestDelay.Std(),
			MaxPerHour: c.Email.MaxPerHour, Lock: site.LockPath(c, mailer)}
		d.pass = notice.New(given[notice.Outbox](s.lie.outbox, d.store), &sender{s.post, d}, given(s.lie.policy, policy), s.now, d.log()).Pass
	}
}

// errDown is why a system does not answer.
var errDown = errors.New("no answer")

// before stands before everything that a daemon does outside; d is nil for the
// operator. An error means that it was not done.
func (s *sim) before(d *daemon, system pipeline.System, what string) error {
	if d != nil {
		d.point("before " + what)
		s.person.interferes()
	}
	if s.down[system] && !s.calm || s.chance(s.rates.hiccup) {
		return pipeline.Outage(system, errDown)
	}
	return nil
}

// afterwards stands after it. An error means that it was done and the answer is lost.
func (s *sim) afterwards(d *daemon, system pipeline.System, what string) error {
	if d != nil {
		d.point("after " + what)
	}
	if s.chance(s.rates.lostReply) {
		s.tracef("the reply to %s is lost", what)
		return pipeline.Outage(system, errors.New("the reply is lost"))
	}
	return nil
}

// settleAfter is how late a submission may still turn up; see pool.Options.
const settleAfter = 40 * time.Minute

package simulation

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"runtime"
	"slices"
	"time"

	"longhaul/internal/download"
	"longhaul/internal/jobtracker"
	"longhaul/internal/loop"
	"longhaul/internal/notice"
	"longhaul/internal/pipeline"
	"longhaul/internal/site"
)

// The daemons, in the order of sim.daemons. The mailer lives in one of the
// others; here it dies alone.
const (
	downloader = "downloader"
	jobpooler  = "jobpooler"
	uploader   = "uploader"
	mailer     = "mailer"
)

// daemon is one daemon from its first start on, with its deaths and restarts.
type daemon struct {
	s     *sim
	kind  string
	store *jobtracker.Store // survives: to a pass it is the same as one opened anew

	up     bool
	due    time.Time // of the next pass
	soon   bool      // the next pass is due at the next tick, whatever comes
	fails  int       // passes in a row that returned an error
	ctx    context.Context
	cancel context.CancelFunc
	pass   func(context.Context) error
	dl     *download.Downloader // of the downloader
	gate   *gate
	lock   *loop.Lock // of the others than the mailer, which takes its own
	// windDown makes the downloader, from its next start on, ask for no more data.
	windDown bool

	doomed    int  // points until it dies; 0: it lives
	dead      bool // it has died in a transfer
	releasing bool // a transfer is at work, and not the pass
	outages   map[pipeline.System]*outage
	cleared   bool // outages of before the start have been looked after
	sound     int  // passes without an error since its start
}

// outage is one outside system that does not answer a daemon.
type outage struct {
	began time.Time
	told  bool
}

// patience is how long an outage lasts before a person is told.
const patience = 10 * time.Minute

// death is the value of a panic that stands for the end of the process.
type death struct{ at string }

// point is a moment at which a daemon can die: before and after everything it
// does outside itself, and before each commit in the job-tracker.
func (d *daemon) point(what string) {
	if d.doomed == 0 {
		return
	}
	if d.doomed--; d.doomed > 0 {
		return
	}
	d.s.tracef("%s dies at %s", d.kind, what)
	if d.releasing { // a panic in a transfer would be the end of us all
		d.dead = true
		runtime.Goexit()
	}
	panic(death{what})
}

// now is the clock of the daemon's store, which it asks just before it commits
// something: a panic here rolls the transaction back.
func (d *daemon) now() time.Time {
	d.point("commit")
	return d.s.now()
}

// start makes the daemon anew, as the start of its process does.
func (d *daemon) start() {
	if d.up {
		return
	}
	d.s.tracef("%s starts", d.kind)
	if d.kind != mailer {
		var err error
		d.lock, err = loop.TryLock(site.LockPath(d.s.cfg, d.kind))
		d.s.check(err)
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.up, d.due, d.fails, d.doomed, d.dead, d.cleared, d.sound = true, d.s.at, 0, 0, false, false, 0
	d.outages = make(map[pipeline.System]*outage)
	d.make()
}

// stop ends the daemon as systemd does, and lets it finish what it must.
func (d *daemon) stop() {
	if !d.up {
		return
	}
	d.s.tracef("%s is stopped", d.kind)
	d.doomed = 0
	d.cancel()
	if d.dl != nil {
		d.gate.quiesce(d.dl.Active)
		d.releaseAll(func(*parked) bool { return true })
		d.dl.Wait()
	}
	d.ended()
}

// kill ends the daemon as SIGKILL does: its transfers do nothing more.
func (d *daemon) kill() {
	d.doomed = 0
	if d.dl != nil {
		d.gate.quiesce(d.dl.Active)
		d.gate.killAll()
		d.gate.quiesce(d.dl.Active)
		d.dl.Wait()
	}
	d.cancel()
	d.ended()
}

func (d *daemon) ended() {
	d.up, d.pass, d.dl = false, nil, nil
	if d.lock != nil {
		d.s.check(d.lock.Unlock())
		d.lock = nil
	}
}

// step makes one pass, with the transfers that it begins, and what the loop
// does around it.
func (d *daemon) step() {
	if d.s.chance(d.s.rates.crash) {
		d.doomed = 1 + d.s.rng.IntN(16)
	}
	d.due = roundUp(d.s.at.Add(d.s.heartbeat()))
	d.s.passes++
	died := d.mortal(func() {
		err := d.pass(d.ctx)
		d.transfers()
		if !d.dead {
			d.judge(err)
		}
	})
	if died || d.dead {
		d.crashed()
	}
	d.doomed = 0
	if d.s.lie.meddle != nil {
		d.s.lie.meddle(d.s, d)
	}
	if d.soon {
		d.soon, d.due = false, d.s.nextTick()
	}
	if d.kind == jobpooler && d.s.history.paused[pipeline.PauseSubmissions] == byBreaker { // it makes probes
		d.due = minTime(d.due, d.s.at.Add(3*tick))
	}
}

// heartbeat is when a pass is made that probably finds nothing. Really it is
// background.sleep; what changes in between wakes the daemon here.
func (s *sim) heartbeat() time.Duration { return s.between(s.rates.beat/2, s.rates.beat) }

// mortal runs what may die.
func (d *daemon) mortal(fn func()) (died bool) {
	defer func() {
		v := recover()
		if _, died = v.(death); v != nil && !died {
			panic(v)
		}
	}()
	fn()
	return false
}

// transfers lets the transfers that wait at the gate get on, one after another.
func (d *daemon) transfers() {
	if d.dl == nil {
		return
	}
	d.gate.quiesce(d.dl.Active)
	d.releaseAll(func(p *parked) bool { return !p.until.After(d.s.at) })
}

// releaseAll lets those transfers go on that may, until they have ended or wait
// for something to come.
func (d *daemon) releaseAll(may func(*parked) bool) {
	d.releasing = true
	defer func() { d.releasing = false }()
	for !d.dead {
		p := d.gate.next(may)
		if p == nil {
			return
		}
		p.turn <- true
		d.gate.quiesce(d.dl.Active)
	}
}

// resume lets transfers go on that had to wait, between two passes.
func (d *daemon) resume() {
	if !d.up || d.dl == nil {
		return
	}
	if d.s.chance(d.s.rates.crash) {
		d.doomed = 1 + d.s.rng.IntN(8)
	}
	d.transfers()
	if d.dead {
		d.crashed()
	}
	d.doomed = 0
	d.s.look()
}

// crashed is what follows when the daemon has died.
func (d *daemon) crashed() {
	d.s.deaths++
	d.kill()
	if d.kind == downloader && d.s.rng.IntN(3) == 0 {
		d.s.powerCut()
	}
	d.s.after(d.s.between(tick, 4*time.Hour), d.start)
}

// wake makes the daemon pass at the next tick. After an error a wake is not
// heeded, and now and then it is lost.
func (d *daemon) wake() {
	if at := d.s.nextTick(); d.fails == 0 && d.due.After(at) && !d.s.chance(0.02) {
		d.due = at
	}
}

// hurry makes the daemon pass now, whatever comes.
func (d *daemon) hurry() { d.due = minTime(d.due, d.s.at) }

// errInjected marks an error of the world that is no outage, and which a pass
// may return.
var errInjected = errors.New("made up")

// judge does what the loop of a daemon does after a pass.
func (d *daemon) judge(err error) {
	if err == nil {
		d.fails = 0
		d.sound++
	} else {
		d.fails++
		d.due = roundUp(d.s.at.Add(d.backoff()))
	}
	down, others := sortErrors(err)
	for _, err := range others {
		if !errors.Is(err, errInjected) {
			d.s.breaks("a pass of the %s returned an error that is no outage: %v", d.kind, err)
		}
	}
	for _, system := range systems() {
		d.note(system, down[system], len(others) > 0)
	}
	if err == nil && !d.cleared {
		d.clear()
	}
}

// backoff is how long to wait after errors. The jobpooler waits much less than
// lost_after, as it really does.
func (d *daemon) backoff() time.Duration {
	if d.kind == jobpooler {
		return tick << min(d.fails-1, 2)
	}
	return tick << min(d.fails-1, 4)
}

// note tells the job-tracker when an outage has lasted long enough, and when it
// is over.
func (d *daemon) note(system pipeline.System, err error, muddled bool) {
	out := d.outages[system]
	switch {
	case err != nil && out == nil:
		d.outages[system] = &outage{began: d.s.now()}
	case err != nil && !out.told && d.s.now().Sub(out.began) >= patience:
		out.told = true
		d.s.check(d.store.OutageBegan(d.ctx, system, err.Error(), notice.Outage(system, err, out.began)))
	case err == nil && out != nil && !muddled:
		delete(d.outages, system)
		if out.told {
			d.s.check(d.store.OutageOver(d.ctx, system))
		}
	}
}

// clear ends the outages that the daemon recorded before it was started again.
func (d *daemon) clear() {
	outages, err := d.store.Outages(d.ctx)
	d.s.check(err)
	for _, o := range outages {
		if o.Daemon == d.store.Actor() {
			d.s.check(d.store.OutageOver(d.ctx, o.System))
		}
	}
	d.cleared = true
}

// systems are all that can have an outage.
func systems() []pipeline.System {
	return []pipeline.System{pipeline.RestoreService, pipeline.FileServer, pipeline.QueueManager,
		pipeline.CommonDatabase, pipeline.MailServer, pipeline.LocalDisk}
}

// sortErrors takes apart what a pass returned: the outages in it, by system, and
// all other errors.
func sortErrors(err error) (down map[pipeline.System]error, others []error) {
	down = make(map[pipeline.System]error)
	for _, part := range parts(err) {
		var out *pipeline.OutageError
		if !errors.As(part, &out) {
			others = append(others, part)
		} else if down[out.System] == nil {
			down[out.System] = part
		}
	}
	return down, others
}

// parts returns the errors that errors.Join put together, however deep. An error
// of fmt.Errorf with several causes is one error.
func parts(err error) (all []error) {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if reflect.TypeOf(e) != reflect.TypeOf(errors.Join(errInjected)) {
			continue
		}
		for _, part := range e.(interface{ Unwrap() []error }).Unwrap() {
			all = append(all, parts(part)...)
		}
		return all
	}
	if err != nil {
		all = []error{err}
	}
	return all
}

// log is the daemon's logger: nothing, unless all is shown.
func (d *daemon) log() *slog.Logger {
	if d.s.echo == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(writer(d.s.echo), nil)).With("daemon", d.kind)
}

type writer func(string)

func (w writer) Write(p []byte) (int, error) {
	w("    " + string(p[:max(len(p)-1, 0)]))
	return len(p), nil
}

func (s *sim) daemon(kind string) *daemon {
	return s.daemons[slices.IndexFunc(s.daemons, func(d *daemon) bool { return d.kind == kind })]
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

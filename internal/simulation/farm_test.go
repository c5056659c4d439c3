package simulation

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"longhaul/internal/disk"
	"longhaul/internal/queue"
	"longhaul/internal/queue/queuefake"
	"longhaul/internal/results"
	"longhaul/internal/worker"
)

// farm is the batch system with what its jobs do.
type farm struct {
	s    *sim
	fake *queuefake.Manager
	runs []*run
	// blamed are the submits, by name, that may fail, and why: everything that
	// is not here is no fault of the job.
	blamed map[string]string
	late   int       // submissions that are under way and not there yet
	broken bool      // every job fails as soon as it starts
	hid    time.Time // when the queue manager last did not know what it has
}

// run is one submission that the batch system took.
type run struct {
	name, id string
	obs      *observation
	outDir   string
	inputs   []string
	how      outcome
	ended    bool
	// excused: it has been out of sight for so long, or an operator has stopped
	// its job, that another one of its job may run beside it.
	excused bool
	hangs   time.Time // it does not end before
	back    int       // sound passes of the jobpooler when it was last known to be there
}

// outcome is how a run ends.
type outcome int

const (
	endsWell outcome = iota
	exitsBadly
	leavesNothing
	leavesRubbish
	isKilled
	meetsDisk // of its node, in trouble: no fault of the job
)

func newFarm(s *sim) *farm {
	return &farm{s: s, fake: queuefake.New(s.now), blamed: make(map[string]string)}
}

// find returns a run by the batch system's ID; nil if there is none.
func (f *farm) find(id string) *run {
	for i := len(f.runs) - 1; i >= 0; i-- {
		if f.runs[i].id == id {
			return f.runs[i]
		}
	}
	return nil
}

// accept takes a submission, and draws what will become of it.
func (f *farm) accept(spec queue.Spec) (string, error) {
	s := f.s
	if n := len(f.runs); n > 0 && f.runs[n-1].ended && s.chance(s.rates.empty) {
		f.fake.NextID(f.runs[n-1].id) // batch systems use IDs again
	}
	id, err := f.fake.Submit(s.ctx(), spec)
	if err != nil {
		return "", err
	}
	r := &run{name: spec.Name, id: id, outDir: spec.Env["OUTDIR"], inputs: strings.Split(spec.Env["DATAFILES"], ";")}
	r.obs = s.fileAt(r.inputs[0]).obs
	f.runs = append(f.runs, r)
	s.tracef("%s is in the queue as %s", r.obs.name, id)
	if r.obs.hopeless && !s.calm || s.chance(s.rates.badJob) {
		r.how = outcome(1 + s.rng.IntN(5))
	}
	f.blame(r)
	start := s.between(tick, 2*time.Hour)
	end := start + s.between(tick, 8*time.Hour)
	s.after(start, func() { f.start(r) })
	s.after(end, func() { f.end(r) })
	if s.chance(s.rates.vanish) {
		s.after(s.between(tick, end), func() { f.vanish(r) })
	}
	return id, nil
}

// blame notes that a run may count as an attempt.
func (f *farm) blame(r *run) {
	if r.how != endsWell && r.how != meetsDisk {
		f.blamed[r.name] = fmt.Sprintf("outcome %d", r.how)
	}
}

// start makes a run begin: its worker looks at its input.
func (f *farm) start(r *run) {
	if r.ended {
		return
	}
	f.fake.Start(r.name, "node1")
	for _, path := range r.inputs {
		b, err := os.ReadFile(path)
		switch raw := f.s.fileAt(path); {
		case r.excused || raw.obs.letGo:
		case err != nil:
			f.s.breaks("%s runs without its raw data: %v", r.obs.name, err)
		case !raw.isVersion(b):
			f.s.breaks("%s runs with wrong bytes in %s", r.obs.name, raw.name)
		}
	}
	if f.broken && !f.s.calm {
		r.how = []outcome{exitsBadly, exitsBadly, meetsDisk}[f.s.rng.IntN(3)]
		f.blame(r)
		f.end(r)
	}
}

// end makes a run end as it was drawn.
func (f *farm) end(r *run) {
	if r.ended {
		return
	}
	if wait := r.hangs.Sub(f.s.at); wait > 0 && !f.s.calm {
		f.s.after(wait, func() { f.end(r) })
		return
	}
	r.ended = true
	switch r.how {
	case exitsBadly:
		f.fake.End(r.name, 3, "no pulsar\n")
	case meetsDisk:
		f.fake.End(r.name, worker.StatusDisk, "worker on node1: no space left on device\n")
	case isKilled:
		f.fake.Kill(r.name, queue.OutOfMemory, "")
	case leavesNothing:
		f.fake.End(r.name, 0, "")
	default:
		f.s.check(r.leave())
		f.fake.End(r.name, 0, "")
	}
	f.s.tracef("%s, %s, ends with outcome %d", r.obs.name, r.id, r.how)
	f.s.daemon(jobpooler).wake()
}

// leave writes the results of a run, as the worker does.
func (r *run) leave() error {
	text := `{"format": "longhaul-results-1", "records": [{"table": "headers", "values": {"source_name": "` + r.obs.name + `"}}]}`
	if r.how == leavesRubbish {
		text = text[:len(text)/2]
	}
	if err := disk.MakeDir(r.outDir); err != nil {
		return err
	}
	// Without this file the uploader takes the digest of the program, which is
	// larger than all the raw data of a run.
	if err := os.WriteFile(filepath.Join(r.outDir, "version_number.txt"), []byte("PIPELINE:7\n"), disk.FileMode); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.outDir, results.ManifestName), []byte(text), disk.FileMode)
}

// mayHide reports whether the batch system may now not know what it has. Not when
// the clock was set just before: how long it does not, the jobpooler measures by
// a clock that is never set, and the one here has no such second face.
func (f *farm) mayHide() bool { return f.s.at.Sub(f.s.jumped) > 3*time.Hour }

// vanish makes the batch system not know a run for some time: for less than an
// hour, or for so long that it is given up for lost.
func (f *farm) vanish(r *run) {
	s := f.s
	if s.calm || !f.mayHide() {
		return
	}
	f.hid = s.at
	wait := s.between(tick, 50*time.Minute)
	if s.rng.IntN(3) == 0 {
		wait = s.between(3*time.Hour, 16*time.Hour)
		r.hangs = s.at.Add(wait + s.between(0, 20*time.Hour))
		f.blamed[r.name] = "out of sight"
		r.excused = true
	}
	f.fake.Forget(r.name)
	s.daemon(jobpooler).wake()
	s.after(2*time.Hour+2*tick, s.daemon(jobpooler).wake) // lost_after has passed
	s.tracef("the queue manager does not know %s, %s, for %v", r.obs.name, r.id, wait)
	s.after(wait, func() {
		f.fake.Recall(r.name)
		r.back = s.daemon(jobpooler).sound
		for i := range 6 { // really it is polled every minute
			s.after(time.Duration(i)*tick, s.daemon(jobpooler).hurry)
		}
		s.tracef("the queue manager knows %s, %s, again", r.obs.name, r.id)
	})
}

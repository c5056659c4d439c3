package simulation

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"longhaul/internal/disk"
	"longhaul/internal/operator"
	"longhaul/internal/pipeline"
)

// person is the operator. What he cannot do now, he leaves.
type person struct {
	s    *sim
	busy bool
}

// interferes has him act in the middle of what a daemon does, now and then.
func (p *person) interferes() {
	if p.s.chance(p.s.rates.interference) {
		p.act()
	}
}

// chores are what an operator does every other day.
func (p *person) chores() {
	p.act()
	p.tidy()
	p.s.look()
}

// act does one thing to one job.
func (p *person) act() {
	s := p.s
	if p.busy {
		return
	}
	p.busy = true
	defer func() { p.busy = false }()
	switch s.rng.IntN(5) {
	case 0:
		p.stop(pipeline.Submitted)
	case 1:
		p.stop(pipeline.Processed)
	case 2:
		p.kill()
	case 3:
		p.add()
	case 4:
		p.pause()
	}
}

// pause stops a part of the work for some hours.
func (p *person) pause() {
	s := p.s
	kind := pipeline.PauseKinds()[s.rng.IntN(len(pipeline.PauseKinds()))]
	_, err := s.op.Pause(s.ctx(), kind, "simulated")
	s.tracef("operator: pause %s: %t", kind, err == nil)
	if err == nil {
		s.after(s.between(tick, 30*time.Hour), func() { p.resume(kind) })
	}
}

// resume ends a pause, his own or the breaker's.
func (p *person) resume(kind pipeline.PauseKind) {
	_, err := p.s.op.Resume(p.s.ctx(), kind, "simulated")
	p.s.tracef("operator: resume %s: %t", kind, err == nil)
	for _, d := range p.s.daemons {
		d.wake()
	}
}

// anyJob draws a job of some status; 0 if there is none.
func (p *person) anyJob(statuses ...pipeline.Status) pipeline.JobID {
	var some []pipeline.JobID
	for _, st := range statuses {
		jobs, err := p.s.store.JobsIn(p.s.ctx(), st)
		p.s.check(err)
		for _, j := range jobs {
			some = append(some, j.ID)
		}
	}
	if len(some) == 0 {
		return 0
	}
	return some[p.s.rng.IntN(len(some))]
}

// excuse lets other copies of a job run: an operator who stops it while the
// queue manager does not know it is told so, and takes the risk.
func (p *person) excuse(id pipeline.JobID) *observation {
	files, err := p.s.store.JobFiles(p.s.ctx(), id) // the history may not know it yet
	p.s.check(err)
	o := p.s.fileAt(files[0].Filename).obs
	for _, r := range p.s.farm.runs {
		if r.obs == o && !r.ended {
			r.excused = true
			p.s.farm.blamed[r.name] = "stopped by hand"
		}
	}
	return o
}

// stop takes the submit of a job back.
func (p *person) stop(status pipeline.Status) {
	s := p.s
	id := p.anyJob(status)
	if id == 0 {
		return
	}
	submits, err := s.store.SubmitsOf(s.ctx(), id)
	s.check(err)
	sub := submits[len(submits)-1]
	opt := operator.StopOptions{Fail: s.rng.IntN(2) == 0, AlsoProcessed: true, Reason: "simulated"}
	p.excuse(id)
	if opt.Fail {
		s.farm.blamed[sub.Name] = "stopped by hand"
	}
	_, err = s.op.StopSubmit(s.ctx(), sub, opt)
	s.tracef("operator: stop job %d, fail %t: %t", id, opt.Fail, err == nil)
}

// kill gives a job up.
func (p *person) kill() {
	s := p.s
	id := p.anyJob(pipeline.New, pipeline.Retrying, pipeline.Submitted)
	if id == 0 {
		return
	}
	opt := operator.KillOptions{DeleteRaw: s.rng.IntN(2) == 0, Reason: "simulated"}
	o := p.excuse(id)
	if opt.DeleteRaw {
		o.letGo = true
	}
	_, err := s.op.KillJob(s.ctx(), id, opt)
	s.tracef("operator: kill job %d, delete %t: %t", id, opt.DeleteRaw, err == nil)
}

// add brings an observation that did not come from the archive.
func (p *person) add() {
	s := p.s
	var paths []string
	for _, f := range s.observe().files {
		f.path = filepath.Join(s.added(), f.name)
		s.check(os.WriteFile(f.path, f.content(), disk.FileMode))
		paths = append(paths, f.path)
	}
	found, err := s.op.FindFiles(s.ctx(), paths, nil)
	s.check(err)
	s.check(s.op.AddFiles(s.ctx(), found.Files, "simulated"))
	s.tracef("operator: adds %d files", len(found.Files))
	s.daemon(jobpooler).wake()
}

// tidy looks after what was given up: it is tried again, or its data removed.
func (p *person) tidy() {
	s := p.s
	jobs, err := s.store.JobsIn(s.ctx(), pipeline.TerminalFailure)
	s.check(err)
	for _, j := range jobs {
		if s.rng.IntN(3) > 0 || p.retryJob(j.ID) {
			continue
		}
		files, err := s.store.JobFiles(s.ctx(), j.ID)
		s.check(err)
		p.remove(files)
	}
	files, err := s.store.FilesIn(s.ctx(), pipeline.TerminalFailure)
	s.check(err)
	for _, f := range files {
		if s.rng.IntN(2) == 0 {
			p.retryFile(f)
			continue
		}
		p.remove([]pipeline.File{f})
	}
}

func (p *person) retryJob(id pipeline.JobID) bool {
	if p.s.chance(0.3) {
		return false
	}
	_, err := p.s.op.RetryJob(p.s.ctx(), id, "simulated")
	p.s.tracef("operator: retry job %d: %t", id, err == nil)
	return err == nil
}

func (p *person) retryFile(f pipeline.File) {
	_, err := p.s.op.RetryFile(p.s.ctx(), strconv.FormatInt(int64(f.ID), 10), "simulated")
	p.s.tracef("operator: retry file %d: %t", f.ID, err == nil)
}

// remove lets raw data go, and what has come of the rest of its observation.
func (p *person) remove(files []pipeline.File) {
	s := p.s
	for _, f := range files {
		o := s.fileAt(f.Filename).obs
		o.letGo = true
		for _, raw := range o.files {
			if raw.id == 0 {
				continue
			}
			_, err := s.op.RemoveFile(s.ctx(), strconv.FormatInt(int64(raw.id), 10), "simulated")
			s.tracef("operator: remove file %d: %t", raw.id, err == nil)
			if err != nil && !errors.Is(err, pipeline.ErrForbidden) {
				s.check(err)
			}
		}
	}
}

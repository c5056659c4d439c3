package simulation

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
)

// result is what came of a run.
type result struct {
	broken   string        // the first promise that was broken; "" if none was
	recent   []string      // the end of what happened
	lasted   time.Duration // simulated
	uploaded int           // observations
	passes   int
	deaths   int    // of daemons
	digest   uint64 // of all that happened
}

// add sums up many runs.
func (r *result) add(other result) {
	r.lasted += other.lasted
	r.uploaded += other.uploaded
	r.passes += other.passes
	r.deaths += other.deaths
}

// simulate makes one run.
func simulate(ctx context.Context, s *sim) result {
	if err := s.open(ctx); err != nil {
		s.check(err)
	} else {
		s.live(ctx)
	}
	s.check(s.close())
	r := result{broken: s.broken, recent: s.recent, lasted: s.at.Sub(s.start), digest: s.digest.Sum64(),
		passes: s.passes, deaths: s.deaths}
	r.recent = r.recent[max(len(r.recent)-recentLines, 0):]
	for _, o := range s.survey.all {
		r.uploaded += o.commits
	}
	return r
}

// live lets the site live through days with faults and some without, and looks
// at what remains.
func (s *sim) live(ctx context.Context) {
	for _, d := range s.daemons {
		d.start()
	}
	s.weather()
	never := func() bool { return false }
	s.run(s.start.Add(time.Duration(s.days)*24*time.Hour), never)
	if s.broken != "" {
		return
	}
	s.calmDown()
	s.run(s.at.Add(time.Hour), never) // what is under way late arrives
	s.jump(0)
	if s.settle(ctx); s.broken != "" {
		return
	}
	s.retryAll()
	s.settle(ctx)
	if s.broken == "" {
		s.final(ctx)
	}
}

// calmDown ends all faults. The operator asks for no more data, and sees to it
// that everything runs.
func (s *sim) calmDown() {
	s.calm = true
	s.tracef("all is calm")
	d := s.daemon(downloader)
	d.windDown = true
	d.stop()
	for _, d := range s.daemons {
		d.start()
	}
	for _, kind := range pipeline.PauseKinds() {
		if s.history.paused[kind] == byPerson {
			s.person.resume(kind)
		}
	}
}

// settle waits until everything has come to rest.
func (s *sim) settle(ctx context.Context) {
	s.run(s.at.Add(6*24*time.Hour), func() bool { return s.resting() && s.unrest(ctx) == "" })
	if why := s.unrest(ctx); why != "" && s.broken == "" {
		s.breaks("after six quiet days it has not come to rest: %s", why)
	}
}

// busy are the statuses that something must leave by itself.
func busy() map[pipeline.Entity][]pipeline.Status {
	return map[pipeline.Entity][]pipeline.Status{
		pipeline.EntityRequest: {pipeline.Waiting},
		pipeline.EntityFile:    {pipeline.New, pipeline.Retrying, pipeline.Downloading, pipeline.Unverified, pipeline.Failed},
		pipeline.EntityAttempt: {pipeline.Downloading, pipeline.Complete, pipeline.Unknown},
		pipeline.EntityJob:     {pipeline.New, pipeline.Retrying, pipeline.Submitted, pipeline.Processed, pipeline.Failed},
		pipeline.EntitySubmit:  {pipeline.Submitting, pipeline.Running, pipeline.Processed},
	}
}

// resting reports whether nothing is in hand, by what the history tells.
func (s *sim) resting() bool {
	for entity, statuses := range busy() {
		for _, status := range statuses {
			if s.history.counts[state{entity, status}] > 0 {
				return false
			}
		}
	}
	return !slices.ContainsFunc(s.survey.all, s.waitsForJob)
}

// waitsForJob reports whether all of an observation is here and it has no job.
func (s *sim) waitsForJob(o *observation) bool {
	return o.job == 0 && !slices.ContainsFunc(o.files, func(f *rawFile) bool {
		is := s.history.statuses[thing{pipeline.EntityFile, int64(f.id)}]
		return is != pipeline.Downloaded && is != pipeline.Added
	})
}

// unrest says what has not come to rest, by the job-tracker; "" if all has.
func (s *sim) unrest(ctx context.Context) string {
	still := busy()
	for _, entity := range slices.Sorted(maps.Keys(still)) {
		n, err := s.store.CountIn(ctx, entity, still[entity]...)
		if err != nil || n > 0 {
			return fmt.Sprintf("%d times a %s is in an in-between state (%v)", n, entity, err)
		}
	}
	pending, err := s.store.PendingNotices(ctx)
	s.check(err)
	unsent, err := s.store.UnsentMails(ctx)
	s.check(err)
	doomed, err := s.store.FilesToDelete(ctx)
	s.check(err)
	outages, err := s.store.Outages(ctx)
	s.check(err)
	if i := slices.IndexFunc(s.survey.all, s.waitsForJob); i >= 0 {
		return s.survey.all[i].name + " is here and has no job"
	}
	pauses, err := s.store.Pauses(ctx)
	s.check(err)
	// That of the breaker may wait for a job to try.
	pauses = slices.DeleteFunc(pauses, func(p pipeline.Pause) bool { return p.Breaker })
	if n := len(pending) + len(unsent) + len(doomed) + len(outages) + len(pauses); n > 0 {
		return fmt.Sprintf("%d kinds of notice and %d mails are not sent, %d files not deleted, %d outages and %d pauses not over",
			len(pending), len(unsent), len(doomed), len(outages), len(pauses))
	}
	return ""
}

// retryAll has the operator try everything again that was given up and whose
// raw data is here, or at the archive.
func (s *sim) retryAll() {
	ctx := s.ctx()
	files, err := s.store.FilesIn(ctx, pipeline.TerminalFailure)
	s.check(err)
	for _, f := range files {
		if !s.history.files[f.ID].obs.letGo {
			_, err := s.op.RetryFile(ctx, strconv.FormatInt(int64(f.ID), 10), "the end")
			s.check(err)
		}
	}
	jobs, err := s.store.JobsIn(ctx, pipeline.TerminalFailure)
	s.check(err)
	for _, j := range jobs {
		if !s.history.jobs[j.ID].letGo {
			_, err := s.op.RetryJob(ctx, j.ID, "the end")
			s.check(err)
		}
	}
	s.look()
}

// final checks what must be true at the end.
func (s *sim) final(ctx context.Context) {
	for _, o := range s.survey.all {
		whole := !slices.ContainsFunc(o.files, func(f *rawFile) bool { return f.id == 0 })
		if whole && !o.letGo && o.commits != 1 {
			s.breaks("%s is in the common database %d times at the end", o.name, o.commits)
		}
	}
	mailed := make(map[pipeline.NoticeKind]int)
	for _, l := range s.post.mails {
		mailed[l.Kind] += l.Count
	}
	for _, kind := range []pipeline.NoticeKind{pipeline.NoticeFailure, pipeline.NoticeTerminalFailure,
		pipeline.NoticeRequestFailed, pipeline.NoticeOutage, pipeline.NoticePause} {
		if mailed[kind] != s.history.due[kind] {
			s.breaks("%d notices of the kind %s were mailed, %d were due", mailed[kind], kind, s.history.due[kind])
		}
	}
	s.onlyTracked()
	found, err := jobtrackertest.Violations(ctx, s.store.Path())
	s.check(err)
	for _, what := range found {
		s.breaks("job-tracker: %s", what)
	}
}

// onlyTracked checks that nothing is left on the disk but what is to be there.
func (s *sim) onlyTracked() {
	whole := s.count()
	for _, f := range s.survey.files() {
		if f.id == 0 {
			continue
		}
		is := s.history.statuses[thing{pipeline.EntityFile, int64(f.id)}]
		if want := is == pipeline.Downloaded || is == pipeline.Added; whole[f.path] != want {
			s.breaks("file %d, %s, is %s, and whether it is here is %t", f.id, f.name, is, whole[f.path])
		}
		delete(whole, f.path)
	}
	for _, path := range slices.Sorted(maps.Keys(whole)) {
		s.breaks("%s is here, and nobody knows of it", filepath.Base(path))
	}
	for _, name := range slices.Sorted(maps.Keys(s.disk.used)) {
		if strings.HasPrefix(name, ".") {
			s.breaks("the part file %s is left", name)
		}
	}
}

package simulation

import (
	"database/sql"
	"maps"
	"slices"
	"strings"
	"time"

	"longhaul/internal/pipeline"
)

// history is what the events of the job-tracker have told so far.
type history struct {
	last     int64 // event
	statuses map[thing]pipeline.Status
	counts   map[state]int // of rows
	machines map[pipeline.Entity]pipeline.Machine
	files    map[pipeline.FileID]*rawFile
	jobs     map[pipeline.JobID]*observation
	submits  map[int64]string          // their names
	tries    map[pipeline.JobID]string // the name of each job's last submit
	paused   map[pipeline.PauseKind]string
	probe    int64            // the submit that is the breaker's last probe; 0: none yet
	guids    map[int64]string // of requests
	due      map[pipeline.NoticeKind]int
	here     []*rawFile // that were seen here, whole
	db       *sql.DB
}

// thing is one row of an entity.
type thing struct {
	entity pipeline.Entity
	id     int64
}

// state is a status of an entity.
type state struct {
	entity pipeline.Entity
	status pipeline.Status
}

func newHistory() history {
	h := history{
		statuses: make(map[thing]pipeline.Status), counts: make(map[state]int), machines: make(map[pipeline.Entity]pipeline.Machine),
		files: make(map[pipeline.FileID]*rawFile), jobs: make(map[pipeline.JobID]*observation),
		submits: make(map[int64]string), tries: make(map[pipeline.JobID]string), guids: make(map[int64]string), paused: make(map[pipeline.PauseKind]string), due: make(map[pipeline.NoticeKind]int),
	}
	for _, m := range pipeline.Machines() {
		h.machines[m.Entity] = m
	}
	return h
}

// look compares what is new in the job-tracker, and what is on the disk and in
// the queue, with what the world knows.
func (s *sim) look() {
	events, err := s.store.EventsAfter(s.ctx(), s.history.last, 10_000)
	s.check(err)
	before := maps.Clone(s.history.paused)
	// still reports whether something was paused before the pass, and is.
	still := func(kind pipeline.PauseKind) bool { return before[kind] != "" && s.history.paused[kind] != "" }
	for _, e := range events {
		s.history.last = e.ID
		s.tracef("%s %d: %q to %q by %s", e.Entity, e.EntityID, e.Was, e.Became, e.Actor)
		if e.Was != e.Became {
			s.legal(e)
		}
		switch e.Entity {
		case pipeline.EntityRequest:
			s.requestChanged(e)
		case pipeline.EntityFile:
			s.fileChanged(e)
		case pipeline.EntityJob:
			s.jobChanged(e)
		case pipeline.EntitySubmit:
			s.submitChanged(e)
			if e.Became == pipeline.Uploaded && still(pipeline.PauseUploads) {
				s.breaks("submit %d is uploaded while uploads are paused", e.EntityID)
			}
		case pipeline.EntityAttempt:
			if e.Became == pipeline.Downloading && still(pipeline.PauseDownloads) {
				s.breaks("attempt %d begins while downloads are paused", e.EntityID)
			}
		case pipeline.EntitySystem:
			s.systemChanged(e)
		}
	}
	if c := s.history.counts; c[state{pipeline.EntityFile, pipeline.Unverified}]+c[state{pipeline.EntityFile, pipeline.Failed}] > 0 {
		s.daemon(downloader).wake()
	}
	s.rawData()
	s.farm.live()
}

// legal checks that a change follows from the one before.
func (s *sim) legal(e pipeline.Event) {
	row := thing{e.Entity, e.EntityID}
	if is := s.history.statuses[row]; is != e.Was {
		s.breaks("%s %d went from %q, but it was %q", e.Entity, e.EntityID, e.Was, is)
	}
	if !s.history.machines[e.Entity].Allows(e.Was, e.Became) {
		s.breaks("%s %d went from %q to %q, which is not allowed", e.Entity, e.EntityID, e.Was, e.Became)
	}
	s.history.statuses[row] = e.Became
	s.history.counts[state{e.Entity, e.Was}]--
	s.history.counts[state{e.Entity, e.Became}]++
}

// noticeDue counts a notice that a person must get.
func (s *sim) noticeDue(kind pipeline.NoticeKind) {
	s.history.due[kind]++
	s.after(s.cfg.Email.DigestDelay.Std(), s.daemon(mailer).wake)
	s.after(s.cfg.Email.DigestDelay.Std()+time.Hour+tick, s.daemon(mailer).wake) // if the hour was full
}

func (s *sim) requestChanged(e pipeline.Event) {
	if _, guid, ok := strings.Cut(e.Note, "the archive calls it "); ok {
		s.history.guids[e.EntityID] = guid
	}
	switch e.Became {
	case pipeline.Finished:
		s.archive.fruitless = 0
	case pipeline.Failed:
		s.noticeDue(pipeline.NoticeRequestFailed)
		if r := s.archive.find(s.history.guids[e.EntityID]); r != nil {
			s.archive.giveBack(r)
		}
		s.daemon(downloader).wake()
	}
}

func (s *sim) fileChanged(e pipeline.Event) {
	id := pipeline.FileID(e.EntityID)
	f := s.history.files[id]
	if e.Was == pipeline.Created && e.Became != "" {
		row, err := s.store.File(s.ctx(), id)
		s.check(err)
		if f = s.fileAt(row.Filename); f.id != 0 {
			s.breaks("%s is entered twice", row.Filename)
		}
		f.id, f.path = id, row.Path
		s.history.files[id] = f
	}
	switch e.Became {
	case pipeline.Retrying:
		s.retry(s.daemon(downloader), "files", e)
		s.blameFile(f)
	case pipeline.TerminalFailure:
		s.noticeDue(pipeline.NoticeTerminalFailure)
		s.blameFile(f)
	case pipeline.Downloaded, pipeline.Added:
		s.history.here = append(s.history.here, f)
		s.daemon(jobpooler).wake()
		s.roomForMore()
	case pipeline.Deleted:
		s.roomForMore()
	}
}

// roomForMore wakes the downloader if it may have waited for a slot or for space.
func (s *sim) roomForMore() {
	c := s.history.counts
	if c[state{pipeline.EntityFile, pipeline.New}]+c[state{pipeline.EntityFile, pipeline.Retrying}] > 0 {
		s.daemon(downloader).wake()
	}
}

// blameFile checks that no more attempts of a file count than were spoiled.
func (s *sim) blameFile(f *rawFile) {
	row, err := s.store.File(s.ctx(), f.id)
	s.check(err)
	if row.Attempts > f.faults {
		s.breaks("%d attempts of %s count, %d were spoiled (%s)", row.Attempts, f.name, f.faults, row.Details)
	}
}

func (s *sim) jobChanged(e pipeline.Event) {
	id := pipeline.JobID(e.EntityID)
	if e.Was == pipeline.Created && e.Became != "" {
		files, err := s.store.JobFiles(s.ctx(), id)
		s.check(err)
		o := s.fileAt(files[0].Filename).obs
		if o.job != 0 {
			s.breaks("%s has two jobs, %d and %d", o.name, o.job, id)
		}
		o.job, s.history.jobs[id] = id, o
	}
	o := s.history.jobs[id]
	switch e.Became {
	case pipeline.Submitted:
		s.history.tries[id] = strings.TrimPrefix(e.Note, "submit ")
	case pipeline.Failed:
		if e.Actor != jobpooler {
			s.daemon(jobpooler).wake()
		}
		if e.Actor != s.store.Actor() && s.farm.blamed[s.history.tries[id]] == "" {
			s.breaks("job %d of %s failed, though nothing was wrong with it: %s", id, o.name, e.Note)
		}
		if e.Was == pipeline.New || e.Was == pipeline.Retrying {
			s.breaks("job %d of %s failed before it was submitted: %s", id, o.name, e.Note)
		}
	case pipeline.Processed:
		s.daemon(uploader).wake()
		if s.history.counts[state{pipeline.EntityJob, pipeline.New}] > 0 { // it waits for room in the queue
			s.daemon(jobpooler).wake()
		}
	case pipeline.Retrying:
		s.retry(s.daemon(jobpooler), "jobs", e)
		if e.Was == pipeline.Failed && !strings.HasPrefix(e.Note, "does not count") {
			s.noticeDue(pipeline.NoticeFailure)
		}
	case pipeline.Uploaded:
		if o.commits == 0 {
			s.breaks("job %d of %s is uploaded, and not in the common database", id, o.name)
		}
	case pipeline.TerminalFailure:
		s.daemon(uploader).wake()
		if e.Actor == jobpooler {
			s.noticeDue(pipeline.NoticeTerminalFailure)
			if s.cfg.Basic.DeleteRawdataOnTerminalFailure {
				o.letGo = true
			}
		}
	}
}

// Who has paused something; "" for nobody.
const (
	byPerson  = "person"
	byBreaker = "breaker"
)

// systemChanged follows outages and pauses.
func (s *sim) systemChanged(e pipeline.Event) {
	if strings.Contains(e.Note, "does not answer") || strings.Contains(e.Note, "in trouble") {
		s.noticeDue(pipeline.NoticeOutage)
	}
	for _, kind := range pipeline.PauseKinds() {
		switch {
		case strings.HasPrefix(e.Note, string(kind)+" paused by the breaker"):
			s.history.paused[kind] = byBreaker
			s.noticeDue(pipeline.NoticePause)
		case strings.HasPrefix(e.Note, string(kind)+" paused"):
			s.history.paused[kind] = byPerson
		case strings.HasPrefix(e.Note, string(kind)+" are back"):
			if e.Actor == jobpooler {
				s.noticeDue(pipeline.NoticePause)
			}
			delete(s.history.paused, kind)
			s.history.probe = 0
		}
	}
}

// submitChanged checks that a submit which is thought lost is not in the queue,
// and that none is made while they are paused, but for single probes.
func (s *sim) submitChanged(e pipeline.Event) {
	if e.Was == pipeline.Created && e.Became != "" {
		s.history.submits[e.EntityID] = e.Note
		switch s.history.paused[pipeline.PauseSubmissions] {
		case byPerson:
			s.breaks("submit %d is made while submissions are paused", e.EntityID)
		case byBreaker:
			switch s.history.statuses[thing{pipeline.EntitySubmit, s.history.probe}] {
			case pipeline.Submitting, pipeline.Running:
				s.breaks("submit %d is made while the breaker's probe %d is on its way", e.EntityID, s.history.probe)
			}
			s.history.probe = e.EntityID
		}
	}
	name := s.history.submits[e.EntityID]
	if e.Became == pipeline.SubmissionFailed {
		i := slices.IndexFunc(s.farm.runs, func(r *run) bool { return r.name == name && !r.excused })
		if i >= 0 {
			s.breaks("submit %d is thought never to have arrived, and is in the queue as %s", e.EntityID, s.farm.runs[i].id)
		}
	}
}

// retry rounds the time of another try up to a tick, and wakes the daemon then:
// the passes vary the time by chance of their own.
func (s *sim) retry(d *daemon, table string, e pipeline.Event) {
	if e.Actor != d.kind {
		d.wake()
		return
	}
	var next string
	err := s.history.db.QueryRowContext(s.ctx(), `SELECT next_try_at FROM `+table+` WHERE id = ?`, e.EntityID).Scan(&next)
	at := s.now()
	if err == nil && next != "" {
		at, err = time.Parse(time.RFC3339, next)
	}
	if err == nil {
		at = roundUp(at)
		_, err = s.history.db.ExecContext(s.ctx(), `UPDATE `+table+` SET next_try_at = ? WHERE id = ?`,
			at.Format("2006-01-02T15:04:05.000Z"), e.EntityID)
	}
	s.check(err)
	s.after(at.Sub(s.now()), d.wake)
}

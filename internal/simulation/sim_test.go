package simulation

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/jobtracker"
	"longhaul/internal/operator"
	"longhaul/internal/pipeline"
)

// tick is the grain of time: whatever happens, happens at a multiple of it. The
// waits of the configuration are chosen such that no multiple of a tick lies
// within the tenth by which the passes vary them.
const tick = 10 * time.Minute

// sim is one simulated site with all that surrounds it. Everything in it is
// done in turn, though not all by one goroutine.
type sim struct {
	seed  uint64
	days  int // with faults
	rng   *rand.Rand
	rates rates
	lie   lie // what is broken on purpose
	cfg   *config.Config
	dir   string

	start, at time.Time
	wall      atomic.Int64 // what the clock of the site says, ns since 1970
	skew      time.Duration
	jumped    time.Time // when the clock was last set
	timers    timers
	calm      bool // nothing goes wrong any more

	survey  survey
	disk    diskModel
	archive *archiveModel
	farm    *farm
	db      *commonDB
	post    *post
	down    map[pipeline.System]bool
	daemons []*daemon // downloader, jobpooler, uploader, mailer
	person  *person
	op      *operator.Operator
	store   *jobtracker.Store // the operator's

	history history
	digest  hash.Hash64 // of all that is traced
	recent  []string    // the last lines of it
	steps   int
	passes  int
	deaths  int    // of daemons
	broken  string // the first promise that was broken
	echo    func(line string)
}

// timers is a heap of what happens by itself, in the order of time and then of
// entry.
type timers []timer

type timer struct {
	at  time.Time
	seq int
	fn  func()
}

func (t timers) Len() int      { return len(t) }
func (t timers) Swap(i, j int) { t[i], t[j] = t[j], t[i] }
func (t timers) Less(i, j int) bool {
	return cmp.Or(t[i].at.Compare(t[j].at), cmp.Compare(t[i].seq, t[j].seq)) < 0
}
func (t *timers) Push(x any) { *t = append(*t, x.(timer)) }
func (t *timers) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}

// after has fn done at the first tick when d has passed.
func (s *sim) after(d time.Duration, fn func()) {
	s.steps++
	heap.Push(&s.timers, timer{roundUp(s.at.Add(max(d, 0))), s.steps, fn})
}

func roundUp(t time.Time) time.Time {
	if r := t.Truncate(tick); r.Before(t) {
		return r.Add(tick)
	}
	return t
}

func (s *sim) nextTick() time.Time { return roundUp(s.at.Add(time.Second)) }

// setTime sets the clock to a true time.
func (s *sim) setTime(at time.Time) {
	s.at = at
	s.wall.Store(at.Add(s.skew).UnixNano())
}

// now is what the clock of the site says.
func (s *sim) now() time.Time { return time.Unix(0, s.wall.Load()).UTC() }

// chance is true with a probability.
func (s *sim) chance(p float64) bool { return !s.calm && p > 0 && s.rng.Float64() < p }

// between draws a time span.
func (s *sim) between(least, most time.Duration) time.Duration {
	return least + time.Duration(s.rng.Int64N(int64(most-least)+1))
}

// run lets time pass until an end, or until a promise is broken.
func (s *sim) run(end time.Time, done func() bool) {
	for s.broken == "" && s.at.Before(end) && !done() {
		next := end
		if len(s.timers) > 0 && s.timers[0].at.Before(next) {
			next = s.timers[0].at
		}
		for _, d := range s.daemons {
			if d.up && d.due.Before(next) {
				next = d.due
			}
		}
		if next.After(s.at) {
			s.setTime(next)
		}
		for len(s.timers) > 0 && !s.timers[0].at.After(s.at) && s.broken == "" {
			heap.Pop(&s.timers).(timer).fn()
		}
		for _, i := range s.rng.Perm(len(s.daemons)) {
			if d := s.daemons[i]; d.up && !d.due.After(s.at) && s.broken == "" {
				d.step()
				s.look()
			}
		}
		s.setTime(roundUp(s.at)) // transfers take some seconds
	}
}

// recentLines is how much of the end of a run is shown when it is broken.
const recentLines = 60

// tracef notes something that happened. It must not depend on chance other
// than the seed's: submits have names of their own.
func (s *sim) tracef(format string, args ...any) {
	line := s.now().Format("01-02 15:04:05 ") + fmt.Sprintf(format, args...)
	s.digest.Write([]byte(line))
	if s.echo != nil {
		s.echo(line)
	}
	if len(s.recent) >= 2*recentLines {
		s.recent = append(s.recent[:0], s.recent[recentLines:]...)
	}
	s.recent = append(s.recent, line)
}

// breaks notes that a promise is broken; the run ends with the first.
func (s *sim) breaks(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	s.tracef("BROKEN: %s", what)
	if s.broken == "" {
		s.broken = what
	}
}

// check breaks off when the simulation itself cannot go on.
func (s *sim) check(err error) {
	if err != nil {
		s.breaks("the simulation cannot go on: %v", err)
	}
}

func newSim(seed uint64, days int, dir string, what lie) *sim {
	s := &sim{
		seed: seed, days: days, lie: what, dir: dir,
		rng: rand.New(rand.NewPCG(seed, 0x10a6)), digest: fnv.New64a(),
		survey: survey{byFile: make(map[string]*rawFile)}, down: make(map[pipeline.System]bool),
	}
	s.rates = s.drawRates()
	if what.rates != nil {
		what.rates(&s.rates)
	}
	// Some runs have a leap day in them, some the turn of a year.
	starts := []time.Time{
		time.Date(2026, 5, 3, 0, 0, 0, 0, time.UTC), time.Date(2028, 2, 20, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 12, 20, 0, 0, 0, 0, time.UTC),
	}
	s.start = starts[s.rng.IntN(len(starts))]
	s.setTime(s.start)
	s.cfg = s.configure()
	s.disk = diskModel{size: 20_000, used: make(map[string]int64)}
	s.archive = newArchive(s)
	s.farm = newFarm(s)
	s.db = newCommonDB(s)
	s.post = newPost(s)
	s.history = newHistory()
	return s
}

// configure is the configuration of the site. Sizes are of hundreds of bytes.
func (s *sim) configure() *config.Config {
	c := config.Default()
	c.Basic.Institution, c.Basic.Survey = "McGill", "PALFA"
	c.Basic.DeleteRawdataOnTerminalFailure = s.rng.IntN(3) == 0
	c.Basic.QsublogDir = filepath.Join(s.dir, "joblog")
	c.Background.JobtrackerDB = filepath.Join(s.dir, "jobtracker.db")
	d := &c.Download
	d.Temp, d.FTPDirectory = filepath.Join(s.dir, "raw"), "/data"
	d.SpaceToUse, d.MinFreeSpace = []config.Size{900, 1500, 4000}[s.rng.IntN(3)], 1000
	d.NumDownloads, d.NumRestored, d.NumRetries = 1+s.rng.IntN(3), 2, 4
	d.RetryWait, d.RetryWaitMax = config.Duration(tick*65/100), config.Duration(4*tick*65/100)
	d.RequestTimeout, d.RequestSizes = config.Duration(72*time.Hour), []int{1, 2}
	p := &c.JobPooler
	p.BaseResultsDirectory = filepath.Join(s.dir, "results")
	p.MaxJobsRunning, p.MaxJobsQueued, p.MaxAttempts = 3, 2, 4
	p.RetryWait, p.RetryWaitMax, p.LostAfter = d.RetryWait, d.RetryWaitMax, config.Duration(2*time.Hour)
	p.BreakerFailures, p.BreakerQuick = 4, 2
	c.Processing.BaseWorkingDirectory = filepath.Join(s.dir, "scratch")
	c.Upload.VersionNum = "PIPELINE:7"
	c.Email.DigestDelay, c.Email.MaxPerHour = config.Duration(15*time.Minute), 2+s.rng.IntN(3)
	c.Products = products()
	c.Stages = []config.Stage{{Name: "search", Inputs: []string{"mock", "merged"}, Command: []string{"search"},
		Results: "manifest", OutputDir: "{job}/{time}"}}
	return c
}

func (s *sim) ctx() context.Context { return context.Background() }

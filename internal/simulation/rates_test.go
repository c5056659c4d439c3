package simulation

import (
	"time"

	"longhaul/internal/pipeline"
)

// rates say how often what goes wrong. Each seed has its own, so that every
// fault is met alone, too.
type rates struct {
	hiccup, lostReply     float64       // of a call
	crash                 float64       // of a pass
	refused               float64       // of a request, a submission or an upload
	badTransfer, slow     float64       // of a transfer
	badJob, vanish, limbo float64       // of a submission
	empty                 float64       // of an answer of the queue manager
	hopeless              float64       // of an observation, or a file
	again                 float64       // of a request: brings what is known
	interference          float64       // of a call: an operator does something meanwhile
	outages, weather      float64       // how often, against the usual
	beat                  time.Duration // the longest time between two passes of a daemon
}

func (s *sim) drawRates() rates {
	some := func(usual float64) float64 { return usual * []float64{0, 0.5, 1, 2, 4}[s.rng.IntN(5)] }
	return rates{
		hiccup: some(0.01), lostReply: some(0.01), crash: some(0.04), refused: some(0.02),
		badTransfer: some(0.1), slow: some(0.15), badJob: some(0.08), vanish: some(0.05), limbo: some(0.03),
		empty: some(0.02), hopeless: some(0.01), again: some(0.1), interference: some(0.001),
		outages: some(1), weather: some(1), beat: []time.Duration{12, 48, 48, 48}[s.rng.IntN(4)] * time.Hour,
	}
}

// weather lets things go wrong that last: outages, a clock that is set, a disk
// that others fill, daemons that somebody stops.
func (s *sim) weather() {
	for _, system := range systems() {
		s.every(10*24*time.Hour, s.rates.outages, func() { s.outage(system) })
	}
	s.every(6*24*time.Hour, s.rates.weather, s.setClock)
	s.every(4*24*time.Hour, s.rates.weather, s.fillDisk)
	s.every(15*24*time.Hour, s.rates.weather, s.breakNode)
	for _, d := range s.daemons {
		s.every(10*24*time.Hour, s.rates.weather, func() {
			if d.up {
				d.stop()
				s.after(s.between(tick, 3*24*time.Hour), d.start)
			}
		})
	}
	s.every(2*24*time.Hour, 1, s.archive.replace)
	s.every(36*time.Hour, 1, s.person.chores)
}

// every has fn done again and again, at times drawn around a mean.
func (s *sim) every(mean time.Duration, intensity float64, fn func()) {
	if intensity == 0 {
		return
	}
	wait := time.Duration(float64(mean) / intensity)
	var again func()
	again = func() {
		if !s.calm {
			fn()
			s.after(s.between(wait/4, wait*7/4), again)
		}
	}
	s.after(s.between(0, 2*wait), again)
}

func (s *sim) outage(system pipeline.System) {
	if s.down[system] {
		return
	}
	s.down[system] = true
	s.tracef("the %s is down", system)
	s.after(s.between(tick, 10*time.Hour), func() {
		s.down[system] = false
		s.tracef("the %s is back", system)
	})
}

// setClock sets the clock of the site an hour forward or back, and right again
// half a day later or more.
func (s *sim) setClock() {
	if s.skew != 0 || !s.maySetClock() {
		return
	}
	s.jump([]time.Duration{-time.Hour, time.Hour}[s.rng.IntN(2)])
	s.after(s.between(12*time.Hour, 48*time.Hour), s.rightClock)
}

func (s *sim) rightClock() {
	if !s.maySetClock() {
		s.after(time.Hour, s.rightClock)
		return
	}
	s.jump(0)
}

// maySetClock reports whether no submission is under way late, nor anything out
// of sight of the queue manager: how long that lasts is measured by the clock.
func (s *sim) maySetClock() bool {
	return s.farm.late == 0 && s.at.Sub(s.farm.hid) > 3*time.Hour
}

func (s *sim) jump(to time.Duration) {
	s.tracef("the clock is set from %v to %v", s.skew, to)
	s.skew, s.jumped = to, s.at
	s.setTime(s.at)
	s.post.jumped()
}

// fillDisk lets others fill the disk for some hours.
func (s *sim) fillDisk() {
	most := s.disk.size
	some := most*3/4 + s.rng.Int64N(most/4+1)
	s.disk.others += some
	s.tracef("others take %d bytes of the disk", some)
	s.after(s.between(tick, 12*time.Hour), func() {
		s.disk.others -= some
		s.tracef("others give %d bytes of the disk back", some)
	})
}

// breakNode makes every job fail at once, for some hours.
func (s *sim) breakNode() {
	if s.farm.broken {
		return
	}
	s.farm.broken = true
	s.tracef("the node is broken")
	s.after(s.between(3*time.Hour, 48*time.Hour), func() {
		s.farm.broken = false
		s.tracef("the node is mended")
	})
}

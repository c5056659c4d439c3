package demo

import (
	"fmt"
	"path/filepath"
)

// fate is what becomes of one made-up observation.
type fate int

const (
	good      fate = iota
	jobFails1      // its job fails once and is tried again
	jobFailsN      // its job fails always: given up, its raw data kept
	gone           // it is listed, but cannot be fetched: given up
	half           // one half of a pair that never comes: it must wait
	unwanted       // beam 7, which the product ignores: never fetched
)

// item is one observation of the survey with what is to become of it.
type item struct {
	Observation
	fate fate
	// files are those that the archive has of it, by name.
	files []string
}

// damage is a fault of one transfer, which happens once.
type damage struct {
	file    string
	corrupt bool // else cut half way
}

// survey is everything that the archive of the demo has.
type survey struct {
	items   []item
	damages []damage
}

// What all made-up observations have in common.
const (
	project = "p2030"
	date    = "20141121"
	mjd     = "56982" // the same day
)

// newSurvey makes up a survey with a number of good Mock pairs, and one of
// everything else.
func newSurvey(beams int) survey {
	var s survey
	add := func(kind Kind, source, date, scan string, beam int, f fate) {
		s.add(Observation{Kind: kind, Project: project, Source: source, Date: date, Scan: scan, Beam: beam}, f)
	}
	for i := range beams {
		add(MockPair, "G45.00+00.00.N", date, fmt.Sprintf("%05d", 100+i/7), i%7, good)
	}
	add(Merged, "G46.10-00.40.S", date, "05000", 2, jobFails1)
	add(WAPP, "G47.25+00.10", mjd, "0300", 4, good)
	add(MockPair, "G48.00-01.20.N", date, "05100", 5, jobFailsN)
	add(Merged, "G49.30+00.70.S", date, "05200", 6, gone)
	add(MockPair, "G50.00+00.00.N", date, "05300", 1, half)
	add(MockPair, "G51.00+00.00.N", date, "05400", 7, unwanted)
	last := s.items[min(1, beams-1)]
	s.damages = []damage{
		{file: s.items[0].files[0]},
		{file: last.files[1], corrupt: true},
	}
	return s
}

func (s *survey) add(o Observation, f fate) {
	files := o.Filenames()
	if f == half {
		files = files[:1]
	}
	s.items = append(s.items, item{o, f, files})
}

// with returns the items of some fates.
func (s survey) with(fates ...fate) []item {
	var some []item
	for _, it := range s.items {
		for _, f := range fates {
			if it.fate == f {
				some = append(some, it)
			}
		}
	}
	return some
}

// uploadable are the observations that must end in the common database.
func (s survey) uploadable() []item { return s.with(good, jobFails1) }

// files lists the names of the files of some items.
func files(items []item) []string {
	var names []string
	for _, it := range items {
		names = append(names, it.files...)
	}
	return names
}

// layout is where the demo keeps its things.
type layout struct{ dir string }

func (l layout) path(elem ...string) string {
	return filepath.Join(append([]string{l.dir}, elem...)...)
}
func (l layout) config() string  { return l.path("config.toml") }
func (l layout) tracker() string { return l.path("jobtracker.db") }
func (l layout) raw() string     { return l.path("raw") }
func (l layout) results() string { return l.path("results") }
func (l layout) scratch() string { return l.path("scratch") }
func (l layout) logs() string    { return l.path("log") }
func (l layout) jobLogs() string { return l.path("joblog") }
func (l layout) mails() string   { return l.path("mails") }
func (l layout) tape() string    { return l.path("archive", "tape") } // all observations
func (l layout) served() string  { return l.path("archive", "ftp") }  // what was restored
func (l layout) state() string   { return l.path("archive", "state.json") }
func (l layout) faults() string  { return l.path("archive", "faults") } // those that have happened
func (l layout) ca() string      { return l.path("archive", "ca") }
func (l layout) runs() string    { return l.path("runs") } // what each job's command left as a trace
func (l layout) plan() string    { return l.path("plan") } // which jobs are to fail, and how often

func (l layout) dirs() []string {
	return []string{l.raw(), l.results(), l.scratch(), l.logs(), l.jobLogs(), l.mails(),
		l.tape(), l.served(), l.faults(), l.ca(), l.runs(), l.plan()}
}

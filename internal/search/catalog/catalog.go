// Package catalog holds the names under which the common database has what a
// search finds, and the rules by which its diagnostics are computed, so that
// the results of every engine can be compared with each other and with those
// of the original pipeline.
//
// It knows no files: how results get from a directory into records is the
// business of the readers in package results and of the engines.
package catalog

import (
	"math"

	"longhaul/internal/search/accelcands"
	"longhaul/internal/search/zap"
)

// The types under which the common database has a candidate's files.
const (
	PlotType = "prepfold plot"
	PFDType  = "pfd binary"
)

// The types of the two tarballs of the single-pulse search.
const (
	InfType    = "PRESTO singlepulse inf tarball"
	PulsesType = "PRESTO singlepulse candidate tarball"
)

// PulseRange is a range of DMs that has a plot of single pulses of its own.
type PulseRange struct {
	Suffix   string  // of the plot's file name
	From, To float64 // pc/cm^3
	Kind     string  // in the common database
}

// PulseRanges are those of the survey. They overlap, so that a pulse at an edge
// is seen whole in one of them.
func PulseRanges() []PulseRange {
	return []PulseRange{
		{"DMs0-110_singlepulse.png", 0, 110, "PRESTO singlepulse per-beam plot (DMs 0 to 110)"},
		{"DMs100-310_singlepulse.png", 100, 310, "PRESTO singlepulse per-beam plot (DMs 100 to 310)"},
		{"DMs300-1000+_singlepulse.png", 300, math.Inf(1), "PRESTO singlepulse per-beam plot (DMs 300 and up)"},
	}
}

// Diagnostic is the name and the description of a diagnostic.
type Diagnostic struct{ Name, Description string }

// Files are the diagnostics that are files, by what they are.
type Files struct{ MaskPlot, List, Zaplist, Params Diagnostic }

// FileDiagnostics names them.
func FileDiagnostics() Files {
	return Files{
		MaskPlot: Diagnostic{"RFIfind png", "Plot of the interference that was found."},
		List:     Diagnostic{"Accelcands list", "List of the candidates that were left after sifting."},
		Zaplist:  Diagnostic{"Zaplist used", "Frequencies that were zapped."},
		Params:   Diagnostic{"Search parameters", "Settings of the search."},
	}
}

// Number is a diagnostic that is a number.
type Number struct {
	Diagnostic
	Value float64
}

// Facts are what the numbers are computed from.
type Facts struct {
	Masked          float64 // percentage of the data
	Sifted          []accelcands.Candidate
	Folded          int     // candidates that were folded
	LeastFolded     float64 // least significance of one, if Folded > 0
	ToPrepfoldSigma float64
	MaxCandsToFold  int
	ShortPeriod     float64 // sifting_short_period, s
	LongPeriod      float64 // sifting_long_period, s
	Zaps            []zap.Zap
}

// Numbers computes all diagnostics that are numbers: ten, or nine if nothing
// was folded.
func Numbers(f Facts) []Number {
	above := 0
	for _, c := range f.Sifted {
		if c.Sigma >= f.ToPrepfoldSigma {
			above++
		}
	}
	longest, highest := 1/f.LongPeriod, 1/f.ShortPeriod
	number := func(name, description string, value float64) Number {
		return Number{Diagnostic{name, description}, value}
	}
	all := []Number{
		number("RFI mask percentage", "Percentage of the data that is masked for interference.", f.Masked),
		number("Num cands folded", "Number of candidates that were folded.", float64(f.Folded)),
		number("Num cands produced", "Number of candidates that were left after sifting.", float64(len(f.Sifted))),
		number("Num cands above threshold", "Number of candidates at or above the threshold for folding.", float64(above)),
		number("Sigma threshold", "Significance from which on candidates are folded.", f.ToPrepfoldSigma),
		number("Max cands allowed to fold", "Largest number of candidates that are folded.", float64(f.MaxCandsToFold)),
		number("Percent zapped total", "Percentage of the searched frequencies that is zapped.",
			zap.Percent(f.Zaps, longest, highest, highest-longest)),
		number("Percent zapped below 10 Hz", "Width that is zapped below 10 Hz, in percent of the searched frequencies above.",
			zap.Percent(f.Zaps, longest, 10, highest-10)),
		number("Percent zapped below 1 Hz", "Width that is zapped below 1 Hz, in percent of the searched frequencies above.",
			zap.Percent(f.Zaps, longest, 1, highest-1)),
	}
	if f.Folded > 0 {
		all = append(all, number("Min sigma folded", "Least significance of a candidate that was folded.", f.LeastFolded))
	}
	return all
}

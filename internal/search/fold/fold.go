// Package fold folds an observation at the period and the DM of a candidate,
// looks in the neighbourhood for better values, and computes what a person
// wants to see of it.
//
// Folding adds up the samples by their phase, in parts of time and in subbands,
// so that afterwards parts and subbands can be shifted against each other: a
// shift that grows with time is another period, one that grows with the square
// of time another derivative of it, one that falls with the square of frequency
// another DM. This is what PRESTO's prepfold does; the rules by which periods
// have their numbers of bins and parts are those of PALFA's pipeline.
//
// All candidates are folded while the observation is read once. How the result
// is drawn is the business of package draw.
package fold

import (
	"context"
	"fmt"
	"math"

	"longhaul/internal/search/dedisp"
	"longhaul/internal/search/stream"
)

// Target is what is folded.
type Target struct {
	F0, F1 float64 // frequency, Hz, and its derivative, Hz/s, at the observation's begin
	DM     float64
	Rules
	Subbands int
	// SubDM and SubSubbands say that the data is that of subbands which were made
	// at another DM; no subbands mean the channels themselves. Downsample is by
	// how much the time was coarsened.
	SubDM       float64
	SubSubbands int
	Downsample  int
}

// Rules say how finely a candidate is folded and how far is searched about it.
type Rules struct {
	Bins  int // in a profile
	Parts int // in time
	// The search goes up to a drift of Reach profiles over the observation, or of
	// DMReach over the band, in steps of so many bins.
	Reach, DMReach         int
	Step, PdotStep, DMStep int
	SearchPdot, SearchDM   bool
}

// RulesFor are PALFA's rules for a period, s. Slow ones are not searched in DM,
// and the slowest not in the derivative, lest the search ends at interference.
func RulesFor(period float64) Rules {
	switch {
	case period < 0.002:
		return Rules{Bins: 24, Parts: 50, Reach: 2, DMReach: 2, Step: 2, PdotStep: 4, DMStep: 2, SearchPdot: true, SearchDM: true}
	case period < 0.05:
		return Rules{Bins: 50, Parts: 40, Reach: 2, DMReach: 1, Step: 1, PdotStep: 2, DMStep: 3, SearchPdot: true, SearchDM: true}
	case period < 0.5:
		return Rules{Bins: 100, Parts: 30, Reach: 1, DMReach: 1, Step: 1, PdotStep: 2, DMStep: 1, SearchPdot: true}
	}
	return Rules{Bins: 200, Parts: 30, Reach: 1, DMReach: 1, Step: 1, PdotStep: 2, DMStep: 1}
}

// Archive is a folded observation: profiles by part and subband.
type Archive struct {
	Target
	Seconds float64   // of the observation
	Freqs   []float64 // of the subbands' highest channels, MHz
	// Profiles is the sum of the samples by subband, and there by part and bin.
	Profiles [][]float32
	// Variance is that of a profile's bin, by subband and part.
	Variance [][]float64
}

// Fold folds an observation at all targets.
func Fold(ctx context.Context, src *stream.Source, targets []Target, workers int) ([]*Archive, error) {
	var all []*folder
	for i, t := range targets {
		f, err := newFolder(src, t)
		if err != nil {
			return nil, fmt.Errorf("fold target %d: %w", i+1, err)
		}
		all = append(all, f)
	}
	if len(all) == 0 {
		return nil, nil
	}
	const chunk = 4096 // spectra: the phases of one fit into the processor's caches
	err := src.Each(ctx, chunk, func(c stream.Chunk) error {
		stream.Parallel(workers, len(all), func(_, i int) { all[i].phases(c) })
		type piece struct{ target, subband int }
		var pieces []piece
		for i, f := range all {
			for s := range f.archive.Profiles {
				pieces = append(pieces, piece{i, s})
			}
		}
		stream.Parallel(workers, len(pieces), func(_, i int) { all[pieces[i].target].add(c, pieces[i].subband) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	var archives []*Archive
	for _, f := range all {
		archives = append(archives, f.done())
	}
	return archives, nil
}

// folder folds one target.
type folder struct {
	archive Archive
	sample  float64 // s
	spectra int
	edges   []int // of the subbands, channels
	delays  []int // of each channel, spectra
	late    int   // the longest
	// where is the place in a subband's profiles, by part and bin, of each
	// spectrum of a chunk, and of those before it that delayed channels belong to;
	// negative before the observation.
	where   []int32
	squares [][]float64 // sum of the samples' squares, by subband and part
	samples [][]float64
}

func newFolder(src *stream.Source, t Target) (*folder, error) {
	t.Parts = max(min(t.Parts, src.Spectra/src.RowSpectra), 1)
	t.Downsample = max(t.Downsample, 1)
	f := &folder{sample: src.SampleTime, spectra: src.Spectra, edges: dedisp.Subbands(len(src.Freqs), t.Subbands)}
	f.archive = Archive{Target: t, Seconds: src.Seconds()}
	if !(t.F0 > 0) || t.Bins < 2 || t.F0*src.SampleTime > 0.5 {
		return nil, fmt.Errorf("a frequency of %v Hz in %d bins cannot be folded", t.F0, t.Bins)
	}
	made, at := len(src.Freqs), t.DM
	if t.SubSubbands > 0 {
		made, at = t.SubSubbands, t.SubDM
	}
	f.delays = dedisp.Delays(src.Freqs, dedisp.Subbands(len(src.Freqs), made), at, t.DM, src.SampleTime)
	for _, d := range f.delays {
		f.late = max(f.late, d)
	}
	for s := 1; s < len(f.edges); s++ {
		f.archive.Freqs = append(f.archive.Freqs, src.Freqs[f.edges[s]-1])
		f.archive.Profiles = append(f.archive.Profiles, make([]float32, t.Parts*t.Bins))
		f.archive.Variance = append(f.archive.Variance, make([]float64, t.Parts))
		f.squares = append(f.squares, make([]float64, t.Parts))
		f.samples = append(f.samples, make([]float64, t.Parts))
	}
	return f, nil
}

// phases computes where the spectra of a chunk go.
func (f *folder) phases(c stream.Chunk) {
	t := &f.archive.Target
	n := c.N + f.late
	if cap(f.where) < n {
		f.where = make([]int32, n)
	}
	f.where = f.where[:n]
	for i := range f.where {
		at := c.Start - f.late + i
		if at < 0 {
			f.where[i] = -1
			continue
		}
		seconds := (float64(at/t.Downsample*t.Downsample) + float64(t.Downsample)/2) * f.sample
		phase := seconds * (t.F0 + seconds*t.F1/2)
		bin := int((phase - math.Floor(phase)) * float64(t.Bins))
		part := at * t.Parts / f.spectra
		f.where[i] = int32(part*t.Bins + min(bin, t.Bins-1))
	}
}

// add adds a chunk's channels of one subband to its profiles.
func (f *folder) add(c stream.Chunk, s int) {
	t := &f.archive.Target
	profiles := f.archive.Profiles[s]
	for ch := f.edges[s]; ch < f.edges[s+1]; ch++ {
		x := c.Data[ch]
		where := f.where[f.late-f.delays[ch]:][:len(x)]
		for len(where) > 0 && where[0] < 0 {
			where, x = where[1:], x[1:]
		}
		for len(x) > 0 { // part by part
			part := int(where[0]) / t.Bins
			n := min(len(x), max((part+1)*f.spectra/t.Parts-(c.Start+c.N-len(x)-f.delays[ch]), 1))
			squares := float64(0)
			for i, v := range x[:n] {
				profiles[where[i]] += v
				squares += float64(v) * float64(v)
			}
			f.squares[s][part] += squares
			f.samples[s][part] += float64(n)
			x, where = x[n:], where[n:]
		}
	}
}

// done computes the variances. The samples are noise about zero; those of the
// channels in a subband are independent.
func (f *folder) done() *Archive {
	for s := range f.squares {
		for p, squares := range f.squares[s] {
			f.archive.Variance[s][p] = squares / float64(f.archive.Bins)
		}
	}
	return &f.archive
}

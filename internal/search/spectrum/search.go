package spectrum

import (
	"fmt"
	"math"

	"longhaul/internal/search/sigma"
)

// Options are the settings of one search, by the ends of their names in the
// configuration.
type Options struct {
	Numharm int     // harmonics that are summed at most: a power of two
	Sigma   float64 // least significance, with the trials counted
	Zmax    int     // largest drift of the highest harmonic, bins
	Flo     float64 // lowest frequency of the highest harmonic, Hz
}

// Searcher searches series of one length, one after the other. It holds the
// memory for that, five times the series; each worker has its own.
type Searcher struct {
	transforms *Transforms
	stretch    *stretcher
	bins       []complex64 // of the stretched series
	stretched  []float32
	powers     []float32
	sums       []float32
}

// Transforms are the transforms of a length and of its halves, quarters and so
// on. They are shared by the searchers.
type Transforms struct{ all []*FFT }

// shortest is the length below which series are not halved any more.
const shortest = 1024

// NewTransforms prepares for a length, a power of two.
func NewTransforms(n int) (*Transforms, error) {
	t := new(Transforms)
	for m := n; m == n || m >= shortest; m /= 2 {
		f, err := NewFFT(m)
		if err != nil {
			return nil, err
		}
		t.all = append(t.all, f)
	}
	return t, nil
}

// Len returns the length of the longest.
func (t *Transforms) Len() int { return t.all[0].n }

// NewSearcher makes a searcher.
func NewSearcher(t *Transforms) *Searcher {
	n := t.Len()
	return &Searcher{
		transforms: t, stretch: newStretcher(),
		bins: make([]complex64, n/2), stretched: make([]float32, n), powers: make([]float32, n), sums: make([]float32, n),
	}
}

// Forward transforms a series.
func (s *Searcher) Forward(dst []complex64, series []float32) {
	s.transforms.all[0].Forward(dst, series)
}

// Search looks for signals in a whitened spectrum of a series of so many
// seconds. scratch has the length of the series; what it holds is lost.
func (s *Searcher) Search(white []complex64, scratch []float32, seconds float64, o Options) ([]Found, error) {
	if 2*len(white) != s.transforms.Len() || len(scratch) != s.transforms.Len() {
		return nil, fmt.Errorf("a spectrum of %d bins for transforms of %d samples", len(white), s.transforms.Len())
	}
	if o.Numharm < 1 || o.Numharm&(o.Numharm-1) != 0 {
		return nil, fmt.Errorf("%d harmonics: it must be a power of two", o.Numharm)
	}
	q := newQuest(len(white), seconds, o)
	halfBins(s.powers, white)
	s.sum(q, s.powers, 0, q.low, 2*len(white)-1)
	if o.Zmax > 0 {
		s.accelerated(q, white, scratch)
	}
	found := q.found.best()
	if o.Zmax > 0 {
		s.timeSeries(scratch, white, 0)
	}
	for i := range found {
		s.polish(&found[i], white, scratch, q.step(2*float64(len(white))))
	}
	return found, nil
}

// quest is one search for signals.
type quest struct {
	Options
	low    int       // lowest half bin
	limits []float64 // by the logarithm of the number of harmonics: the sum that is significant
	trials []float64
	found  collection
}

func newQuest(bins int, seconds float64, o Options) *quest {
	q := &quest{Options: o}
	lowest := max(1, math.Floor(o.Flo*seconds))
	q.low = int(min(2*lowest, float64(2*bins)))
	for n := 1; n <= o.Numharm; n *= 2 {
		trials := max(1, (float64(bins)-1-lowest)/float64(n))
		if o.Zmax > 0 {
			// Independent drifts are 6.95 bins apart (Ransom et al. 2002); PRESTO
			// looks every 2, one beyond the largest.
			trials *= float64(o.Zmax+2) * 2 / 6.95
		}
		q.trials = append(q.trials, trials)
		q.limits = append(q.limits, sigma.Power(o.Sigma, n, trials))
	}
	return q
}

// sum adds up harmonics of a spectrum of half-bin powers, stage by stage, and
// takes what is significant. Half bins lo to hi are those of the highest
// harmonic; stretch says by how much the series was stretched.
func (s *Searcher) sum(q *quest, powers []float32, stretch float64, lo, hi int) {
	if lo >= hi {
		return
	}
	sums := s.sums[:hi-lo]
	copy(sums, powers[lo:hi])
	for stage, limit := range q.limits {
		n := 1 << stage
		for h := 1; h < n; h += 2 {
			at := lo*h + n/2
			for i := range sums {
				sums[i] += powers[at>>stage]
				at += h
			}
		}
		limit := float32(limit)
		for i, p := range sums {
			if p > limit {
				q.take(float64(p), float64(lo+i)/2/float64(n), stage, stretch)
			}
		}
	}
}

func (q *quest) take(power, r float64, stage int, stretch float64) {
	q.found.add(Found{
		R: r, Z: stretch * r, Harmonics: 1 << stage, Power: power, stretch: stretch,
		Sigma: sigma.Candidate(power, 1<<stage, q.trials[stage]),
	})
}

// drift is by how many bins the highest harmonic drifts from one trial of
// stretching to the next: a signal between two loses at most an eighth of its power.
const drift = 3.0

// step is the step of the stretching factor for a series of n samples.
func (q *quest) step(n float64) float64 { return drift / (usable * n / 2) }

// accelerated searches with stretching. A drift by z takes more stretching the
// lower the frequency, but a lower frequency needs fewer samples: the octave
// up to three quarters of the Nyquist frequency is searched in the series as it
// is (with what is above), the next one in the series of half as many samples,
// and so on. Each takes the same number of trials.
func (s *Searcher) accelerated(q *quest, white []complex64, scratch []float32) {
	for level := range s.transforms.all {
		n := s.transforms.all[level].n
		series := scratch[:n]
		top := int(usable * float64(n)) // half bins
		bottom := max(top/2, q.low)
		if level == 0 {
			top = n - 1
		}
		if level == len(s.transforms.all)-1 {
			bottom = q.low
		}
		if top <= q.low {
			return
		}
		s.timeSeries(series, white, level)
		most := 2 * float64(q.Zmax) / float64(bottom)
		step := q.step(float64(n))
		for k := 1; float64(k)*step <= min(most, 0.5); k++ {
			a := float64(k) * step
			hi := min(top, int(2*float64(q.Zmax)/a)+1) // where the drift gets too large
			for _, a := range [2]float64{a, -a} {
				s.stretch.apply(s.stretched[:n], series, a)
				bins := s.bins[:n/2]
				s.transforms.all[level].Forward(bins, s.stretched)
				bins = bins[:min(n/2, hi/2+halfTaps+1)] // above there is nothing to sum
				halfBins(s.powers[:2*len(bins)], bins)
				s.sum(q, s.powers, a, bottom, hi)
			}
		}
	}
}

// timeSeries makes the series that belongs to the lower bins of a spectrum:
// level halves its length so many times.
func (s *Searcher) timeSeries(dst []float32, white []complex64, level int) {
	f := s.transforms.all[level]
	bins := s.bins[:f.n/2]
	copy(bins, white)
	bins[0] = 0
	f.Inverse(dst[:f.n], bins)
}

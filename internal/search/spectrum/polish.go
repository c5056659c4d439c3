package spectrum

import (
	"math"
	"math/cmplx"
)

// polish finds the frequency, and for a drifting signal the drift, at which the
// sum of a candidate's harmonics is largest, and fills in its numbers. The
// series is that of the whitened spectrum, not used where nothing drifts; step
// is that of the trials of stretching.
func (s *Searcher) polish(f *Found, white []complex64, series []float32, step float64) {
	if f.stretch == 0 {
		f.R, _ = bestFrequency(white, f.R, f.Harmonics)
		f.fill(white)
		return
	}
	best, bestSum, bestR := f.stretch, 0.0, f.R
	try := func(a float64) float64 {
		s.restretch(series, a)
		r, sum := bestFrequency(s.bins, f.R, f.Harmonics)
		if sum > bestSum {
			best, bestSum, bestR = a, sum, r
		}
		return sum
	}
	// The step of the octave in which the signal was found: coarser below.
	highest := f.R * float64(f.Harmonics)
	h := min(max(step, drift/2/highest), 0.1) / 2
	left, middle, right := try(f.stretch-h), try(f.stretch), try(f.stretch+h)
	if bend := left - 2*middle + right; bend < 0 {
		try(f.stretch + h*min(max((left-right)/(2*bend), -1), 1))
	}
	s.restretch(series, best)
	f.R, f.stretch = bestR, best
	f.Z = best * bestR
	f.fill(s.bins)
}

func (s *Searcher) restretch(series []float32, a float64) {
	s.stretch.apply(s.stretched, series, a)
	s.transforms.all[0].Forward(s.bins, s.stretched)
}

// bestFrequency looks for the frequency near r with the largest sum of
// harmonics: on a grid first, then by the golden section.
func bestFrequency(spectrum []complex64, r float64, harmonics int) (best, sum float64) {
	levels := make([]float64, harmonics)
	for h := range levels {
		levels[h] = localLevel(spectrum, r*float64(h+1))
	}
	at := func(r float64) float64 {
		sum := 0.0
		for h, level := range levels {
			a := amplitude(spectrum, r*float64(h+1))
			sum += (real(a)*real(a) + imag(a)*imag(a)) / level
		}
		return sum
	}
	const half = 8 // points of the grid on either side
	wide := 1.0 / float64(harmonics)
	best, sum = r, at(r)
	for i := -half; i <= half; i++ {
		if x := r + wide*float64(i)/half; x > 0 && at(x) > sum {
			best, sum = x, at(x)
		}
	}
	const golden = 0.6180339887498949
	lo, hi := best-wide/half, best+wide/half
	x1, x2 := hi-golden*(hi-lo), lo+golden*(hi-lo)
	y1, y2 := at(x1), at(x2)
	for range 20 {
		if y1 > y2 {
			hi, x2, y2 = x2, x1, y1
			x1 = hi - golden*(hi-lo)
			y1 = at(x1)
		} else {
			lo, x1, y1 = x1, x2, y2
			x2 = lo + golden*(hi-lo)
			y2 = at(x2)
		}
	}
	if y := max(y1, y2); y > sum {
		best, sum = (lo+hi)/2, y
	}
	return best, sum
}

// fill computes the harmonics' powers and the coherent power, for which the
// phases are counted from that of the fundamental, as in PRESTO.
func (f *Found) fill(spectrum []complex64) {
	first := 0.0
	total := complex(0, 0)
	f.Powers = make([]float64, f.Harmonics)
	for h := range f.Powers {
		r := f.R * float64(h+1)
		a := amplitude(spectrum, r)
		f.Powers[h] = (real(a)*real(a) + imag(a)*imag(a)) / localLevel(spectrum, r)
		phase := cmplx.Phase(a)
		if h == 0 {
			first = phase
		}
		total += cmplx.Rect(math.Sqrt(f.Powers[h]), phase+first-float64(h+1)*first)
	}
	f.CPow = real(total)*real(total) + imag(total)*imag(total)
}

package zap

import (
	"math"
	"slices"
)

// around is how many bins on either side of a zap tell the level of the
// spectrum there.
const around = 25

// Apply takes zaps out of a spectrum, whose bins are 1/seconds wide; bin 0 is
// not touched. Where a zap was, the power is the level of the bins on either
// side (median over ln 2, the mean of the exponential distribution that noise
// has), on a straight line between them; phases stay. So nothing stands out
// there, neither up nor down.
//
// doppler is the ratio of a frequency at the telescope to that at the
// barycentre, which is where barycentric zaps are given; 1 if it is not known.
func Apply(spectrum []complex64, zaps []Zap, seconds, doppler float64) {
	for _, r := range ranges(zaps, seconds, doppler, len(spectrum)) {
		left, right := level(spectrum[max(r.lo-around, 1):r.lo]), level(spectrum[r.hi:min(r.hi+around, len(spectrum))])
		if math.IsNaN(left) {
			left = right
		}
		if math.IsNaN(right) {
			right = left
		}
		if math.IsNaN(left) {
			continue // all is zapped
		}
		for i := r.lo; i < r.hi; i++ {
			share := float64(i-r.lo+1) / float64(r.hi-r.lo+1)
			want := left + share*(right-left)
			a := complex128(spectrum[i])
			if p := real(a)*real(a) + imag(a)*imag(a); p > 0 {
				spectrum[i] = complex64(a * complex(math.Sqrt(want/p), 0))
			}
		}
	}
}

// span is a range of bins, hi not included.
type span struct{ lo, hi int }

// ranges turns zaps into bins, and joins those that touch.
func ranges(zaps []Zap, seconds, doppler float64, bins int) []span {
	var all []span
	for _, z := range zaps {
		f := z.Freq
		if z.Barycentric {
			f *= doppler
		}
		lo := math.Floor((f - z.Width/2) * seconds)
		hi := math.Ceil((f+z.Width/2)*seconds) + 1
		if hi <= 1 || lo >= float64(bins) {
			continue
		}
		all = append(all, span{int(max(lo, 1)), int(min(hi, float64(bins)))})
	}
	slices.SortFunc(all, func(a, b span) int { return a.lo - b.lo })
	joined := all[:0]
	for _, s := range all {
		if n := len(joined); n > 0 && s.lo <= joined[n-1].hi {
			joined[n-1].hi = max(joined[n-1].hi, s.hi)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// level is the mean power of noise, told by the median; NaN of nothing.
func level(bins []complex64) float64 {
	if len(bins) == 0 {
		return math.NaN()
	}
	p := make([]float64, len(bins))
	for i, a := range bins {
		p[i] = float64(real(a)*real(a) + imag(a)*imag(a))
	}
	slices.Sort(p)
	return (p[(len(p)-1)/2] + p[len(p)/2]) / 2 / math.Ln2
}

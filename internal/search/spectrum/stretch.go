package spectrum

import "math"

// Stretching by a factor a replaces time u, from 0 to 1 over the observation,
// by v = u + a/2·(u²-u). A signal of mean frequency r that drifts by z = a·r
// bins, whose phase is r·u + z/2·(u²-u), is then one of constant frequency r.
//
// The stretched series is read off the original one by interpolation with a
// windowed sinc of stretchTaps samples, which keeps the power of frequencies
// up to three quarters of the Nyquist frequency to within 5 %.
const (
	stretchTaps   = 8
	stretchPhases = 64
	usable        = 0.75 // of the Nyquist frequency
)

// stretcher holds the interpolation's weights.
type stretcher struct {
	weights [stretchPhases + 1][stretchTaps]float32
}

func newStretcher() *stretcher {
	s := new(stretcher)
	for p := range s.weights {
		frac, sum := float64(p)/stretchPhases, 0.0
		var w [stretchTaps]float64
		for j := range w {
			x := float64(j-stretchTaps/2+1) - frac
			window := math.Cos(math.Pi * x / (stretchTaps + 1))
			w[j] = sinc(x) * window
			sum += w[j]
		}
		for j := range w {
			s.weights[p][j] = float32(w[j] / sum)
		}
	}
	return s
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// unstretched is the time u that a stretched time v comes from.
func unstretched(v, a float64) float64 {
	if math.Abs(a) < 1e-9 {
		return v + a/2*(v-v*v)
	}
	b := 1 - a/2
	return (math.Sqrt(b*b+2*a*v) - b) / a
}

// apply fills dst with src, stretched by a. Both have the same length.
func (s *stretcher) apply(dst, src []float32, a float64) {
	const block = 64 // samples within which the time runs evenly
	n := float64(len(dst))
	from := 0.0
	for at := 0; at < len(dst); at += block {
		to := unstretched(float64(at+block)/n, a) * n
		step := (to - from) / block
		s.even(dst[at:min(at+block, len(dst))], src, from, step)
		from = to
	}
}

// even reads samples at from, from+step, ... off src; there are zeros beyond it.
func (s *stretcher) even(dst, src []float32, from, step float64) {
	last := from + step*float64(len(dst))
	inside := from >= stretchTaps && last < float64(len(src)-stretchTaps)
	for i := range dst {
		x := from + step*float64(i)
		k := int(x)
		w := &s.weights[int((x-float64(k))*stretchPhases+0.5)]
		lo := k - stretchTaps/2 + 1
		if !inside {
			sum := float32(0)
			for j, f := range w {
				if lo+j >= 0 && lo+j < len(src) {
					sum += f * src[lo+j]
				}
			}
			dst[i] = sum
			continue
		}
		y := src[lo : lo+stretchTaps : lo+stretchTaps]
		dst[i] = (w[0]*y[0] + w[1]*y[1]) + (w[2]*y[2] + w[3]*y[3]) + (w[4]*y[4] + w[5]*y[5]) + (w[6]*y[6] + w[7]*y[7])
	}
}

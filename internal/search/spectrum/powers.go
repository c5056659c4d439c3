package spectrum

import "math"

// halfTaps is how many bins on either side the power at a half bin is
// interpolated from. Of the amplitude of a signal there, 95 % is left; the
// noise has the same mean power as at whole bins.
const halfTaps = 4

// halfBins fills dst with the powers at bins 0, 1/2, 1, 3/2, ...: 2·len(spectrum)
// of them. At the ends, where bins are missing, half bins have none.
//
// Between bins, the amplitude is a sum over all bins weighted with
// exp(-iπq)·sin(πq)/(πq), q being the distance (Ransom et al. 2002, eq. 30);
// at a half bin the weights are 1/(πq), all of the same phase.
func halfBins(dst []float32, spectrum []complex64) {
	var w [halfTaps]float32
	norm := float32(0)
	for j := range w {
		w[j] = float32(1 / (math.Pi * (float64(j) + 0.5)))
		norm += 2 * w[j] * w[j]
	}
	norm = 1 / norm
	n := len(spectrum)
	for k := range n {
		a := spectrum[k]
		dst[2*k] = real(a)*real(a) + imag(a)*imag(a)
		dst[2*k+1] = 0
	}
	for k := halfTaps; k+halfTaps < n; k++ {
		s := spectrum[k-halfTaps+1 : k+halfTaps+1 : k+halfTaps+1]
		re := w[0]*(real(s[3])-real(s[4])) + w[1]*(real(s[2])-real(s[5])) + w[2]*(real(s[1])-real(s[6])) + w[3]*(real(s[0])-real(s[7]))
		im := w[0]*(imag(s[3])-imag(s[4])) + w[1]*(imag(s[2])-imag(s[5])) + w[2]*(imag(s[1])-imag(s[6])) + w[3]*(imag(s[0])-imag(s[7]))
		dst[2*k+1] = (re*re + im*im) * norm
	}
}

// interpolationTaps is how many bins on either side the amplitude at any
// frequency is interpolated from, when a candidate is polished.
const interpolationTaps = 16

// amplitude interpolates a spectrum at a frequency, bins.
func amplitude(spectrum []complex64, r float64) complex128 {
	whole := math.Round(r)
	offset := r - whole
	k := int(whole)
	if k-interpolationTaps < 1 || k+interpolationTaps >= len(spectrum) {
		if k < 1 || k >= len(spectrum) {
			return 0
		}
		return complex128(spectrum[k])
	}
	if math.Abs(offset) < 1e-9 {
		return complex128(spectrum[k])
	}
	// exp(-iπq)·sin(πq) is the same for all bins: their distances differ by whole numbers.
	s, c := math.Sincos(math.Pi * offset)
	common := complex(c, -s) * complex(s/math.Pi, 0)
	sum := complex(0, 0)
	for j := -interpolationTaps; j <= interpolationTaps; j++ {
		sum += complex128(spectrum[k+j]) * complex(1/(offset-float64(j)), 0)
	}
	return sum * common
}

// The level around a harmonic is told by bins beside it, as in PRESTO.
const (
	levelBins = 20 // in all
	levelGap  = 5  // not looked at on either side
)

// localLevel is the mean power beside a frequency, bins.
func localLevel(spectrum []complex64, r float64) float64 {
	sum, n := 0.0, 0
	add := func(lo, hi int) {
		for k := max(lo, 1); k < min(hi, len(spectrum)); k++ {
			a := complex128(spectrum[k])
			sum += real(a)*real(a) + imag(a)*imag(a)
			n++
		}
	}
	k := int(r)
	add(k-levelGap-levelBins/2+1, k-levelGap+1)
	add(k+levelGap+1, k+levelGap+1+levelBins/2)
	if n == 0 || sum == 0 {
		return 1
	}
	return sum / float64(n)
}

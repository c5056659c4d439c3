package fold

import (
	"math"

	"gonum.org/v1/gonum/dsp/fourier"

	"longhaul/internal/search/plan"
)

// grid holds the profiles in the form in which they are shifted: as harmonics.
// Shifts are in bins; a shift of k means that the pulse came k bins later at the
// end of the observation than at its begin.
type grid struct {
	a        *Archive
	fft      *fourier.FFT
	harmonic [][][]complex128 // by subband, part and harmonic, from the first
	parts    [][]complex128   // by part and harmonic, at one DM
	variance float64          // of a bin of the profile of everything
	telling  []bool           // by harmonic: whether it is significant in the profile
}

func newGrid(a *Archive) *grid {
	g := &grid{a: a, fft: fourier.NewFFT(a.Bins)}
	wide := make([]float64, a.Bins)
	for s, profiles := range a.Profiles {
		var parts [][]complex128
		for p := range a.Parts {
			for b, v := range profiles[p*a.Bins : (p+1)*a.Bins] {
				wide[b] = float64(v)
			}
			parts = append(parts, g.fft.Coefficients(nil, wide)[1:])
			g.variance += a.Variance[s][p]
		}
		g.harmonic = append(g.harmonic, parts)
	}
	if g.variance == 0 {
		g.variance = 1
	}
	return g
}

// turn is the factor by which a shift towards earlier phases, in bins, turns a harmonic.
func (g *grid) turn(h int, shift float64) complex128 {
	s, c := math.Sincos(2 * math.Pi * float64(h+1) * shift / float64(g.a.Bins))
	return complex(c, s)
}

// late is by how many bins a subband's pulse comes late if the DM is dm and not
// that of the fold.
func (g *grid) late(s int, dm float64) float64 {
	top := g.a.Freqs[len(g.a.Freqs)-1]
	d := plan.Delay(dm-g.a.DM, g.a.Freqs[s]) - plan.Delay(dm-g.a.DM, top)
	return d * g.a.F0 * float64(g.a.Bins)
}

// when is the middle of a part, as a fraction of the observation.
func (g *grid) when(part int) float64 { return (float64(part) + 0.5) / float64(g.a.Parts) }

// collapse adds up the subbands at a DM.
func (g *grid) collapse(dm float64) {
	g.parts = make([][]complex128, g.a.Parts)
	harmonics := len(g.harmonic[0][0])
	for p := range g.parts {
		g.parts[p] = make([]complex128, harmonics)
	}
	for s, parts := range g.harmonic {
		shift := g.late(s, dm)
		for h := range harmonics {
			w := g.turn(h, shift)
			for p := range parts {
				g.parts[p][h] += parts[p][h] * w
			}
		}
	}
}

// chi2 is the chi-squared of a profile, by its harmonics (Parseval's theorem).
func (g *grid) chi2(profile []complex128) float64 {
	sum := 0.0
	for h, a := range profile {
		p := 2 * (real(a)*real(a) + imag(a)*imag(a))
		if 2*(h+1) == g.a.Bins {
			p /= 2
		}
		sum += p
	}
	return sum / float64(g.a.Bins) / g.variance
}

// tell finds the harmonics that are significant in a profile; all, if none is.
func (g *grid) tell(profile []complex128) {
	g.telling = make([]bool, len(profile))
	any := false
	for h, a := range profile {
		g.telling[h] = g.power(a) > leastPower
		any = any || g.telling[h]
	}
	if !any {
		for h := range g.telling {
			g.telling[h] = true
		}
	}
}

// power is that of a harmonic, in units of the noise, less that.
func (g *grid) power(a complex128) float64 {
	return (real(a)*real(a)+imag(a)*imag(a))/(float64(g.a.Bins)*g.variance) - 1
}

// sharp is the power of the telling harmonics. Its maximum is where the pulsar
// is; chi-squared, of which the other harmonics are noise, has it a little beside.
func (g *grid) sharp(profile []complex128) float64 {
	sum := 0.0
	for h, a := range profile {
		if g.telling[h] {
			sum += real(a)*real(a) + imag(a)*imag(a)
		}
	}
	return sum
}

// drifted is the profile of all parts for a drift of k bins over the
// observation, and one of k2 with the square of time.
func (g *grid) drifted(k, k2 float64) []complex128 {
	sum := make([]complex128, len(g.parts[0]))
	for p, part := range g.parts {
		x := g.when(p)
		first := g.turn(0, k*x+k2*x*x)
		w := first
		for h, a := range part {
			sum[h] += a * w
			w *= first
		}
	}
	return sum
}

// plane is chi-squared by k2 and k. It goes by whole bins and by the profiles
// themselves, which is faster for so many.
func (g *grid) plane(ks, k2s []float64) [][]float64 {
	n := g.a.Bins
	twice := make([][]float64, len(g.parts)) // each profile twice, so that a shift is a slice
	for p, part := range g.parts {
		one := g.fft.Sequence(nil, append([]complex128{0}, part...))
		for b := range one {
			one[b] /= float64(n)
		}
		twice[p] = append(one, one...)
	}
	plane := make([][]float64, len(k2s))
	sum := make([]float64, n)
	for j, k2 := range k2s {
		plane[j] = make([]float64, len(ks))
		for i, k := range ks {
			clear(sum)
			for p, profile := range twice {
				x := g.when(p)
				shift := int(math.Round(k*x+k2*x*x)) % n
				if shift < 0 {
					shift += n
				}
				// A pulse that comes later is moved earlier.
				for b, v := range profile[shift : shift+n] {
					sum[b] += v
				}
			}
			total := 0.0
			for _, v := range sum {
				total += v * v
			}
			plane[j][i] = total / g.variance
		}
	}
	return plane
}

// bands are the profiles of the subbands at given drifts, by harmonics.
func (g *grid) bands(k, k2 float64) [][]complex128 {
	all := make([][]complex128, len(g.harmonic))
	for s, parts := range g.harmonic {
		all[s] = make([]complex128, len(parts[0]))
		for p, part := range parts {
			x := g.when(p)
			first := g.turn(0, k*x+k2*x*x)
			w := first
			for h, a := range part {
				all[s][h] += a * w
				w *= first
			}
		}
	}
	return all
}

// atDM is the profile of subbands at a DM.
func (g *grid) atDM(bands [][]complex128, dm float64) []complex128 {
	sum := make([]complex128, len(bands[0]))
	for s, band := range bands {
		first := g.turn(0, g.late(s, dm))
		w := first
		for h, a := range band {
			sum[h] += a * w
			w *= first
		}
	}
	return sum
}

// dmStep is the DM that shifts the lowest subband by so many bins against the highest.
func (g *grid) dmStep(bins float64) float64 {
	perDM := math.Abs(g.late(0, g.a.DM+1))
	if perDM == 0 {
		return 0
	}
	return bins / perDM
}

// dms are the DMs that are searched.
func (g *grid) dms(around float64) []float64 {
	step := g.dmStep(float64(g.a.DMStep))
	most := g.a.DMReach * g.a.Bins / g.a.DMStep
	var all []float64
	for i := -most; i <= most && step > 0; i++ {
		if dm := around + float64(i)*step; dm >= 0 {
			all = append(all, dm)
		}
	}
	return all
}

package fold

import (
	"math"

	"longhaul/internal/search/sigma"
)

// fill computes what is shown.
func (g *grid) fill(r *Result, k, k2, dm float64) {
	a := g.a
	dof := float64(r.Dof)
	total := g.drifted(k, k2)
	chi2 := g.chi2(total)
	r.Chi2 = chi2 / dof
	r.Sigma, r.LogProbability = sigma.ChiSquared(chi2, r.Dof)
	r.Profile = g.profile(total)
	r.Noise = math.Sqrt(g.variance)

	so := make([]complex128, len(total))
	seen := 0.0
	for p, part := range g.parts {
		x := g.when(p)
		shifted := make([]complex128, len(part))
		for h, v := range part {
			shifted[h] = v * g.turn(h, k*x+k2*x*x)
			so[h] += shifted[h]
		}
		r.TimePhase = append(r.TimePhase, g.profile(shifted))
		for s := range a.Variance {
			seen += a.Variance[s][p]
		}
		r.Cumulative.X = append(r.Cumulative.X, float64(p+1)/float64(a.Parts))
		r.Cumulative.Y = append(r.Cumulative.Y, g.chi2(so)/dof*g.variance/max(seen, 1e-30))
	}
	bands := g.bands(k, k2)
	for s, band := range bands {
		first := g.turn(0, g.late(s, dm))
		w := first
		shifted := make([]complex128, len(band))
		for h, v := range band {
			shifted[h] = v * w
			w *= first
		}
		r.FreqPhase = append(r.FreqPhase, g.profile(shifted))
	}
	for _, x := range g.dms(dm) {
		r.DMs.X = append(r.DMs.X, x)
		r.DMs.Y = append(r.DMs.Y, g.chi2(g.atDM(bands, x))/dof)
	}
	g.curves(r, k, k2)
	g.errors(r, total, k2 != 0)
}

// curves are chi-squared about the best period and derivative.
func (g *grid) curves(r *Result, k, k2 float64) {
	ks, k2s := g.axes()
	span := float64(g.a.Bins) * g.a.Seconds
	period, pdot := r.Period()
	for i := range ks {
		f := r.F0 - ks[i]/span
		r.Periods.X = append(r.Periods.X, 1/f-period)
		ks[i] += k
	}
	for i := range k2s {
		r.Pdots.X = append(r.Pdots.X, pdot+2*k2s[i]/(span*g.a.Seconds)/(r.F0*r.F0))
		k2s[i] += k2
	}
	dof := float64(r.Dof)
	r.Plane = g.plane(ks, k2s)
	for j := range r.Plane {
		for i := range r.Plane[j] {
			r.Plane[j][i] /= dof
		}
	}
	r.Periods.Y = append([]float64{}, r.Plane[len(k2s)/2]...)
	for j := range k2s {
		r.Pdots.Y = append(r.Pdots.Y, r.Plane[j][len(ks)/2])
	}
}

// leastPower is that of a harmonic that says something of the phase. Noise is
// above it once in 3000 harmonics; less would not do, because the higher a
// harmonic is, the more it would say.
const leastPower = 7

// errors follow from how well the harmonics determine the phase of the
// profile: a harmonic of power p, in units of the noise, does so to
// 1/(2πh·sqrt(2p)) turns; and from the straight line, or the parabola, of
// phase against time that period and derivative are. Where no derivative was
// found, its error is what it would be, and that of the period is of a straight line.
func (g *grid) errors(r *Result, profile []complex128, bent bool) {
	information := 0.0
	for h, a := range profile {
		if p := g.power(a); p > leastPower {
			n := 2 * math.Pi * float64(h+1)
			information += n * n * 2 * p
		}
	}
	phase := 0.29 // turns: of no phase at all
	if information > 0 {
		phase = 1 / math.Sqrt(information)
	}
	r.F0Err = phase * math.Sqrt(12) / r.Seconds
	r.F1Err = phase * math.Sqrt(720) / (r.Seconds * r.Seconds)
	if bent {
		r.F0Err = phase * math.Sqrt(192) / r.Seconds
	}
	if perDM := math.Abs(g.late(0, g.a.DM+1)) / float64(g.a.Bins); perDM > 0 {
		r.DMErr = phase * math.Sqrt(12) / perDM
	}
}

// profile makes a profile of harmonics, without its mean.
func (g *grid) profile(harmonics []complex128) []float64 {
	x := g.fft.Sequence(nil, append([]complex128{0}, harmonics...))
	for i := range x {
		x[i] /= float64(g.a.Bins)
	}
	return x
}

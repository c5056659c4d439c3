package fold

// Curve is reduced chi-squared against something.
type Curve struct{ X, Y []float64 }

// Result is what folding found.
type Result struct {
	Target
	Seconds float64
	Freqs   []float64 // of the subbands, MHz

	F0, F1       float64 // best, at the observation's begin, Hz and Hz/s
	F0Err, F1Err float64
	BestDM       float64
	DMErr        float64

	Chi2           float64 // reduced
	Dof            int
	Sigma          float64
	LogProbability float64 // natural logarithm of that of noise

	Profile    []float64   // sum over all
	Noise      float64     // standard deviation of one of its bins
	TimePhase  [][]float64 // by part
	FreqPhase  [][]float64 // by subband
	Cumulative Curve       // chi-squared of the first parts, against the fraction of the observation
	Periods    Curve       // X: period less the best one, s
	Pdots      Curve       // X: its derivative, s/s
	DMs        Curve
	Plane      [][]float64 // chi-squared by derivative and period, as those curves
}

// Period is that at the observation's begin, s, with its derivative, s/s.
func (r *Result) Period() (p, pdot float64) { return 1 / r.F0, 0 - r.F1/(r.F0*r.F0) }

// PeriodErrors are the standard errors of Period.
func (r *Result) PeriodErrors() (p, pdot float64) {
	f2 := r.F0 * r.F0
	return r.F0Err / f2, r.F1Err / f2
}

// significant is by how much chi-squared must grow for a derivative of the
// period to be taken for real: three standard errors.
const significant = 9

// Refine looks for the best period, derivative and DM.
func Refine(a *Archive) *Result {
	g := newGrid(a)
	r := &Result{Target: a.Target, Seconds: a.Seconds, Freqs: a.Freqs, BestDM: a.DM, Dof: a.Bins - 1}
	k, k2, dm := 0.0, 0.0, a.DM
	rounds := 1
	if a.SearchDM {
		rounds = 2 // the DM moves the profiles, these move the DM
	}
	for range rounds {
		g.collapse(dm)
		k, k2 = g.bestDrift()
		if a.SearchDM {
			dm = g.bestDM(k, k2, dm)
		}
	}
	g.collapse(dm)
	r.BestDM = dm
	span := float64(a.Bins) * a.Seconds
	r.F0 = a.F0 - k/span
	r.F1 = a.F1 - 2*k2/(span*a.Seconds)
	g.fill(r, k, k2, dm)
	return r
}

// bestDrift finds the drifts with the largest chi-squared.
func (g *grid) bestDrift() (k, k2 float64) {
	ks, k2s := g.axes()
	plane := g.plane(ks, k2s)
	zero := len(k2s) / 2
	best, at := 0, zero
	for i := range ks {
		if plane[zero][i] > plane[zero][best] {
			best = i
		}
	}
	straight := plane[zero][best]
	bent, bentAt := best, zero
	for j := range k2s {
		for i := range ks {
			if plane[j][i] > plane[bentAt][bent] {
				bent, bentAt = i, j
			}
		}
	}
	if plane[bentAt][bent] > straight+significant {
		best, at = bent, bentAt
	}
	k, k2 = ks[best], k2s[at]
	// One bin of the grid is a small part of the pulse: the peak is wider.
	g.tell(g.drifted(k, k2))
	step, step2 := 3*float64(g.a.Step), 3*float64(g.a.PdotStep)
	for range 3 {
		k = golden(k-step, k+step, func(x float64) float64 { return g.sharp(g.drifted(x, k2)) })
		if at == zero {
			break
		}
		// At the same drift in the middle of the observation.
		middle := k + k2
		k2 = golden(k2-step2, k2+step2, func(x float64) float64 { return g.sharp(g.drifted(middle-x, x)) })
		k = middle - k2
	}
	return k, k2
}

// axes are the drifts that are searched.
func (g *grid) axes() (ks, k2s []float64) {
	most := g.a.Reach * g.a.Bins
	for k := -most; k <= most; k += g.a.Step {
		ks = append(ks, float64(k))
	}
	if !g.a.SearchPdot {
		return ks, []float64{0}
	}
	for k := -most / g.a.PdotStep; k <= most/g.a.PdotStep; k++ {
		k2s = append(k2s, float64(k*g.a.PdotStep))
	}
	return ks, k2s
}

func (g *grid) bestDM(k, k2, dm float64) float64 {
	bands := g.bands(k, k2)
	at := func(dm float64) float64 { return g.chi2(g.atDM(bands, dm)) }
	best := dm
	for _, x := range g.dms(g.a.DM) {
		if at(x) > at(best) {
			best = x
		}
	}
	step := 2 * g.dmStep(float64(g.a.DMStep))
	g.tell(g.atDM(bands, best))
	return max(golden(best-step, best+step, func(dm float64) float64 { return g.sharp(g.atDM(bands, dm)) }), 0)
}

// golden finds the largest value of a function that has one peak between lo and hi.
func golden(lo, hi float64, f func(float64) float64) float64 {
	const ratio = 0.6180339887498949
	x1, x2 := hi-ratio*(hi-lo), lo+ratio*(hi-lo)
	y1, y2 := f(x1), f(x2)
	for range 24 {
		if y1 > y2 {
			hi, x2, y2 = x2, x1, y1
			x1 = hi - ratio*(hi-lo)
			y1 = f(x1)
		} else {
			lo, x1, y1 = x1, x2, y2
			x2 = lo + ratio*(hi-lo)
			y2 = f(x2)
		}
	}
	return (lo + hi) / 2
}

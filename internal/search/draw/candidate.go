package draw

import (
	"fmt"
	"math"
	"slices"

	"longhaul/internal/search/fold"
)

// Observation is what pictures say of the observation.
type Observation struct {
	File, Source, Telescope, Backend string
	RA, Dec                          string // J2000
	MJD                              float64
	SampleTime                       float64 // s
	Spectra                          int
	CenterFreq                       float64 // MHz
}

// Found is what the picture of a candidate says of its search.
type Found struct {
	Name      string
	Sigma     float64 // of the search, sifted
	SNR       float64
	Harmonics int
	Hits      int
	Doppler   float64 // frequency at the telescope over that at the barycentre; 0 if unknown
}

// Candidate draws a folded candidate.
func Candidate(o Observation, f Found, r *fold.Result) ([]byte, error) {
	p := newPage(11, 8.5)
	profile(p, r)
	timePhase(p, r)
	freqPhase(p, r)
	searches(p, r)
	numbers(p, o, f, r)
	p.write(0.035, 0.022, textSize, left, o.File)
	return p.png()
}

// twice repeats a profile, because a pulse can lie at its edge.
func twice(profile []float64) []float64 { return slices.Concat(profile, profile) }

func profile(p *page, r *fold.Result) {
	y := twice(r.Profile)
	x := make([]float64, len(y))
	for i := range x {
		x[i] = float64(i) / float64(len(r.Profile))
	}
	low, high := slices.Min(y), slices.Max(y)
	margin := 0.06 * (high - low)
	q := p.panel(0.055, 0.72, 0.265, 0.935).span(0, 2, low-margin, high+margin)
	q.line(x, y, 1.1)
	// The bar is the standard deviation of a bin.
	bar := q.page.panel(0.035, q.y0, 0.05, q.y1).span(0, 1, q.low, q.high)
	bar.line([]float64{0.5, 0.5}, []float64{-r.Noise, r.Noise}, 0.9)
	bar.line([]float64{0.2, 0.8}, []float64{-r.Noise, -r.Noise}, 0.9)
	bar.line([]float64{0.2, 0.8}, []float64{r.Noise, r.Noise}, 0.9)
	p.write(0.16, 0.958, titleSize, centre, "2 Pulses of Best Profile")
}

func timePhase(p *page, r *fold.Result) {
	var rows [][]float64
	for _, row := range r.TimePhase {
		rows = append(rows, twice(row))
	}
	q := p.panel(0.055, 0.105, 0.265, 0.715).span(0, 2, 0, r.Seconds)
	q.picture(rows)
	q.shareRight = true
	q.bottom("Phase")
	q.side("Time (s)", false)

	c := p.panel(0.265, 0.105, 0.35, 0.715).span(0, 1.08*max(slices.Max(r.Cumulative.Y), 1.5), 0, 1)
	c.line(slices.Concat([]float64{0}, r.Cumulative.Y), slices.Concat([]float64{0}, r.Cumulative.X), 1.1)
	c.upright(1, soft)
	c.bottom("Reduced χ²")
	c.side("Fraction of Observation", true)
}

func freqPhase(p *page, r *fold.Result) {
	var rows [][]float64
	for _, row := range r.FreqPhase {
		rows = append(rows, twice(row))
	}
	n := len(r.Freqs)
	low, high := r.Freqs[0], r.Freqs[n-1]
	if n > 1 {
		low -= (high - low) / float64(n-1)
	}
	q := p.panel(0.445, 0.335, 0.635, 0.715).span(0, 2, 0, float64(n))
	q.picture(rows)
	q.bottom("Phase")
	q.side("Sub-band", false)
	q.span(0, 2, low, high).side("Frequency (MHz)", true)

	if len(r.DMs.X) > 1 {
		q := p.panel(0.445, 0.105, 0.635, 0.25)
		curve(q, r.DMs, "DM (pc/cm³)")
		q.upright(r.BestDM, soft)
		q.side("Reduced χ²", false)
	}
}

// curve draws chi-squared against something.
func curve(q *panel, c fold.Curve, label string) {
	q.span(c.X[0], c.X[len(c.X)-1], 0, 1.1*max(slices.Max(c.Y), 1.2))
	if c.X[0] > c.X[len(c.X)-1] {
		q.span(c.X[len(c.X)-1], c.X[0], q.low, q.high)
	}
	q.level(1, soft)
	q.line(c.X, c.Y, 1.1)
	q.bottom(label)
}

// searches draws chi-squared against period and derivative.
func searches(p *page, r *fold.Result) {
	period, pdot := r.Period()
	ms := scaled(r.Periods, 1000)
	label := fmt.Sprintf("Period − %.8g (ms)", period*1000)
	q := p.panel(0.735, 0.42, 0.935, 0.525)
	curve(q, ms, label)
	q.side("Reduced χ²", true)
	if len(r.Pdots.X) < 2 {
		return
	}
	rest := fold.Curve{Y: r.Pdots.Y}
	for _, x := range r.Pdots.X {
		rest.X = append(rest.X, x-pdot)
	}
	q = p.panel(0.735, 0.61, 0.935, 0.715)
	curve(q, rest, fmt.Sprintf("P-dot − %.4g (s/s)", pdot))
	q.side("Reduced χ²", true)

	plane := r.Plane
	if ms.X[0] > ms.X[len(ms.X)-1] {
		plane = nil
		for _, row := range r.Plane {
			row = slices.Clone(row)
			slices.Reverse(row)
			plane = append(plane, row)
		}
	}
	q = p.panel(0.735, 0.105, 0.935, 0.335).span(min(ms.X[0], ms.X[len(ms.X)-1]), max(ms.X[0], ms.X[len(ms.X)-1]), rest.X[0], rest.X[len(rest.X)-1])
	q.picture(plane)
	q.bottom(label)
	q.side(fmt.Sprintf("P-dot − %.4g (s/s)", pdot), false)
	for _, d := range [][4]float64{{-1, 0, 1, 0}, {0, -1, 0, 1}} { // a cross at the best values
		w, h := (q.right-q.left)/40, (q.high-q.low)/40
		q.line([]float64{d[0] * w, d[2] * w}, []float64{d[1] * h, d[3] * h}, 1.2)
	}
}

func scaled(c fold.Curve, by float64) fold.Curve {
	out := fold.Curve{Y: c.Y}
	for _, x := range c.X {
		out.X = append(out.X, x*by)
	}
	return out
}

// numbers writes what is known.
func numbers(p *page, o Observation, f Found, r *fold.Result) {
	period, pdot := r.Period()
	perr, pdoterr := r.PeriodErrors()
	p.write(0.66, 0.958, titleSize, centre, "Search Information")
	const row = 0.0235
	column := func(x float64, lines ...string) {
		for i, line := range lines {
			p.write(x, 0.925-row*float64(i), textSize, left, line)
		}
	}
	pairs := func(x, gap float64, lines ...[2]string) {
		for i, line := range lines {
			p.write(x, 0.925-row*float64(i), textSize, left, line[0])
			p.write(x+gap, 0.925-row*float64(i), textSize, left, line[1])
		}
	}
	pairs(0.295, 0.105,
		[2]string{"Candidate:", f.Name},
		[2]string{"Source:", o.Source},
		[2]string{"Telescope:", o.Telescope},
		[2]string{"Epoch (topo)", fmt.Sprintf("= %.8f", o.MJD)},
		[2]string{"T sample", fmt.Sprintf("= %.6g s", o.SampleTime)},
		[2]string{"Data folded", fmt.Sprintf("= %d", o.Spectra)},
		[2]string{"Profile bins", fmt.Sprintf("= %d", r.Bins)},
		[2]string{"Found", fmt.Sprintf("at DM %.2f,", r.DM)},
		[2]string{"", fmt.Sprintf("%.1fσ, %d harmonics, %d hits", f.Sigma, f.Harmonics, f.Hits)},
	)
	column(0.545,
		"RA (J2000) = "+o.RA,
		fmt.Sprintf("Reduced χ² = %.3f  (%d d.o.f.)", r.Chi2, r.Dof),
		fmt.Sprintf("Dispersion Measure (DM) = %s pc/cm³", withError(r.BestDM, r.DMErr)),
		fmt.Sprintf("P (topo) = %s ms", withError(period*1000, perr*1000)),
		fmt.Sprintf("P' (topo) = %s s/s", withError(pdot, pdoterr)),
	)
	bary := "P (bary) not computed"
	if f.Doppler > 0 {
		bary = fmt.Sprintf("P (bary) = %s ms", withError(period*1000*f.Doppler, perr*1000))
	}
	column(0.775,
		"Dec (J2000) = "+o.Dec,
		fmt.Sprintf("P(noise) ~ %s  (%.1fσ)", probability(r.LogProbability), r.Sigma),
		"",
		bary,
		fmt.Sprintf("SNR (harmonics) = %.1f", f.SNR),
	)
}

// probability writes exp(logP) as a power of ten.
func probability(logP float64) string {
	e := logP / math.Ln10
	if e > -3 {
		return fmt.Sprintf("%.2g", math.Exp(logP))
	}
	whole := math.Floor(e)
	return fmt.Sprintf("%.1fe%.0f", math.Pow(10, e-whole), whole)
}

// withError writes a value with the error of its last digits in brackets:
// 89.7006(16).
func withError(v, err float64) string {
	if !(err > 0) || math.IsInf(err, 0) {
		return fmt.Sprintf("%.6g", v)
	}
	decimals := int(math.Ceil(-math.Log10(err))) + 1
	if math.Abs(v) < err*100 && (err < 1e-3 || err > 1e4) { // as a power of ten
		e := int(math.Floor(math.Log10(err)))
		scale := math.Pow(10, float64(e))
		return fmt.Sprintf("%.1f(%.0f)e%d", v/scale, err/scale*10, e)
	}
	decimals = max(decimals, 0)
	return fmt.Sprintf("%.*f(%.0f)", decimals, v, err*math.Pow(10, float64(decimals)))
}

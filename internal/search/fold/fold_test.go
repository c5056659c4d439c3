package fold

import (
	"math"
	"testing"

	"longhaul/internal/psrfits"
	"longhaul/internal/search/rfi"
	"longhaul/internal/search/searchtest"
	"longhaul/internal/search/stream"
)

// open makes an observation, and a source of it without its mean.
func open(t *testing.T, sky searchtest.Sky) *stream.Source {
	t.Helper()
	obs, err := psrfits.OpenObservation([]string{searchtest.Write(t, t.TempDir(), sky)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := obs.Close(); err != nil {
			t.Error(err)
		}
	})
	src := stream.New(obs)
	mask, err := rfi.Find(t.Context(), src, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	src.Clean = mask.Clean
	return src
}

func mustFold(t *testing.T, src *stream.Source, target Target) *Result {
	t.Helper()
	all, err := Fold(t.Context(), src, []Target{target}, 2)
	if err != nil {
		t.Fatal(err)
	}
	return Refine(all[0])
}

func TestAPulsarsPeriodAndDMAreRefined(t *testing.T) {
	t.Parallel()
	sky := searchtest.Small()
	src := open(t, sky)
	for name, c := range map[string]struct {
		df, ddm  float64 // how far off the target is
		downsamp int
		subDM    float64
		subs     int
	}{
		"at the right values":           {},
		"at a wrong period":             {df: 3e-4},
		"at a wrong DM":                 {ddm: 4},
		"at wrong values both":          {df: -2e-4, ddm: -3},
		"from subbands and downsampled": {df: 1e-4, ddm: 1, downsamp: 2, subDM: 58, subs: 16},
		"downsampled":                   {df: 1e-4, downsamp: 4},
	} {
		rules := RulesFor(sky.Period)
		rules.SearchDM = true
		r := mustFold(t, src, Target{F0: (1 + c.df) / sky.Period, DM: sky.DM + c.ddm, Rules: rules, Subbands: 16, Downsample: c.downsamp, SubDM: c.subDM, SubSubbands: c.subs})
		p, pdot := r.Period()
		perr, _ := r.PeriodErrors()
		if math.Abs(p/sky.Period-1) > 4e-5 || pdot != 0 || perr <= 0 || perr > 1e-4 || math.Abs(p-sky.Period) > 5*perr {
			t.Errorf("%s: the period is %.9f ± %.9f, its derivative %v", name, p, perr, pdot)
		}
		if math.Abs(r.BestDM-sky.DM) > 1 || r.DMErr <= 0 || r.DMErr > 1 {
			t.Errorf("%s: the DM is %.3f ± %.3f", name, r.BestDM, r.DMErr)
		}
		if r.Sigma < 20 || r.Chi2 < 5 || r.LogProbability > -200 {
			t.Errorf("%s: chi-squared is %v, significance %v", name, r.Chi2, r.Sigma)
		}
		checkShape(t, name, r)
	}
}

// checkShape looks at what is shown.
func checkShape(t *testing.T, name string, r *Result) {
	t.Helper()
	if len(r.Profile) != r.Bins || len(r.TimePhase) != r.Parts || len(r.FreqPhase) != 16 || len(r.Freqs) != 16 || len(r.Plane) != len(r.Pdots.X) || len(r.Plane[0]) != len(r.Periods.X) {
		t.Fatalf("%s: shapes are wrong", name)
	}
	peak := 0
	for b, v := range r.Profile {
		if v > r.Profile[peak] {
			peak = b
		}
	}
	for what, rows := range map[string][][]float64{"time": r.TimePhase, "frequency": r.FreqPhase} {
		sum := 0.0
		for _, row := range rows {
			sum += row[peak]
		}
		if math.Abs(sum/r.Profile[peak]-1) > 1e-3 {
			t.Errorf("%s: at the peak, %s against phase adds up to %v, the profile is %v", name, what, sum, r.Profile[peak])
		}
	}
	if last := r.Cumulative.Y[len(r.Cumulative.Y)-1]; math.Abs(last/r.Chi2-1) > 1e-6 {
		t.Errorf("%s: chi-squared grows to %v, and is %v", name, last, r.Chi2)
	}
	for what, c := range map[string]struct {
		Curve
		want, within float64
	}{"period": {r.Periods, 0, 2e-5}, "DM": {r.DMs, r.BestDM, 2}} {
		best := 0
		for i, y := range c.Y {
			if y > c.Y[best] {
				best = i
			}
		}
		if math.Abs(c.X[best]-c.want) > c.within {
			t.Errorf("%s: the curve of the %s peaks at %v, want %v", name, what, c.X[best], c.want)
		}
	}
}

func TestADriftingPeriodIsRefined(t *testing.T) {
	t.Parallel()
	sky := searchtest.Small()
	sky.Pdot = 1e-5
	src := open(t, sky)
	seconds := src.Seconds()
	middle := 1/sky.Period - sky.Pdot/(sky.Period*sky.Period)*seconds/2
	r := mustFold(t, src, Target{F0: middle, DM: sky.DM, Rules: RulesFor(sky.Period), Subbands: 16})
	p, pdot := r.Period()
	perr, pdoterr := r.PeriodErrors()
	if math.Abs(pdot-sky.Pdot) > 5*pdoterr || pdoterr > 1e-6 || math.Abs(p-sky.Period) > 5*perr {
		t.Errorf("the period is %.8f ± %.8f, its derivative %v ± %v", p, perr, pdot, pdoterr)
	}
	// The same, given right from the start.
	r = mustFold(t, src, Target{F0: 1 / sky.Period, F1: -sky.Pdot / (sky.Period * sky.Period), DM: sky.DM, Rules: RulesFor(sky.Period), Subbands: 16})
	if got, _ := r.Period(); math.Abs(got-sky.Period) > 5e-6 || r.Sigma < 20 {
		t.Errorf("folded with its derivative, the period is %v with %v sigma", got, r.Sigma)
	}
}

func TestNoiseFoldsToChiSquaredOne(t *testing.T) {
	t.Parallel()
	sky := searchtest.Small()
	sky.Strength = 0
	src := open(t, sky)
	all, err := Fold(t.Context(), src, []Target{
		{F0: 1 / 0.1, DM: 30, Rules: Rules{Bins: 100, Parts: 30, Reach: 0, Step: 1, PdotStep: 1, DMStep: 1}, Subbands: 8},
		{F0: 1 / 0.0333, DM: 0, Rules: Rules{Bins: 50, Parts: 10, Reach: 0, Step: 1, PdotStep: 1, DMStep: 1}, Subbands: 32},
	}, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if r := Refine(a); math.Abs(r.Chi2-1) > 0.6 || r.Sigma > 4.5 {
			t.Errorf("at %v Hz noise has a chi-squared of %v, %v sigma", a.F0, r.Chi2, r.Sigma)
		}
	}
}

func TestRulesGoByThePeriod(t *testing.T) {
	t.Parallel()
	for period, want := range map[float64]int{0.0015: 24, 0.002: 50, 0.04: 50, 0.05: 100, 0.49: 100, 0.5: 200, 7: 200} {
		if r := RulesFor(period); r.Bins != want || r.SearchDM != (period < 0.05) || r.SearchPdot != (period < 0.5) {
			t.Errorf("%v s is folded by %+v", period, r)
		}
	}
}

func TestWhatCannotBeFoldedIsRefused(t *testing.T) {
	t.Parallel()
	src := open(t, searchtest.Small())
	for _, f := range []float64{0, -1, math.NaN(), 1000} {
		if _, err := Fold(t.Context(), src, []Target{{F0: f, Rules: RulesFor(0.1), Subbands: 8}}, 1); err == nil {
			t.Errorf("%v Hz is folded", f)
		}
	}
}

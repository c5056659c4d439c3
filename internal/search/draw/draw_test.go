package draw

import (
	"bytes"
	"image"
	"image/png"
	"math"
	"slices"
	"testing"

	"longhaul/internal/search/fold"
	"longhaul/internal/search/pulses"
	"longhaul/internal/search/rfi"
)

// mustDraw makes a picture, which must be one.
func mustDraw(t *testing.T, f func() ([]byte, error)) image.Image {
	t.Helper()
	b, err := f()
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// darkness is how dark a place of a picture is, 0 to 1; places are as on a page.
func darkness(img image.Image, x, y float64) float64 {
	b := img.Bounds()
	r, _, _, _ := img.At(int(x*float64(b.Dx())), int((1-y)*float64(b.Dy()))).RGBA()
	return 1 - float64(r)/0xffff
}

// result is a folded pulse at phase 0.25 of 40 bins, stronger in the last parts
// and the upper subbands.
func result() *fold.Result {
	r := &fold.Result{
		Target: fold.Target{DM: 45, Rules: fold.Rules{Bins: 40, Parts: 10, SearchPdot: true}},
		F0:     11.1, F0Err: 1e-5, F1Err: 1e-7, BestDM: 45.2, DMErr: 0.1, Seconds: 65.5, Chi2: 10, Dof: 39, Sigma: 20, LogProbability: -200, Noise: 1,
	}
	row := func(height float64) []float64 {
		x := make([]float64, 40)
		for b := range x {
			x[b] = height * math.Exp(-float64((b-10)*(b-10))/4)
		}
		return x
	}
	r.Profile = row(30)
	for p := range 10 {
		r.TimePhase = append(r.TimePhase, row(float64(p)))
		r.Cumulative.X, r.Cumulative.Y = append(r.Cumulative.X, float64(p+1)/10), append(r.Cumulative.Y, float64(p+1))
	}
	for s := range 8 {
		r.FreqPhase, r.Freqs = append(r.FreqPhase, row(float64(s))), append(r.Freqs, 1250+40*float64(s))
	}
	for i := -20; i <= 20; i++ {
		x := float64(i)
		y := 1 + 9*math.Exp(-x*x/50)
		r.Periods.X, r.Periods.Y = append(r.Periods.X, x*1e-6), append(r.Periods.Y, y)
		r.Pdots.X, r.Pdots.Y = append(r.Pdots.X, x*1e-8), append(r.Pdots.Y, y)
		r.DMs.X, r.DMs.Y = append(r.DMs.X, 45.2+x), append(r.DMs.Y, y)
		var plane []float64
		for k := -20; k <= 20; k++ {
			plane = append(plane, 1+9*math.Exp(-(x*x+float64(k*k))/50))
		}
		r.Plane = append(r.Plane, plane)
	}
	return r
}

func TestACandidatesPictureHasThePulseWhereItIs(t *testing.T) {
	t.Parallel()
	img := mustDraw(t, func() ([]byte, error) {
		return Candidate(Observation{File: "x", Source: "G45"}, Found{Name: "ACCEL_Cand_1", Doppler: 0.9999}, result())
	})
	if b := img.Bounds(); b.Dx() != 1320 || b.Dy() != 1020 {
		t.Fatalf("it is %v", b)
	}
	// The panels lie at the fractions that candidate.go has.
	timePanel := func(phase, part float64) float64 {
		return darkness(img, 0.055+0.21*phase/2, 0.105+0.61*part)
	}
	for _, phase := range []float64{0.26, 1.26} {
		if timePanel(phase, 0.95) < 0.7 || timePanel(phase, 0.15) > timePanel(phase, 0.95) || timePanel(phase+0.3, 0.95) > 0.1 {
			t.Errorf("time against phase is wrong at phase %v", phase)
		}
	}
	freqPanel := func(phase, band float64) float64 {
		return darkness(img, 0.445+0.19*phase/2, 0.335+0.38*band)
	}
	if freqPanel(0.26, 0.95) < 0.7 || freqPanel(0.26, 0.05) > 0.2 || freqPanel(0.8, 0.95) > 0.1 {
		t.Error("frequency against phase is wrong")
	}
	if darkness(img, 0.845, 0.22) < 0.6 || darkness(img, 0.76, 0.13) > 0.2 {
		t.Error("the plane of period and derivative is wrong")
	}
}

func TestACandidateWithoutSearchesHasAPicture(t *testing.T) {
	t.Parallel()
	r := result()
	r.Pdots, r.DMs, r.Plane = fold.Curve{X: []float64{0}, Y: []float64{9}}, fold.Curve{}, r.Plane[:1]
	r.FreqPhase, r.Freqs = r.FreqPhase[:1], r.Freqs[:1]
	slices.Reverse(r.Periods.X)
	r.F0Err, r.LogProbability = 0, -1
	mustDraw(t, func() ([]byte, error) { return Candidate(Observation{}, Found{}, r) })
}

func TestPulsesAreAtTheirTimesAndDMs(t *testing.T) {
	t.Parallel()
	var dms []float64
	for dm := 30.0; dm <= 60; dm++ {
		dms = append(dms, dm)
	}
	events := []pulses.Event{{DM: 45, Sigma: 15, Time: 50, Downfact: 9}, {DM: 45, Sigma: 6.2, Time: 50.2}}
	img := mustDraw(t, func() ([]byte, error) {
		return Pulses(Observation{File: "x"}, events, dms, 6, 100)
	})
	if b := img.Bounds(); b.Dx() != 1020 || b.Dy() != 1260 {
		t.Fatalf("it is %v", b)
	}
	ink := func(x0, y0, x1, y1 float64) (n int) {
		for x := x0; x < x1; x += 0.0005 {
			for y := y0; y < y1; y += 0.0005 {
				if darkness(img, x, y) > 0.5 {
					n++
				}
			}
		}
		return n
	}
	middle, beside := ink(0.505, 0.27, 0.545, 0.32), ink(0.2, 0.2, 0.45, 0.45)
	if middle == 0 || beside != 0 {
		t.Errorf("DM against time has %d dots where the pulse is, and %d beside", middle, beside)
	}
	mustDraw(t, func() ([]byte, error) { return Pulses(Observation{}, nil, nil, 6, 0) })
}

func TestAMaskIsDrawn(t *testing.T) {
	t.Parallel()
	m := &rfi.Mask{Interval: 100, Intervals: 4, Channels: 8, Seconds: 2}
	for i := range 4 {
		row := make([]float64, 8)
		bad := make([]bool, 8)
		bad[6] = i == 3
		m.Mean, m.Std, m.Power, m.Bad = append(m.Mean, row), append(m.Std, row), append(m.Power, row), append(m.Bad, bad)
	}
	for c := range 8 {
		m.Freqs = append(m.Freqs, 1300+float64(c))
	}
	img := mustDraw(t, func() ([]byte, error) { return Mask(Observation{}, m) })
	at := func(channel, interval float64) float64 {
		return darkness(img, 0.77+0.205*(channel+0.5)/8, 0.11+0.73*(interval+0.5)/4)
	}
	if at(6, 3) < 0.9 || at(6, 2) > 0.1 || at(5, 3) > 0.1 {
		t.Errorf("the mask is %v %v %v", at(6, 3), at(6, 2), at(5, 3))
	}
}

func TestNumbersAreWrittenWithTheirErrors(t *testing.T) {
	t.Parallel()
	for want, c := range map[string][2]float64{
		"89.7006(16)":  {89.700592, 0.00156},
		"45.00(14)":    {45.001, 0.141},
		"0.0(20)e-7":   {1e-10, 1.97e-7},
		"3.2(20)e-7":   {3.2e-7, 2e-7},
		"12":           {12, 0},
		"89.69974(19)": {89.699737, 1.9e-4},
	} {
		if got := withError(c[0], c[1]); got != want {
			t.Errorf("%v ± %v is %s, want %s", c[0], c[1], got, want)
		}
	}
	for want, logP := range map[string]float64{"2.1e-154": math.Log(2.1) - 154*math.Ln10, "0.37": -1, "1.0e-2000": -2000 * math.Ln10} {
		if got := probability(logP); got != want {
			t.Errorf("exp(%v) is %s, want %s", logP, got, want)
		}
	}
}

func TestTicksAreRoundNumbers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		low, high, room float64
		want            []string
	}{
		{0, 2, 5, []string{"0", "0.5", "1.0", "1.5", "2.0"}},
		{6, 13, 4, []string{"6", "8", "10", "12"}},
		{-3e-6, 3e-6, 4, []string{"-2e-06", "0", "2e-06"}},
		{1213.5, 1537, 4, []string{"1300", "1400", "1500"}},
		{1, 1, 4, nil},
	} {
		var got []string
		for _, tick := range ticks(c.low, c.high, c.room) {
			got = append(got, tick.label)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v to %v: %q, want %q", c.low, c.high, got, c.want)
		}
	}
}

package spectrum

import (
	"fmt"
	"math"
	"testing"
)

const (
	length  = 1 << 14
	seconds = 16.384 // samples of a millisecond
)

func low() Options { return Options{Numharm: 8, Sigma: 2, Zmax: 0, Flo: 2} }

func high() Options { return Options{Numharm: 8, Sigma: 3, Zmax: 20, Flo: 1} }

// pulsed is noise with pulses in it: Gaussians of a width in turns, whose phase
// is r·u + z/2·(u²-u).
func pulsed(seed uint64, n int, r, z, width, strength float64) []float32 {
	x := noise(seed, n)
	for i := range x {
		u := float64(i) / float64(n)
		phase := r*u + z/2*(u*u-u)
		phase -= math.Round(phase)
		x[i] += float32(strength * math.Exp(-phase*phase/(2*width*width)))
	}
	return x
}

func mustSearch(t testing.TB, x []float32, o Options) []Found {
	t.Helper()
	tr, err := NewTransforms(len(x))
	if err != nil {
		t.Fatal(err)
	}
	s := NewSearcher(tr)
	white := make([]complex64, len(x)/2)
	s.Forward(white, x)
	Whiten(white, seconds)
	found, err := s.Search(white, make([]float32, len(x)), seconds, o)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAPulsarIsFoundWithItsFrequencyAndHarmonics(t *testing.T) {
	t.Parallel()
	for _, r := range []float64{182.5, 301.37, 1000.13} {
		found := mustSearch(t, pulsed(3, length, r, 0, 0.03, 1), low())
		if len(found) == 0 {
			t.Errorf("r %v: nothing was found", r)
			continue
		}
		f := found[0]
		sum := 0.0
		for _, p := range f.Powers {
			sum += p
		}
		if math.Abs(f.R-r) > 0.02 || f.Z != 0 || f.Harmonics < 4 || f.Sigma < 15 || sum < f.Power || f.CPow < 3*sum {
			t.Errorf("r %v: found is %+v", r, f)
		}
	}
}

func TestADriftingPulsarIsFoundByStretchingOnly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ r, z float64 }{{300.3, 2.2}, {300.3, -2.2}, {71.7, 1.9}, {900.6, -1.7}} {
		x := pulsed(4, length, c.r, c.z, 0.03, 1)
		straight := mustSearch(t, append([]float32{}, x...), low())
		found := mustSearch(t, x, high())
		if len(found) == 0 {
			t.Errorf("%+v: nothing was found", c)
			continue
		}
		f := found[0]
		// Against the same without drift, the search may lose little.
		still := mustSearch(t, pulsed(4, length, c.r, 0, 0.03, 1), low())[0]
		if math.Abs(f.R-c.r) > 0.05 || math.Abs(f.Z-c.z) > 0.2 || f.Harmonics < 4 {
			t.Errorf("%+v: found is %+v", c, f)
		}
		sum, want := 0.0, 0.0
		for _, p := range f.Powers {
			sum += p
		}
		for _, p := range still.Powers[:f.Harmonics] {
			want += p
		}
		if sum < 0.85*want {
			t.Errorf("%+v: the power is %v, that of a pulsar without drift %v", c, sum, want)
		}
		if len(straight) > 0 && straight[0].Power > 0.8*sum {
			t.Errorf("%+v: without stretching it is found, too: %+v", c, straight[0])
		}
	}
}

func TestDriftsAboveTheLimitAreNotFound(t *testing.T) {
	t.Parallel()
	x := pulsed(5, length, 300.3, 10, 0.2, 0.6) // a sinusoid, almost
	o := high()
	o.Numharm = 1
	if found := mustSearch(t, append([]float32{}, x...), o); len(found) == 0 || math.Abs(found[0].Z-10) > 0.5 {
		t.Errorf("with zmax 20 found is %+v, want a drift of 10", found)
	}
	o.Zmax = 4
	for _, f := range mustSearch(t, x, o) {
		if math.Abs(f.Z) > 5 {
			t.Errorf("with zmax 4 found is %+v", f)
		}
	}
}

func TestNoiseHasNoCandidatesAboveChance(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		o    Options
		runs int
	}{"low": {low(), 40}, "high": {high(), 6}} {
		c.o.Sigma = 2.5 // one run in 160 by chance, times four stages
		all := 0
		for run := range c.runs {
			for _, f := range mustSearch(t, noise(uint64(100+run), length), c.o) {
				all++
				if f.Sigma > 5 {
					t.Errorf("%s: run %d found %+v", name, run, f)
				}
			}
		}
		if all > c.runs/4+2 {
			t.Errorf("%s: %d candidates in %d runs", name, all, c.runs)
		}
	}
}

func TestEverySettingOfASearchCounts(t *testing.T) {
	t.Parallel()
	x := pulsed(6, length, 40.2, 0, 0.03, 0.5) // 2.45 Hz
	base := mustSearch(t, append([]float32{}, x...), low())
	if len(base) == 0 || base[0].Harmonics != 8 {
		t.Fatalf("found is %+v", base)
	}
	for name, change := range map[string]func(*Options){
		"numharm": func(o *Options) { o.Numharm = 2 },
		"sigma":   func(o *Options) { o.Sigma = base[0].Sigma + 0.1 },
		"flo":     func(o *Options) { o.Flo = 30 },
		"zmax":    func(o *Options) { o.Zmax = 20 },
	} {
		o := low()
		change(&o)
		found := mustSearch(t, append([]float32{}, x...), o)
		if fmt.Sprint(found) == fmt.Sprint(base) {
			t.Errorf("%s changes nothing", name)
		}
		for _, f := range found {
			switch {
			case name == "numharm" && f.Harmonics > 2,
				name == "sigma" && f.Sigma < base[0].Sigma,
				name == "flo" && f.R*float64(f.Harmonics) < 30*seconds-1:
				t.Errorf("%s: found is %+v", name, f)
			}
		}
	}
}

func TestSettingsWithoutSenseAreRefused(t *testing.T) {
	t.Parallel()
	tr, err := NewTransforms(length)
	if err != nil {
		t.Fatal(err)
	}
	s := NewSearcher(tr)
	o := low()
	if _, err := s.Search(make([]complex64, 10), make([]float32, length), seconds, o); err == nil {
		t.Error("a spectrum of another length is taken")
	}
	o.Numharm = 6
	if _, err := s.Search(make([]complex64, length/2), make([]float32, length), seconds, o); err == nil {
		t.Error("six harmonics are taken")
	}
	o.Numharm = 4
	if found, err := s.Search(make([]complex64, length/2), make([]float32, length), seconds, o); err != nil || len(found) != 0 {
		t.Errorf("in an empty spectrum found is %v, %v", found, err)
	}
}

func TestHalfBinsHaveThePowerOfWholeOnes(t *testing.T) {
	t.Parallel()
	f := mustFFT(t, length)
	bins, powers := make([]complex64, length/2), make([]float32, length)
	f.Forward(bins, noise(7, length))
	halfBins(powers, bins)
	whole, half := 0.0, 0.0
	for i := 20; i < length-20; i += 2 {
		whole += float64(powers[i])
		half += float64(powers[i+1])
	}
	if q := half / whole; math.Abs(q-1) > 0.03 {
		t.Errorf("noise at half bins has %v of the power", q)
	}
	tone := func(r float64) float64 {
		x := make([]float32, length)
		for i := range x {
			x[i] = float32(math.Cos(2 * math.Pi * r * float64(i) / length))
		}
		f.Forward(bins, x)
		halfBins(powers, bins)
		return float64(powers[int(2*r)])
	}
	if q := tone(1000.5) / tone(1000); q < 0.94 || q > 1 {
		t.Errorf("a tone at a half bin has %v of the power", q)
	}
	for _, r := range []float64{1000.25, 1000.5, 1000.77} {
		tone(r)
		a := amplitude(bins, r)
		if q := real(a)*real(a) + imag(a)*imag(a); math.Abs(q/(length*length/4)-1) > 0.04 {
			t.Errorf("interpolated at %v, a tone has %v of the power", r, q/(length*length/4))
		}
	}
}

func TestStretchingKeepsThePowerUpToThreeQuartersOfTheBand(t *testing.T) {
	t.Parallel()
	f, s := mustFFT(t, length), newStretcher()
	bins := make([]complex64, length/2)
	x, y := make([]float32, length), make([]float32, length)
	for _, part := range []float64{0.1, 0.4, 0.6, 0.75} {
		r := math.Round(part * length / 2)
		z := 17.0
		for i := range x {
			u := float64(i) / length
			x[i] = float32(math.Cos(2 * math.Pi * (r*u + z/2*(u*u-u))))
		}
		s.apply(y, x, z/r)
		f.Forward(bins, y)
		a := bins[int(r)]
		if q := float64(real(a)*real(a)+imag(a)*imag(a)) / (length * length / 4); q < 0.93 || q > 1.07 {
			t.Errorf("at %v of the Nyquist frequency a stretched signal has %v of its power", part, q)
		}
	}
}

func TestWhiteningMakesRedNoiseWhite(t *testing.T) {
	t.Parallel()
	x := noise(8, length)
	walk := 0.0
	for i, v := range noise(9, length) {
		walk = 0.999*walk + float64(v)
		x[i] += float32(walk / 3)
	}
	f := mustFFT(t, length)
	bins := make([]complex64, length/2)
	f.Forward(bins, x)
	Whiten(bins, seconds)
	if bins[0] != 0 {
		t.Errorf("bin 0 is %v", bins[0])
	}
	for _, r := range [][2]int{{1, 20}, {20, 100}, {100, 1000}, {1000, 4000}, {4000, 8192}} {
		sum := 0.0
		for _, a := range bins[r[0]:r[1]] {
			sum += float64(real(a)*real(a) + imag(a)*imag(a))
		}
		mean := sum / float64(r[1]-r[0])
		if math.Abs(mean-1) > 0.05+2/math.Sqrt(float64(r[1]-r[0])) {
			t.Errorf("bins %d to %d have a mean power of %v", r[0], r[1], mean)
		}
	}
	zero := make([]complex64, 512)
	Whiten(zero, 1)
	for i, a := range zero {
		if a != 0 {
			t.Errorf("bin %d of nothing is %v", i, a)
		}
	}
}

func TestOnlyTheBestOfNeighboursAndHarmonicsIsKept(t *testing.T) {
	t.Parallel()
	var c collection
	for _, f := range []Found{{R: 100, Sigma: 5}, {R: 110, Sigma: 7}, {R: 124, Sigma: 6}, {R: 126, Sigma: 6.5}, {R: 90, Sigma: 4}, {R: 220.9, Sigma: 6}, {R: 733, Sigma: 3}} {
		c.add(f)
	}
	var got []float64
	for _, f := range c.best() {
		got = append(got, f.R)
	}
	if fmt.Sprint(got) != "[110 126 90 733]" {
		t.Errorf("kept are %v, want 110 126 90 733", got)
	}
}

func BenchmarkHigh(b *testing.B) {
	const n = 1 << 17
	tr, err := NewTransforms(n)
	if err != nil {
		b.Fatal(err)
	}
	s := NewSearcher(tr)
	white, scratch := make([]complex64, n/2), make([]float32, n)
	s.Forward(white, noise(1, n))
	Whiten(white, 65.536)
	for b.Loop() {
		if _, err := s.Search(white, scratch, 65.536, Options{8, 3, 50, 1}); err != nil {
			b.Fatal(err)
		}
	}
}

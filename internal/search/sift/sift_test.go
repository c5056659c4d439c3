package sift

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"errors"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"longhaul/internal/search/accelcands"
)

// files reads the _ACCEL_ files of a tarball, by their names.
func files(t testing.TB, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for in := tar.NewReader(unzip); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		all[h.Name] = string(text)
	}
}

func candidates(t testing.TB, path string) []Candidate {
	t.Helper()
	var all []Candidate
	for name, text := range files(t, path) {
		found, err := ParseAccelFile(name, text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	slices.SortStableFunc(all, func(a, b Candidate) int { return cmp.Compare(a.DM, b.DM) })
	return all
}

// sampleDMs are those that were searched in the sample observation.
func sampleDMs() []float64 {
	dms := []float64{150, 170, 190, 210, 400, 450, 500, 550}
	for dm := 30.0; dm <= 60; dm++ {
		dms = append(dms, dm)
	}
	return dms
}

func palfa() Options {
	return Options{SigmaThreshold: 5, CPowThreshold: 100, RErr: 1.1, ShortPeriod: 0.0005, LongPeriod: 15, HarmPowCutoff: 8, NumHits: 2, LowDM: 2}
}

func TestTheSampleIsSiftedAsByPRESTOByteForByte(t *testing.T) {
	t.Parallel()
	list, out := Sift(candidates(t, "testdata/low.tgz"), candidates(t, "testdata/high.tgz"), sampleDMs(), palfa())
	want, err := os.ReadFile("../accelcands/testdata/presto6.accelcands")
	if err != nil {
		t.Fatal(err)
	}
	if got := accelcands.Format(list, accelcands.Presto); got != string(want) {
		t.Errorf("the list is\n%s\nwant\n%s", got, want)
	}
	if out.Duplicate == 0 || out.Threshold == 0 || out.Harmonic == 0 {
		t.Errorf("sifted out are %+v", out)
	}
}

func TestEverySettingOfSiftingSifts(t *testing.T) {
	t.Parallel()
	low, high := candidates(t, "testdata/low.tgz"), candidates(t, "testdata/high.tgz")
	base, _ := Sift(low, high, sampleDMs(), palfa())
	for name, c := range map[string]struct {
		change func(*Options)
		left   int
		count  func(Rejected) int
	}{
		"sifting_sigma_threshold": {func(o *Options) { o.SigmaThreshold = 8 }, 2, func(r Rejected) int { return r.Threshold }},
		"sifting_short_period":    {func(o *Options) { o.ShortPeriod = 0.05 }, 1, func(r Rejected) int { return r.ShortPeriod }},
		"sifting_long_period":     {func(o *Options) { o.LongPeriod = 0.03 }, 2, func(r Rejected) int { return r.LongPeriod }},
		"sifting_harm_pow_cutoff": {func(o *Options) { o.HarmPowCutoff = 45 }, 1, func(r Rejected) int { return r.HarmPower }},
		"numhits_to_fold":         {func(o *Options) { o.NumHits = 10 }, 2, func(r Rejected) int { return r.FewHits }},
		"low_DM_cutoff":           {func(o *Options) { o.LowDM = 44 }, 3, func(r Rejected) int { return r.LowDM }},
	} {
		o := palfa()
		c.change(&o)
		list, out := Sift(low, high, sampleDMs(), o)
		if len(list) != c.left || c.count(out) == 0 {
			t.Errorf("%s: %d are left of %d, want %d; sifted out are %+v", name, len(list), len(base), c.left, out)
		}
	}
}

// made is a candidate of a frequency, in bins of 100 s.
func made(dm, r float64, powers ...float64) Candidate {
	return Candidate{AccelFile: "x_ACCEL_0", Number: 1, DM: dm, Seconds: 100, R: r, CPow: 1, Powers: powers}
}

func TestOneHarmonicIsSavedByItsCoherentPower(t *testing.T) {
	t.Parallel()
	weak := []Candidate{made(10, 1000, 9), made(11, 1000, 9)}
	if list, _ := Sift(weak, nil, []float64{10, 11}, palfa()); len(list) != 0 {
		t.Errorf("%d candidates of 3.7 sigma pass", len(list))
	}
	for i := range weak {
		weak[i].CPow = 150
	}
	if list, _ := Sift(weak, nil, []float64{10, 11}, palfa()); len(list) != 1 {
		t.Error("a coherent power of 150 does not save it")
	}
	o := palfa()
	o.CPowThreshold = 200 // sifting_c_pow_threshold
	if list, _ := Sift(weak, nil, []float64{10, 11}, o); len(list) != 0 {
		t.Error("a coherent power of 150 saves it though 200 is wanted")
	}
}

func TestNeighboursBecomeOneWithinTheTolerance(t *testing.T) {
	t.Parallel()
	found := []Candidate{made(10, 1000, 50), made(11, 1000.9, 60), made(12, 1001.8, 55), made(12, 1003.1, 40), made(13, 1003.2, 40)}
	list, _ := Sift(found, nil, []float64{10, 11, 12, 13}, palfa())
	if len(list) != 2 || list[0].R != 1000.9 || len(list[0].Hits) != 3 || len(list[1].Hits) != 2 {
		t.Errorf("the list is %+v", list)
	}
	o := palfa()
	o.RErr = 0.5 // sifting_r_err
	o.NumHits = 1
	if list, _ := Sift(found, nil, []float64{10, 11, 12, 13}, o); len(list) != 4 {
		t.Errorf("with a tolerance of half a bin %d are left, want 4", len(list))
	}
}

func TestHitsAtScatteredDMsAreNoPulsar(t *testing.T) {
	t.Parallel()
	dms := []float64{10, 11, 12, 13, 14}
	if list, out := Sift([]Candidate{made(10, 1000, 50), made(12, 1000, 50), made(14, 1000, 50)}, nil, dms, palfa()); len(list) != 0 || out.Gaps != 1 {
		t.Errorf("%d pass; sifted out are %+v", len(list), out)
	}
	if list, _ := Sift([]Candidate{made(10, 1000, 50), made(12, 1000, 50), made(13, 1000, 50)}, nil, dms, palfa()); len(list) != 1 {
		t.Error("two successive hits are not enough")
	}
}

func TestAHighHarmonicAloneIsRogue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		powers []float64
		want   bool
	}{
		"the sixth of eight, twice the next":   {[]float64{1, 1, 9, 1, 1, 20, 1, 1}, true},
		"less than twice":                      {[]float64{1, 1, 11, 1, 1, 20, 1, 1}, false},
		"the third of eight":                   {[]float64{1, 1, 20, 1, 1, 1, 1, 1}, false},
		"the fourth of four, thrice the next":  {[]float64{1, 6, 1, 20}, true},
		"the fourth of four, twice the next":   {[]float64{1, 9, 1, 20}, false},
		"the fourth of eight, thrice the next": {[]float64{1, 6, 1, 20, 1, 1, 1, 1}, true},
		"the second of two":                    {[]float64{1, 20}, false},
	} {
		strongest := slices.Index(c.powers, slices.Max(c.powers))
		if got := rogue(c.powers, strongest); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestHarmonicsOfASearchedBothWays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		f    float64
		want bool
	}{{10, true}, {20, true}, {160, true}, {170, false}, {10. / 16, true}, {10. / 17, false}, {15, true}, {25, true}, {4, true}, {14, false}, {20.03, false}} {
		if got := harmonic(10, c.f, 0.01); got != c.want {
			t.Errorf("%v Hz: %v", c.f, got)
		}
	}
}

func TestNumbersWithErrorsAndPowersAreRead(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]float64{"48.6(9.9)": 48.6, "0.0(1.6)x10^3": 0, "1.234(5)x10^4": 12340, "2.5(1)x10^": 2.5e5, "-0.42(41)": -0.42, "7": 7} {
		if got, err := plain(s); err != nil || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s is %v, %v", s, got, err)
		}
	}
}

func TestAnAccelFileThatIsCutIsRefused(t *testing.T) {
	t.Parallel()
	const name = "p2030.20141121.G45.00+00.00.N.b3.00100_DM45.00_ACCEL_0"
	text := files(t, "testdata/low.tgz")[name]
	found, err := ParseAccelFile("/some/where/"+name, text)
	if err != nil || len(found) != 7 {
		t.Fatalf("%d candidates, %v; want 7", len(found), err)
	}
	if c := found[0]; c.DM != 45 || c.R != 730.625 || c.CPow != 2188.21 || c.Seconds != 65.536 || len(c.Powers) != 8 || c.Powers[0] != 48.6 || c.AccelFile != name {
		t.Errorf("the first candidate is %+v", c)
	}
	lines := strings.Split(text, "\n")
	for name, c := range map[string]struct{ file, text, says string }{
		"no DM":             {"x_ACCEL_0", text, "has the DM in it"},
		"no description":    {name, strings.Join(lines[:30], "\n"), "candidate 3 has 8 harmonics, of 3"},
		"no length":         {name, strings.ReplaceAll(text, "Width of", "Breadth of"), "length of the time series is missing"},
		"a number twice":    {name, strings.Replace(text, "\n2     6.39", "\n1     6.39", 1), "where number 2 should"},
		"columns missing":   {name, strings.Replace(text, "253.27  2188.21", "", 1), "not a number of harmonics"},
		"too many of them":  {name, strings.Replace(text, "2188.21    8 ", "2188.21    999 ", 1), "not a number of harmonics"},
		"of nobody":         {name, text + "\n 8     1     9.54      48.6(9.9)\n", "not listed"},
		"without frequency": {name, strings.Replace(text, "730.625(63)", "0.0(63)", 1), "not positive"},
		"nan":               {name, strings.Replace(text, "730.625(63)", "nan(63)", 1), "not a number"},
	} {
		if _, err := ParseAccelFile(c.file, c.text); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: the error is %v, want it to say %q", name, err, c.says)
		}
	}
}

func FuzzParseAccelFile(f *testing.F) {
	for _, text := range files(f, "testdata/low.tgz") {
		f.Add(text)
		break
	}
	f.Fuzz(func(t *testing.T, text string) {
		found, err := ParseAccelFile("x_DM45.00_ACCEL_0", text)
		if err != nil {
			return
		}
		Sift(found, found, []float64{45}, palfa())
	})
}

package pulses

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func series(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(7 * r.NormFloat64())
	}
	return x
}

// pulse adds a boxcar of a significance.
func pulse(x []float32, at, width int, sigma float64) {
	for i := at; i < at+width; i++ {
		x[i] += float32(7 * sigma / math.Sqrt(float64(width)))
	}
}

func TestPulsesAreFoundOnceWithTheirWidths(t *testing.T) {
	t.Parallel()
	x := series(1, 50_000)
	for i := range x {
		x[i] += float32(100 * math.Sin(float64(i)/20_000)) // the receiver drifts
	}
	want := []struct{ at, width int }{{5000, 1}, {9990, 9}, {20_300, 30}, {41_500, 100}}
	for _, w := range want {
		pulse(x, w.at, w.width, 14)
	}
	var s Searcher
	got := s.Search(x, 45, 0.001, Options{Threshold: 6, MaxWidth: 0.15})
	if len(got) != len(want) {
		t.Fatalf("found are %v", got)
	}
	for i, w := range want {
		e := got[i]
		middle := w.at + w.width/2
		if math.Abs(float64(e.Sample-middle)) > 1+float64(w.width)/5 || e.Downfact < w.width*2/3 || e.Downfact > w.width*3/2 ||
			math.Abs(e.Sigma-14) > 3.5 || e.DM != 45 || math.Abs(e.Time-float64(e.Sample)*0.001) > 1e-9 {
			t.Errorf("a pulse of %d at %d is found as %+v", w.width, middle, e)
		}
	}
}

func TestSettingsOfTheSearchCount(t *testing.T) {
	t.Parallel()
	x := series(2, 20_000)
	pulse(x, 5000, 2, 8)
	pulse(x, 9200, 140, 20)
	var s Searcher
	if got := s.Search(x, 0, 0.001, Options{Threshold: 10, MaxWidth: 1}); len(got) != 1 || got[0].Downfact < 100 {
		t.Errorf("singlepulse_threshold 10: found are %v", got)
	}
	for _, e := range s.Search(x, 0, 0.001, Options{Threshold: 5, MaxWidth: 0.02}) {
		if e.Downfact > 20 {
			t.Errorf("singlepulse_maxwidth 0.02: found is %v", e)
		}
	}
}

func TestNoiseHasFewPulsesAndPaddingNone(t *testing.T) {
	t.Parallel()
	var s Searcher
	x := series(3, 200_000)
	clear(x[150_000:])
	got := s.Search(x, 0, 0.001, Options{Threshold: 5, MaxWidth: 0.1})
	if len(got) > 6 {
		t.Errorf("%d pulses in noise: %v", len(got), got)
	}
	for _, e := range got {
		if e.Sample > 150_000 {
			t.Errorf("a pulse in the padding: %v", e)
		}
	}
	if got := s.Search(make([]float32, 5000), 0, 0.001, Options{5, 0.1}); got != nil {
		t.Errorf("in nothing found are %v", got)
	}
	if got := s.Search(series(4, 50), 0, 0.001, Options{5, 0.1}); len(got) != 0 {
		t.Errorf("in a very short series found are %v", got)
	}
}

func TestAFileOfPulsesIsWrittenAsByPRESTO(t *testing.T) {
	t.Parallel()
	got := Format([]Event{{45, 8.97, 2.1745, 4349, 9}, {45, 10.54, 6.0315, 12063, 150}})
	want := "# DM      Sigma      Time (s)     Sample    Downfact\n" +
		"  45.00    8.97      2.174500       4349       9\n" +
		"  45.00   10.54      6.031500      12063     150\n"
	if got != want {
		t.Errorf("it is\n%s\nwant\n%s", strings.ReplaceAll(got, " ", "."), strings.ReplaceAll(want, " ", "."))
	}
	if Format(nil) != "" {
		t.Error("no pulses are no empty file")
	}
}

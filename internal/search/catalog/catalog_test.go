package catalog

import (
	"math"
	"strings"
	"testing"

	"longhaul/internal/search/accelcands"
	"longhaul/internal/search/zap"
)

func TestNumbersAreTheOriginals(t *testing.T) {
	t.Parallel()
	f := Facts{
		Masked:          1.237,
		Sifted:          []accelcands.Candidate{{Sigma: 22}, {Sigma: 6}, {Sigma: 5.9}},
		Folded:          2,
		LeastFolded:     6,
		ToPrepfoldSigma: 6, MaxCandsToFold: 100, ShortPeriod: 0.0005, LongPeriod: 15,
		Zaps: []zap.Zap{{Freq: 60, Width: 2}, {Freq: 5, Width: 1}, {Freq: 0.5, Width: 0.1}},
	}
	want := map[string]float64{
		"RFI mask percentage": 1.237, "Num cands folded": 2, "Num cands produced": 3, "Num cands above threshold": 2,
		"Sigma threshold": 6, "Max cands allowed to fold": 100, "Min sigma folded": 6,
		"Percent zapped total":       3.1 / (2000 - 1./15) * 100,
		"Percent zapped below 10 Hz": 1.1 / (2000 - 10) * 100,
		"Percent zapped below 1 Hz":  0.1 / (2000 - 1) * 100,
	}
	all := Numbers(f)
	for _, n := range all {
		if x, ok := want[n.Name]; !ok || math.Abs(x-n.Value) > 1e-9 || !strings.HasSuffix(n.Description, ".") {
			t.Errorf("%s (%s) is %v, want %v", n.Name, n.Description, n.Value, x)
		}
	}
	if len(all) != len(want) {
		t.Errorf("%d numbers, want %d", len(all), len(want))
	}
	f.Folded = 0
	if got := Numbers(f); len(got) != len(want)-1 {
		t.Errorf("without a folded candidate there are %d numbers, want %d", len(got), len(want)-1)
	}
}

func TestRangesOfPulsesOverlapAndLeaveNothingOut(t *testing.T) {
	t.Parallel()
	at := 0.0
	for _, r := range PulseRanges() {
		if r.From > at || r.To <= at {
			t.Errorf("%s is from %v to %v, after %v", r.Suffix, r.From, r.To, at)
		}
		at = r.To
	}
	if !math.IsInf(at, 1) {
		t.Errorf("nothing is above %v", at)
	}
}

package quicklook

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
)

func TestMomentsAreThoseOfTheirDefinition(t *testing.T) {
	t.Parallel()
	for name, x := range map[string][]float64{
		"a few":            {1, 2, 3, 4, 10},
		"far from zero":    {1e9 + 1, 1e9 + 2, 1e9 + 3, 1e9 + 4, 1e9 + 10},
		"one":              {5},
		"without a spread": {7, 7, 7},
	} {
		var m moments
		for _, v := range x {
			m.add(v)
		}
		n := float64(len(x))
		central := func(power float64) (sum float64) {
			for _, v := range x {
				sum += math.Pow(v-m.mean, power) / n
			}
			return sum
		}
		skew, kurt := 0.0, 0.0
		if central(2) > 0 {
			skew, kurt = central(3)/math.Pow(central(2), 1.5), central(4)/math.Pow(central(2), 2)-3
		}
		for what, pair := range map[string][2]float64{
			"mean deviation": {central(1), 0}, "rms": {m.rms(), math.Sqrt(central(2))},
			"skewness": {m.skewness(), skew}, "kurtosis": {m.kurtosis(), kurt},
		} {
			if math.Abs(pair[0]-pair[1]) > 1e-6 {
				t.Errorf("%s: %s is %v, want %v", name, what, pair[0], pair[1])
			}
		}
	}
	m := moments{}
	for _, v := range []float64{0, 0, 0, 4} {
		m.add(v)
	}
	if got, want := m.excursion(), math.Sqrt(3); math.Abs(got-want) > 1e-12 {
		t.Errorf("excursion is %v, want %v", got, want)
	}
}

// TestOutlyingChannelsAreFoundOnASlope puts bad channels into a bandpass that
// falls off at its edges.
func TestOutlyingChannelsAreFoundOnASlope(t *testing.T) {
	t.Parallel()
	noise := rand.New(rand.NewPCG(7, 8))
	bad := map[int]bool{16: true, 100: true, 101: true, 236: true}
	channels := make([]channel, 256)
	for i := range channels {
		x := 2*float64(i)/255 - 1
		shape := (1 - 0.8*math.Pow(x, 8)) * (1 + 0.003*noise.NormFloat64())
		channels[i] = channel{freq: float64(i), mean: 40 * shape, rms: shape, state: good}
		if bad[i] {
			channels[i].rms *= 1.15
		}
	}
	channels[60].rms = 0
	judge(channels)
	for i, c := range channels {
		want := good
		switch {
		case i == 60:
			want = dead
		case bad[i]:
			want = outlying
		}
		if c.state != want {
			t.Errorf("channel %d is %s, want %s", i, c.state, want)
		}
	}
}

func TestOneDeviantAmongEqualsIsOutlying(t *testing.T) {
	t.Parallel()
	channels := make([]channel, 32)
	for i := range channels {
		channels[i] = channel{mean: 10, rms: 1, state: good}
	}
	channels[5].rms = 1.01
	channels[6].rms = 1.001 // within what is too little to matter
	judge(channels)
	for i, c := range channels {
		if (c.state == outlying) != (i == 5) {
			t.Errorf("channel %d is %s", i, c.state)
		}
	}
}

func TestWhatIsKeptDoesNotGrowWithTheObservation(t *testing.T) {
	t.Parallel()
	for _, spectra := range []int64{1, 10, 599, 600, 601, 100_000} {
		s := newSums(3, spectra)
		for i := range spectra {
			s.add([]float32{float32(i % 7), 1, 2})
		}
		s.endCell()
		if n := int64(len(s.series)); n > min(seriesBins, spectra) || n*s.perBin < spectra {
			t.Errorf("%d spectra: %d bins of %d", spectra, n, s.perBin)
		}
		if n := int64(len(s.picture)); n > min(pictureColumns, spectra) || n*s.perCell < spectra {
			t.Errorf("%d spectra: %d columns of %d", spectra, n, s.perCell)
		}
		sum := 0.0
		for i := range spectra {
			sum += float64(i % 7)
		}
		if mean, _ := s.channel(0); math.Abs(mean-sum/float64(spectra)) > 1e-9 {
			t.Errorf("%d spectra: mean is %v, want %v", spectra, mean, sum/float64(spectra))
		}
	}
}

func TestRealsStayFloatsInJSON(t *testing.T) {
	t.Parallel()
	for x, want := range map[real]string{500: "500.0", 0: "0.0", -2.5: "-2.5", 1e-7: "1e-07", 1e300: "1e+300", 0.1: "0.1"} {
		if got, err := json.Marshal(x); string(got) != want || err != nil {
			t.Errorf("%v is %s, %v, want %s", float64(x), got, err, want)
		}
	}
	for _, x := range []float64{math.NaN(), math.Inf(-1)} {
		if got, err := json.Marshal(real(x)); err == nil {
			t.Errorf("%v is %s", x, got)
		}
	}
}

func TestTicksAreRoundNumbers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		low, high   float64
		first, last string
		labels      int
	}{
		{1213.5, 1537, "1250", "1500", 6},
		{0, 65.5, "0", "60", 7},
		{0.24, 1.61, "0.4", "1.6", 7},
		{-5, 5, "-4", "4", 5},
		{-0.001, 0.001, "-0.0010", "0.0010", 5},
		{3, 3, "3", "3", 1},
	} {
		var labels []string
		for _, tick := range ticks(tt.low, tt.high) {
			if tick.Label != "" {
				labels = append(labels, tick.Label)
			}
		}
		if n := len(labels); n != tt.labels || labels[0] != tt.first || labels[n-1] != tt.last {
			t.Errorf("%v to %v: %q, want %d from %s to %s", tt.low, tt.high, labels, tt.labels, tt.first, tt.last)
		}
	}
}

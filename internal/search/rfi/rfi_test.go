package rfi

import (
	"math"
	"testing"

	"longhaul/internal/psrfits"
	"longhaul/internal/search/searchtest"
	"longhaul/internal/search/stream"
)

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
	return stream.New(obs)
}

func mustFind(t *testing.T, src *stream.Source, chunk float64) *Mask {
	t.Helper()
	m, err := Find(t.Context(), src, chunk, 2)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestInterferenceIsMaskedAndNothingElse(t *testing.T) {
	t.Parallel()
	sky := searchtest.Small() // with its bright pulsar, which must stay
	sky.Tone = map[int]float64{5: 60}
	sky.Bursts = []searchtest.Burst{{Channel: 20, From: 3000, To: 5000}, {Channel: 21, From: 3000, To: 5000}}
	m := mustFind(t, open(t, sky), 1)
	if m.Interval != 1024 || m.Intervals != 16 || m.Channels != 32 {
		t.Fatalf("there are %d intervals of %d in %d channels", m.Intervals, m.Interval, m.Channels)
	}
	n := 0
	for i, row := range m.Bad {
		for c, bad := range row {
			want := c == 5 || (c == 20 || c == 21) && i >= 2 && i <= 4
			if bad != want {
				t.Errorf("channel %d in interval %d: masked is %v", c, i, bad)
			}
			if bad {
				n++
			}
		}
	}
	if want := 100 * float64(n) / 512; m.Percent() != want {
		t.Errorf("%v %% are masked, want %v", m.Percent(), want)
	}
}

func TestAChannelThatIsOftenBadIsBadAndSoIsAnInterval(t *testing.T) {
	t.Parallel()
	sky := searchtest.Small()
	for i := range 6 { // of 16 intervals: more than 0.3
		sky.Bursts = append(sky.Bursts, searchtest.Burst{Channel: 7, From: 2048*i + 300, To: 2048*i + 600})
	}
	for c := range 25 { // of 32 channels: more than 0.7
		sky.Bursts = append(sky.Bursts, searchtest.Burst{Channel: c, From: 13*1024 + 100, To: 13*1024 + 300 + 20*c})
	}
	m := mustFind(t, open(t, sky), 1)
	for i := range m.Bad {
		if !m.Bad[i][7] {
			t.Errorf("channel 7 is good in interval %d", i)
		}
		if i != 13 && m.Bad[i][8] {
			t.Errorf("channel 8 is bad in interval %d", i)
		}
	}
	for c, bad := range m.Bad[13] {
		if !bad {
			t.Errorf("channel %d is good in the bad interval", c)
		}
	}
}

func TestTheLengthOfIntervalsIsASettingOfWholeRows(t *testing.T) {
	t.Parallel()
	src := open(t, searchtest.Small())
	for chunk, want := range map[float64]int{0.1: 512, 0.5: 512, 2: 2048, 100: 16384} { // rfifind_chunk_time
		if m := mustFind(t, src, chunk); m.Interval != want || math.Abs(m.Seconds-float64(want)/1000) > 1e-9 {
			t.Errorf("for %v s intervals have %d spectra, want %d", chunk, m.Interval, want)
		}
	}
	if _, err := Find(t.Context(), src, 0, 1); err == nil {
		t.Error("intervals of no length are found")
	}
}

func TestCleanDataIsNoiseAboutZeroWithoutSpikes(t *testing.T) {
	t.Parallel()
	sky := searchtest.Small()
	sky.Strength = 0
	sky.Tone = map[int]float64{5: 60}
	sky.Spikes = []int{777, 5000}
	src := open(t, sky)
	src.Clean = mustFind(t, src, 1).Clean
	if err := src.Each(t.Context(), 3000, func(c stream.Chunk) error {
		for ch, x := range c.Data {
			sum, squares := 0.0, 0.0
			for i, v := range x {
				sum += float64(v)
				squares += float64(v) * float64(v)
				if (ch == 5 || c.Start+i == 777 || c.Start+i == 5000) && v != 0 {
					t.Fatalf("spectrum %d, channel %d is %v, want 0", c.Start+i, ch, v)
				}
			}
			n := float64(len(x))
			if std := math.Sqrt(squares / n); math.Abs(sum/n) > 0.5 || ch != 5 && math.Abs(std-5) > 0.3 {
				t.Errorf("from %d, channel %d has mean %v and deviation %v", c.Start, ch, sum/n, std)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestADeadChannelIsMasked(t *testing.T) {
	t.Parallel()
	m := &Mask{Interval: 100, Intervals: 2, Channels: 20}
	for range 2 {
		std, power := make([]float64, 20), make([]float64, 20)
		for c := range std {
			std[c], power[c] = 1+0.01*float64(c%3), 3
		}
		std[4] = 0
		std[9] = 9
		m.Mean, m.Std, m.Power = append(m.Mean, make([]float64, 20)), append(m.Std, std), append(m.Power, power)
	}
	m.judge()
	for c, bad := range m.Bad[1] {
		if bad != (c == 4 || c == 9) {
			t.Errorf("channel %d: masked is %v", c, bad)
		}
	}
}

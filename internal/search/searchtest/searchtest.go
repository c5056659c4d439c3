// Package searchtest makes small observations for the tests of the search, with
// a pulsar in them and interference.
package searchtest

import (
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"longhaul/internal/psrfits"
	"longhaul/internal/search/plan"
)

// Name is that of the file that Write makes.
const Name = "p2030.20141121.G45.00+00.00.N.b3.00100.fits"

// Sky is what an observation sees.
type Sky struct {
	Seed       uint64
	Channels   int     // of 300 MHz about 1400 MHz
	SampleTime float64 // s
	RowSpectra int
	Rows       int
	Backend    string

	Period   float64 // s, of the pulsar
	Pdot     float64 // s/s
	DM       float64
	Width    float64 // standard deviation of its pulses, turns
	Strength float64 // of its pulses' peak, in units of a channel's noise; 0 for no pulsar

	// Tone is a frequency, Hz, that a channel has on top, by its number.
	Tone map[int]float64
	// Spikes are spectra that are bright in all channels at once.
	Spikes []int
	// Bursts are channels that are bright for an interval of spectra.
	Bursts []Burst
}

// Burst is a bright interval of a channel.
type Burst struct{ Channel, From, To int }

// Small is 16 s in 32 channels with a bright pulsar of 123.4 ms at a DM of 60.
func Small() Sky {
	return Sky{
		Seed: 1, Channels: 32, SampleTime: 0.001, RowSpectra: 512, Rows: 32, Backend: "made-up",
		Period: 0.1234, DM: 60, Width: 0.02, Strength: 0.4,
	}
}

// Freqs are the channels' frequencies, rising, MHz.
func (s Sky) Freqs() []float64 {
	freqs := make([]float64, s.Channels)
	for c := range freqs {
		freqs[c] = 1250 + 300*(float64(c)+0.5)/float64(s.Channels)
	}
	return freqs
}

// Spectra is how many there are.
func (s Sky) Spectra() int { return s.RowSpectra * s.Rows }

// Write makes the observation's file in a directory and returns its path.
func Write(t testing.TB, dir string, s Sky) string {
	t.Helper()
	freqs := s.Freqs()
	h := psrfits.FileHeader{
		Telescope: "Arecibo", Observer: "TEST", Project: "p2030", Backend: s.Backend, Source: "G45.00+00.00.N",
		RA: "19:13:42.6182", Dec: "+10:43:25.3317", CenterFreq: 1400, Bandwidth: 300, StartDay: 56982, StartSecond: 71746,
		Beam: 3, NumIFs: 1, SampleTime: s.SampleTime, Channels: s.Channels, Pols: 1, PolType: "AA+BB",
		RowSpectra: s.RowSpectra, Bits: 8, Rows: s.Rows,
	}
	for c := range freqs { // as the survey's files have them: falling
		h.Freqs = append(h.Freqs, freqs[len(freqs)-1-c])
	}
	path := filepath.Join(dir, Name)
	w, err := psrfits.Create(path, h)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.write(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func (s Sky) write(w *psrfits.Writer) error {
	noise := rand.New(rand.NewPCG(s.Seed, 99))
	row := psrfits.RowData{
		Weights: make([]float32, s.Channels), Offsets: make([]float32, s.Channels), Scales: make([]float32, s.Channels),
		Samples: make([]uint8, s.Channels*s.RowSpectra),
	}
	for c := range row.Scales {
		row.Weights[c], row.Scales[c], row.Offsets[c] = 1, 0.5, float32(c)
	}
	spiked := make(map[int]bool)
	for _, n := range s.Spikes {
		spiked[n] = true
	}
	freqs := s.Freqs()
	for r := range s.Rows {
		for i := range row.Samples {
			n, c := r*s.RowSpectra+i/s.Channels, s.Channels-1-i%s.Channels
			v := noise.NormFloat64() + s.signal(n, c, freqs)
			if spiked[n] {
				v += 8
			}
			row.Samples[i] = uint8(min(max(100+10*v, 0), 255))
		}
		if err := w.WriteRow(row); err != nil {
			return err
		}
	}
	return nil
}

// signal is what a channel has besides noise.
func (s Sky) signal(n, c int, freqs []float64) float64 {
	v := 0.0
	t := float64(n) * s.SampleTime
	if s.Strength > 0 {
		at := t - plan.Delay(s.DM, freqs[c]) + plan.Delay(s.DM, freqs[len(freqs)-1])
		phase := at/s.Period - s.Pdot/(s.Period*s.Period)*at*at/2
		phase -= math.Round(phase)
		v += s.Strength * math.Exp(-phase*phase/(2*s.Width*s.Width))
	}
	if f, ok := s.Tone[c]; ok {
		v += 3 * math.Sin(2*math.Pi*f*t)
	}
	for _, b := range s.Bursts {
		if c == b.Channel && n >= b.From && n < b.To {
			v += 6
		}
	}
	return v
}

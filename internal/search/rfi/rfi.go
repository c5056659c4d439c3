// Package rfi finds interference in an observation the way PRESTO's rfifind
// does, and takes it out of what is searched.
//
// The data is cut into intervals of a few seconds. Of each channel in each
// interval there are three numbers: the mean, the standard deviation, and the
// largest power of its spectrum. An interval of a channel is bad if one of the
// first two is far from what the channel has otherwise, or the third is more
// than noise makes; a channel is bad as a whole if it is unlike all others or
// often bad, an interval if most channels are bad in it. What is bad counts as
// having the channel's mean.
//
// Where rfifind takes means and standard deviations of what is left after
// clipping, this takes medians. Short bursts that come in all channels at once,
// undispersed, are clipped spectrum by spectrum, as PRESTO does by default.
package rfi

import (
	"context"
	"errors"
	"math"
	"slices"

	"gonum.org/v1/gonum/dsp/fourier"

	"longhaul/internal/search/sigma"
	"longhaul/internal/search/stream"
)

// The limits are rfifind's.
const (
	timeSigma    = 10  // distance of a mean or standard deviation
	freqSigma    = 4   // significance of the largest power
	chanFraction = 0.7 // bad channels that make an interval bad
	intFraction  = 0.3 // bad intervals that make a channel bad
	lowestBin    = 5   // of a spectrum that is looked at
	clipSigma    = 6   // of the sum over all channels
)

// Mask says what is bad, and knows the numbers that it was told by.
type Mask struct {
	Interval  int // spectra in one
	Intervals int
	Channels  int
	Seconds   float64     // of an interval
	Freqs     []float64   // of the channels, MHz
	Mean      [][]float64 // by interval and channel
	Std       [][]float64
	Power     [][]float64 // the largest, in units of the mean power
	Bad       [][]bool

	level []float32 // of each channel: its mean where it is good
}

// Find looks for interference in intervals of about chunk seconds, whole rows
// of the files.
func Find(ctx context.Context, src *stream.Source, chunk float64, workers int) (*Mask, error) {
	if !(chunk > 0) {
		return nil, errors.New("intervals have no length")
	}
	rows := max(1, math.Round(chunk/(src.SampleTime*float64(src.RowSpectra))))
	m := &Mask{Channels: len(src.Freqs), Freqs: src.Freqs}
	m.Interval = min(int(rows)*src.RowSpectra, src.Spectra)
	m.Intervals = (src.Spectra + m.Interval - 1) / m.Interval
	m.Seconds = float64(m.Interval) * src.SampleTime
	ffts := make([]*spectrum, max(workers, 1))
	err := src.Each(ctx, m.Interval, func(c stream.Chunk) error {
		mean, std, power := make([]float64, m.Channels), make([]float64, m.Channels), make([]float64, m.Channels)
		stream.Parallel(len(ffts), m.Channels, func(w, i int) {
			mean[i], std[i] = moments(c.Data[i])
			power[i] = 1
			if 2*c.N > m.Interval && std[i] > 0 {
				ffts[w] = ffts[w].of(c.N)
				power[i] = ffts[w].largest(c.Data[i], mean[i], std[i])
			}
		})
		m.Mean, m.Std, m.Power = append(m.Mean, mean), append(m.Std, std), append(m.Power, power)
		return nil
	})
	if err != nil {
		return nil, err
	}
	m.judge()
	return m, nil
}

func moments(x []float32) (mean, std float64) {
	for _, v := range x {
		mean += float64(v)
	}
	mean /= float64(len(x))
	sum := 0.0
	for _, v := range x {
		d := float64(v) - mean
		sum += d * d
	}
	return mean, math.Sqrt(sum / float64(len(x)))
}

// spectrum computes power spectra of one length.
type spectrum struct {
	fft  *fourier.FFT
	in   []float64
	bins []complex128
}

// of returns a spectrum of a length: this one, if it has it.
func (s *spectrum) of(n int) *spectrum {
	if s != nil && len(s.in) == n {
		return s
	}
	return &spectrum{fourier.NewFFT(n), make([]float64, n), make([]complex128, n/2+1)}
}

// largest is the largest power, in units of the mean power of white noise of
// this standard deviation.
func (s *spectrum) largest(x []float32, mean, std float64) float64 {
	for i, v := range x {
		s.in[i] = float64(v) - mean
	}
	s.fft.Coefficients(s.bins, s.in)
	most := 0.0
	for _, a := range s.bins[min(lowestBin, len(s.bins)):max(len(s.bins)-1, min(lowestBin, len(s.bins)))] {
		most = max(most, real(a)*real(a)+imag(a)*imag(a))
	}
	return most / (std * std * float64(len(x)))
}

// judge decides what is bad.
func (m *Mask) judge() {
	m.Bad = make([][]bool, m.Intervals)
	limit := sigma.Power(freqSigma, 1, float64(m.Interval/2))
	for i := range m.Bad {
		m.Bad[i] = make([]bool, m.Channels)
		for c := range m.Bad[i] {
			m.Bad[i][c] = m.Power[i][c] > limit || m.Std[i][c] == 0
		}
	}
	for _, of := range [][][]float64{m.Mean, m.Std} {
		m.againstItself(of)
	}
	m.againstOthers()
	m.wholes()
	m.levels()
}

// againstItself compares each interval of a channel with its others. The scale
// is at least what noise alone makes of it.
func (m *Mask) againstItself(of [][]float64) {
	column := make([]float64, m.Intervals)
	for c := range m.Channels {
		noise := 0.0
		for i := range column {
			column[i] = of[i][c]
		}
		mid, spread := medianSpread(column)
		for i := range column {
			column[i] = m.Std[i][c]
		}
		noise, _ = medianSpread(column)
		limit := timeSigma * max(spread, noise/math.Sqrt(float64(m.Interval)))
		for i := range m.Intervals {
			if math.Abs(of[i][c]-mid) > limit {
				m.Bad[i][c] = true
			}
		}
	}
}

// againstOthers finds channels whose standard deviation is unlike that of all
// the others; that of the means is left alone, which is the bandpass.
func (m *Mask) againstOthers() {
	typical := make([]float64, m.Channels)
	column := make([]float64, m.Intervals)
	for c := range typical {
		for i := range column {
			column[i] = m.Std[i][c]
		}
		typical[c], _ = medianSpread(column)
	}
	mid, spread := medianSpread(typical)
	for c, s := range typical {
		if s == 0 || math.Abs(s-mid) > timeSigma*max(spread, mid/100) {
			for i := range m.Bad {
				m.Bad[i][c] = true
			}
		}
	}
}

// wholes makes channels and intervals bad that are so for a large part.
func (m *Mask) wholes() {
	byChannel := make([]int, m.Channels)
	byInterval := make([]int, m.Intervals)
	for i, row := range m.Bad {
		for c, bad := range row {
			if bad {
				byChannel[c]++
				byInterval[i]++
			}
		}
	}
	for i, row := range m.Bad {
		for c := range row {
			if float64(byChannel[c]) > intFraction*float64(m.Intervals) || float64(byInterval[i]) > chanFraction*float64(m.Channels) {
				row[c] = true
			}
		}
	}
}

// levels are the means of the channels where they are good.
func (m *Mask) levels() {
	m.level = make([]float32, m.Channels)
	for c := range m.level {
		sum, n := 0.0, 0
		for i := range m.Intervals {
			if !m.Bad[i][c] {
				sum += m.Mean[i][c]
				n++
			}
		}
		m.level[c] = float32(sum / float64(max(n, 1)))
	}
}

// Percent is how much of the data is bad.
func (m *Mask) Percent() float64 {
	n := 0
	for _, row := range m.Bad {
		for _, bad := range row {
			if bad {
				n++
			}
		}
	}
	return 100 * float64(n) / float64(m.Intervals*m.Channels)
}

// Clean takes the channels' means out of a chunk, so that what is left is noise
// about zero, and puts zero where the data is bad.
func (m *Mask) Clean(c stream.Chunk) {
	sum := make([]float32, c.N)
	for ch, x := range c.Data {
		level := m.level[ch]
		for at := 0; at < c.N; {
			i := (c.Start + at) / m.Interval
			end := min((i+1)*m.Interval-c.Start, c.N)
			if m.Bad[i][ch] {
				clear(x[at:end])
			} else {
				for k, v := range x[at:end] {
					x[at+k] = v - level
					sum[at+k] += v - level
				}
			}
			at = end
		}
	}
	clip(c, sum)
}

// clip empties spectra whose sum over the channels stands out. A running level
// is not needed: chunks are short against the receiver's drift.
func clip(c stream.Chunk, sum []float32) {
	wide := make([]float64, len(sum))
	for i, v := range sum {
		wide[i] = float64(v)
	}
	mid, spread := medianSpread(wide)
	limit := float32(clipSigma * spread)
	if limit == 0 {
		return
	}
	for t, v := range sum {
		if d := v - float32(mid); d > limit || d < -limit {
			for _, x := range c.Data {
				x[t] = 0
			}
		}
	}
}

// medianSpread returns the median, and the robust standard deviation: 1.4826
// times the median distance from it.
func medianSpread(x []float64) (mid, spread float64) {
	if len(x) == 0 {
		return 0, 0
	}
	s := slices.Clone(x)
	mid = median(s)
	for i, v := range s {
		s[i] = math.Abs(v - mid)
	}
	return mid, 1.4826 * median(s)
}

// median sorts x.
func median(x []float64) float64 {
	slices.Sort(x)
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}

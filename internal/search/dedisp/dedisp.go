// Package dedisp dedisperses an observation: it shifts the channels against
// each other by the delays of a DM and adds them up, for many DMs at once.
//
// It does so in two stages, as PRESTO's prepsubband: channels to subbands at
// one DM, at full time resolution; then, downsampled, subbands to each DM. The
// observation streams through both; what is held in memory is the block of
// dedispersed series and, of channels and subbands, a chunk and the longest
// delay.
package dedisp

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"longhaul/internal/search/plan"
	"longhaul/internal/search/stream"
)

// Block is what one pass of a plan is dedispersed to.
type Block struct {
	DMs        []float64
	SampleTime float64 // s
	Samples    int     // of the observation, downsampled
	// Series has one time series for each DM. They are as long as the power of
	// two that Samples fits into, and zero from where channels are missing: the
	// observation ends before the pulse has come in all of them.
	Series [][]float32
	Valid  int // samples before that
}

// Maker makes blocks, one after the other, in the same memory.
type Maker struct {
	src     *stream.Source
	workers int
	memory  []float32
}

// NewMaker returns a maker of blocks.
func NewMaker(src *stream.Source, workers int) *Maker { return &Maker{src: src, workers: workers} }

// Length returns how long the series of a pass are, with their padding.
func Length(spectra, downsample int) int {
	return 1 << bits.Len(uint(max(spectra/downsample, 2)-1))
}

// Make dedisperses a pass. The block is good until the next call.
func (m *Maker) Make(ctx context.Context, pass plan.Pass) (*Block, error) {
	length := Length(m.src.Spectra, pass.Downsample)
	b := m.block(pass, length)
	first := newStage(m.src, pass)
	second := secondStage(m.src, pass, first)
	err := m.src.Each(ctx, first.chunk(len(b.DMs)*length), func(c stream.Chunk) error {
		sub := first.subbands(c, m.workers)
		second.dedisperse(b, sub, m.workers)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("dedisperse DMs %.2f to %.2f: %w", pass.DMs[0], pass.DMs[len(pass.DMs)-1], err)
	}
	b.Valid = second.wrote
	for _, x := range b.Series {
		clear(x[b.Valid:])
	}
	return b, nil
}

func (m *Maker) block(pass plan.Pass, length int) *Block {
	need := length * len(pass.DMs)
	if cap(m.memory) < need {
		m.memory = nil // lest both are there at once
		m.memory = make([]float32, need)
	}
	b := &Block{
		DMs: pass.DMs, SampleTime: m.src.SampleTime * float64(pass.Downsample),
		Samples: m.src.Spectra / pass.Downsample,
	}
	for i := range pass.DMs {
		b.Series = append(b.Series, m.memory[i*length:(i+1)*length:(i+1)*length])
	}
	return b
}

// Subbands divides channels into groups of equal or nearly equal size. It
// returns where each begins, and at the end the number of channels.
func Subbands(channels, subbands int) []int {
	n := min(channels, subbands)
	edges := make([]int, n+1)
	for i := range edges {
		edges[i] = i * channels / n
	}
	return edges
}

// delay is how many samples a frequency comes after another one.
func delay(dm, freq, reference, sample float64) int {
	return int(math.Round((plan.Delay(dm, freq) - plan.Delay(dm, reference)) / sample))
}

// Delays are how many samples each channel comes after the highest one, in two
// stages: within its subband at the DM of the subbands, and the subband's own.
func Delays(freqs []float64, edges []int, subDM, dm, sample float64) []int {
	all := make([]int, len(freqs))
	top := freqs[len(freqs)-1]
	for s := 1; s < len(edges); s++ {
		reference := freqs[edges[s]-1]
		whole := delay(dm, reference, top, sample)
		for c := edges[s-1]; c < edges[s]; c++ {
			all[c] = whole + delay(subDM, freqs[c], reference, sample)
		}
	}
	return all
}

// history is a window on rows that come in pieces: what is new, and before it
// as much as the longest delay.
type history struct {
	hold int
	rows [][]float32
}

// push adds n new values of each row, and returns the window.
func (h *history) push(data [][]float32, n int) [][]float32 {
	if h.hold == 0 {
		return data
	}
	if h.rows == nil {
		h.rows = make([][]float32, len(data))
		for i := range h.rows {
			h.rows[i] = make([]float32, h.hold, h.hold+n)
		}
	}
	for i, row := range h.rows {
		copy(row, row[len(row)-h.hold:])
		h.rows[i] = append(row[:h.hold], data[i][:n]...)
	}
	return h.rows
}

// stage makes subbands.
type stage struct {
	edges  []int
	delays []int // of each channel in its subband, spectra
	factor int   // of downsampling
	past   history
	out    [][]float32
	full   [][]float32 // of each worker: a subband before downsampling
	skip   int         // spectra that come out before the first real one
}

func newStage(src *stream.Source, pass plan.Pass) *stage {
	s := &stage{edges: Subbands(len(src.Freqs), pass.Subbands), factor: pass.Downsample}
	s.delays = Delays(src.Freqs, s.edges, pass.SubDM, 0, src.SampleTime)
	s.past.hold = (slices.Max(s.delays) + s.factor - 1) / s.factor * s.factor
	s.skip = s.past.hold
	return s
}

// chunk is how many spectra to read at once: a multiple of the factor, and such
// that what is read is small against the block.
func (s *stage) chunk(block int) int {
	n := min(max(block/24/len(s.delays), 1024), 1<<15)
	return max(n/s.factor, 1) * s.factor
}

// subbands takes a chunk and returns as many samples of each subband, which are
// s.past.hold spectra older; fewer at the beginning and the end.
func (s *stage) subbands(c stream.Chunk, workers int) [][]float32 {
	window := s.past.push(c.Data, c.N)
	skip := min(s.skip, c.N)
	s.skip -= skip
	n := (c.N - skip) / s.factor
	if s.out == nil {
		s.out = make([][]float32, len(s.edges)-1)
		s.full = make([][]float32, max(workers, 1))
	}
	stream.Parallel(workers, len(s.out), func(w, i int) {
		if s.full[w] == nil {
			s.full[w] = make([]float32, c.N)
		}
		lo, hi := s.edges[i], s.edges[i+1]
		full := s.full[w][:n*s.factor]
		sum(full, window[lo:hi], s.delays[lo:hi], skip)
		if cap(s.out[i]) < n {
			s.out[i] = make([]float32, c.N/s.factor)
		}
		s.out[i] = s.out[i][:n]
		downsample(s.out[i], full, s.factor)
	})
	return s.out
}

func downsample(dst, src []float32, factor int) {
	if factor == 1 {
		copy(dst, src)
		return
	}
	for i := range dst {
		total := float32(0)
		for _, v := range src[i*factor : (i+1)*factor] {
			total += v
		}
		dst[i] = total
	}
}

// sum adds up rows, each from its delay on: dst[i] becomes the sum of
// rows[r][from+i+delays[r]]. Four rows at once, to go through dst less often.
func sum(dst []float32, rows [][]float32, delays []int, from int) {
	clear(dst)
	n := len(dst)
	for len(rows) >= 4 {
		a, b := rows[0][from+delays[0]:], rows[1][from+delays[1]:]
		c, d := rows[2][from+delays[2]:], rows[3][from+delays[3]:]
		a, b, c, d = a[:n], b[:n], c[:n], d[:n]
		for i := range dst {
			dst[i] += (a[i] + b[i]) + (c[i] + d[i])
		}
		rows, delays = rows[4:], delays[4:]
	}
	for r, row := range rows {
		a := row[from+delays[r]:][:n]
		for i := range dst {
			dst[i] += a[i]
		}
	}
}

// final makes series of subbands.
type final struct {
	delays [][]int // by DM and subband, downsampled samples
	past   history
	skip   int // samples that come out before the first real one
	wrote  int // samples of each series
}

func secondStage(src *stream.Source, pass plan.Pass, first *stage) *final {
	f := &final{}
	sample := src.SampleTime * float64(pass.Downsample)
	top := src.Freqs[len(src.Freqs)-1]
	for _, dm := range pass.DMs {
		delays := make([]int, len(first.edges)-1)
		for s := range delays {
			delays[s] = delay(dm, src.Freqs[first.edges[s+1]-1], top, sample)
		}
		f.delays = append(f.delays, delays)
		f.past.hold = max(f.past.hold, slices.Max(delays))
	}
	f.skip = f.past.hold
	return f
}

// dedisperse takes new samples of the subbands and adds as many to each series.
func (f *final) dedisperse(b *Block, sub [][]float32, workers int) {
	n := len(sub[0])
	window := f.past.push(sub, n)
	skip := min(f.skip, n)
	f.skip -= skip
	stream.Parallel(workers, len(b.Series), func(_, i int) {
		sum(b.Series[i][f.wrote:f.wrote+n-skip], window, f.delays[i], skip)
	})
	f.wrote += n - skip
}

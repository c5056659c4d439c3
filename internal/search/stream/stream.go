// Package stream reads an observation from its beginning to its end as chunks
// of channels, the form in which a search works on it, reading the next chunk
// while the last one is worked on. Its memory is that of two chunks, whatever
// the length of the observation.
//
// What is interference is the business of package rfi.
package stream

import (
	"context"
	"fmt"

	"longhaul/internal/psrfits"
)

// Source is an observation that can be read many times, one after the other.
type Source struct {
	SampleTime float64   // s
	Freqs      []float64 // of the channels, rising, MHz
	Spectra    int
	RowSpectra int // spectra in a row of the files
	// Clean, if set, is called with each chunk before it is handed out.
	Clean func(Chunk)

	obs *psrfits.Observation
}

// Chunk is a piece of an observation. Its data belongs to the source, and is
// good until the function returns that it was handed to.
type Chunk struct {
	Start int         // the first spectrum's number
	N     int         // spectra
	Data  [][]float32 // by channel, each N long
}

// New makes a source of an open observation, which it does not close.
func New(obs *psrfits.Observation) *Source {
	return &Source{
		SampleTime: obs.Header.SampleTime * 1e-6,
		Freqs:      obs.Channels(),
		Spectra:    obs.Rows() * obs.Header.RowSamples,
		RowSpectra: obs.Header.RowSamples,
		obs:        obs,
	}
}

// Seconds is how long the observation is, s.
func (s *Source) Seconds() float64 { return float64(s.Spectra) * s.SampleTime }

// Each hands all chunks of a size, in spectra, to a function, in their order;
// the last one may be shorter. It stops at the first error.
func (s *Source) Each(ctx context.Context, size int, use func(Chunk) error) (err error) {
	if size < 1 {
		return fmt.Errorf("chunks of %d spectra", size)
	}
	ctx, stop := context.WithCancel(ctx)
	size = min(size, s.Spectra)
	free, full := make(chan [][]float32, 2), make(chan Chunk)
	for range 2 {
		free <- newBuffer(len(s.Freqs), size)
	}
	var failed error
	go func() {
		defer close(full)
		failed = s.read(ctx, size, free, full)
	}()
	defer func() {
		stop()
		for range full { // wait for the reader: it uses the files
		}
	}()
	for c := range full {
		if s.Clean != nil {
			s.Clean(c)
		}
		if err := use(c); err != nil {
			return err
		}
		free <- c.Data
	}
	return failed
}

func newBuffer(channels, size int) [][]float32 {
	all := make([]float32, channels*size)
	data := make([][]float32, channels)
	for c := range data {
		data[c] = all[c*size : (c+1)*size : (c+1)*size]
	}
	return data
}

// read fills buffers until the observation ends.
func (s *Source) read(ctx context.Context, size int, free <-chan [][]float32, full chan<- Chunk) error {
	r := reader{s: s, row: -1, next: s.RowSpectra, tile: make([]float32, tileSpectra*len(s.Freqs))}
	for start := 0; start < s.Spectra; start += size {
		var data [][]float32
		select {
		case <-ctx.Done():
			return ctx.Err()
		case data = <-free:
		}
		n := min(size, s.Spectra-start)
		for c := range data {
			data[c] = data[c][:n]
		}
		if err := r.fill(ctx, data, n); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case full <- Chunk{start, n, data}:
		}
	}
	return nil
}

// tileSpectra are turned from spectra into channels at once, so that both sides
// stay in the processor's caches.
const tileSpectra = 32

// reader goes through the spectra one by one.
type reader struct {
	s     *Source
	block psrfits.Block
	row   int // that is in block
	next  int // spectrum of it that comes next
	tile  []float32
}

func (r *reader) fill(ctx context.Context, data [][]float32, n int) error {
	channels := len(data)
	for at := 0; at < n; at += tileSpectra {
		m := min(tileSpectra, n-at)
		for k := range m {
			if err := r.spectrum(ctx, r.tile[k*channels:(k+1)*channels]); err != nil {
				return err
			}
		}
		for c, to := range data {
			to = to[at : at+m]
			for k := range to {
				to[k] = r.tile[k*channels+c]
			}
		}
	}
	return nil
}

func (r *reader) spectrum(ctx context.Context, to []float32) error {
	if r.next == r.s.RowSpectra {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.row, r.next = r.row+1, 0
		if err := r.s.obs.ReadBlock(r.row, &r.block); err != nil {
			return err
		}
	}
	r.block.Spectrum(r.next, to)
	r.next++
	return nil
}

package stream

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"longhaul/internal/psrfits"
	"longhaul/internal/search/searchtest"
)

func open(t *testing.T, sky searchtest.Sky) (*Source, *psrfits.Observation) {
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
	return New(obs), obs
}

func TestChunksOfAnySizeAreTheObservation(t *testing.T) {
	t.Parallel()
	sky := searchtest.Small()
	sky.Rows, sky.RowSpectra, sky.Channels = 3, 100, 4
	src, obs := open(t, sky)
	want := make([][]float32, 0, 300)
	var block psrfits.Block
	for row := range 3 {
		if err := obs.ReadBlock(row, &block); err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			spectrum := make([]float32, 4)
			block.Spectrum(i, spectrum)
			want = append(want, spectrum)
		}
	}
	for _, size := range []int{1, 7, 32, 100, 101, 299, 300, 5000} {
		cleaned, next := 0, 0
		src.Clean = func(Chunk) { cleaned++ }
		for range 2 { // again and again
			next = 0
			if err := src.Each(t.Context(), size, func(c Chunk) error {
				if c.Start != next || len(c.Data) != 4 {
					t.Fatalf("size %d: a chunk begins at %d, want %d", size, c.Start, next)
				}
				for ch, x := range c.Data {
					if len(x) != c.N {
						t.Fatalf("size %d: a channel has %d values, want %d", size, len(x), c.N)
					}
					for i, v := range x {
						if v != want[c.Start+i][ch] {
							t.Fatalf("size %d: spectrum %d, channel %d is %v, want %v", size, c.Start+i, ch, v, want[c.Start+i][ch])
						}
					}
				}
				next += c.N
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		if next != 300 || cleaned != 2*((300+size-1)/size) {
			t.Errorf("size %d: %d spectra came, %d chunks were cleaned", size, next, cleaned)
		}
	}
}

func TestReadingStopsAtAnErrorAndWhenItIsCancelled(t *testing.T) {
	t.Parallel()
	src, _ := open(t, searchtest.Small())
	bad := errors.New("bad")
	if err := src.Each(t.Context(), 100, func(Chunk) error { return bad }); !errors.Is(err, bad) {
		t.Errorf("the error is %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err := src.Each(ctx, 100, func(Chunk) error {
		n++
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || n > 3 {
		t.Errorf("after %d chunks the error is %v", n, err)
	}
	if err := src.Each(t.Context(), 0, func(Chunk) error { return nil }); err == nil {
		t.Error("chunks of nothing are read")
	}
}

func TestParallelDoesEverythingOnce(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{0, 1, 3, 100} {
		var done [50]atomic.Int32
		Parallel(workers, len(done), func(w, i int) {
			if w < 0 || w >= max(workers, 1) {
				t.Errorf("worker %d of %d", w, workers)
			}
			done[i].Add(1)
		})
		for i := range done {
			if n := done[i].Load(); n != 1 {
				t.Errorf("with %d workers, %d was done %d times", workers, i, n)
			}
		}
	}
	Parallel(2, 0, func(int, int) { t.Error("nothing is done") })
}

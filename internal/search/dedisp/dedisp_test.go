package dedisp

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"longhaul/internal/psrfits"
	"longhaul/internal/search/plan"
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

// direct dedisperses without any stages: each sample where its delays say.
func direct(t *testing.T, src *stream.Source, pass plan.Pass, dm float64) []float64 {
	t.Helper()
	n := src.Spectra
	all := make([][]float32, len(src.Freqs))
	if err := src.Each(t.Context(), 999, func(c stream.Chunk) error {
		for ch, x := range c.Data {
			all[ch] = append(all[ch], x...)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	edges := Subbands(len(src.Freqs), pass.Subbands)
	within := Delays(src.Freqs, edges, pass.SubDM, 0, src.SampleTime)
	top := src.Freqs[len(src.Freqs)-1]
	out := make([]float64, n/pass.Downsample)
	for i := range out {
		for s := 1; s < len(edges); s++ {
			late := delay(dm, src.Freqs[edges[s]-1], top, src.SampleTime*float64(pass.Downsample))
			for c := edges[s-1]; c < edges[s]; c++ {
				for k := range pass.Downsample {
					if at := (i+late)*pass.Downsample + k + within[c]; at < n {
						out[i] += float64(all[c][at])
					}
				}
			}
		}
	}
	return out
}

func TestStagesAndChunksAddUpToTheSameAsSamplesOneByOne(t *testing.T) {
	t.Parallel()
	sky := searchtest.Small()
	sky.Rows, sky.RowSpectra = 9, 700 // 6300 spectra: not a multiple of much
	src := open(t, sky)
	for name, pass := range map[string]plan.Pass{
		"two stages":   {SubDM: 60, DMs: []float64{40, 60, 80}, Subbands: 8, Downsample: 1},
		"uneven":       {SubDM: 100, DMs: []float64{90, 110}, Subbands: 5, Downsample: 3},
		"one stage":    {SubDM: 60, DMs: []float64{0, 60, 300}, Subbands: 32, Downsample: 1},
		"more than is": {SubDM: 60, DMs: []float64{60}, Subbands: 96, Downsample: 2},
		"far":          {SubDM: 2000, DMs: []float64{2000}, Subbands: 4, Downsample: 4},
		"downsampled":  {SubDM: 60, DMs: []float64{61}, Subbands: 8, Downsample: 7},
	} {
		b, err := NewMaker(src, 3).Make(t.Context(), pass)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if b.Samples != 6300/pass.Downsample || b.Valid < b.Samples/4 || b.Valid > b.Samples || len(b.Series) != len(pass.DMs) {
			t.Errorf("%s: %d samples, %d of them valid", name, b.Samples, b.Valid)
		}
		for i, dm := range pass.DMs {
			want := direct(t, src, pass, dm)
			x := b.Series[i]
			if n := len(x); n&(n-1) != 0 || n < b.Samples || n >= 2*b.Samples {
				t.Errorf("%s: a series has %d values for %d samples", name, n, b.Samples)
			}
			for k, v := range x[:b.Valid] {
				if math.Abs(float64(v)-want[k]) > 0.5 {
					t.Errorf("%s: DM %v: sample %d is %v, want %v", name, dm, k, v, want[k])
					break
				}
			}
			if slices.ContainsFunc(x[b.Valid:], func(v float32) bool { return v != 0 }) {
				t.Errorf("%s: DM %v: what is not valid is not zero", name, dm)
			}
		}
	}
}

func TestAPulsarIsSharpestAtItsDM(t *testing.T) {
	t.Parallel()
	sky := searchtest.Small()
	sky.Strength = 1
	src := open(t, sky)
	b, err := NewMaker(src, 2).Make(t.Context(), plan.Pass{SubDM: 60, DMs: []float64{0, 30, 60, 90}, Subbands: 16, Downsample: 2})
	if err != nil {
		t.Fatal(err)
	}
	var spread []float64
	for _, x := range b.Series {
		mean, squares := 0.0, 0.0
		for _, v := range x[:b.Valid] {
			mean += float64(v) / float64(b.Valid)
		}
		for _, v := range x[:b.Valid] {
			squares += (float64(v) - mean) * (float64(v) - mean)
		}
		spread = append(spread, squares)
	}
	if slices.Index(spread, slices.Max(spread)) != 2 {
		t.Errorf("the spreads are %v", spread)
	}
}

func TestTheSameMemoryIsUsedAgain(t *testing.T) {
	t.Parallel()
	m := NewMaker(open(t, searchtest.Small()), 1)
	a, err := m.Make(t.Context(), plan.Pass{SubDM: 60, DMs: []float64{60, 61}, Subbands: 8, Downsample: 1})
	if err != nil {
		t.Fatal(err)
	}
	first := &a.Series[0][0]
	b, err := m.Make(t.Context(), plan.Pass{SubDM: 60, DMs: []float64{60}, Subbands: 8, Downsample: 2})
	if err != nil {
		t.Fatal(err)
	}
	if &b.Series[0][0] != first {
		t.Error("a smaller block has memory of its own")
	}
	if slices.ContainsFunc(b.Series[0][b.Valid:], func(v float32) bool { return v != 0 }) {
		t.Error("what is not valid has the samples of the block before")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Make(ctx, plan.Pass{SubDM: 60, DMs: []float64{60}, Subbands: 8, Downsample: 2}); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

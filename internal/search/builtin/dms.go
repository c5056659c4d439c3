package builtin

import (
	"context"
	"fmt"
	"sync"

	"longhaul/internal/search/dedisp"
	"longhaul/internal/search/plan"
	"longhaul/internal/search/pulses"
	"longhaul/internal/search/sift"
	"longhaul/internal/search/spectrum"
	"longhaul/internal/search/stream"
	"longhaul/internal/search/zap"
)

// findings are what the searches of all DMs found, by the DMs' order in the plan.
type findings struct {
	series []series
	low    [][]sift.Candidate
	high   [][]sift.Candidate
	pulses [][]pulses.Event
}

// series is what is remembered of a time series.
type series struct {
	dm      float64
	sample  float64 // s
	samples int     // with padding
	valid   int
	subDM   float64
	pass    plan.Pass
}

// searchDMs searches all DMs of the plan, pass by pass.
func (j *job) searchDMs(ctx context.Context) (*findings, error) {
	passes := j.plan.Passes()
	n := len(j.plan.DMs())
	f := &findings{
		series: make([]series, n), low: make([][]sift.Candidate, n),
		high: make([][]sift.Candidate, n), pulses: make([][]pulses.Event, n),
	}
	maker := dedisp.NewMaker(j.src, j.opt.Workers)
	tools := &toolbox{}
	first := 0
	for i, pass := range passes {
		if !j.set.UseSubbands {
			pass.Subbands = len(j.src.Freqs)
		}
		block, err := maker.Make(ctx, pass)
		if err != nil {
			return nil, err
		}
		j.sum.Memory = max(j.sum.Memory, 4*int64(len(block.DMs))*int64(len(block.Series[0])))
		if err := tools.prepare(len(block.Series[0]), j.searchers(len(block.Series[0]))); err != nil {
			return nil, err
		}
		if err := j.searchBlock(ctx, block, pass, f, first, tools); err != nil {
			return nil, err
		}
		first += len(block.DMs)
		j.opt.Log.Debug("pass done", "pass", i+1, "of", len(passes), "up_to_dm", pass.DMs[len(pass.DMs)-1])
	}
	return f, nil
}

// A worker's memory is eight series, see pulses.Searcher and spectrum.Searcher.
const (
	workerSeries = 8
	smallMemory  = 64 << 20 // bytes: below, memory is not looked at
)

// searchers is how many workers search series of a length: so many that they do
// not take more memory than the largest block of the plan.
func (j *job) searchers(length int) int {
	dms := 0
	for _, p := range j.plan.Passes() {
		dms = max(dms, len(p.DMs))
	}
	each := workerSeries * 4 * length
	return min(j.opt.Workers, max(max(4*length*dms, smallMemory)/each, 1))
}

// toolbox holds what the workers need, for one length of the series.
type toolbox struct {
	transforms *spectrum.Transforms
	workers    []tools
}

type tools struct {
	searcher *spectrum.Searcher
	pulses   pulses.Searcher
	white    []complex64
}

func (t *toolbox) prepare(length, workers int) (err error) {
	if t.transforms != nil && t.transforms.Len() == length {
		return nil
	}
	*t = toolbox{}
	if t.transforms, err = spectrum.NewTransforms(length); err != nil {
		return err
	}
	for range workers {
		t.workers = append(t.workers, tools{searcher: spectrum.NewSearcher(t.transforms), white: make([]complex64, length/2)})
	}
	return nil
}

// searchBlock searches the series of one pass.
func (j *job) searchBlock(ctx context.Context, b *dedisp.Block, pass plan.Pass, f *findings, first int, t *toolbox) error {
	var lock sync.Mutex
	var failed error
	stream.Parallel(min(j.opt.Workers, len(t.workers)), len(b.DMs), func(worker, i int) {
		if ctx.Err() != nil {
			return
		}
		at := first + i
		f.series[at] = series{b.DMs[i], b.SampleTime, len(b.Series[i]), b.Valid, pass.SubDM, pass}
		if err := j.searchSeries(f, at, b.Series[i], &t.workers[worker]); err != nil {
			lock.Lock()
			failed = fmt.Errorf("DM %.2f: %w", b.DMs[i], err)
			lock.Unlock()
		}
	})
	if failed == nil {
		failed = ctx.Err()
	}
	return failed
}

// searchSeries searches one series, and uses it up.
func (j *job) searchSeries(f *findings, at int, x []float32, t *tools) error {
	s := f.series[at]
	f.pulses[at] = t.pulses.Search(x[:s.valid], s.dm, s.sample, pulses.Options{
		Threshold: j.set.SinglepulseThreshold, MaxWidth: j.set.SinglepulseMaxwidth,
	})
	seconds := s.sample * float64(s.samples)
	t.searcher.Forward(t.white, x)
	doppler := j.doppler
	if doppler == 0 {
		doppler = 1
	}
	zap.Apply(t.white, j.zaps.Zaps, seconds, doppler)
	spectrum.Whiten(t.white, seconds)
	for _, a := range []struct {
		options spectrum.Options
		to      *[]sift.Candidate
	}{
		{spectrum.Options(j.set.LoAccel), &f.low[at]},
		{spectrum.Options(j.set.HiAccel), &f.high[at]},
	} {
		found, err := t.searcher.Search(t.white, x, seconds, a.options)
		if err != nil {
			return err
		}
		for i, c := range found {
			*a.to = append(*a.to, sift.Candidate{
				AccelFile: fmt.Sprintf("%s_DM%.2f_ACCEL_%d", j.base, s.dm, a.options.Zmax), Number: i + 1,
				DM: s.dm, Seconds: seconds, R: c.R, Z: c.Z, CPow: c.CPow, Powers: c.Powers,
			})
		}
	}
	return nil
}

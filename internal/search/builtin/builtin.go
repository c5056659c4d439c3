// Package builtin is a search for pulsars in pure Go, for demonstrations, for
// tests, and for quick looks where PRESTO is not installed. It goes the way of
// PALFA's pipeline: mask of interference, dedispersion, single pulses,
// spectra, zapping, whitening, two searches, sifting, folding. It leaves
// plots, lists and tarballs, and a results.json that names them all.
//
// The steps are in the packages beside it; this one has their order, and what
// becomes of what they find. docs/search.md has the formulas with their
// sources, and says where it is no substitute for PRESTO.
package builtin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"longhaul/internal/psrfits"
	"longhaul/internal/search"
	"longhaul/internal/search/accelcands"
	"longhaul/internal/search/bary"
	"longhaul/internal/search/draw"
	"longhaul/internal/search/plan"
	"longhaul/internal/search/rfi"
	"longhaul/internal/search/stream"
	"longhaul/internal/search/zap"
)

// Engine is the engine's name.
const Engine = "builtin"

// ErrTooShort: the observation is shorter than low_T_to_search.
var ErrTooShort = errors.New("the observation is too short to search")

// Options say what is searched, and how.
type Options struct {
	DataFiles []string // of one observation, in any order
	OutDir    string   // where all files go; made if it is not there
	Settings  search.Settings
	Zaplists  zap.Place
	// Plan, if set, is searched instead of what the settings ask for.
	Plan    plan.Plan
	Workers int          // how many things are done at once; 0 for one for each processor
	Log     *slog.Logger // nil for silence
}

// Summary is what a search found.
type Summary struct {
	Sifted []accelcands.Candidate
	Folded []Folded
	Pulses int     // single pulses above singlepulse_threshold, at all DMs
	Masked float64 // percent of the data
	Steps  []Step
	// Memory is how much the largest block of dedispersed series took, bytes.
	Memory int64
}

// Step is how long a step took.
type Step struct {
	Name string
	Took time.Duration
}

// Run searches an observation. results.json appears last and at once: where it
// is, all that it names is, too.
func Run(ctx context.Context, opt Options) (sum *Summary, err error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Workers <= 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	if err := opt.Settings.Check(); err != nil {
		return nil, fmt.Errorf("settings of the search: %w", err)
	}
	if flag := opt.Settings.DatatypeFlag; flag != "-psrfits" {
		return nil, fmt.Errorf("settings of the search: datatype_flag = %q: this engine reads PSRFITS only (-psrfits)", flag)
	}
	obs, err := psrfits.OpenObservation(opt.DataFiles)
	if err != nil {
		return nil, fmt.Errorf("open observation: %w", err)
	}
	defer func() { err = errors.Join(err, obs.Close()) }()
	for _, note := range obs.Notes {
		opt.Log.Warn(note, "observation", obs.Header.ObsName)
	}
	j, err := newJob(obs, opt)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(opt.OutDir, 0o750); err != nil {
		return nil, err
	}
	if err := j.run(ctx); err != nil {
		return nil, fmt.Errorf("search %s: %w", obs.Header.ObsName, err)
	}
	return &j.sum, nil
}

// job is one search.
type job struct {
	opt     Options
	set     search.Settings
	obs     *psrfits.Observation
	src     *stream.Source
	base    string // of all files' names
	plan    plan.Plan
	zaps    zap.List
	doppler float64 // frequency at the telescope over that at the barycentre; 0 if it is not known
	mask    *rfi.Mask
	about   draw.Observation
	sum     Summary
	files   files // that were written
}

func newJob(obs *psrfits.Observation, opt Options) (*job, error) {
	j := &job{opt: opt, set: opt.Settings, obs: obs, src: stream.New(obs), plan: opt.Plan, base: baseName(opt.DataFiles)}
	if j.src.Seconds() < j.set.LowT {
		return nil, fmt.Errorf("%w: it has %.2f s, low_T_to_search is %.2f s", ErrTooShort, j.src.Seconds(), j.set.LowT)
	}
	first := obs.Files[0].Header
	freqs := j.src.Freqs
	width := 0.0
	if len(freqs) > 1 {
		width = (freqs[len(freqs)-1] - freqs[0]) / float64(len(freqs)-1)
	}
	center := (freqs[0] + freqs[len(freqs)-1]) / 2
	var err error
	if j.plan == nil {
		if j.plan, err = j.set.Plan(first.Backend, plan.Data{
			SampleTime: j.src.SampleTime, CenterFreq: center, Bandwidth: width * float64(len(freqs)),
			Channels: len(freqs), RowSpectra: j.src.RowSpectra,
		}); err != nil {
			return nil, err
		}
	}
	if err := j.plan.Check(); err != nil {
		return nil, err
	}
	if j.zaps, err = zap.Choose(opt.Zaplists, opt.DataFiles); err != nil {
		return nil, err
	}
	h := obs.Header
	if site, ok := bary.SiteOf(first.Telescope); ok {
		j.doppler = site.Doppler(h.RADeg, h.DecDeg, h.TimestampMJD+j.src.Seconds()/2/86400)
	}
	j.about = draw.Observation{
		File: j.base, Source: h.SourceName, Telescope: first.Telescope, Backend: first.Backend, RA: first.RA, Dec: first.Dec,
		MJD: h.TimestampMJD, SampleTime: j.src.SampleTime, Spectra: j.src.Spectra, CenterFreq: center,
	}
	return j, nil
}

// baseName is the data file's name without .fits; of two halves of a band, that
// of the merged file.
func baseName(paths []string) string {
	base := filepath.Base(paths[0])
	if n, ok := psrfits.ParseName(base); ok && n.Kind == psrfits.Mock {
		return fmt.Sprintf("%s.%s.%s.b%s.%s", n.Project, n.Day, n.Source, n.Beam, n.Scan)
	}
	return strings.TrimSuffix(base, ".fits")
}

// run goes through the steps.
func (j *job) run(ctx context.Context) error {
	var found *findings
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"rfifind", j.findInterference},
		{"search", func(ctx context.Context) (err error) { found, err = j.searchDMs(ctx); return err }},
		{"sifting", func(context.Context) error { return j.siftCandidates(found) }},
		{"folding", j.foldCandidates},
		{"plots", func(context.Context) error { return j.writePulses(found) }},
		{"results", func(context.Context) error { return j.writeResults() }},
	} {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		j.sum.Steps = append(j.sum.Steps, Step{step.name, time.Since(began)})
		j.opt.Log.Info("step done", "step", step.name, "took", time.Since(began).Round(time.Millisecond))
	}
	return nil
}

func (j *job) findInterference(ctx context.Context) (err error) {
	if j.mask, err = rfi.Find(ctx, j.src, j.set.RfifindChunkTime, j.opt.Workers); err != nil {
		return err
	}
	j.src.Clean = j.mask.Clean
	j.sum.Masked = j.mask.Percent()
	png, err := draw.Mask(j.about, j.mask)
	if err != nil {
		return err
	}
	j.files.mask = j.base + "_rfifind.png"
	return j.write(j.files.mask, png)
}

// write makes a file in the output directory.
func (j *job) write(name string, content []byte) error {
	return os.WriteFile(filepath.Join(j.opt.OutDir, name), content, 0o640)
}

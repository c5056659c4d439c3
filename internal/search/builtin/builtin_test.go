package builtin

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"longhaul/internal/search"
	"longhaul/internal/search/plan"
	"longhaul/internal/search/searchtest"
	"longhaul/internal/search/zap"
)

// smallPlan is for searchtest.Small.
func smallPlan() plan.Plan {
	return plan.Plan{{LoDM: 50, DMStep: 2, DMsPerPass: 6, Passes: 2, Subbands: 16, Downsample: 1}}
}

// smallSettings search it quickly.
func smallSettings() search.Settings {
	s := search.Defaults()
	s.RfifindChunkTime = 1
	s.LoAccel.Numharm = 8
	s.HiAccel = search.Accel{Numharm: 4, Sigma: 3, Zmax: 4, Flo: 1}
	s.LowT = 5
	s.MaxCandsToFold = 1
	return s
}

// zaplist makes a default zaplist.
func zaplist(t testing.TB, text string) zap.Place {
	t.Helper()
	path := filepath.Join(t.TempDir(), "default.zaplist")
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return zap.Place{Default: path}
}

// options search an observation.
func options(t testing.TB, path string) Options {
	t.Helper()
	return Options{
		DataFiles: []string{path}, OutDir: filepath.Join(t.TempDir(), "out"), Settings: smallSettings(), Plan: smallPlan(),
		Zaplists: zaplist(t, "60 0.1\n"), Workers: 2,
	}
}

func mustRun(t testing.TB, opt Options) *Summary {
	t.Helper()
	sum, err := Run(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestAPulsarComesWithAllThatBelongsToIt(t *testing.T) {
	t.Parallel()
	sky := searchtest.Small()
	opt := options(t, searchtest.Write(t, t.TempDir(), sky))
	sum := mustRun(t, opt)
	if len(sum.Folded) == 0 {
		t.Fatal("nothing was folded")
	}
	best := sum.Folded[0]
	p, _ := best.Fold.Period()
	if math.Abs(p/sky.Period-1) > 1e-4 || math.Abs(best.DM-sky.DM) > 2 || best.Sigma < 15 {
		t.Errorf("the best candidate is %+v with a period of %v", best.Candidate, p)
	}
	checkManifest(t, opt.OutDir, sum)
	for _, name := range []string{
		"default.zaplist", "search_params.txt", "results.json", sampleBase + ".accelcands", sampleBase + ".report",
		sampleBase + "_rfifind.png", sampleBase + "_inf.tgz", sampleBase + "_singlepulse.tgz", best.Plot,
	} {
		info, err := os.Stat(filepath.Join(opt.OutDir, name))
		if err != nil || info.Size() == 0 || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if parts, err := filepath.Glob(filepath.Join(opt.OutDir, "*.part")); err != nil || len(parts) > 0 {
		t.Errorf("left are %v", parts)
	}
	again := opt
	again.OutDir, again.Workers = filepath.Join(t.TempDir(), "again"), 1
	if other := mustRun(t, again); fmt.Sprintf("%.9v", other.Sifted) != fmt.Sprintf("%.9v", sum.Sifted) {
		t.Error("with another number of workers it finds something else")
	}
}

func TestNoiseHasNoCandidates(t *testing.T) {
	t.Parallel()
	sky := searchtest.Small()
	sky.Strength = 0
	sky.Tone = map[int]float64{3: 60}
	sky.Spikes = []int{4000}
	opt := options(t, searchtest.Write(t, t.TempDir(), sky))
	sum := mustRun(t, opt)
	if len(sum.Sifted) != 0 || len(sum.Folded) != 0 {
		t.Errorf("sifted are %+v", sum.Sifted)
	}
	checkManifest(t, opt.OutDir, sum)
}

// TestEverySettingOfSearchingChangesWhatItSays runs the search with one setting
// changed at a time. Those of sifting are tested one by one in package sift,
// those of the plan in package search, hi_accel_zmax below.
func TestEverySettingOfSearchingChangesWhatItSays(t *testing.T) {
	t.Parallel()
	sky := searchtest.Small()
	sky.Rows, sky.Strength = 12, 0.6
	path := searchtest.Write(t, t.TempDir(), sky)
	baseOpt := options(t, path)
	baseOpt.Plan = plan.Plan{{LoDM: 56, DMStep: 2, DMsPerPass: 3, Passes: 2, Subbands: 16, Downsample: 1}}
	base := mustRun(t, baseOpt)
	if len(base.Folded) != 1 || len(base.Sifted) < 2 || base.Pulses == 0 {
		t.Fatalf("%d are folded, %d pulses", len(base.Folded), base.Pulses)
	}
	file := func(opt Options, name string) string {
		b, err := os.ReadFile(filepath.Join(opt.OutDir, name))
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	chi2 := func(s *Summary) float64 { return s.Folded[0].Fold.Chi2 }
	const pulsePlot = sampleBase + "_DMs0-110_singlepulse.png"
	for name, c := range map[string]struct {
		change func(*search.Settings)
		ok     func(Options, *Summary) bool
	}{
		"use_subbands": {func(s *search.Settings) { s.UseSubbands = false }, func(_ Options, s *Summary) bool {
			return len(s.Folded) > 0 && s.Sifted[0].Sigma > 0.97*base.Sifted[0].Sigma && s.Sifted[0].Sigma != base.Sifted[0].Sigma
		}},
		"fold_rawdata": {func(s *search.Settings) { s.FoldRawdata = false }, func(_ Options, s *Summary) bool {
			return s.Sifted[0].Sigma == base.Sifted[0].Sigma && chi2(s) != chi2(base) && math.Abs(chi2(s)/chi2(base)-1) < 0.2
		}},
		"rfifind_chunk_time": {func(s *search.Settings) { s.RfifindChunkTime = 4 }, func(o Options, s *Summary) bool {
			return file(o, sampleBase+"_rfifind.png") != file(baseOpt, sampleBase+"_rfifind.png")
		}},
		"singlepulse_threshold": {func(s *search.Settings) { s.SinglepulseThreshold = 5.9 }, func(_ Options, s *Summary) bool {
			return s.Pulses > 0 && s.Pulses < base.Pulses
		}},
		"singlepulse_plot_SNR": {func(s *search.Settings) { s.SinglepulsePlotSNR = 7 }, func(o Options, s *Summary) bool {
			return s.Pulses == base.Pulses && file(o, pulsePlot) != file(baseOpt, pulsePlot)
		}},
		"singlepulse_maxwidth": {func(s *search.Settings) { s.SinglepulseMaxwidth = 0.001 }, func(_ Options, s *Summary) bool {
			return s.Pulses != base.Pulses
		}},
		"to_prepfold_sigma": {func(s *search.Settings) { s.ToPrepfoldSigma, s.MaxCandsToFold = base.Sifted[0].Sigma, 9 }, func(_ Options, s *Summary) bool {
			return len(s.Folded) == 1 && len(s.Sifted) == len(base.Sifted) // at the threshold is folded
		}},
		"max_cands_to_fold": {func(s *search.Settings) { s.MaxCandsToFold = 2 }, func(_ Options, s *Summary) bool {
			return len(s.Folded) == 2
		}},
		"numhits_to_fold": {func(s *search.Settings) { s.NumhitsToFold = 7 }, func(_ Options, s *Summary) bool {
			return len(s.Sifted) == 0
		}},
		"low_DM_cutoff": {func(s *search.Settings) { s.LowDMCutoff = 64 }, func(_ Options, s *Summary) bool {
			return len(s.Sifted) < len(base.Sifted)
		}},
		"lo_accel_numharm": {func(s *search.Settings) { s.LoAccel.Numharm, s.HiAccel.Numharm = 2, 2 }, func(_ Options, s *Summary) bool {
			return s.Sifted[0].Harmonics == 2 && base.Sifted[0].Harmonics == 8
		}},
		"lo_accel_sigma": {func(s *search.Settings) { s.LoAccel.Sigma = 200 }, func(_ Options, s *Summary) bool {
			return len(s.Sifted) > 0 && strings.HasSuffix(s.Sifted[0].AccelFile, "_ACCEL_4")
		}},
		"lo_accel_zmax": {func(s *search.Settings) { s.LoAccel.Zmax = 2 }, func(_ Options, s *Summary) bool {
			return strings.HasSuffix(s.Sifted[0].AccelFile, "_ACCEL_2")
		}},
		"lo_accel_flo": {func(s *search.Settings) { s.LoAccel.Flo, s.HiAccel.Flo = 150, 150 }, func(_ Options, s *Summary) bool {
			return len(s.Sifted) == 0 || s.Sifted[0].Period < 1000./150*8
		}},
		"hi_accel_sigma": {func(s *search.Settings) { s.LoAccel.Sigma, s.HiAccel.Sigma = 200, 200 }, func(_ Options, s *Summary) bool {
			return len(s.Sifted) == 0
		}},
		"hi_accel_numharm": {func(s *search.Settings) { s.LoAccel.Sigma, s.HiAccel.Numharm = 200, 1 }, func(_ Options, s *Summary) bool {
			return len(s.Sifted) > 0 && s.Sifted[0].Harmonics == 1
		}},
	} {
		opt := baseOpt
		opt.OutDir = filepath.Join(t.TempDir(), "out")
		c.change(&opt.Settings)
		sum, err := Run(t.Context(), opt)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !c.ok(opt, sum) {
			t.Errorf("%s: sifted are %.160v, folded %d, pulses %d; before %.160v, %d, %d", name,
				fmt.Sprint(sum.Sifted), len(sum.Folded), sum.Pulses, fmt.Sprint(base.Sifted), len(base.Folded), base.Pulses)
		}
		if want := opt.Settings.Params(Engine); file(opt, "search_params.txt") != want {
			t.Errorf("%s: the settings are not left as they were", name)
		}
	}
}

func TestADriftingPulsarNeedsTheHighSearch(t *testing.T) {
	t.Parallel()
	sky := searchtest.Small()
	sky.Period, sky.DM, sky.Strength, sky.Width = 0.0523, 60, 0.6, 0.05
	const drift = 6.0 // bins of the fundamental
	seconds := float64(sky.Spectra()) * sky.SampleTime
	sky.Pdot = -drift / (seconds * seconds) * sky.Period * sky.Period
	opt := options(t, searchtest.Write(t, t.TempDir(), sky))
	opt.Settings.HiAccel.Zmax = 20 // hi_accel_zmax
	sum := mustRun(t, opt)
	if len(sum.Folded) == 0 || math.Abs(sum.Folded[0].Z-drift) > 1 || !strings.HasSuffix(sum.Folded[0].AccelFile, "_ACCEL_20") {
		t.Fatalf("sifted are %+v", sum.Sifted)
	}
	p, pdot := sum.Folded[0].Fold.Period()
	perr, pdoterr := sum.Folded[0].Fold.PeriodErrors()
	if math.Abs(p-sky.Period) > 4*perr || perr > 1e-5 || math.Abs(pdot-sky.Pdot) > 4*pdoterr || math.Abs(pdot/sky.Pdot-1) > 0.1 {
		t.Errorf("the period is %v ± %v, its derivative %v ± %v; want %v and %v", p, perr, pdot, pdoterr, sky.Period, sky.Pdot)
	}
	opt.OutDir, opt.Settings.HiAccel.Zmax = filepath.Join(t.TempDir(), "out"), 2
	for _, c := range mustRun(t, opt).Sifted {
		if c.Sigma > sum.Sifted[0].Sigma/2 {
			t.Errorf("with hi_accel_zmax 2 it finds %+v", c)
		}
	}
}

func TestZappedFrequenciesAreNotFound(t *testing.T) {
	t.Parallel()
	sky := searchtest.Small()
	path := searchtest.Write(t, t.TempDir(), sky)
	opt := options(t, path)
	var zaps strings.Builder
	for h := 1; h <= 60; h++ {
		fmt.Fprintf(&zaps, "%v 0.6\n", float64(h)/sky.Period)
	}
	opt.Zaplists = zaplist(t, zaps.String())
	if sum := mustRun(t, opt); len(sum.Sifted) != 0 {
		t.Errorf("sifted are %+v", sum.Sifted)
	}
}

func TestWhatCannotBeSearchedIsRefusedAndLeavesNoResults(t *testing.T) {
	t.Parallel()
	path := searchtest.Write(t, t.TempDir(), searchtest.Small())
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for name, c := range map[string]struct {
		ctx    context.Context
		change func(*Options)
		is     error
		says   string
	}{
		"low_T_to_search":   {t.Context(), func(o *Options) { o.Settings.LowT = 17 }, ErrTooShort, "low_T_to_search is 17.00 s"},
		"datatype_flag":     {t.Context(), func(o *Options) { o.Settings.DatatypeFlag = "-wapp" }, nil, "datatype_flag"},
		"a bad setting":     {t.Context(), func(o *Options) { o.Settings.LoAccel.Numharm = 3 }, nil, "lo_accel_numharm"},
		"a bad plan":        {t.Context(), func(o *Options) { o.Plan = plan.Plan{{}} }, nil, "dedispersion plan"},
		"no zaplist":        {t.Context(), func(o *Options) { o.Zaplists = zap.Place{} }, nil, "default_zaplist"},
		"no file":           {t.Context(), func(o *Options) { o.DataFiles = []string{path + "x"} }, nil, "open observation"},
		"a stripped file":   {t.Context(), func(o *Options) { o.DataFiles = []string{"../../psrfits/testdata/" + searchtest.Name} }, nil, "search"},
		"it is interrupted": {stopped, func(*Options) {}, context.Canceled, ""},
	} {
		opt := options(t, path)
		c.change(&opt)
		_, err := Run(c.ctx, opt)
		if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: the error is %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(opt.OutDir, "results.json")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: there are results", name)
		}
	}
}

func TestFilesAreNamedAfterTheMergedObservation(t *testing.T) {
	t.Parallel()
	for want, path := range map[string]string{
		sampleBase:                              "/x/" + sampleBase + ".fits",
		"p2030.20141121.G45.00+00.00.N.b3.0010": "/x/p2030.20141121.G45.00+00.00.N.b3.0010.fits",
		"p2030.20141121.G45.b3.00100":           "/x/4bit-p2030.20141121.G45.b3s1g0.00100.fits",
		"p2030_53600_12345_0012_G45_3.w4bit":    "p2030_53600_12345_0012_G45_3.w4bit.fits",
	} {
		if got := baseName([]string{path}); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

package search

import (
	"math"
	"os"
	"strings"
	"testing"

	"longhaul/internal/search/plan"
)

// sample are the settings with which the sample observation was searched.
func sample() Settings {
	s := Defaults()
	s.RfifindChunkTime = 2
	s.LoAccel.Numharm = 8
	return s
}

func TestParamsAreWrittenAsTheOriginalDoes(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("../results/presto/testdata/beam3/search_params.txt")
	if err != nil {
		t.Fatal(err)
	}
	got := sample().Params("it's me")
	if !strings.HasPrefix(got, string(want)) {
		t.Errorf("they are\n%s\nand do not begin with\n%s", got, want)
	}
	if !strings.HasSuffix(got, "engine                    = 'it\\'s me'\n") {
		t.Errorf("they end with %q", got[len(got)-50:])
	}
}

func TestDefaultsAreGoodAndEveryMistakeIsNamed(t *testing.T) {
	t.Parallel()
	if err := Defaults().Check(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Settings){
		"rfifind_chunk_time":      func(s *Settings) { s.RfifindChunkTime = 0 },
		"singlepulse_threshold":   func(s *Settings) { s.SinglepulseThreshold = math.NaN() },
		"singlepulse_plot_SNR":    func(s *Settings) { s.SinglepulsePlotSNR = 4 },
		"singlepulse_maxwidth":    func(s *Settings) { s.SinglepulseMaxwidth = -1 },
		"to_prepfold_sigma":       func(s *Settings) { s.ToPrepfoldSigma = 0 },
		"max_cands_to_fold":       func(s *Settings) { s.MaxCandsToFold = -1 },
		"numhits_to_fold":         func(s *Settings) { s.NumhitsToFold = 0 },
		"low_DM_cutoff":           func(s *Settings) { s.LowDMCutoff = -1 },
		"low_T_to_search":         func(s *Settings) { s.LowT = math.Inf(1) },
		"sifting_sigma_threshold": func(s *Settings) { s.SiftingSigmaThreshold = 0 },
		"sifting_c_pow_threshold": func(s *Settings) { s.SiftingCPowThreshold = -1 },
		"sifting_r_err":           func(s *Settings) { s.SiftingRErr = 0 },
		"sifting_short_period":    func(s *Settings) { s.SiftingShortPeriod = 0 },
		"sifting_long_period":     func(s *Settings) { s.SiftingLongPeriod = 0.0001 },
		"sifting_harm_pow_cutoff": func(s *Settings) { s.SiftingHarmPowCutoff = -1 },
		"lo_accel_numharm":        func(s *Settings) { s.LoAccel.Numharm = 12 },
		"lo_accel_sigma":          func(s *Settings) { s.LoAccel.Sigma = 0 },
		"lo_accel_zmax":           func(s *Settings) { s.LoAccel.Zmax = -2 },
		"hi_accel_flo":            func(s *Settings) { s.HiAccel.Flo = 0 },
		"hi_accel_zmax":           func(s *Settings) { s.HiAccel.Zmax = 0 },
		"ddplan":                  func(s *Settings) { s.DDPlan = "x" },
		"hidm":                    func(s *Settings) { s.HiDM = 0 },
		"resolution":              func(s *Settings) { s.Resolution = -1 },
		"numsub":                  func(s *Settings) { s.Numsub = 0 },
	} {
		s := Defaults()
		change(&s)
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), name+" = ") {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}

func TestThePlanIsTheSurveysUnlessAnotherIsWanted(t *testing.T) {
	t.Parallel()
	data := plan.Data{SampleTime: 5e-4, CenterFreq: 1375, Bandwidth: 320, Channels: 96, RowSpectra: 1024}
	s := Defaults()
	if p, err := s.Plan("pdev", data); err != nil || len(p) != 6 {
		t.Errorf("the plan is %v, %v, want PALFA's", p, err)
	}
	for name, change := range map[string]func(*Settings){
		"ddplan":     func(s *Settings) { s.DDPlan = GeneratedPlan },
		"hidm":       func(s *Settings) { s.DDPlan, s.HiDM = GeneratedPlan, 100 },
		"lodm":       func(s *Settings) { s.DDPlan, s.LoDM = GeneratedPlan, 300 },
		"resolution": func(s *Settings) { s.DDPlan, s.Resolution = GeneratedPlan, 0.01 },
		"numsub":     func(s *Settings) { s.DDPlan, s.Numsub = GeneratedPlan, 16 },
		"subbands":   func(s *Settings) { s.DDPlan, s.UseSubbands = GeneratedPlan, false },
	} {
		s := Defaults()
		change(&s)
		p, err := s.Plan("pdev", data)
		if err != nil {
			t.Fatal(err)
		}
		dms := p.DMs()
		switch base := plan.Mock(); {
		case p[0] == base[0],
			name == "hidm" && dms[len(dms)-1] > 120,
			name == "lodm" && dms[0] != 300,
			name == "resolution" && p[0].Downsample < 8,
			name == "numsub" && p[0].Subbands != 16,
			name == "subbands" && p[0].DMsPerPass != 64:
			t.Errorf("%s: the plan is %+v", name, p)
		}
	}
	if p, err := s.Plan("GUPPI", data); err != nil || p[0].DMStep <= 0.1 {
		t.Errorf("for another backend the plan is %+v, %v", p, err)
	}
}

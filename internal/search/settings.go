// Package search holds what the engines of the pulsar search share: their
// settings, by the names that the original pipeline gave them, and the file in
// which a job leaves them.
//
// The engines are in the packages below; what they have in common besides is
// there, too: dedispersion plans (plan), zaplists (zap), the significance of
// powers (sigma), sifting (sift), and the list of candidates (accelcands).
package search

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"longhaul/internal/search/plan"
	"longhaul/internal/search/sift"
)

// Settings are those of the section [searching] of the configuration. The
// names in the comments are the settings' names.
type Settings struct {
	UseSubbands      bool    // use_subbands: dedisperse in two stages
	FoldRawdata      bool    // fold_rawdata: fold from the data, not from subbands
	DatatypeFlag     string  // datatype_flag, for PRESTO's programs
	RfifindChunkTime float64 // rfifind_chunk_time, s

	SinglepulseThreshold float64 // singlepulse_threshold, sigma
	SinglepulsePlotSNR   float64 // singlepulse_plot_SNR, sigma
	SinglepulseMaxwidth  float64 // singlepulse_maxwidth, s

	ToPrepfoldSigma float64 // to_prepfold_sigma
	MaxCandsToFold  int     // max_cands_to_fold
	NumhitsToFold   int     // numhits_to_fold
	LowDMCutoff     float64 // low_DM_cutoff, pc/cm^3

	LoAccel Accel   // lo_accel_…
	HiAccel Accel   // hi_accel_…
	LowT    float64 // low_T_to_search, s

	SiftingSigmaThreshold float64 // sifting_sigma_threshold
	SiftingCPowThreshold  float64 // sifting_c_pow_threshold
	SiftingRErr           float64 // sifting_r_err, Fourier bins
	SiftingShortPeriod    float64 // sifting_short_period, s
	SiftingLongPeriod     float64 // sifting_long_period, s
	SiftingHarmPowCutoff  float64 // sifting_harm_pow_cutoff

	// DDPlan says where the dedispersion plan comes from: "survey" for PALFA's
	// own of the backend, and a generated one for other backends; "generated"
	// for that in any case. The others are what is asked of a generated plan,
	// by the names that the original's planner has for them.
	DDPlan     string  // ddplan
	LoDM       float64 // lodm, pc/cm^3
	HiDM       float64 // hidm, pc/cm^3
	Resolution float64 // resolution, acceptable smearing, s
	Numsub     int     // numsub
}

// Accel are the settings of one of the two acceleration searches.
type Accel struct {
	Numharm int     // …_numharm: harmonics that are summed at most; a power of two
	Sigma   float64 // …_sigma: least significance, with the trials counted
	Zmax    int     // …_zmax: largest drift of the highest harmonic, Fourier bins
	Flo     float64 // …_flo: lowest frequency of the highest harmonic, Hz
}

// The values of DDPlan.
const (
	SurveyPlan    = "survey"
	GeneratedPlan = "generated"
)

// Defaults are PALFA's.
func Defaults() Settings {
	return Settings{
		UseSubbands: true, FoldRawdata: true, DatatypeFlag: "-psrfits",
		RfifindChunkTime:     32768 * 0.000064,
		SinglepulseThreshold: 5, SinglepulsePlotSNR: 6, SinglepulseMaxwidth: 0.1,
		ToPrepfoldSigma: 6, MaxCandsToFold: 100, NumhitsToFold: 2, LowDMCutoff: 2,
		LoAccel: Accel{Numharm: 16, Sigma: 2, Zmax: 0, Flo: 2},
		HiAccel: Accel{Numharm: 8, Sigma: 3, Zmax: 50, Flo: 1},
		LowT:    20, SiftingSigmaThreshold: 5, SiftingCPowThreshold: 100, SiftingRErr: 1.1,
		SiftingShortPeriod: 0.0005, SiftingLongPeriod: 15, SiftingHarmPowCutoff: 8,
		DDPlan: SurveyPlan, LoDM: 0, HiDM: 1000, Resolution: 0.0001, Numsub: 96,
	}
}

// Sifting returns the settings of sifting.
func (s Settings) Sifting() sift.Options {
	return sift.Options{
		SigmaThreshold: s.SiftingSigmaThreshold, CPowThreshold: s.SiftingCPowThreshold, RErr: s.SiftingRErr,
		ShortPeriod: s.SiftingShortPeriod, LongPeriod: s.SiftingLongPeriod, HarmPowCutoff: s.SiftingHarmPowCutoff,
		NumHits: s.NumhitsToFold, LowDM: s.LowDMCutoff,
	}
}

// Plan makes the dedispersion plan for data of a backend.
func (s Settings) Plan(backend string, d plan.Data) (plan.Plan, error) {
	if p, ok := plan.ForBackend(backend); ok && s.DDPlan != GeneratedPlan {
		return p, nil
	}
	w := plan.Want{LoDM: s.LoDM, HiDM: s.HiDM, Resolution: s.Resolution, Subbands: s.Numsub}
	if !s.UseSubbands {
		w.Subbands = 0
	}
	return plan.Generate(d, w)
}

// Check returns everything that is wrong with the settings, each by its name.
func (s Settings) Check() error {
	var errs []error
	want := func(ok bool, name, rule string, value any) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s = %v: it must be %s", name, value, rule))
		}
	}
	positive := func(name string, x float64) { want(x > 0 && !math.IsInf(x, 1), name, "positive", x) }
	notNegative := func(name string, x float64) { want(x >= 0 && !math.IsInf(x, 1), name, "0 or more", x) }
	positive("rfifind_chunk_time", s.RfifindChunkTime)
	positive("singlepulse_threshold", s.SinglepulseThreshold)
	want(s.SinglepulsePlotSNR >= s.SinglepulseThreshold, "singlepulse_plot_SNR", "at least singlepulse_threshold", s.SinglepulsePlotSNR)
	positive("singlepulse_maxwidth", s.SinglepulseMaxwidth)
	positive("to_prepfold_sigma", s.ToPrepfoldSigma)
	want(s.MaxCandsToFold >= 0, "max_cands_to_fold", "0 or more", s.MaxCandsToFold)
	want(s.NumhitsToFold >= 1, "numhits_to_fold", "1 or more", s.NumhitsToFold)
	notNegative("low_DM_cutoff", s.LowDMCutoff)
	notNegative("low_T_to_search", s.LowT)
	positive("sifting_sigma_threshold", s.SiftingSigmaThreshold)
	notNegative("sifting_c_pow_threshold", s.SiftingCPowThreshold)
	positive("sifting_r_err", s.SiftingRErr)
	positive("sifting_short_period", s.SiftingShortPeriod)
	want(s.SiftingLongPeriod > s.SiftingShortPeriod, "sifting_long_period", "longer than sifting_short_period", s.SiftingLongPeriod)
	notNegative("sifting_harm_pow_cutoff", s.SiftingHarmPowCutoff)
	for prefix, a := range map[string]Accel{"lo_accel_": s.LoAccel, "hi_accel_": s.HiAccel} {
		want(a.Numharm >= 1 && a.Numharm <= 32 && a.Numharm&(a.Numharm-1) == 0, prefix+"numharm", "1, 2, 4, 8, 16 or 32", a.Numharm)
		want(a.Zmax >= 0 && a.Zmax <= 1200, prefix+"zmax", "from 0 to 1200", a.Zmax)
		positive(prefix+"sigma", a.Sigma)
		positive(prefix+"flo", a.Flo)
	}
	want(s.LoAccel.Zmax < s.HiAccel.Zmax, "hi_accel_zmax", "above lo_accel_zmax: they name the two searches' files", s.HiAccel.Zmax)
	want(s.DDPlan == SurveyPlan || s.DDPlan == GeneratedPlan, "ddplan", `"survey" or "generated"`, s.DDPlan)
	want(s.LoDM >= 0 && s.HiDM > s.LoDM && s.HiDM <= 1e5, "hidm", "above lodm, and that not negative", s.HiDM)
	notNegative("resolution", s.Resolution)
	want(s.Numsub >= 1, "numsub", "1 or more", s.Numsub)
	return errors.Join(errs...)
}

// Params is the text of search_params.txt, in which a job leaves its settings:
// lines of Python, as the original's uploader wants them.
func (s Settings) Params(engine string) string {
	var b strings.Builder
	for _, p := range []struct {
		name  string
		value any
	}{
		{"use_subbands", s.UseSubbands},
		{"fold_rawdata", s.FoldRawdata},
		{"datatype_flag", s.DatatypeFlag},
		{"rfifind_chunk_time", s.RfifindChunkTime},
		{"singlepulse_threshold", s.SinglepulseThreshold},
		{"singlepulse_plot_SNR", s.SinglepulsePlotSNR},
		{"singlepulse_maxwidth", s.SinglepulseMaxwidth},
		{"to_prepfold_sigma", s.ToPrepfoldSigma},
		{"max_cands_to_fold", s.MaxCandsToFold},
		{"numhits_to_fold", s.NumhitsToFold},
		{"low_DM_cutoff", s.LowDMCutoff},
		{"lo_accel_numharm", s.LoAccel.Numharm},
		{"lo_accel_sigma", s.LoAccel.Sigma},
		{"lo_accel_zmax", s.LoAccel.Zmax},
		{"lo_accel_flo", s.LoAccel.Flo},
		{"hi_accel_numharm", s.HiAccel.Numharm},
		{"hi_accel_sigma", s.HiAccel.Sigma},
		{"hi_accel_zmax", s.HiAccel.Zmax},
		{"hi_accel_flo", s.HiAccel.Flo},
		{"low_T_to_search", s.LowT},
		{"sifting_sigma_threshold", s.SiftingSigmaThreshold},
		{"sifting_c_pow_threshold", s.SiftingCPowThreshold},
		{"sifting_r_err", s.SiftingRErr},
		{"sifting_short_period", s.SiftingShortPeriod},
		{"sifting_long_period", s.SiftingLongPeriod},
		{"sifting_harm_pow_cutoff", s.SiftingHarmPowCutoff},
		{"ddplan", s.DDPlan},
		{"lodm", s.LoDM},
		{"hidm", s.HiDM},
		{"resolution", s.Resolution},
		{"numsub", s.Numsub},
		{"engine", engine},
	} {
		fmt.Fprintf(&b, "%-25s = %s\n", p.name, python(p.value))
	}
	return b.String()
}

// python writes a value as Python's repr does.
func python(v any) string {
	switch x := v.(type) {
	case bool:
		if x {
			return "True"
		}
		return "False"
	case float64:
		s := strconv.FormatFloat(x, 'g', -1, 64)
		if !strings.ContainsAny(s, ".e") {
			s += ".0"
		}
		return s
	case string:
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`).Replace(x) + "'"
	}
	return fmt.Sprint(v)
}

package sift

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"longhaul/internal/search/accelcands"
)

// Options are the settings of sifting, by the names that they have in the
// configuration.
type Options struct {
	SigmaThreshold float64 // sifting_sigma_threshold
	CPowThreshold  float64 // sifting_c_pow_threshold; saves candidates of one harmonic
	RErr           float64 // sifting_r_err, Fourier bins
	ShortPeriod    float64 // sifting_short_period, s
	LongPeriod     float64 // sifting_long_period, s
	HarmPowCutoff  float64 // sifting_harm_pow_cutoff
	NumHits        int     // numhits_to_fold
	LowDM          float64 // low_DM_cutoff
}

// Rejected counts what was sifted out, by the reason.
type Rejected struct {
	LongPeriod, ShortPeriod, Threshold, HarmPower, RogueHarmonic int
	Duplicate                                                    int // became hits of others
	FewHits, LowDM, Gaps                                         int
	Harmonic                                                     int
}

// Sift returns the candidates worth folding, the most significant first. low
// and high are those of the two searches; dms are all DMs that were searched.
func Sift(low, high []Candidate, dms []float64, o Options) ([]accelcands.Candidate, Rejected) {
	s := sifter{Options: o, order: orderOf(dms)}
	all := slices.Concat(s.one(low), s.one(high))
	all = s.withoutHarmonics(all)
	var list []accelcands.Candidate
	for _, m := range all {
		list = append(list, m.listed())
	}
	return list, s.out
}

type sifter struct {
	Options
	order map[string]int // of the DMs, by their names
	out   Rejected
}

// orderOf numbers the DMs. They are told apart by two decimals, as in names.
func orderOf(dms []float64) map[string]int {
	order := make(map[string]int)
	for _, dm := range slices.Sorted(slices.Values(dms)) {
		if name := dmName(dm); !has(order, name) {
			order[name] = len(order)
		}
	}
	return order
}

func has(m map[string]int, key string) bool { _, ok := m[key]; return ok }

func dmName(dm float64) string { return fmt.Sprintf("%.2f", dm) }

// one sifts what one of the searches found.
func (s *sifter) one(found []Candidate) []*merged {
	var all []*merged
	for _, c := range found {
		if s.plausible(c) {
			all = append(all, newMerged(c))
		}
	}
	return s.withoutDMProblems(s.withoutDuplicates(all))
}

// plausible says whether a candidate passes on its own, and counts it if not.
func (s *sifter) plausible(c Candidate) bool {
	strongest := 0
	for i, p := range c.Powers {
		if p > c.Powers[strongest] {
			strongest = i
		}
	}
	n := len(c.Powers)
	switch {
	case n == 0 || c.Period() > s.LongPeriod:
		s.out.LongPeriod++
	case c.Period() < s.ShortPeriod:
		s.out.ShortPeriod++
	case c.Sigma() < s.SigmaThreshold && (n > 1 || c.CPow < s.CPowThreshold):
		s.out.Threshold++
	case c.Powers[strongest] < s.HarmPowCutoff:
		s.out.HarmPower++
	case rogue(c.Powers, strongest):
		s.out.RogueHarmonic++
	default:
		return true
	}
	return false
}

// rogue says whether one high harmonic outshines all others, as interference
// does that happens to be a multiple of something.
func rogue(powers []float64, strongest int) bool {
	n := len(powers)
	if n < 4 {
		return false
	}
	second := slices.Sorted(slices.Values(powers))[n-2]
	p := powers[strongest]
	return n >= 8 && strongest > 4 && p > 2*second || strongest > 2 && p > 3*second
}

func bySigma(a, b *merged) int { return cmp.Compare(b.sigma, a.sigma) }

// withoutDuplicates makes one of candidates that are closer than r_err to each
// other: the most significant, with the hits of all.
func (s *sifter) withoutDuplicates(all []*merged) []*merged {
	slices.SortStableFunc(all, func(a, b *merged) int { return cmp.Compare(a.R, b.R) })
	var kept []*merged
	for len(all) > 0 {
		first, n := all[0], 1
		for n < len(all) && math.Abs(first.R-all[n].R) < s.RErr {
			n++
		}
		if n == 1 {
			kept, all = append(kept, first), all[1:]
			continue
		}
		best := 0
		for i, m := range all[:n] {
			if m.sigma > all[best].sigma {
				best = i
			}
		}
		for i := n - 1; i >= 0; i-- {
			if i != best {
				all[best].hits = append(all[best].hits, all[i].hits...)
				s.out.Duplicate++
			}
		}
		// The best may be near still others: it is looked at again.
		all[n-1] = all[best]
		all = all[n-1:]
	}
	slices.SortStableFunc(kept, bySigma)
	return kept
}

// withoutDMProblems drops what does not look dispersed.
func (s *sifter) withoutDMProblems(all []*merged) []*merged {
	return slices.DeleteFunc(all, func(m *merged) bool {
		best := slices.MaxFunc(m.hits, func(a, b accelcands.Hit) int { return cmp.Compare(a.Sigma, b.Sigma) })
		slices.SortStableFunc(m.hits, func(a, b accelcands.Hit) int { return cmp.Compare(a.DM, b.DM) })
		switch {
		case len(m.hits) < s.NumHits:
			s.out.FewHits++
		case best.DM <= s.LowDM:
			s.out.LowDM++
		case s.gaps(m.hits):
			s.out.Gaps++
		default:
			return false
		}
		return true
	})
}

// gaps says whether no two of the hits, which are sorted, are at successive DMs.
func (s *sifter) gaps(hits []accelcands.Hit) bool {
	for i := 1; i < len(hits); i++ {
		if s.order[dmName(hits[i].DM)]-s.order[dmName(hits[i-1].DM)] <= 1 {
			return false
		}
	}
	return len(hits) > 1
}

// withoutHarmonics drops what is a harmonic of something more significant. The
// tolerance is that of the most significant candidate's series.
func (s *sifter) withoutHarmonics(all []*merged) []*merged {
	order := func(a, b *merged) int { return cmp.Or(bySigma(a, b), cmp.Compare(b.ipow, a.ipow)) }
	slices.SortStableFunc(all, order)
	if len(all) == 0 {
		return nil
	}
	tolerance := s.RErr / all[0].Seconds
	var kept []*merged
	for _, m := range all {
		if slices.ContainsFunc(kept, func(k *merged) bool {
			return harmonic(k.Frequency(), m.Frequency(), tolerance)
		}) {
			s.out.Harmonic++
			continue
		}
		kept = append(kept, m)
	}
	return kept
}

// harmonic says whether f is fundamental times or over 1 to 16, or in one of a
// few other common ratios to it, within a tolerance, Hz, of the higher.
func harmonic(fundamental, f, tolerance float64) bool {
	near := func(factor float64) bool { return math.Abs(fundamental-f*factor) < tolerance*factor }
	for n := 1.0; n <= 16; n++ {
		if near(n) || near(1/n) {
			return true
		}
	}
	for _, r := range [][2]float64{{3, 2}, {5, 2}, {2, 3}, {4, 3}, {5, 3}, {3, 4}, {5, 4}, {2, 5}, {3, 5}, {4, 5}} {
		if near(r[0] / r[1]) {
			return true
		}
	}
	return false
}

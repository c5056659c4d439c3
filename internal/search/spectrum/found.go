package spectrum

import (
	"cmp"
	"math"
	"slices"
)

// Found is a periodic signal that a search found.
type Found struct {
	R         float64   // frequency of the fundamental, bins
	Z         float64   // its drift, bins
	Harmonics int       // that were summed
	Power     float64   // their sum, as it was found
	Sigma     float64   // its significance, with all trials
	Powers    []float64 // of each harmonic, after polishing, in units of the local level
	CPow      float64   // power of the harmonics added up by phase
	stretch   float64   // Z/R
}

// closest is how many bins apart two candidates of one search are at least.
const closest = 15

// collection keeps the most significant of what is close together, in rising
// frequency.
type collection struct{ all []Found }

// add takes a candidate unless there is a better one close to it, and drops
// what is close and worse.
func (c *collection) add(f Found) {
	at, _ := slices.BinarySearchFunc(c.all, f.R, func(x Found, r float64) int { return cmp.Compare(x.R, r) })
	lo, hi := at, at
	for lo > 0 && f.R-c.all[lo-1].R < closest {
		lo--
	}
	for hi < len(c.all) && c.all[hi].R-f.R < closest {
		hi++
	}
	for _, near := range c.all[lo:hi] {
		if near.Sigma >= f.Sigma {
			return
		}
	}
	c.all = slices.Replace(c.all, lo, hi, f)
}

// best returns the collection, the most significant first, without what is in
// a simple ratio to something more significant.
func (c *collection) best() []Found {
	all := slices.Clone(c.all)
	slices.SortStableFunc(all, func(a, b Found) int { return cmp.Or(cmp.Compare(b.Sigma, a.Sigma), cmp.Compare(b.Power, a.Power)) })
	var kept []Found
	for _, f := range all {
		if !slices.ContainsFunc(kept, func(k Found) bool { return related(k.R, f.R) }) {
			kept = append(kept, f)
		}
	}
	return kept
}

// related says whether a frequency is within 1.5 bins of a simple ratio to a
// more significant one: the ratios are those of PRESTO's accelsearch.
func related(r, other float64) bool {
	const tolerance = 1.5
	near := func(x float64) bool { return math.Abs(x-other) < tolerance }
	for n := 1.0; n <= 16; n++ {
		if near(r/n) || near(r*n) {
			return true
		}
	}
	for _, q := range [][2]float64{
		{3, 2}, {5, 2}, {2, 3}, {4, 3}, {5, 3}, {3, 4}, {5, 4}, {2, 5}, {3, 5}, {4, 5}, {5, 6}, {2, 7},
		{3, 7}, {4, 7}, {3, 8}, {5, 8}, {2, 9}, {3, 10}, {2, 11}, {3, 11}, {2, 13}, {3, 13}, {2, 15},
	} {
		if near(r * q[0] / q[1]) {
			return true
		}
	}
	return false
}

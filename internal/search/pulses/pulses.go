// Package pulses searches dedispersed time series for single pulses, as
// PRESTO's single_pulse_search.py does: it takes out slow changes, divides by
// the noise, averages with boxcars of growing widths, takes what stands out,
// and keeps of what belongs together the most significant.
//
// How the pulses are shown is the business of package draw.
package pulses

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Event is a single pulse in the series of one DM.
type Event struct {
	DM       float64
	Sigma    float64
	Time     float64 // s from the beginning of the series
	Sample   int
	Downfact int // width of the boxcar, samples
}

// Widths are those of the boxcars, samples.
func Widths() []int { return []int{1, 2, 3, 4, 6, 9, 14, 20, 30, 45, 70, 100, 150} }

// Options are the settings of the search.
type Options struct {
	Threshold float64 // singlepulse_threshold, sigma
	MaxWidth  float64 // singlepulse_maxwidth, s
}

// detrendLength is the length of the pieces of which the trend and the noise
// are determined, samples.
const detrendLength = 1000

// Searcher searches series, one after the other, in the same memory: twice
// that of a series. Each worker has its own.
type Searcher struct {
	flat []float32
	sums []float64
}

// Search looks for pulses in a series of samples of a length, s. The events are
// in the order of time.
func (s *Searcher) Search(series []float32, dm, sample float64, o Options) []Event {
	s.flat = append(s.flat[:0], series...)
	if !flatten(s.flat) {
		return nil
	}
	s.sums = append(s.sums[:0], 0)
	total := 0.0
	for _, v := range s.flat {
		total += float64(v)
		s.sums = append(s.sums, total)
	}
	var all []Event
	widest := max(int(o.MaxWidth/sample), 1)
	for _, w := range Widths() {
		if w <= widest && w < len(series) {
			all = append(all, s.boxcar(w, dm, sample, o.Threshold)...)
		}
	}
	slices.SortStableFunc(all, func(a, b Event) int { return cmp.Compare(a.Sample, b.Sample) })
	return prune(all, func(a, b Event) int { return max(a.Downfact/2, b.Downfact/2, 1) }, Widths()[len(Widths())-1]/2)
}

// boxcar returns where the average over w samples is above the threshold, in
// units of its noise.
func (s *Searcher) boxcar(w int, dm, sample, threshold float64) []Event {
	var all []Event
	norm := 1 / math.Sqrt(float64(w))
	for i := 0; i+w < len(s.sums); i++ {
		if x := (s.sums[i+w] - s.sums[i]) * norm; x > threshold {
			at := i + w/2
			all = append(all, Event{dm, x, float64(at) * sample, at, w})
		}
	}
	return prune(all, func(Event, Event) int { return w / 2 }, w/2)
}

// prune keeps, of events that are closer to each other than near says, the more
// significant. They are in the order of time; none further apart than most are near.
func prune(all []Event, near func(a, b Event) int, most int) []Event {
	drop := make([]bool, len(all))
	for i := range all {
		for j := i + 1; j < len(all) && !drop[i]; j++ {
			apart := all[j].Sample - all[i].Sample
			if apart > most {
				break
			}
			if drop[j] || apart > near(all[i], all[j]) {
				continue
			}
			if all[i].Sigma > all[j].Sigma {
				drop[j] = true
			} else {
				drop[i] = true
			}
		}
	}
	kept := all[:0]
	for i, e := range all {
		if !drop[i] {
			kept = append(kept, e)
		}
	}
	return kept
}

// flatten takes a straight line out of each piece of a series and divides it by
// the piece's noise. Pieces whose noise is far from that of the others (padding,
// bursts of interference) become zero. It reports false for a series without noise.
func flatten(x []float32) bool {
	var noise []float64
	for at := 0; at < len(x); at += detrendLength {
		piece := x[at:min(at+detrendLength, len(x))]
		detrend(piece)
		noise = append(noise, middleDeviation(piece))
	}
	positive := slices.DeleteFunc(slices.Clone(noise), func(v float64) bool { return v == 0 })
	if len(positive) == 0 {
		return false
	}
	slices.Sort(positive)
	typical := positive[len(positive)/2]
	low, high := typical/2, 2*typical
	for i, std := range noise {
		piece := x[i*detrendLength : min((i+1)*detrendLength, len(x))]
		if std < low || std > high || len(piece) < detrendLength/10 {
			clear(piece)
			continue
		}
		for k := range piece {
			piece[k] = float32(float64(piece[k]) / std)
		}
	}
	return true
}

// detrend takes the straight line of least squares out.
func detrend(x []float32) {
	n := float64(len(x))
	mid := (n - 1) / 2
	sum, slope := 0.0, 0.0
	for i, v := range x {
		sum += float64(v)
		slope += float64(v) * (float64(i) - mid)
	}
	mean := sum / n
	slope /= max(n*(n*n-1)/12, 1)
	for i := range x {
		x[i] -= float32(mean + slope*(float64(i)-mid))
	}
}

// middleDeviation is the standard deviation that follows from the middle 95 %
// of the values, so that pulses do not count: 1.148 is what a Gaussian misses.
func middleDeviation(x []float32) float64 {
	s := slices.Sorted(slices.Values(x))
	cut := len(s) / 40
	s = s[cut : len(s)-cut]
	sum := 0.0
	for _, v := range s {
		sum += float64(v) * float64(v)
	}
	return 1.148 * math.Sqrt(sum/float64(max(len(s), 1)))
}

// Format writes events the way a .singlepulse file has them; none make an
// empty file.
func Format(events []Event) string {
	if len(events) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("# DM      Sigma      Time (s)     Sample    Downfact\n")
	for _, e := range events {
		fmt.Fprintf(&b, "%7.2f %7.2f %13.6f %10d     %3d\n", e.DM, e.Sigma, e.Time, e.Sample, e.Downfact)
	}
	return b.String()
}

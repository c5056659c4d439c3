package draw

import (
	"fmt"
	"math"
	"slices"

	"longhaul/internal/search/pulses"
)

// Pulses draws the single pulses of a range of DMs that are at least as
// significant as the threshold: how many there are of each significance and at
// each DM, their significance against DM, and DM against time. dms are those
// that were searched in the range, seconds is the length of the observation.
func Pulses(o Observation, events []pulses.Event, dms []float64, threshold, seconds float64) ([]byte, error) {
	p := newPage(8.5, 10.5)
	dms = slices.Sorted(slices.Values(dms))
	most := threshold + 1
	for _, e := range events {
		most = max(most, e.Sigma)
	}
	most = math.Ceil(most) + 1
	low, high := 0.0, 1.0
	if len(dms) > 0 {
		low, high = dms[0], dms[len(dms)-1]
	}
	margin := max((high-low)/60, 0.5)
	low, high = low-margin, high+margin

	bySigma(p, events, threshold, most)
	byDM(p, events, dms, low, high)
	q := p.panel(0.74, 0.58, 0.965, 0.85).span(low, high, threshold, most)
	for _, e := range events {
		q.circle(e.DM, e.Sigma, 0.8)
	}
	q.bottom("DM (pc/cm³)")
	q.side("Signal-to-Noise", false)

	q = p.panel(0.085, 0.075, 0.965, 0.51).span(0, seconds, low, high)
	for _, e := range events {
		// The circle grows with the significance, up to 15.
		q.circle(e.Time, e.DM, 0.8+3.4*min((e.Sigma-threshold)/max(15-threshold, 1), 1))
	}
	q.bottom("Time (s)")
	q.side("DM (pc/cm³)", false)

	p.write(0.5, 0.972, titleSize, centre, "Single pulse results for '"+o.File+"'")
	for i, line := range [][3]string{
		{"Source: " + o.Source, "RA (J2000): " + o.RA, fmt.Sprintf("N samples: %d", o.Spectra)},
		{"Telescope: " + o.Telescope, "Dec (J2000): " + o.Dec, fmt.Sprintf("Sampling time: %.2f µs", o.SampleTime*1e6)},
		{"Instrument: " + o.Backend, fmt.Sprintf("MJD (topo): %.8f", o.MJD), fmt.Sprintf("Centre frequency: %.1f MHz", o.CenterFreq)},
	} {
		for k, s := range line {
			p.write(0.085+0.32*float64(k), 0.942-0.021*float64(i), textSize, left, s)
		}
	}
	return p.png()
}

// bySigma counts the pulses of each significance, on a logarithmic axis.
func bySigma(p *page, events []pulses.Event, threshold, most float64) {
	n := max(int(most-threshold), 1)
	edges, counts := make([]float64, n+1), make([]float64, n)
	for i := range edges {
		edges[i] = threshold + float64(i)
	}
	for _, e := range events {
		counts[min(max(int(e.Sigma-threshold), 0), n-1)]++
	}
	top := max(2*slices.Max(counts), 10)
	for i, c := range counts {
		counts[i] = math.Log10(max(c, 0.01))
	}
	q := p.panel(0.085, 0.58, 0.31, 0.85).span(threshold, most, math.Log10(0.5), math.Log10(top))
	q.bars(edges, counts)
	q.bottom("Signal-to-Noise")
	q.side("log10 (Number of Pulses)", false)
}

// byDM counts the pulses at each DM.
func byDM(p *page, events []pulses.Event, dms []float64, low, high float64) {
	counts := make([]float64, len(dms))
	for _, e := range events {
		i, _ := slices.BinarySearch(dms, e.DM)
		if i < len(dms) {
			counts[i]++
		}
	}
	edges := make([]float64, len(dms)+1)
	for i := range edges {
		switch {
		case len(dms) == 0:
		case i == 0:
			edges[i] = dms[0]
		case i == len(dms):
			edges[i] = dms[len(dms)-1]
		default:
			edges[i] = (dms[i-1] + dms[i]) / 2
		}
	}
	top := 1.0
	if len(counts) > 0 {
		top = max(1.1*slices.Max(counts), 1)
	}
	q := p.panel(0.405, 0.58, 0.63, 0.85).span(low, high, 0, top)
	q.bars(edges, counts)
	q.bottom("DM (pc/cm³)")
	q.side("Number of Pulses", false)
}

package draw

import (
	"fmt"
	"math"
	"slices"

	"longhaul/internal/search/rfi"
)

// Mask draws what was found of interference: the largest power, the standard
// deviation and the mean of each channel in each interval, and what is masked.
func Mask(o Observation, m *rfi.Mask) ([]byte, error) {
	p := newPage(11, 8.5)
	n := m.Channels
	low, high := m.Freqs[0], m.Freqs[n-1]
	if n > 1 {
		half := (high - low) / float64(n-1) / 2
		low, high = low-half, high+half
	}
	seconds := m.Seconds * float64(m.Intervals)
	masked := make([][]float64, m.Intervals)
	for i, row := range m.Bad {
		masked[i] = make([]float64, n)
		for c, bad := range row {
			if bad {
				masked[i][c] = 1
			}
		}
	}
	for k, part := range []struct {
		title string
		rows  [][]float64
	}{
		{"Max Power (log)", mapped(m.Power, func(v float64) float64 { return math.Log(max(v, 1)) })},
		{"Data σ", standing(m.Std)},
		{"Data Mean", standing(m.Mean)},
		{fmt.Sprintf("Mask: %.3f %%", m.Percent()), masked},
	} {
		x := 0.065 + 0.235*float64(k)
		q := p.panel(x, 0.11, x+0.205, 0.84).span(low, high, 0, seconds)
		q.picture(part.rows)
		q.bottom("Frequency (MHz)")
		if k == 0 {
			q.side("Time (s)", false)
		} else {
			q.frame()
		}
		p.write(x+0.1025, 0.865, labelSize, centre, part.title)
	}
	p.write(0.5, 0.965, titleSize, centre, "Interference in '"+o.File+"'")
	p.write(0.5, 0.925, textSize, centre, fmt.Sprintf("%s, MJD %.5f; %d intervals of %.3f s, %d channels", o.Source, o.MJD, m.Intervals, m.Seconds, m.Channels))
	return p.png()
}

func mapped(rows [][]float64, f func(float64) float64) [][]float64 {
	out := make([][]float64, len(rows))
	for i, row := range rows {
		for _, v := range row {
			out[i] = append(out[i], f(v))
		}
	}
	return out
}

// standing returns by how much values are above or below the median of their
// column, in units of all columns' typical distance, up to ten: on its own
// scale, the bandpass would hide everything else.
func standing(rows [][]float64) [][]float64 {
	out := mapped(rows, func(v float64) float64 { return v })
	if len(rows) == 0 {
		return out
	}
	var distances []float64
	column := make([]float64, len(rows))
	for c := range rows[0] {
		for i := range rows {
			column[i] = rows[i][c]
		}
		slices.Sort(column)
		middle := column[len(column)/2]
		for i := range rows {
			out[i][c] -= middle
			distances = append(distances, math.Abs(out[i][c]))
		}
	}
	slices.Sort(distances)
	typical := max(distances[len(distances)/2], 1e-30)
	return mapped(out, func(v float64) float64 { return min(max(v/typical, -10), 10) })
}

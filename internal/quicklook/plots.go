package quicklook

import (
	"fmt"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// bandpassPlot shows the mean of each channel with its RMS, and below the RMS
// alone, on a scale on which one can see it.
func bandpassPlot(l *look) ([]byte, error) {
	top := newPlot(l.title("Bandpass"), "", "Intensity (units of the data)")
	bottom := newPlot("", "Frequency (MHz)", "RMS (units of the data)")
	n := len(l.channels)
	mean, rms := make(plotter.XYs, n), make(plotter.XYs, n)
	upper, lower := make(plotter.XYs, n), make(plotter.XYs, n)
	for i, c := range l.channels {
		mean[i], rms[i] = plotter.XY{X: c.freq, Y: c.mean}, plotter.XY{X: c.freq, Y: c.rms}
		upper[i], lower[i] = plotter.XY{X: c.freq, Y: c.mean + c.rms}, plotter.XY{X: c.freq, Y: c.mean - c.rms}
	}
	spread, middle := area(upper, lower, paleBlue), line(mean, blue, 1.2)
	top.Add(spread, grid(), middle)
	bottom.Add(grid(), line(rms, blue, 1.2))
	top.Legend.Add("mean", middle)
	top.Legend.Add("mean ± RMS", spread)
	l.markChannels(top, channelMean, true)
	l.markChannels(bottom, channelRMS, false)
	for _, p := range []*plot.Plot{top, bottom} {
		p.X.Min, p.X.Max = l.channels[0].freq-l.step()/2, l.channels[n-1].freq+l.step()/2
		widen(&p.Y)
	}
	top.Y.Max += (top.Y.Max - top.Y.Min) / 4 // for the legend
	return encode(func(c draw.Canvas) {
		tiles := draw.Tiles{Rows: 2, Cols: 1, PadY: vg.Points(2)}
		plots := [][]*plot.Plot{{top}, {bottom}}
		for r, canvas := range plot.Align(plots, tiles, c) {
			plots[r][0].Draw(canvas[0])
		}
	})
}

// markChannels marks the channels that are not good.
func (l *look) markChannels(p *plot.Plot, y func(channel) float64, legend bool) {
	for _, kind := range []struct {
		state state
		mark  *plotter.Scatter
	}{
		{outlying, marks(nil, vermilion, draw.CircleGlyph{})},
		{dead, marks(nil, grey, draw.CrossGlyph{})},
	} {
		for _, c := range l.channels {
			if c.state == kind.state {
				kind.mark.XYs = append(kind.mark.XYs, plotter.XY{X: c.freq, Y: y(c)})
			}
		}
		if len(kind.mark.XYs) == 0 {
			continue
		}
		p.Add(kind.mark)
		if legend {
			p.Legend.Add(fmt.Sprintf("%s (%d of %d)", kind.state, len(kind.mark.XYs), len(l.channels)), kind.mark)
		}
	}
}

// step is the distance between channels for margins, MHz; never 0.
func (l *look) step() float64 {
	if w := l.header.ChannelWidth / 1000; w > 0 {
		return w
	}
	return 1
}

// widen leaves a twentieth of room above and below, and some where all values
// are equal.
func widen(a *plot.Axis) {
	room := (a.Max - a.Min) / 20
	if room == 0 {
		room = 0.5
	}
	a.Min, a.Max = a.Min-room, a.Max+room
}

// powerPlot shows the total power: the mean of short times, and between which
// values it was in them.
func powerPlot(l *look) ([]byte, error) {
	s := l.sums
	p := newPlot(l.title("Total power"), "Time since start (s)", "Mean intensity of all channels (units of the data)")
	n := len(s.series)
	mean, upper, lower := make(plotter.XYs, n), make(plotter.XYs, n), make(plotter.XYs, n)
	for i, b := range s.series {
		t := (float64(i) + 0.5) * float64(s.perBin) * l.header.SampleTime / 1e6
		mean[i], upper[i], lower[i] = plotter.XY{X: t, Y: b.mean}, plotter.XY{X: t, Y: b.max}, plotter.XY{X: t, Y: b.min}
	}
	extremes, middle := area(upper, lower, paleBlue), line(mean, blue, 1)
	p.Add(extremes, grid(), line(upper, midBlue, 0.5), line(lower, midBlue, 0.5), middle)
	p.Legend.Add(fmt.Sprintf("mean of %.3g ms", float64(s.perBin)*l.header.SampleTime/1000), middle)
	p.Legend.Add("lowest to highest in it", extremes)
	p.Legend.Add(fmt.Sprintf("mean %.6g, RMS %.3g", s.power.mean, s.power.rms()))
	p.Legend.Add(fmt.Sprintf("skewness %.2g, excess kurtosis %.2g", s.power.skewness(), s.power.kurtosis()))
	p.Legend.Add(fmt.Sprintf("largest excursion %.1f RMS", s.power.excursion()))
	p.X.Min, p.X.Max = 0, l.header.ObservationTime
	widen(&p.Y)
	p.Y.Max += (p.Y.Max - p.Y.Min) / 4 // for the legend
	return encode(func(c draw.Canvas) { p.Draw(c) })
}

package quicklook

import (
	"image"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/palette"
	"gonum.org/v1/plot/palette/moreland"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// contrast is how many robust standard deviations from the median the colours
// of the dynamic spectrum reach.
const contrast = 5

// spectrumPlot shows intensity against time and frequency. Each row of the
// picture is brought to its own median and scatter, so that the bandpass does
// not hide what changes; rows without scatter stay grey.
func spectrumPlot(l *look) ([]byte, error) {
	s := l.sums
	main := newPlot(l.title("Dynamic spectrum"), "Time since start (s)", "Frequency (MHz)")
	colours := moreland.SmoothBlueRed()
	colours.SetMin(-contrast)
	colours.SetMax(contrast)
	if len(s.picture) > 0 {
		seconds := float64(int64(len(s.picture))*s.perCell) * l.header.SampleTime / 1e6
		low, high := l.channels[0].freq-l.step()/2, l.channels[len(l.channels)-1].freq+l.step()/2
		main.Add(plotter.NewImage(paint(normalise(s.picture), colours), 0, low, seconds, high))
		main.X.Min, main.X.Max, main.Y.Min, main.Y.Max = 0, l.header.ObservationTime, low, high
	}
	// The bar has the title's and the labels' heights, too, which keeps it
	// level with the picture.
	bar := newPlot(" ", " ", "Distance from the channels' median (σ)")
	bar.Add(&plotter.ColorBar{ColorMap: colours, Vertical: true, Colors: 256})
	bar.X.Tick.Marker = plot.ConstantTicks{{Value: 0.5, Label: " "}}
	bar.X.Tick.Color = color.Transparent
	return encode(func(c draw.Canvas) {
		split := c.Max.X - vg.Points(62)
		left, right := c, c
		left.Max.X, right.Min.X = split-vg.Points(10), split
		main.Draw(left)
		bar.Draw(right)
	})
}

// normalise turns a picture's columns into distances from the median of each
// row, in units of its robust standard deviation. Rows without any are NaN.
func normalise(picture [][]float64) [][]float64 {
	out := make([][]float64, len(picture))
	for t := range picture {
		out[t] = make([]float64, len(picture[t]))
	}
	row, distance := make([]float64, len(picture)), make([]float64, len(picture))
	for r := range picture[0] {
		for t := range picture {
			row[t] = picture[t][r]
		}
		middle := median(row)
		for t, v := range row {
			distance[t] = math.Abs(v - middle)
		}
		sigma := 1.4826 * median(distance)
		for t, v := range row {
			out[t][r] = (v - middle) / sigma
			if sigma == 0 {
				out[t][r] = math.NaN()
			}
		}
	}
	return out
}

// paint makes an image of columns, the lowest frequency at the bottom. Each row
// is repeated, so that scaling the image does not blur channels into each other.
func paint(columns [][]float64, colours palette.ColorMap) image.Image {
	shades := colours.Palette(256).Colors()
	rows := len(columns[0])
	repeat := max(1, 600/rows)
	img := image.NewNRGBA(image.Rect(0, 0, len(columns), rows*repeat))
	for t, column := range columns {
		for r, v := range column {
			var c color.Color = grey
			if !math.IsNaN(v) {
				share := (v + contrast) / (2 * contrast)
				c = shades[int(math.Round(255*min(max(share, 0), 1)))]
			}
			for y := range repeat {
				img.Set(t, (rows-r)*repeat-1-y, c)
			}
		}
	}
	return img
}

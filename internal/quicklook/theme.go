package quicklook

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Pictures are 900 by 600 dots.
const (
	dotsPerInch = 100
	width       = 9 * vg.Inch
	height      = 6 * vg.Inch
)

// The colours are those of Okabe and Ito, which colour-blind people can tell
// apart, and shades of them.
const (
	ink       rgb = 0x333333
	faint     rgb = 0xdddddd
	grey      rgb = 0x999999
	blue      rgb = 0x0072b2
	midBlue   rgb = 0x7fb8d8
	paleBlue  rgb = 0xb5d6ea
	vermilion rgb = 0xd55e00
)

// rgb is an opaque colour, a byte each for red, green and blue.
type rgb uint32

// RGBA makes it a color.Color.
func (c rgb) RGBA() (r, g, b, a uint32) {
	return uint32(c>>16&0xff) * 0x101, uint32(c>>8&0xff) * 0x101, uint32(c&0xff) * 0x101, 0xffff
}

// newPlot is an empty plot in the style that all have.
func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.Padding = vg.Points(6)
	sans(&p.Title.TextStyle.Font, 12)
	p.Title.TextStyle.Color = ink
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		sans(&axis.Label.TextStyle.Font, 10)
		sans(&axis.Tick.Label.Font, 9)
		axis.Label.Padding = vg.Points(4)
		axis.Padding = 0
		axis.Tick.Marker = plot.TickerFunc(ticks)
		axis.Color, axis.Tick.Color = ink, ink
		axis.Label.TextStyle.Color, axis.Tick.Label.Color = ink, ink
	}
	sans(&p.Legend.TextStyle.Font, 9)
	p.Legend.TextStyle.Color = ink
	p.Legend.Top = true
	p.Legend.Padding = vg.Points(3)
	return p
}

// ticks marks about six round numbers with labels, and four between each two.
func ticks(low, high float64) []plot.Tick {
	span := high - low
	if !(span > 0) || math.IsInf(span, 0) {
		return []plot.Tick{{Value: low, Label: strconv.FormatFloat(low, 'g', 6, 64)}}
	}
	power := math.Floor(math.Log10(span / 6))
	step := math.Pow(10, power)
	for _, f := range []float64{2, 5, 10} {
		if span/step > 8 {
			step = f * math.Pow(10, power)
		}
	}
	decimals := max(0, int(-math.Floor(math.Log10(step)*(1+1e-12))))
	var all []plot.Tick
	for i := math.Ceil(low / step * 5); i*step/5 <= high && len(all) < 100; i++ {
		t := plot.Tick{Value: i * step / 5}
		if math.Mod(i, 5) == 0 {
			t.Label = strconv.FormatFloat(t.Value+0, 'f', decimals, 64)
		}
		all = append(all, t)
	}
	return all
}

// sans makes a font the sans-serif of the library's own collection, so that a
// picture does not depend on what is installed.
func sans(f *font.Font, points float64) {
	f.Typeface, f.Variant, f.Size = "Liberation", "Sans", vg.Points(points)
}

// grid is the grid behind a plot.
func grid() *plotter.Grid {
	g := plotter.NewGrid()
	g.Vertical.Color, g.Horizontal.Color = faint, faint
	return g
}

// line is a line of a colour.
func line(xy plotter.XYs, c color.Color, points float64) *plotter.Line {
	return &plotter.Line{XYs: xy, LineStyle: draw.LineStyle{Color: c, Width: vg.Points(points)}}
}

// area is what lies between two lines of equal length.
func area(upper, lower plotter.XYs, c color.Color) *plotter.Polygon {
	ring := append(plotter.XYs{}, upper...)
	for i := len(lower) - 1; i >= 0; i-- {
		ring = append(ring, lower[i])
	}
	return &plotter.Polygon{XYs: []plotter.XYs{ring}, Color: c}
}

// marks are points of a shape.
func marks(xy plotter.XYs, c color.Color, shape draw.GlyphDrawer) *plotter.Scatter {
	return &plotter.Scatter{XYs: xy, GlyphStyle: draw.GlyphStyle{Color: c, Radius: vg.Points(3.5), Shape: shape}}
}

// title names a plot and the observation.
func (l *look) title(what string) string {
	h := l.header
	return fmt.Sprintf("%s: %s  %s  beam %d  scan %s  MJD %.5f", what, h.ProjectID, h.SourceName, h.BeamID, h.ScanNum, h.TimestampMJD)
}

// encode draws a picture and returns it as PNG.
func encode(paint func(draw.Canvas)) ([]byte, error) {
	c := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(dotsPerInch), vgimg.UseBackgroundColor(color.White))
	margin := vg.Points(8)
	paint(draw.Crop(draw.New(c), margin, -margin, margin, -margin))
	var b bytes.Buffer
	_, err := vgimg.PngCanvas{Canvas: c}.WriteTo(&b)
	return b.Bytes(), err
}

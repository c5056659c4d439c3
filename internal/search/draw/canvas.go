// Package draw makes the pictures of a search: a folded candidate, the single
// pulses of a range of DMs, the mask of interference. They show the same, at
// the same places, as the pictures that PRESTO's programs make, so that who
// knows those is at home.
//
// What is in a picture is found out by packages fold, pulses and rfi.
package draw

import (
	"bytes"
	"image"
	"image/color"
	imagedraw "image/draw"
	"image/png"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

const dotsPerInch = 120

// The colours: black ink on white, and shades of it.

const (
	ink   shade = 0x18
	soft  shade = 0x90
	faint shade = 0xdc
)

// shade is a grey, 0 for black.
type shade uint8

// RGBA makes it a color.Color.
func (s shade) RGBA() (r, g, b, a uint32) {
	v := uint32(s) * 0x101
	return v, v, v, 0xffff
}

// page is a picture that is being drawn. Places on it are fractions of its
// width and height, from the lower left corner.
type page struct {
	canvas        *vgimg.Canvas
	draw          draw.Canvas
	width, height vg.Length
}

// newPage makes an empty picture, of inches.
func newPage(width, height float64) *page {
	w, h := vg.Length(width)*vg.Inch, vg.Length(height)*vg.Inch
	c := vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(dotsPerInch), vgimg.UseBackgroundColor(color.White))
	return &page{c, draw.New(c), w, h}
}

// png encodes the picture, which has no colours.
func (p *page) png() ([]byte, error) {
	from := p.canvas.Image()
	grey := image.NewGray(from.Bounds())
	if rgba, ok := from.(*image.RGBA); ok { // as it is; the other way is slow
		for i := range grey.Pix {
			grey.Pix[i] = rgba.Pix[4*i]
		}
	} else {
		imagedraw.Draw(grey, grey.Rect, from, from.Bounds().Min, imagedraw.Src)
	}
	var b bytes.Buffer
	err := png.Encode(&b, grey)
	return b.Bytes(), err
}

func (p *page) at(x, y float64) vg.Point {
	return vg.Point{X: vg.Length(x) * p.width, Y: vg.Length(y) * p.height}
}

// The ways in which a text lies at its place.
const (
	left = iota
	centre
	right
	turned // centred, and turned to read upwards
)

// write puts a text at a place.
func (p *page) write(x, y, points float64, how int, s string) {
	style := text.Style{
		Color: ink, Handler: plot.DefaultTextHandler, YAlign: text.YCenter,
		Font: font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(points)},
	}
	switch how {
	case centre:
		style.XAlign = text.XCenter
	case right:
		style.XAlign = text.XRight
	case turned:
		style.XAlign, style.Rotation = text.XCenter, math.Pi/2
	}
	p.draw.FillText(style, p.at(x, y), s)
}

// panel is a rectangle of a picture with its axes.
type panel struct {
	*page
	x0, y0, x1, y1         float64 // place
	left, right, low, high float64 // ranges of the axes
	shareRight             bool    // the corner on the right is another panel's: it has the label
}

func (p *page) panel(x0, y0, x1, y1 float64) *panel {
	return &panel{page: p, x0: x0, y0: y0, x1: x1, y1: y1, right: 1, high: 1}
}

// span sets the axes' ranges; an empty one is widened.
func (p *panel) span(left, right, low, high float64) *panel {
	if !(right > left) {
		left, right = left-0.5, left+0.5
	}
	if !(high > low) {
		low, high = low-0.5, low+0.5
	}
	p.left, p.right, p.low, p.high = left, right, low, high
	return p
}

// point is where a value is, held within the panel.
func (p *panel) point(x, y float64) vg.Point {
	fx := min(max((x-p.left)/(p.right-p.left), 0), 1)
	fy := min(max((y-p.low)/(p.high-p.low), 0), 1)
	return p.at(p.x0+fx*(p.x1-p.x0), p.y0+fy*(p.y1-p.y0))
}

func (p *panel) stroke(points []vg.Point, c color.Color, width float64) {
	p.draw.StrokeLines(draw.LineStyle{Color: c, Width: vg.Points(width)}, points)
}

// line draws a curve.
func (p *panel) line(x, y []float64, width float64) {
	var points []vg.Point
	for i := range x {
		points = append(points, p.point(x[i], y[i]))
	}
	p.stroke(points, ink, width)
}

// level draws a horizontal line.
func (p *panel) level(y float64, c color.Color) {
	p.stroke([]vg.Point{p.point(p.left, y), p.point(p.right, y)}, c, 0.6)
}

// upright draws a vertical line.
func (p *panel) upright(x float64, c color.Color) {
	p.stroke([]vg.Point{p.point(x, p.low), p.point(x, p.high)}, c, 0.6)
}

// bars draws filled bars from the bottom; edges has one more than values.
func (p *panel) bars(edges, values []float64) {
	for i, v := range values {
		if v <= p.low {
			continue
		}
		a, b := p.point(edges[i], p.low), p.point(edges[i+1], v)
		p.draw.FillPolygon(ink, []vg.Point{a, {X: b.X, Y: a.Y}, b, {X: a.X, Y: b.Y}})
	}
}

// circle draws a circle of a radius in points.
func (p *panel) circle(x, y, radius float64) {
	style := draw.GlyphStyle{Color: ink, Radius: vg.Points(radius), Shape: draw.RingGlyph{}}
	if radius < 0.9 {
		style.Shape = draw.CircleGlyph{}
	}
	p.draw.DrawGlyph(style, p.point(x, y))
}

// frame draws the panel's border.
func (p *panel) frame() {
	p.stroke([]vg.Point{p.at(p.x0, p.y0), p.at(p.x1, p.y0), p.at(p.x1, p.y1), p.at(p.x0, p.y1), p.at(p.x0, p.y0)}, ink, 0.9)
}

// The sizes of letters, points.
const (
	tickSize  = 8
	labelSize = 9.5
	textSize  = 9.5
	titleSize = 11.5
)

// bottom marks the horizontal axis and names it.
func (p *panel) bottom(label string) {
	p.frame()
	for _, t := range ticks(p.left, p.right, (p.x1-p.x0)*float64(p.width)/32) {
		a := p.point(t.value, p.low)
		p.stroke([]vg.Point{a, {X: a.X, Y: a.Y + vg.Points(4)}}, ink, 0.7)
		b := p.point(t.value, p.high)
		p.stroke([]vg.Point{b, {X: b.X, Y: b.Y - vg.Points(4)}}, ink, 0.7)
		if !p.shareRight || t.value < p.right-(p.right-p.left)*0.02 {
			p.write(float64(a.X/p.width), p.y0-float64(vg.Points(8)/p.height), tickSize, centre, t.label)
		}
	}
	p.write((p.x0+p.x1)/2, p.y0-float64(vg.Points(21)/p.height), labelSize, centre, label)
}

// side marks the vertical axis on the left, or on the right, and names it.
func (p *panel) side(label string, onRight bool) {
	p.frame()
	x, inward, how, away := p.left, vg.Points(4), right, -1.0
	edge := p.x0
	if onRight {
		x, inward, how, away, edge = p.right, -vg.Points(4), left, 1, p.x1
	}
	widest := 0
	for _, t := range ticks(p.low, p.high, (p.y1-p.y0)*float64(p.height)/24) {
		a := p.point(x, t.value)
		p.stroke([]vg.Point{a, {X: a.X + inward, Y: a.Y}}, ink, 0.7)
		p.write(edge+away*float64(vg.Points(4)/p.width), float64(a.Y/p.height), tickSize, how, t.label)
		widest = max(widest, len(t.label))
	}
	p.write(edge+away*float64(vg.Points(14+4.2*float64(widest))/p.width), (p.y0+p.y1)/2, labelSize, turned, label)
}

// picture draws values as shades, the largest darkest: rows from the bottom,
// columns from the left. Values that are not numbers stay white.
func (p *panel) picture(rows [][]float64) {
	if len(rows) == 0 || len(rows[0]) == 0 {
		return
	}
	low, high := math.Inf(1), math.Inf(-1)
	for _, row := range rows {
		for _, v := range row {
			if !math.IsNaN(v) {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	dots := func(share float64, size int) int { return int(math.Round(share * float64(size))) }
	img := p.canvas.Image()
	size := img.Bounds()
	x0, x1 := dots(p.x0, size.Dx()), dots(p.x1, size.Dx())
	y0, y1 := dots(1-p.y1, size.Dy()), dots(1-p.y0, size.Dy())
	part := image.NewGray(image.Rect(x0, y0, x1, y1))
	for y := y0; y < y1; y++ {
		row := rows[(y1-1-y)*len(rows)/(y1-y0)]
		dots := part.Pix[(y-y0)*part.Stride:]
		for x := range x1 - x0 {
			v := row[x*len(row)/(x1-x0)]
			dots[x] = 255
			if high > low && !math.IsNaN(v) {
				dots[x] = uint8(255 * (1 - (v-low)/(high-low)))
			}
		}
	}
	imagedraw.Draw(img, part.Rect, part, part.Rect.Min, imagedraw.Src)
}

// tick is a mark of an axis.
type tick struct {
	value float64
	label string
}

// ticks are round numbers between low and high, about as many as there is room
// for.
func ticks(low, high, room float64) []tick {
	span := high - low
	if !(span > 0) || math.IsInf(span, 0) {
		return nil
	}
	want := min(max(room, 2), 8)
	power := math.Floor(math.Log10(span / want))
	step := math.Pow(10, power)
	for _, f := range []float64{2, 5, 10} {
		if span/step > want {
			step = f * math.Pow(10, power)
		}
	}
	var all []tick
	for i := math.Ceil(low/step - 1e-9); i*step <= high+step*1e-9 && len(all) < 20; i++ {
		all = append(all, tick{i * step, number(i*step, step)})
	}
	return all
}

// number writes a value to the decimals that a step has.
func number(v, step float64) string {
	if v == 0 {
		return "0"
	}
	if math.Abs(v) >= 1e5 || step < 1e-4 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	return strconv.FormatFloat(v, 'f', max(0, int(-math.Floor(math.Log10(step)*(1+1e-12)))), 64)
}

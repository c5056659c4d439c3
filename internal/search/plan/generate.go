package plan

import (
	"errors"
	"fmt"
	"math"
)

// Data is what a plan is made for.
type Data struct {
	SampleTime float64 // s
	CenterFreq float64 // MHz
	Bandwidth  float64 // MHz
	Channels   int
	RowSpectra int // factors of downsampling divide it; 0 for powers of two
}

// Want is what is asked of a plan.
type Want struct {
	LoDM, HiDM float64 // pc/cm^3
	Resolution float64 // acceptable smearing, s; 0 for the least that is possible
	Subbands   int     // 0 for one stage: each channel by itself
}

// kDM is how long a DM of 1 delays 1 MHz behind infinite frequency, s, with the
// constant that PRESTO uses (and, since Manchester and Taylor 1977, most of the field).
const kDM = 1 / 0.000241

// Delay is how much later a frequency, MHz, arrives than an infinite one, s.
func Delay(dm, freq float64) float64 { return dm * kDM / (freq * freq) }

// smear is by how much a DM smears a pulse over a band, s: the derivative of
// the delay.
func smear(dm, band, center float64) float64 { return 2 * kDM * dm * band / (center * center * center) }

// The rules by which PALFA's planner (and PRESTO's DDplan.py, after which it is
// made) weighs the smearings against each other.
const (
	similar     = 1.2 // time scales within this factor count as equal
	subbandPart = 0.8 // of the other smearings that the subbands' may reach
	channelPart = 2   // times all others that the smearing in a channel may reach before a step ends
	maxFactor   = 64  // of downsampling
	maxPassDMs  = 2000
	oneStageDMs = 64 // in a pass without subbands, where it does not matter
)

// spacings are the DM steps that may be used, pc/cm^3.
func spacings() []float64 {
	return []float64{0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300}
}

// Generate makes a plan: it begins with the finest spacing that the time
// resolution is worth, and goes to the next coarser resolution where the
// smearing within a channel, which cannot be undone, is twice all the others
// together.
func Generate(d Data, w Want) (Plan, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	if !(w.LoDM >= 0) || !(w.HiDM > w.LoDM) || w.HiDM > 1e5 || w.Subbands < 0 || !(w.Resolution >= 0) {
		return nil, fmt.Errorf("no plan from a DM of %v to %v with a resolution of %v s and %d subbands", w.LoDM, w.HiDM, w.Resolution, w.Subbands)
	}
	if w.Subbands > d.Channels {
		w.Subbands = d.Channels
	}
	g := generator{d, w, d.factors()}
	factor := g.firstFactor()
	spacing := g.firstSpacing(g.allowed[factor])
	var p Plan
	for at := w.LoDM; at < w.HiDM-1e-9; {
		s := g.step(at, spacings()[spacing], g.allowed[factor])
		p = append(p, s)
		at = s.hiDM()
		if factor+1 == len(g.allowed) || spacing+1 == len(spacings()) {
			if at < w.HiDM-1e-9 {
				p[len(p)-1] = g.last(s)
			}
			break
		}
		factor++
		sample := d.SampleTime * float64(g.allowed[factor])
		for spacing+1 < len(spacings()) && smear(spacings()[spacing+1]/2, d.Bandwidth, d.CenterFreq) < similar*sample {
			spacing++
		}
	}
	return p, p.Check()
}

func (d Data) check() error {
	if !(d.SampleTime > 0) || !(d.CenterFreq > 0) || !(d.Bandwidth > 0) || d.Channels < 1 || d.RowSpectra < 0 {
		return errors.New("no plan for data without a sample time, frequency, bandwidth or channels")
	}
	return nil
}

// factors are those by which the data can be downsampled.
func (d Data) factors() []int {
	var all []int
	for f := 1; f <= maxFactor; f++ {
		if d.RowSpectra > 0 && d.RowSpectra%f == 0 || d.RowSpectra == 0 && f&(f-1) == 0 {
			all = append(all, f)
		}
	}
	return all
}

func (s Step) hiDM() float64 { return s.LoDM + float64(s.Passes*s.DMsPerPass)*s.DMStep }

type generator struct {
	Data
	Want
	allowed []int // factors of downsampling
}

// firstFactor is the index of the largest factor that loses nothing at the
// lowest DM.
func (g generator) firstFactor() int {
	half := spacings()[0] / 2
	channel := smear(g.LoDM+half, g.Bandwidth/float64(g.Channels), g.CenterFreq)
	best := max(g.Resolution, channel, smear(half, g.Bandwidth, g.CenterFreq), g.SampleTime)
	if best <= similar*channel {
		best = similar * channel
	}
	i := 0
	for i+1 < len(g.allowed) && g.SampleTime*float64(g.allowed[i+1]) < best {
		i++
	}
	return i
}

// firstSpacing is the index of the largest spacing that smears, in the worst
// case, over half of the band not more than a sample.
func (g generator) firstSpacing(factor int) int {
	worth := g.SampleTime * float64(factor) / smear(1, g.Bandwidth/2, g.CenterFreq)
	i := 0
	for i+1 < len(spacings()) && spacings()[i+1] < worth {
		i++
	}
	return i
}

// step makes the step that begins at a DM.
func (g generator) step(at, spacing float64, factor int) Step {
	sample := g.SampleTime * float64(factor)
	band := smear(spacing/2, g.Bandwidth, g.CenterFreq)
	s := Step{LoDM: at, DMStep: spacing, DMsPerPass: oneStageDMs, Subbands: g.Channels, Downsample: factor}
	sub := 0.0
	if g.Subbands > 0 {
		s.Subbands, s.DMsPerPass = g.Subbands, 2
		width := g.Bandwidth / float64(g.Subbands)
		for s.DMsPerPass < maxPassDMs && smear(float64(s.DMsPerPass+2)*spacing/2, width, g.CenterFreq) <= subbandPart*min(band, sample) {
			s.DMsPerPass += 2
		}
		sub = smear(float64(s.DMsPerPass)*spacing/2, width, g.CenterFreq)
	}
	others := math.Sqrt(g.SampleTime*g.SampleTime + sample*sample + band*band + sub*sub)
	cross := channelPart * others / smear(1, g.Bandwidth/float64(g.Channels), g.CenterFreq)
	s.cover(min(cross, g.HiDM))
	return s
}

// cover sets the passes such that a step goes up to a DM.
func (s *Step) cover(to float64) {
	n := max(1, math.Ceil((to-s.LoDM)/s.DMStep-1e-9))
	if s.DMsPerPass > int(n) { // one pass is enough
		s.DMsPerPass = int(n)
	}
	s.Passes = int(math.Ceil(n / float64(s.DMsPerPass)))
}

// last stretches a step to the highest DM, when the data cannot be downsampled
// any more.
func (g generator) last(s Step) Step {
	full := g.step(s.LoDM, s.DMStep, s.Downsample)
	full.cover(g.HiDM)
	return full
}

// Package plan makes dedispersion plans: at which DMs a search looks, how far
// apart, and at which time resolution.
//
// At a higher DM, pulses are smeared within the channels, so that coarser steps
// and coarser samples lose nothing. A plan is a list of steps, each with a
// spacing and a factor of downsampling, and each in passes: the channels are
// first brought to a few subbands at the DM in the middle of a pass, then the
// subbands to each of its DMs. Two stages cost much less than one, and smear
// little if a pass is narrow.
package plan

import (
	"fmt"
	"math"
	"strings"
)

// Step is a range of DMs with one spacing and one time resolution.
type Step struct {
	LoDM       float64 // the first, pc/cm^3
	DMStep     float64 // pc/cm^3
	DMsPerPass int
	Passes     int
	Subbands   int
	Downsample int
}

// Pass is what is dedispersed at once.
type Pass struct {
	SubDM      float64 // to which the subbands are dedispersed
	DMs        []float64
	Subbands   int
	Downsample int
}

// Plan is a dedispersion plan.
type Plan []Step

// Mock is PALFA's plan for merged data of the Mock spectrometers: 960 channels
// of 0.336 MHz at 1375 MHz, 65.5 µs.
func Mock() Plan {
	return Plan{
		{0.0, 0.1, 76, 28, 96, 1},
		{212.8, 0.3, 64, 12, 96, 2},
		{443.2, 0.3, 76, 4, 96, 3},
		{534.4, 0.5, 76, 9, 96, 5},
		{876.4, 0.5, 76, 3, 96, 6},
		{990.4, 1.0, 76, 1, 96, 10},
	}
}

// WAPP is PALFA's plan for data of the WAPP correlators: 256 channels of
// 0.391 MHz at 1420 MHz, 64 µs.
func WAPP() Plan {
	return Plan{
		{0.0, 0.3, 76, 9, 96, 1},
		{205.2, 2.0, 76, 5, 96, 5},
		{965.2, 10.0, 76, 1, 96, 25},
	}
}

// ForBackend returns the survey's plan for a backend, by the word in the files'
// headers (BACKEND); false for one that the survey does not use.
func ForBackend(backend string) (Plan, bool) {
	switch strings.ToLower(strings.TrimSpace(backend)) {
	case "pdev":
		return Mock(), true
	case "wapp":
		return WAPP(), true
	}
	return nil, false
}

// passes returns the passes of a step.
func (s Step) passes() []Pass {
	var all []Pass
	width := float64(s.DMsPerPass) * s.DMStep
	for i := range s.Passes {
		p := Pass{
			SubDM:      round(s.LoDM + (float64(i)+0.5)*width),
			Subbands:   s.Subbands,
			Downsample: s.Downsample,
		}
		for k := range s.DMsPerPass {
			p.DMs = append(p.DMs, round(s.LoDM+float64(i)*width+float64(k)*s.DMStep))
		}
		all = append(all, p)
	}
	return all
}

// round gives a DM the two decimals that it has in names, which tell DMs apart.
func round(dm float64) float64 { return math.Round(dm*100) / 100 }

// Passes returns all passes, in the order of the steps.
func (p Plan) Passes() []Pass {
	var all []Pass
	for _, s := range p {
		all = append(all, s.passes()...)
	}
	return all
}

// DMs returns all DMs, in the order of the passes.
func (p Plan) DMs() []float64 {
	var all []float64
	for _, pass := range p.Passes() {
		all = append(all, pass.DMs...)
	}
	return all
}

// StepAt returns the spacing of the DMs around one of them, pc/cm^3.
func (p Plan) StepAt(dm float64) float64 {
	step := 0.0
	for _, s := range p {
		if step == 0 || dm >= s.LoDM-s.DMStep/2 {
			step = s.DMStep
		}
	}
	return step
}

// Check says what is wrong with a plan.
func (p Plan) Check() error {
	if len(p) == 0 {
		return fmt.Errorf("the dedispersion plan has no steps")
	}
	for i, s := range p {
		switch {
		case !(s.LoDM >= 0) || s.LoDM > 1e5:
			return fmt.Errorf("step %d of the dedispersion plan begins at a DM of %v", i+1, s.LoDM)
		case !(s.DMStep >= 0.01) || s.DMStep > 1e4:
			return fmt.Errorf("step %d of the dedispersion plan has a DM step of %v; names have two decimals", i+1, s.DMStep)
		case s.DMsPerPass < 1 || s.Passes < 1 || s.DMsPerPass*s.Passes > 1e6:
			return fmt.Errorf("step %d of the dedispersion plan has %d passes of %d DMs", i+1, s.Passes, s.DMsPerPass)
		case s.Subbands < 1 || s.Downsample < 1 || s.Downsample > 1<<16:
			return fmt.Errorf("step %d of the dedispersion plan has %d subbands, and is downsampled by %d", i+1, s.Subbands, s.Downsample)
		}
	}
	return nil
}

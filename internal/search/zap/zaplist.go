// Package zap knows zaplists, the frequencies of interference that are taken
// out of a spectrum before it is searched: it reads them, chooses the one for
// an observation, and applies it.
//
// Making zaplists is the business of those who look at many beams of a day.
package zap

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Zap is a range of frequencies that is taken out.
type Zap struct {
	Freq, Width float64 // Hz; Freq is its middle
	Barycentric bool    // Freq is that of a known pulsar, at the barycentre
}

// Parse reads a zaplist: a frequency and a width on each line, '#' begins a
// comment, 'B' a barycentric frequency. The error names the line.
func Parse(text string) ([]Zap, error) {
	var all []Zap
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		z, err := parseZap(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w: %.80q", i+1, err, line)
		}
		all = append(all, z)
	}
	return all, nil
}

func parseZap(line string) (z Zap, err error) {
	if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "B"); ok {
		line, z.Barycentric = rest, true
	}
	fields := strings.Fields(line)
	if len(fields) != 2 {
		return z, errors.New("it does not have a frequency and a width")
	}
	if z.Freq, err = finite(fields[0]); err != nil {
		return z, err
	}
	if z.Width, err = finite(fields[1]); err == nil && z.Width < 0 {
		err = errors.New("the width is negative")
	}
	return z, err
}

func finite(s string) (float64, error) {
	x, err := strconv.ParseFloat(s, 64)
	if err == nil && (math.IsNaN(x) || math.IsInf(x, 0)) {
		err = fmt.Errorf("%s is not a number", s)
	}
	return x, err
}

// Percent is the part of the frequencies between lowest and highest, Hz, that a
// zaplist takes out, in percent of over. Like the original's, it counts twice
// what two zaps share.
//
// The original divides by highest less 1/sifting_long_period for the whole
// range, but for the ranges below 10 and 1 Hz by what lies above them, not
// below; over is what it divides by.
func Percent(zaps []Zap, lowest, highest, over float64) float64 {
	clip := func(f float64) float64 { return min(max(f, lowest), highest) }
	sum := 0.0
	for _, z := range zaps {
		sum += clip(z.Freq+z.Width/2) - clip(z.Freq-z.Width/2)
	}
	return sum / over * 100
}

package presto

import (
	"errors"
	"fmt"
	"strings"
)

// Zap is a range of frequencies that is taken out of a spectrum before it is
// searched.
type Zap struct {
	Freq, Width float64 // Hz; Freq is its middle
	Barycentric bool    // Freq is that of a known pulsar, at the barycentre
}

// ParseZaplist reads a zaplist: a frequency and a width on each line, '#' begins
// a comment, 'B' a barycentric frequency.
func ParseZaplist(text string) ([]Zap, error) {
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

// percentZapped is the part of the frequencies between lowest and highest, Hz,
// that a zaplist takes out, in percent. Like the original's, it counts twice
// what two zaps share.
//
// The original divides by highest less 1/sifting_long_period for the whole
// range, but for the ranges below 10 and 1 Hz by what lies above them, not
// below; over is what it divides by.
func percentZapped(zaps []Zap, lowest, highest, over float64) float64 {
	clip := func(f float64) float64 { return min(max(f, lowest), highest) }
	sum := 0.0
	for _, z := range zaps {
		sum += clip(z.Freq+z.Width/2) - clip(z.Freq-z.Width/2)
	}
	return sum / over * 100
}

// Package accelcands knows the .accelcands file, the list of candidates that
// sifting leaves: what it means, how it is read, and how it is written.
//
// It has two dialects. PALFA's gives a DM hit its signal-to-noise ratio; that
// of PRESTO since August 2013 its significance, too, which PALFA's own reader
// refuses. Both are read and written here. Which candidates belong into the
// list is the business of package sift.
package accelcands

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Candidate is one periodicity candidate.
type Candidate struct {
	AccelFile string // the _ACCEL_ file of the search that found it best
	Number    int    // of the candidate in that file, from 1
	DM        float64
	SNR       float64
	Sigma     float64
	Harmonics int     // summed
	IPow      float64 // incoherent power
	CPow      float64 // coherent power
	Period    float64 // ms
	R         float64 // frequency in Fourier bins
	Z         float64 // change of it over the observation, bins
	Hits      []Hit   // DMs at which it was found; a list has none for a single one
}

// Hit is a DM at which a candidate was found.
type Hit struct {
	DM, SNR float64
	Sigma   float64 // 0 where the list does not have it
}

// PFD is the name of the file that folding the candidate leaves.
func (c Candidate) PFD() string {
	return fmt.Sprintf("%s_ACCEL_Cand_%d.pfd", strings.Replace(c.AccelFile, "ACCEL_", "Z", 1), c.Number)
}

// number is a decimal number, as PRESTO's sifting writes it.
const number = `([-+]?\d+(?:\.\d*)?|[-+]?inf|nan)`

// The two kinds of line.
const (
	hitForm       = `^ *DM= *` + number + ` *SNR= *` + number + `(?: *Sigma= *` + number + `)? *\** *$`
	candidateForm = `^(\S+):(\d+) +` + number + ` +` + number + ` +` + number + ` +(\d+) +` + number + ` +` +
		number + ` +` + number + ` +` + number + ` +` + number + ` +\(\d+\) *$`
)

// Parse reads an .accelcands file of either dialect. The error names the line
// that it cannot read.
func Parse(text string) ([]Candidate, error) {
	hit, cand := regexp.MustCompile(hitForm), regexp.MustCompile(candidateForm)
	var all []Candidate
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimRight(line, " \t\r")
		if line == "" {
			continue
		}
		var err error
		if m := cand.FindStringSubmatch(line); m != nil {
			var c Candidate
			c, err = parseCandidate(m)
			all = append(all, c)
		} else if m := hit.FindStringSubmatch(line); m == nil {
			err = errors.New("it is neither a candidate nor a DM hit of one")
		} else if len(all) == 0 {
			err = errors.New("a DM hit stands before the first candidate")
		} else {
			var h Hit
			h, err = parseHit(m)
			last := &all[len(all)-1]
			last.Hits = append(last.Hits, h)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w: %.80q", i+1, err, line)
		}
	}
	return all, nil
}

func parseCandidate(m []string) (Candidate, error) {
	c := Candidate{AccelFile: m[1]}
	var err error
	if c.Number, err = strconv.Atoi(m[2]); err != nil {
		return c, err
	}
	if c.Harmonics, err = strconv.Atoi(m[6]); err != nil {
		return c, err
	}
	for i, to := range map[int]*float64{
		3: &c.DM, 4: &c.SNR, 5: &c.Sigma, 7: &c.IPow, 8: &c.CPow, 9: &c.Period, 10: &c.R, 11: &c.Z,
	} {
		if *to, err = finite(m[i]); err != nil {
			return c, err
		}
	}
	if strings.Contains(c.AccelFile, "/") {
		return c, errors.New("the name of the search's file has a directory in it")
	}
	return c, nil
}

func parseHit(m []string) (h Hit, err error) {
	if h.DM, err = finite(m[1]); err != nil {
		return h, err
	}
	if h.SNR, err = finite(m[2]); err == nil && m[3] != "" {
		h.Sigma, err = finite(m[3])
	}
	return h, err
}

// finite reads a number, and refuses what is none: a search that divides by
// zero writes nan and inf.
func finite(s string) (float64, error) {
	x, err := strconv.ParseFloat(s, 64)
	if err == nil && (math.IsNaN(x) || math.IsInf(x, 0)) {
		err = fmt.Errorf("%s is not a number", s)
	}
	return x, err
}

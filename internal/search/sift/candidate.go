package sift

import (
	"math"

	"longhaul/internal/search/accelcands"
	"longhaul/internal/search/sigma"
)

// Candidate is what a search of one DM found.
type Candidate struct {
	AccelFile string // the _ACCEL_ file, by its name
	Number    int    // in that file, from 1
	DM        float64
	Seconds   float64   // length of the time series, with its padding
	R         float64   // frequency of the fundamental, Fourier bins
	Z         float64   // its change over the observation, bins
	CPow      float64   // coherent power
	Powers    []float64 // of each harmonic, in units of the local mean
}

// IPow is the incoherent power: the sum over the harmonics.
func (c Candidate) IPow() float64 {
	sum := 0.0
	for _, p := range c.Powers {
		sum += p
	}
	return sum
}

// Sigma is the significance of the incoherent power as if nothing else had
// been looked at: the powers are those that polishing found, so the trials that
// led to them are not counted.
func (c Candidate) Sigma() float64 { return sigma.Candidate(c.IPow(), len(c.Powers), 1) }

// SNR is the sum of the harmonics' amplitudes above the noise.
func (c Candidate) SNR() float64 {
	sum := 0.0
	for _, p := range c.Powers {
		sum += math.Sqrt(max(p-1, 0))
	}
	return sum
}

// Frequency is that of the fundamental, Hz.
func (c Candidate) Frequency() float64 { return c.R / c.Seconds }

// Period is that of the fundamental, s.
func (c Candidate) Period() float64 { return c.Seconds / c.R }

// merged is a candidate with its numbers, and its hits.
type merged struct {
	Candidate
	sigma, ipow float64
	hits        []accelcands.Hit
}

func newMerged(c Candidate) *merged {
	m := &merged{Candidate: c, sigma: c.Sigma(), ipow: c.IPow()}
	m.hits = []accelcands.Hit{{DM: c.DM, SNR: c.SNR(), Sigma: m.sigma}}
	return m
}

// listed is what the list has of it.
func (m *merged) listed() accelcands.Candidate {
	return accelcands.Candidate{
		AccelFile: m.AccelFile, Number: m.Number, DM: m.DM, SNR: m.SNR(), Sigma: m.sigma,
		Harmonics: len(m.Powers), IPow: m.ipow, CPow: m.CPow, Period: m.Period() * 1000, R: m.R, Z: m.Z, Hits: m.hits,
	}
}

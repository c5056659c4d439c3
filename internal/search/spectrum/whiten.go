package spectrum

import (
	"math"
	"slices"
)

// The widths of the blocks whose median tells the level, in bins, are those of
// PRESTO's rednoise by default: they grow with the logarithm of the frequency
// from 6 bins on, and are 100 above 6 Hz.
const (
	startWidth = 6
	endWidth   = 100
	endFreq    = 6 // Hz
)

// Whiten divides a spectrum by its local level, so that the mean power of noise
// is 1 at all frequencies. The level of a block is its median power over ln 2;
// between the middles of blocks it is on a straight line. seconds is the
// length of the time series. Bin 0 becomes zero.
func Whiten(spectrum []complex64, seconds float64) {
	spectrum[0] = 0
	powers := make([]float32, endWidth)
	at, width := 1, startWidth
	oldMiddle, oldLevel := 1, -1.0
	for at < len(spectrum) {
		// What is left over at the end goes with the last block.
		if len(spectrum)-at < width+width/2 {
			width = len(spectrum) - at
		}
		level := blockLevel(spectrum[at:at+width], &powers)
		middle := at + width/2
		if oldLevel < 0 {
			oldLevel = level
		}
		line(spectrum[oldMiddle:middle], oldLevel, level)
		oldMiddle, oldLevel = middle, level
		at += width
		width = startWidth * int(math.Log(float64(at)))
		if float64(at)/seconds >= endFreq {
			width = endWidth
		}
		width = min(max(width, startWidth), endWidth)
	}
	line(spectrum[oldMiddle:], oldLevel, oldLevel)
}

// blockLevel is the mean power of noise in a block.
func blockLevel(block []complex64, scratch *[]float32) float64 {
	p := (*scratch)[:0]
	for _, a := range block {
		p = append(p, real(a)*real(a)+imag(a)*imag(a))
	}
	*scratch = p
	slices.Sort(p)
	return float64(p[(len(p)-1)/2]+p[len(p)/2]) / 2 / math.Ln2
}

// line divides bins by a level that goes from one value to another.
func line(bins []complex64, from, to float64) {
	step := (to - from) / float64(max(len(bins), 1))
	for i := range bins {
		level := from + step*float64(i)
		if level <= 0 { // nothing was there: a series of zeros
			bins[i] = 0
			continue
		}
		bins[i] *= complex(float32(1/math.Sqrt(level)), 0)
	}
}

package quicklook

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"longhaul/internal/psrfits"
)

// threshold is how many robust standard deviations the mean or the RMS of a
// channel may be away from those of its neighbours. Of a thousand channels of
// Gaussian noise none is further off in a thousand observations.
const threshold = 5

// look is what was found.
type look struct {
	header   psrfits.Header
	channels []channel // in rising frequency
	sums     *sums
}

// channel is what was found of one channel.
type channel struct {
	freq      float64 // MHz
	mean, rms float64 // of its intensities
	state     state
}

// state is what to think of a channel.
type state string

const (
	good     state = "good"
	outlying state = "outlying" // unlike its neighbours
	dead     state = "dead"     // does not change, or has no weight
)

func newLook(h psrfits.Header, freqs []float64, s *sums) *look {
	s.endCell()
	l := &look{header: h, sums: s, channels: make([]channel, len(freqs))}
	for c := range l.channels {
		mean, rms := s.channel(c)
		l.channels[c] = channel{freqs[c], mean, rms, good}
	}
	judge(l.channels)
	return l
}

func (l *look) count(s state) int {
	n := 0
	for _, c := range l.channels {
		if c.state == s {
			n++
		}
	}
	return n
}

// values returns one number of each channel that is not dead.
func (l *look) values(of func(channel) float64) []float64 {
	var x []float64
	for _, c := range l.channels {
		if c.state != dead {
			x = append(x, of(c))
		}
	}
	return x
}

func channelMean(c channel) float64 { return c.mean }

func channelRMS(c channel) float64 { return c.rms }

// judge finds the channels that are dead, and among the others those whose
// mean or RMS is more than threshold robust standard deviations away from what
// their neighbours lead one to expect. The standard deviation is that of all
// channels' distances, 1.4826 times their median, but at least a thousandth of
// the RMS.
func judge(channels []channel) {
	var live []int
	var means, spreads []float64
	for i := range channels {
		if channels[i].rms == 0 {
			channels[i].state = dead
			continue
		}
		live = append(live, i)
		means, spreads = append(means, channels[i].mean), append(spreads, channels[i].rms)
	}
	least := median(spreads) / 1000
	off := outliers(means, least)
	for k, far := range outliers(spreads, least) {
		if far || off[k] {
			channels[live[k]].state = outlying
		}
	}
}

// outliers reports which values are far from what their neighbours let expect.
func outliers(x []float64, least float64) []bool {
	distance := make([]float64, len(x))
	for i, m := range neighbours(x) {
		distance[i] = math.Abs(x[i] - m)
	}
	limit := threshold * max(1.4826*median(distance), least)
	far := make([]bool, len(x))
	for i, d := range distance {
		far[i] = d > limit
	}
	return far
}

// neighbours returns for each value what those around it lead one to expect:
// their median, after the slope of the band there was taken out, without the
// value itself. The window is a sixteenth of the band, 9 to 65 channels. It
// becomes narrower towards the edges, staying symmetric; the price is that the
// last channel on either side is never found unusual.
func neighbours(x []float64) []float64 {
	half := min(max(len(x)/32, 4), 32)
	out := slices.Clone(x)
	var slopes, around []float64
	for i := range x {
		slopes, around = slopes[:0], around[:0]
		h := min(half, i, len(x)-1-i)
		for k := 1; k <= h; k++ {
			slopes = append(slopes, (x[i+k]-x[i-k])/float64(2*k))
		}
		slope := median(slopes)
		for k := 1; k <= h; k++ {
			step := slope * float64(k)
			around = append(around, x[i-k]+step, x[i+k]-step)
		}
		if h > 0 {
			out[i] = median(around)
		}
	}
	return out
}

// median returns the middle value, 0 of none.
func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(x))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

// channelTable is the table of all channels, as text.
func channelTable(l *look) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintln(&b, "# frequency_MHz mean rms state")
	for _, c := range l.channels {
		fmt.Fprintf(&b, "%.6f %.8g %.8g %s\n", c.freq, c.mean, c.rms, c.state)
	}
	return b.Bytes(), nil
}

package quicklook

import "math"

// How finely the pictures show an observation.
const (
	seriesBins     = 600 // of the total power, in time
	pictureColumns = 450 // of the dynamic spectrum, in time
	pictureRows    = 240 // of the dynamic spectrum, in frequency
)

// sums is what one pass over an observation keeps of it.
//
// Each channel's intensities are summed as differences to its first one: that
// keeps the digits where the mean is much larger than the noise, and a channel
// that never changes has a variance of exactly 0.
type sums struct {
	n      int64     // spectra so far
	first  []float32 // the first spectrum
	offset float64   // its mean
	sum    []float64 // of the differences of each channel
	square []float64 // of their squares
	cell   []float64 // of the differences since the picture's column began

	power   moments // of the total power, the mean of a spectrum's channels
	series  []bin   // the total power against time
	perBin  int64   // spectra
	picture [][]float64
	perCell int64 // spectra in a column of the picture
	inCell  int64 // spectra in the column that is not complete

	low, high, samples int64
}

// bin is the total power during a short time.
type bin struct{ mean, min, max float64 }

func newSums(channels int, spectra int64) *sums {
	return &sums{
		sum:     make([]float64, channels),
		square:  make([]float64, channels),
		cell:    make([]float64, channels),
		perBin:  max(1, ceilDiv(spectra, seriesBins)),
		perCell: max(1, ceilDiv(spectra, pictureColumns)),
	}
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

// countClipped counts samples at the ends of their range.
func (s *sums) countClipped(low, high, all int64) {
	s.low, s.high, s.samples = s.low+low, s.high+high, s.samples+all
}

// add takes the next spectrum.
func (s *sums) add(spectrum []float32) {
	if s.n == 0 {
		s.first = append(s.first, spectrum...)
		for _, v := range spectrum {
			s.offset += float64(v) / float64(len(spectrum))
		}
	}
	s.addPower(s.offset + s.addChannels(spectrum)/float64(len(spectrum)))
	s.n++
	if s.inCell++; s.inCell == s.perCell {
		s.endCell()
	}
}

// addChannels is where nearly all time goes. It returns the sum of the differences.
func (s *sums) addChannels(spectrum []float32) float64 {
	n := len(spectrum)
	first, cell, square := s.first[:n], s.cell[:n], s.square[:n]
	total := 0.0
	for c, v := range spectrum {
		d := float64(v - first[c])
		cell[c] += d
		square[c] += d * d
		total += d
	}
	return total
}

// addPower takes the total power of the next spectrum.
func (s *sums) addPower(x float64) {
	s.power.add(x)
	if s.n%s.perBin == 0 {
		s.series = append(s.series, bin{0, x, x})
	}
	b := &s.series[len(s.series)-1]
	b.mean += (x - b.mean) / float64(s.n%s.perBin+1)
	b.min, b.max = min(b.min, x), max(b.max, x)
}

// endCell closes a column of the picture: the mean of each group of channels.
func (s *sums) endCell() {
	if s.inCell == 0 {
		return
	}
	rows := min(pictureRows, len(s.cell))
	column := make([]float64, rows)
	for r := range column {
		from, to := r*len(s.cell)/rows, (r+1)*len(s.cell)/rows
		for _, v := range s.cell[from:to] {
			column[r] += v / float64(int64(to-from)*s.inCell)
		}
	}
	s.picture = append(s.picture, column)
	for c, v := range s.cell {
		s.sum[c] += v
	}
	clear(s.cell)
	s.inCell = 0
}

// channel returns the mean and the RMS about it of a channel, when all is read.
func (s *sums) channel(c int) (mean, rms float64) {
	n := float64(s.n)
	d := s.sum[c] / n
	return float64(s.first[c]) + d, math.Sqrt(max(0, s.square[c]/n-d*d))
}

// moments are the central moments of a series, taken one value at a time such
// that no digits are lost (Pébay 2008, Sandia report SAND2008-6212).
type moments struct {
	n, mean, m2, m3, m4 float64
	min, max            float64
}

func (m *moments) add(x float64) {
	if m.n == 0 {
		m.min, m.max = x, x
	}
	m.min, m.max = min(m.min, x), max(m.max, x)
	before := m.n
	m.n++
	delta := x - m.mean
	step := delta / m.n
	square := step * step
	term := delta * step * before
	m.mean += step
	m.m4 += term*square*(m.n*m.n-3*m.n+3) + 6*square*m.m2 - 4*step*m.m3
	m.m3 += term*step*(m.n-2) - 3*step*m.m2
	m.m2 += term
}

func (m *moments) rms() float64 {
	if m.n == 0 {
		return 0
	}
	return math.Sqrt(m.m2 / m.n)
}

// skewness is 0 for a symmetric distribution, and for one without spread.
func (m *moments) skewness() float64 {
	if m.m2 == 0 {
		return 0
	}
	return math.Sqrt(m.n) * m.m3 / math.Pow(m.m2, 1.5)
}

// kurtosis is the excess: 0 for a Gaussian distribution, and for one without spread.
func (m *moments) kurtosis() float64 {
	if m.m2 == 0 {
		return 0
	}
	return m.n*m.m4/(m.m2*m.m2) - 3
}

// excursion is how far the most distant value is from the mean, in RMS; 0
// without spread.
func (m *moments) excursion() float64 {
	if m.m2 == 0 {
		return 0
	}
	return max(m.max-m.mean, m.mean-m.min) / m.rms()
}

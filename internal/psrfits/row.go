package psrfits

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Row is one row of the SUBINT table: RowSpectra spectra after each other.
// ReadRow fills it; it can be used again and again.
type Row struct {
	Offset  float64   // OFFS_SUB, s from the observation's begin to the row's middle
	Freqs   []float64 // DAT_FREQ, MHz
	Weights []float32 // DAT_WTS, one for a channel; 0 takes it out
	Offsets []float32 // DAT_OFFS, one for a channel, polarisation by polarisation
	Scales  []float32 // DAT_SCL, likewise
	// Gain and Bias make (sample·Gain + Bias) of a sample, in the order of
	// Scales: (sample − ZERO_OFF)·DAT_SCL + DAT_OFFS, times DAT_WTS.
	Gain, Bias []float32

	data     []byte // the DATA column
	bits     int
	channels int
	pols     int // how many there are
	sum      int // how many of them make up the intensity
	raw      []uint16
	order    []int32 // 0, 1, 2, ...
}

// ReadRow reads row i, counted from 0. The error wraps ErrNoData if the file
// was stripped of its samples.
func (f *File) ReadRow(i int, row *Row) error {
	if err := f.readRow(i, row); err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	return nil
}

func (f *File) readRow(i int, row *Row) error {
	h := &f.Header
	switch {
	case i < 0 || i >= h.Rows:
		return fmt.Errorf("HDU %s: there is no row %d of %d", f.Subint.HDU, i+1, h.Rows)
	case f.data == nil:
		return fmt.Errorf("HDU %s: %w", f.Subint.HDU, ErrNoData)
	case f.row == nil:
		f.row = make([]byte, f.table.rowSize)
	}
	if err := f.readRaw(i, f.row); err != nil {
		return err
	}
	row.bits, row.channels, row.pols, row.sum = h.Bits, h.Channels, h.Pols, h.intensityPols()
	row.data = f.row[f.data.offset : f.data.offset+f.data.size]
	row.Offset = f.offs.float(f.row, 0)
	row.Freqs = row.Freqs[:0]
	for c := range h.Channels {
		row.Freqs = append(row.Freqs, f.freq.float(f.row, c))
	}
	row.Weights = f.weight.floats(f.row, row.Weights)
	row.Offsets = f.offset.floats(f.row, row.Offsets)
	row.Scales = f.scale.floats(f.row, row.Scales)
	if bad := row.calibrate(h.ZeroOffset); bad >= 0 {
		return fmt.Errorf("HDU %s: row %d, channel %d: DAT_WTS, DAT_OFFS or DAT_SCL is not a usable number", f.Subint.HDU, i+1, bad+1)
	}
	return nil
}

// intensityPols returns how many polarisations, from the first, add up to the
// intensity: two where the first two are those of a receiver, otherwise one
// (it is the intensity, or Stokes I).
func (h *FileHeader) intensityPols() int {
	if h.Pols > 1 && strings.HasPrefix(h.PolType, "AABB") {
		return 2
	}
	return 1
}

// floats reads a whole column of type E or D into dst, which it may grow.
func (c *Column) floats(row []byte, dst []float32) []float32 {
	dst = slices.Grow(dst[:0], c.Repeat)
	for i := range c.Repeat {
		dst = append(dst, float32(c.float(row, i)))
	}
	return dst
}

// calibrate computes Gain and Bias. It returns the first channel for which
// that makes no sense, or -1.
func (r *Row) calibrate(zero float64) int {
	r.Gain, r.Bias = r.Gain[:0], r.Bias[:0]
	for i := range r.Scales {
		w := float64(r.Weights[i%r.channels])
		gain := float64(r.Scales[i]) * w
		bias := (float64(r.Offsets[i]) - zero*float64(r.Scales[i])) * w
		if !usable(gain) || !usable(bias) { // false for NaN, too
			return i % r.channels
		}
		r.Gain = append(r.Gain, float32(gain))
		r.Bias = append(r.Bias, float32(bias))
	}
	return -1
}

// Raw unpacks spectrum i of the row, polarisation by polarisation, as it was
// recorded. 16-bit samples, which are signed, are moved up by 32768. The
// slice is good until the next call.
func (r *Row) Raw(i int) []uint16 {
	n := r.channels * r.pols
	size := n * r.bits / 8
	r.raw = slices.Grow(r.raw[:0], n)[:n]
	unpack(r.raw, r.data[i*size:(i+1)*size], r.bits)
	return r.raw
}

// Spectrum returns the calibrated intensities of spectrum i in the file's
// order of channels, in dst, which has one element for each.
func (r *Row) Spectrum(i int, dst []float32) {
	for c := int32(len(r.order)); int(c) < r.channels; c++ {
		r.order = append(r.order, c)
	}
	r.place(i, dst, r.order[:r.channels])
}

// place puts the intensity of each channel where to says; nowhere if that is
// negative.
func (r *Row) place(i int, dst []float32, to []int32) {
	raw, n := r.Raw(i), r.channels
	bottom := r.bottom()
	samples, gain, bias := raw[:n], r.Gain[:n], r.Bias[:n]
	for c, at := range to[:n] {
		if at >= 0 {
			dst[at] = (float32(samples[c])-bottom)*gain[c] + bias[c]
		}
	}
	for p := 1; p < r.sum; p++ {
		samples, gain, bias = raw[p*n:(p+1)*n], r.Gain[p*n:], r.Bias[p*n:]
		for c, at := range to[:n] {
			if at >= 0 {
				dst[at] += (float32(samples[c])-bottom)*gain[c] + bias[c]
			}
		}
	}
}

// bottom is what Raw moves samples up by.
func (r *Row) bottom() float32 {
	if r.bits == 16 {
		return -math.MinInt16
	}
	return 0
}

// Clipped counts the samples of the row that have the lowest and the highest
// value that their bits can hold, and all of them.
func (r *Row) Clipped() (low, high, all int64) {
	all = int64(len(r.data)) * 8 / int64(r.bits)
	if r.bits == 16 {
		for i := 0; i < len(r.data); i += 2 {
			switch int16(binary.BigEndian.Uint16(r.data[i:])) {
			case math.MinInt16:
				low++
			case math.MaxInt16:
				high++
			}
		}
		return low, high, all
	}
	var seen [256]int64
	for _, b := range r.data {
		seen[b]++
	}
	samples := make([]uint16, 8/r.bits)
	for b, n := range seen {
		unpack(samples, []byte{byte(b)}, r.bits)
		for _, v := range samples {
			switch int(v) {
			case 0:
				low += n
			case 1<<r.bits - 1:
				high += n
			}
		}
	}
	return low, high, all
}

// unpack takes len(dst) samples out of src, the first from the highest bits.
func unpack(dst []uint16, src []byte, bits int) {
	switch bits {
	case 16:
		for i := range dst {
			dst[i] = binary.BigEndian.Uint16(src[2*i:]) ^ 0x8000
		}
	case 8:
		for i, b := range src[:len(dst)] {
			dst[i] = uint16(b)
		}
	case 4:
		for i, b := range src[:len(dst)/2] {
			pair := dst[2*i : 2*i+2 : 2*i+2]
			pair[0], pair[1] = uint16(b>>4), uint16(b&0x0f)
		}
	default: // 2 and 1
		perByte, mask := 8/bits, byte(1<<bits-1)
		for i := range dst {
			shift := 8 - bits*(i%perByte+1)
			dst[i] = uint16(src[i/perByte] >> shift & mask)
		}
	}
}

// pack is the opposite of unpack for samples of up to 8 bits.
func pack(dst []byte, src []uint8, bits int) {
	clear(dst)
	perByte := 8 / bits
	for i, v := range src {
		dst[i/perByte] |= v << (8 - bits*(i%perByte+1))
	}
}

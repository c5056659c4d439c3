package psrfits

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Bounds of what a file may announce; real ones stay a factor of ten below.
const (
	maxChannels = 1 << 17
	maxSpectra  = 1 << 24 // in one row
	maxPols     = 4
)

// FileHeader is what the headers of one file say, and the values of its first
// row that belong with them. It also describes a file that is to be written.
type FileHeader struct {
	Telescope string
	Observer  string
	Project   string
	Frontend  string
	Backend   string
	Source    string
	RA        string // J2000, hh:mm:ss.ssss
	Dec       string // J2000, ±dd:mm:ss.ssss

	CenterFreq float64 // OBSFREQ, MHz
	Bandwidth  float64 // OBSBW, MHz
	BeamWidth  float64 // BMIN, degrees

	StartDay    int64   // STT_IMJD, MJD, UTC
	StartSecond int64   // STT_SMJD, s since 0h UTC
	StartOffset float64 // STT_OFFS, s
	StartLST    float64 // STT_LST, s

	Beam   int // of ALFA; -1 if the file does not say
	NumIFs int // NUMIFS; 0 if the file does not say

	SampleTime float64 // TBIN, s
	Channels   int     // NCHAN
	Pols       int     // NPOL
	PolType    string  // POL_TYPE
	RowSpectra int     // NSBLK, spectra in a row
	Bits       int     // NBITS, of a sample
	ZeroOffset float64 // ZERO_OFF, in units of the samples
	Rows       int     // NAXIS2

	// SkippedRows is how many rows there were before the first of this file,
	// as its OFFS_SUB implies: the survey cuts off the first few.
	SkippedRows int
	Azimuth     float64   // of the telescope, TEL_AZ of the first row, degrees
	ZenithAngle float64   // TEL_ZEN of the first row, degrees
	Freqs       []float64 // DAT_FREQ of the first row, in the file's order, MHz
}

// StartMJD returns when the first spectrum begins, MJD, UTC.
func (h FileHeader) StartMJD() float64 {
	start := float64(h.StartDay) + (float64(h.StartSecond)+h.StartOffset)/secondsPerDay
	return start + h.RowTime()*float64(h.SkippedRows)/secondsPerDay
}

// RowTime returns how long a row lasts, s.
func (h FileHeader) RowTime() float64 { return h.SampleTime * float64(h.RowSpectra) }

// Spectra returns how many spectra the file has.
func (h FileHeader) Spectra() int64 { return int64(h.Rows) * int64(h.RowSpectra) }

// Summed reports whether the polarisations were added up when it was recorded.
func (h FileHeader) Summed() bool { return h.PolType == "AA+BB" || h.PolType == "INTEN" }

const secondsPerDay = 86400

// fields takes values from headers and keeps all that is wrong with them, so
// that one look at an error shows every keyword to mend.
type fields struct{ errs []error }

func (f *fields) note(err error) {
	if err != nil {
		f.errs = append(f.errs, err)
	}
}

func (f *fields) str(c *Cards, key string) string {
	s, err := c.String(key)
	f.note(err)
	return s
}

func (f *fields) int(c *Cards, key string, lo, hi int64) int {
	n, err := c.intIn(key, lo, hi)
	f.note(err)
	return int(n)
}

func (f *fields) float(c *Cards, key string, lo, hi float64) float64 {
	x, err := c.Float(key)
	if err == nil && (x < lo || x > hi) {
		err = c.fail(key, "%v is not in %v to %v", x, lo, hi)
	}
	f.note(err)
	return x
}

// optional returns what get finds under a keyword, or none if there is none.
func optional[T any](c *Cards, key string, none T, get func(*Cards, string) T) T {
	if !c.Has(key) {
		return none
	}
	return get(c, key)
}

// parseHeader reads all values that stand in the cards of a search-mode file.
func parseHeader(primary, subint *Cards) (FileHeader, error) {
	f := new(fields)
	if kind := f.str(primary, "FITSTYPE"); kind != "PSRFITS" {
		f.note(primary.fail("FITSTYPE", "%q is not PSRFITS", kind))
	}
	if mode := f.str(primary, "OBS_MODE"); mode != "SEARCH" && mode != "SRCH" {
		f.note(primary.fail("OBS_MODE", "%q is not SEARCH", mode))
	}
	text := func(c *Cards, key string) string { return f.str(c, key) }
	number := func(c *Cards, key string) float64 { return f.float(c, key, -1e12, 1e12) }
	small := func(c *Cards, key string) int { return f.int(c, key, 0, 1000) }
	h := FileHeader{
		Telescope:   optional(primary, "TELESCOP", "", text),
		Observer:    f.str(primary, "OBSERVER"),
		Project:     f.str(primary, "PROJID"),
		Frontend:    optional(primary, "FRONTEND", "", text),
		Backend:     optional(primary, "BACKEND", "", text),
		Source:      f.str(primary, "SRC_NAME"),
		RA:          f.str(primary, "RA"),
		Dec:         f.str(primary, "DEC"),
		CenterFreq:  f.float(primary, "OBSFREQ", 0, 1e9),
		Bandwidth:   optional(primary, "OBSBW", 0, number),
		BeamWidth:   optional(primary, "BMIN", 0, number),
		StartDay:    int64(f.int(primary, "STT_IMJD", 0, 1e6)),
		StartSecond: int64(f.int(primary, "STT_SMJD", 0, secondsPerDay)),
		StartOffset: f.float(primary, "STT_OFFS", -secondsPerDay, secondsPerDay),
		StartLST:    f.float(primary, "STT_LST", 0, secondsPerDay),
		NumIFs:      optional(subint, "NUMIFS", 0, small),
		SampleTime:  f.float(subint, "TBIN", 1e-12, 1e6),
		Channels:    f.int(subint, "NCHAN", 1, maxChannels),
		Pols:        f.int(subint, "NPOL", 1, maxPols),
		PolType:     f.str(subint, "POL_TYPE"),
		RowSpectra:  f.int(subint, "NSBLK", 1, maxSpectra),
		Bits:        f.int(subint, "NBITS", 1, 16),
		ZeroOffset:  optional(subint, "ZERO_OFF", 0, number),
		Rows:        f.int(subint, "NAXIS2", 0, math.MaxInt32),
	}
	h.Beam = optional(primary, "IBEAM", optional(subint, "BEAM", -1, small), small)
	if !slices.Contains([]int{1, 2, 4, 8, 16}, h.Bits) && subint.Has("NBITS") {
		f.note(subint.fail("NBITS", "%d bits are not supported, only 1, 2, 4, 8 and 16", h.Bits))
	}
	if signed := optional(subint, "SIGNINT", 0, small); signed != 0 && h.Bits <= 8 {
		f.note(subint.fail("SIGNINT", "signed samples are not supported"))
	}
	f.checkPosition(primary, h)
	return h, errors.Join(f.errs...)
}

// checkPosition notes coordinates that cannot be read.
func (f *fields) checkPosition(c *Cards, h FileHeader) {
	if _, err := ParseRA(h.RA); err != nil && c.Has("RA") {
		f.note(c.fail("RA", "%w", err))
	}
	if _, err := ParseDec(h.Dec); err != nil && c.Has("DEC") {
		f.note(c.fail("DEC", "%w", err))
	}
}

// usable reports whether a number from a column can be calculated with
// without leaving the range of float32.
func usable(x float64) bool { return math.Abs(x) <= 1e30 }

// firstRow adds what the first row says.
func (f *File) firstRow() error {
	if f.Header.Rows == 0 {
		return f.Subint.fail("NAXIS2", "the table has no rows")
	}
	raw := make([]byte, f.table.rowSize)
	if err := f.readRaw(0, raw); err != nil {
		return err
	}
	h := &f.Header
	number := func(name string) float64 {
		if col := f.table.column(name); col != nil && col.isFloat() && col.Repeat > 0 {
			if x := col.float(raw, 0); usable(x) {
				return x
			}
		}
		return 0
	}
	h.Azimuth, h.ZenithAngle = number("TEL_AZ"), number("TEL_ZEN")
	// OFFS_SUB is the middle of the row. The small addition is against
	// rounding and the original's own.
	before := (number("OFFS_SUB")-h.RowTime()/2)/h.RowTime() + 1e-7
	if before < 0 || before > math.MaxInt32 {
		return fmt.Errorf("HDU %s: row 1: OFFS_SUB: %v s is not possible", f.Subint.HDU, number("OFFS_SUB"))
	}
	h.SkippedRows = int(before)
	h.Freqs = make([]float64, h.Channels)
	for i := range h.Freqs {
		if h.Freqs[i] = f.freq.float(raw, i); !usable(h.Freqs[i]) {
			return fmt.Errorf("HDU %s: row 1: DAT_FREQ, channel %d: %v is not a frequency", f.Subint.HDU, i+1, h.Freqs[i])
		}
	}
	return nil
}

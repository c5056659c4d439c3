package psrfits

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// Writer writes a search-mode file, row by row.
type Writer struct {
	w      *bufio.Writer
	closer io.Closer
	h      FileHeader
	rows   int // written
	row    []byte
	err    error // the first; nothing is written after it
}

// maxText is the longest text that surely fits into a card, all its
// characters being quotes that are doubled.
const maxText = 34

// RowData is a row to be written.
type RowData struct {
	Weights []float32 // one for a channel
	Offsets []float32 // one for a channel of each polarisation
	Scales  []float32 // likewise
	// Samples has all channels of the first spectrum's first polarisation,
	// then of its second, then those of the second spectrum.
	Samples []uint8
}

// Create makes a file, or replaces one, for h.Rows rows of up to 8 bits.
func Create(path string, h FileHeader) (*Writer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, err
	}
	w, err := NewWriter(f, h)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	w.closer = f
	return w, nil
}

// NewWriter writes the headers of a file to w. Its rows follow by WriteRow.
func NewWriter(w io.Writer, h FileHeader) (*Writer, error) {
	bits := h.Channels * h.Pols * h.Bits
	switch {
	case len(h.Freqs) != h.Channels:
		return nil, fmt.Errorf("%d frequencies for %d channels", len(h.Freqs), h.Channels)
	case h.Bits < 1 || h.Bits > 8 || 8%h.Bits != 0:
		return nil, fmt.Errorf("samples of %d bits cannot be written, only of 1, 2, 4 and 8", h.Bits)
	case bits <= 0 || bits%8 != 0 || h.RowSpectra <= 0 || h.Rows < 0:
		return nil, fmt.Errorf("%d channels, %d polarisations and %d spectra in a row do not make a table", h.Channels, h.Pols, h.RowSpectra)
	}
	for _, s := range []string{h.Telescope, h.Observer, h.Project, h.Frontend, h.Backend, h.Source, h.RA, h.Dec, h.PolType} {
		if len(s) > maxText || printable([]byte(s)) != s {
			return nil, fmt.Errorf("%q is not a text for a header: up to %d characters of ASCII, no blank at the end", s, maxText)
		}
	}
	out := &Writer{w: bufio.NewWriterSize(w, 1<<18), h: h, row: make([]byte, h.rowSize())}
	_, err := out.w.WriteString(primaryHeader(h) + subintHeader(h))
	return out, err
}

// WriteRow adds a row.
func (w *Writer) WriteRow(d RowData) error {
	if w.err == nil {
		w.err = w.writeRow(d)
	}
	return w.err
}

func (w *Writer) writeRow(d RowData) error {
	h := w.h
	perSpectrum := h.Channels * h.Pols
	switch {
	case w.rows == h.Rows:
		return fmt.Errorf("row %d: the header announces %d", w.rows+1, h.Rows)
	case len(d.Weights) != h.Channels || len(d.Offsets) != perSpectrum || len(d.Scales) != perSpectrum:
		return fmt.Errorf("row %d: weights, offsets or scales do not fit %d channels and %d polarisations", w.rows+1, h.Channels, h.Pols)
	case len(d.Samples) != perSpectrum*h.RowSpectra:
		return fmt.Errorf("row %d: %d samples, not %d", w.rows+1, len(d.Samples), perSpectrum*h.RowSpectra)
	}
	since := (float64(w.rows+h.SkippedRows) + 0.5) * h.RowTime()
	b := w.row[:0]
	for _, x := range []float64{h.RowTime(), since, math.Mod(h.StartLST+since*siderealRate, secondsPerDay)} {
		b = appendDouble(b, x)
	}
	for _, x := range []float64{h.Azimuth, h.ZenithAngle} {
		b = appendSingle(b, float32(x))
	}
	for _, x := range h.Freqs {
		b = appendSingle(b, float32(x))
	}
	for _, column := range [][]float32{d.Weights, d.Offsets, d.Scales} {
		for _, x := range column {
			b = appendSingle(b, x)
		}
	}
	pack(w.row[len(b):], d.Samples, h.Bits)
	w.rows++
	_, err := w.w.Write(w.row)
	return err
}

// siderealRate is how much faster a sidereal clock goes.
const siderealRate = 1.00273790935

func appendDouble(b []byte, x float64) []byte {
	return binary.BigEndian.AppendUint64(b, math.Float64bits(x))
}

func appendSingle(b []byte, x float32) []byte {
	return binary.BigEndian.AppendUint32(b, math.Float32bits(x))
}

// Close fills the last block, and closes the file that Create made. It is an
// error if rows are missing.
func (w *Writer) Close() error {
	if w.err == nil && w.rows != w.h.Rows {
		w.err = fmt.Errorf("%d rows were written, the header announces %d", w.rows, w.h.Rows)
	}
	if w.err == nil {
		length := int64(w.rows) * int64(len(w.row))
		_, w.err = w.w.Write(make([]byte, padding(length)))
	}
	if w.err == nil {
		w.err = w.w.Flush()
	}
	if w.closer != nil {
		w.err = errors.Join(w.err, w.closer.Close())
		w.closer = nil
	}
	return w.err
}

// padding is how many bytes fill the last block.
func padding(length int64) int64 { return (blockSize - length%blockSize) % blockSize }

// FileSize returns the size of the file that is written from this header, bytes.
func (h FileHeader) FileSize() int64 {
	data := int64(h.Rows) * int64(h.rowSize())
	return int64(len(primaryHeader(h))+len(subintHeader(h))) + data + padding(data)
}

// rowSize is the length of a row that is written, bytes.
func (h FileHeader) rowSize() int {
	n := 0
	for _, col := range h.columns() {
		bits, _ := typeBits(col.Type)
		n += col.Repeat * bits / 8
	}
	return n
}

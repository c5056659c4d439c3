package psrfits

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
)

// File is one search-mode PSRFITS file that is open for reading. It may be
// used by one goroutine at a time.
type File struct {
	Name    string // the path it was opened by
	Size    int64  // bytes
	Header  FileHeader
	Primary *Cards
	Subint  *Cards

	r      io.ReaderAt
	closer io.Closer
	table  *table
	freq   *Column // the columns that every row is read for; data is nil
	offs   *Column // if the file was stripped of its samples
	weight *Column
	offset *Column
	scale  *Column
	data   *Column
	row    []byte // as it stands in the file
}

// Open opens a file and checks all of its headers and its first row. The
// error wraps ErrTruncated if the file is too short for what it announces.
func Open(path string) (*File, error) {
	fd, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := fd.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: not a regular file", path)
	}
	var f *File
	if err == nil {
		f, err = NewFile(fd, info.Size(), path)
	}
	if err != nil {
		return nil, closing(fd, err)
	}
	f.closer = fd
	return f, nil
}

// closing closes what failed and keeps the error that counts.
func closing(c io.Closer, err error) error {
	_ = c.Close() // it was only read
	return err
}

// NewFile reads the headers of a file of size bytes that the caller opened
// and closes. name is for errors and is where Name comes from.
func NewFile(r io.ReaderAt, size int64, name string) (*File, error) {
	f := &File{Name: name, Size: size, r: r}
	if err := f.readHeaders(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

// Close closes the file if Open opened it.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// HasData reports whether the file has samples. Those that a survey keeps
// with its results have been stripped of them.
func (f *File) HasData() bool { return f.data != nil }

// Columns returns how a row of the SUBINT table is made.
func (f *File) Columns() []Column { return f.table.columns }

func (f *File) readHeaders() error {
	var off int64
	var err error
	if f.Primary, off, err = readCards(f.r, f.Size, 0, "PRIMARY"); err != nil {
		return err
	}
	if conforms, err := f.Primary.Bool("SIMPLE"); err != nil || !conforms {
		return f.Primary.fail("SIMPLE", "the file does not conform to FITS")
	}
	length, err := dataSize(f.Primary)
	if err != nil {
		return err
	}
	if length > f.Size-off {
		return f.Primary.fail("data", "ends behind the file's end at byte %d: %w", f.Size, ErrTruncated)
	}
	off += (length + blockSize - 1) / blockSize * blockSize
	if f.Subint, f.table, err = findTable(f.r, f.Size, off, "SUBINT"); err != nil {
		return err
	}
	if f.Header, err = parseHeader(f.Primary, f.Subint); err != nil {
		return err
	}
	if err := f.findColumns(); err != nil {
		return err
	}
	return f.firstRow()
}

// findColumns finds the columns and holds their lengths against the header.
func (f *File) findColumns() error {
	h := f.Header
	c := f.Subint
	var err error
	want := func(name string, n int) *Column {
		col := f.table.column(name)
		switch {
		case err != nil:
		case col == nil:
			err = c.fail("column "+name, "is missing")
		case !col.isFloat() || col.Repeat != n:
			err = c.fail("column "+name, "has %d of type %c, not %d of E or D", col.Repeat, col.Type, n)
		}
		return col
	}
	f.offs = want("OFFS_SUB", 1)
	f.freq = want("DAT_FREQ", h.Channels)
	if f.data = f.table.column("DATA"); f.data == nil || err != nil {
		return err
	}
	f.weight = want("DAT_WTS", h.Channels)
	f.offset = want("DAT_OFFS", h.Channels*h.Pols)
	f.scale = want("DAT_SCL", h.Channels*h.Pols)
	if err != nil {
		return err
	}
	return f.checkData()
}

// checkData holds the DATA column against the header.
func (f *File) checkData() error {
	h := f.Header
	perSpectrum := h.Channels * h.Pols * h.Bits
	if perSpectrum%8 != 0 {
		return f.Subint.fail("NCHAN", "a spectrum of %d bits does not end with a byte", perSpectrum)
	}
	if want := perSpectrum / 8 * h.RowSpectra; f.data.size != want {
		return f.Subint.fail("column DATA", "has %d bytes, not the %d that NSBLK, NPOL, NCHAN and NBITS make", f.data.size, want)
	}
	for i := range f.table.columns {
		if &f.table.columns[i] != f.data {
			continue
		}
		for _, word := range []string{"TSCAL", "TZERO"} {
			if key := fmt.Sprint(word, i+1); f.Subint.Has(key) {
				return f.Subint.fail(key, "scaling of the DATA column is not supported")
			}
		}
	}
	return nil
}

// readRaw reads the bytes of row i, counted from 0.
func (f *File) readRaw(i int, buf []byte) error {
	_, err := f.r.ReadAt(buf, f.table.start+int64(i)*f.table.rowSize)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = ErrTruncated // it was longer when it was opened
	}
	if err != nil {
		return fmt.Errorf("HDU %s: read row %d: %w", f.Subint.HDU, i+1, err)
	}
	return nil
}

func (c *Column) isFloat() bool { return strings.IndexByte("ED", c.Type) >= 0 }

// float returns element i of a column of type E or D in a row's bytes.
func (c *Column) float(row []byte, i int) float64 {
	b := row[c.offset:]
	if c.Type == 'E' {
		return float64(math.Float32frombits(binary.BigEndian.Uint32(b[4*i:])))
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b[8*i:]))
}

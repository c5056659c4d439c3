package psrfits

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

const (
	maxHDUs = 64
	maxAxes = 9
	// maxFields is the FITS standard's own limit.
	maxFields = 999
)

// Column is one field of a binary table.
type Column struct {
	Name   string
	Type   byte  // the letter of its TFORM: L X B I J K A E D C M P Q
	Repeat int   // elements in a row; bits for X
	Dim    []int // TDIM, fastest first; nil if absent or not fitting Repeat
	Unit   string
	offset int // bytes from the row's begin
	size   int // bytes
}

// table is a binary table: where it lies and how a row of it is made.
type table struct {
	start   int64 // byte of its first row
	rowSize int64 // bytes
	rows    int64
	columns []Column
}

// column returns the column of that name, nil if there is none.
func (t *table) column(name string) *Column {
	for i := range t.columns {
		if t.columns[i].Name == name {
			return &t.columns[i]
		}
	}
	return nil
}

// findTable walks the HDUs to the binary table of that name and returns its
// header and layout. The whole table lies within size.
func findTable(r io.ReaderAt, size, off int64, name string) (*Cards, *table, error) {
	for n := 1; n < maxHDUs && off < size; n++ {
		cards, start, err := readCards(r, size, off, strconv.Itoa(n))
		if err != nil {
			return nil, nil, err
		}
		length, err := dataSize(cards)
		if err != nil {
			return nil, nil, err
		}
		if cards.HDU == name {
			t, err := parseTable(cards, start)
			if err == nil {
				err = t.within(cards, size)
			}
			return cards, t, err
		}
		if length > size-start {
			return nil, nil, cards.fail("data", "ends behind the file's end at byte %d: %w", size, ErrTruncated)
		}
		off = start + (length+blockSize-1)/blockSize*blockSize
	}
	return nil, nil, fmt.Errorf("HDU %s: there is none in this file", name)
}

// within checks that the file has every row, and says which is the first that
// it does not have whole. Missing padding behind the last row does no harm.
func (t *table) within(c *Cards, size int64) error {
	there := max(0, size-t.start)
	if t.rowSize == 0 || t.rows <= there/t.rowSize {
		return nil
	}
	return c.fail(fmt.Sprintf("row %d of %d", there/t.rowSize+1, t.rows),
		"ends behind the file's end at byte %d: %w", size, ErrTruncated)
}

// dataSize returns how many bytes of data follow a header, without padding.
func dataSize(c *Cards) (int64, error) {
	bits, err := c.Int("BITPIX")
	if err != nil {
		return 0, err
	}
	switch bits {
	case 8, 16, 32, 64, -32, -64:
	default:
		return 0, c.fail("BITPIX", "%d is not one of FITS", bits)
	}
	axes, err := c.intIn("NAXIS", 0, maxAxes)
	if err != nil || axes == 0 {
		return 0, err
	}
	n := int64(1)
	for i := range axes {
		key := "NAXIS" + strconv.FormatInt(i+1, 10)
		axis, err := c.intIn(key, 0, math.MaxInt64)
		if err != nil {
			return 0, err
		}
		if n, err = mul(n, axis); err != nil {
			return 0, c.fail(key, "%w", err)
		}
	}
	return c.withGroups(n, max(bits, -bits)/8)
}

// withGroups adds PCOUNT and applies GCOUNT, which primary headers need not have.
func (c *Cards) withGroups(n, width int64) (int64, error) {
	pcount, gcount := int64(0), int64(1)
	var err error
	if c.Has("PCOUNT") {
		if pcount, err = c.intIn("PCOUNT", 0, math.MaxInt64); err != nil {
			return 0, err
		}
	}
	if c.Has("GCOUNT") {
		if gcount, err = c.intIn("GCOUNT", 0, math.MaxInt64); err != nil {
			return 0, err
		}
	}
	if pcount > math.MaxInt64/2-min(n, math.MaxInt64/2) {
		return 0, c.fail("PCOUNT", "%w", errTooLarge)
	}
	if n, err = mul(n+pcount, gcount); err == nil {
		n, err = mul(n, width)
	}
	if err != nil || n > math.MaxInt64/4 {
		return 0, c.fail("NAXIS, PCOUNT and GCOUNT", "%w", errTooLarge)
	}
	return n, nil
}

var errTooLarge = errors.New("larger than any file")

// mul multiplies sizes that are not negative.
func mul(a, b int64) (int64, error) {
	if b != 0 && a > math.MaxInt64/b {
		return 0, errTooLarge
	}
	return a * b, nil
}

// intIn returns an integer that lies within bounds.
func (c *Cards) intIn(key string, lo, hi int64) (int64, error) {
	n, err := c.Int(key)
	if err == nil && (n < lo || n > hi) {
		err = c.fail(key, "%d is not in %d to %d", n, lo, hi)
	}
	return n, err
}

// parseTable reads the layout of a binary table whose data begins at start.
func parseTable(c *Cards, start int64) (*table, error) {
	if kind, _ := c.String("XTENSION"); kind != "BINTABLE" {
		return nil, c.fail("XTENSION", "%q is not BINTABLE", kind)
	}
	axes, err := c.intIn("NAXIS", 2, 2)
	if err != nil || axes != 2 {
		return nil, err
	}
	t := &table{start: start}
	if t.rowSize, err = c.intIn("NAXIS1", 0, math.MaxInt32); err != nil {
		return nil, err
	}
	if t.rows, err = c.intIn("NAXIS2", 0, math.MaxInt32); err != nil {
		return nil, err
	}
	fields, err := c.intIn("TFIELDS", 0, maxFields)
	if err != nil {
		return nil, err
	}
	end := int64(0)
	for i := range int(fields) {
		col, err := parseColumn(c, i+1)
		if err != nil {
			return nil, err
		}
		col.offset = int(end)
		if end += int64(col.size); end > t.rowSize {
			return nil, c.fail("NAXIS1", "a row has %d bytes, its first %d columns more", t.rowSize, i+1)
		}
		t.columns = append(t.columns, col)
	}
	if end != t.rowSize {
		return nil, c.fail("NAXIS1", "a row has %d bytes, its columns %d", t.rowSize, end)
	}
	return t, nil
}

// parseColumn reads the keywords of column n, counted from one.
func parseColumn(c *Cards, n int) (Column, error) {
	key := func(word string) string { return word + strconv.Itoa(n) }
	var col Column
	form, err := c.String(key("TFORM"))
	if err != nil {
		return col, err
	}
	digits := len(form) - len(strings.TrimLeft(form, "0123456789"))
	col.Repeat = 1
	if digits > 0 {
		if col.Repeat, err = strconv.Atoi(form[:digits]); err != nil || col.Repeat > math.MaxInt32 {
			return col, c.fail(key("TFORM"), "%q repeats too often", form)
		}
	}
	if form = form[digits:]; form == "" {
		return col, c.fail(key("TFORM"), "has no type")
	}
	col.Type = form[0]
	width, ok := typeBits(col.Type)
	if !ok {
		return col, c.fail(key("TFORM"), "there is no type %q", col.Type)
	}
	col.size = (col.Repeat*width + 7) / 8
	// These three are optional; one that is not a string names nothing.
	col.Name, _ = c.String(key("TTYPE"))
	col.Unit, _ = c.String(key("TUNIT"))
	dim, _ := c.String(key("TDIM"))
	col.Dim = parseDim(dim, col.Repeat)
	return col, nil
}

// typeBits returns how many bits an element of a TFORM's type takes.
func typeBits(letter byte) (int, bool) {
	bits, ok := map[byte]int{
		'X': 1, 'L': 8, 'B': 8, 'A': 8, 'I': 16, 'J': 32, 'E': 32,
		'K': 64, 'D': 64, 'C': 64, 'P': 64, 'M': 128, 'Q': 128,
	}[letter]
	return bits, ok
}

// parseDim reads a TDIM such as (96,1,1024); nil unless it has just as many
// elements as the column.
func parseDim(s string, elements int) []int {
	inner, ok := strings.CutPrefix(s, "(")
	inner, closed := strings.CutSuffix(inner, ")")
	if !ok || !closed {
		return nil
	}
	var dim []int
	product := 1
	for part := range strings.SplitSeq(inner, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 1 || product > elements/n {
			return nil
		}
		product *= n
		dim = append(dim, n)
	}
	if product != elements {
		return nil
	}
	return dim
}

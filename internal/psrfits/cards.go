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
	blockSize = 2880
	cardSize  = 80
	// maxHeaderBlocks bounds one header; 9,216 cards where real ones have
	// some hundred.
	maxHeaderBlocks = 256
)

// Callers branch on these with errors.Is.
var (
	// ErrTruncated: the file ends before what its headers announce.
	ErrTruncated = errors.New("the file is truncated")
	// ErrNoData: the file has headers, but its DATA column was removed.
	ErrNoData = errors.New("the file has no DATA column")
	// ErrMissing: a header lacks a keyword.
	ErrMissing = errors.New("keyword is missing")
)

// Cards are the keywords of one HDU's header. Where a keyword is repeated,
// the first one counts. Commentary cards are skipped.
type Cards struct {
	// HDU names the header in errors: PRIMARY, or its EXTNAME.
	HDU    string
	values map[string]value
}

// value is a keyword's value: the text between the quotes of a string, or
// what stands there otherwise.
type value struct {
	text   string
	quoted bool
}

// Has reports whether the header has the keyword.
func (c *Cards) Has(key string) bool {
	_, ok := c.values[key]
	return ok
}

// String returns a string value without its trailing blanks. Bytes other than
// printable ASCII come back as question marks.
func (c *Cards) String(key string) (string, error) {
	v, err := c.get(key)
	if err == nil && !v.quoted {
		err = c.wrong(key, v, "a string")
	}
	return v.text, err
}

// Int returns an integer value.
func (c *Cards) Int(key string) (int64, error) {
	v, err := c.get(key)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(v.text, 10, 64)
	if err != nil || v.quoted {
		return 0, c.wrong(key, v, "an integer")
	}
	return n, nil
}

// Float returns a number, which is finite.
func (c *Cards) Float(key string) (float64, error) {
	v, err := c.get(key)
	if err != nil {
		return 0, err
	}
	x, err := strconv.ParseFloat(strings.Map(fortranExponent, v.text), 64)
	if err != nil || v.quoted || math.IsInf(x, 0) || math.IsNaN(x) {
		return 0, c.wrong(key, v, "a number")
	}
	return x, nil
}

// Bool returns a logical value.
func (c *Cards) Bool(key string) (bool, error) {
	v, err := c.get(key)
	if err == nil && (v.quoted || v.text != "T" && v.text != "F") {
		err = c.wrong(key, v, "T or F")
	}
	return v.text == "T", err
}

func (c *Cards) get(key string) (value, error) {
	v, ok := c.values[key]
	if !ok {
		return v, c.fail(key, "%w", ErrMissing)
	}
	return v, nil
}

func (c *Cards) wrong(key string, v value, want string) error {
	return c.fail(key, "%q is not %s", v.text, want)
}

// fail makes an error that names the HDU and where in it the mistake is.
func (c *Cards) fail(where, format string, args ...any) error {
	return fmt.Errorf("HDU %s: %s: %w", c.HDU, where, fmt.Errorf(format, args...))
}

// fortranExponent turns the D of 1.5D-3 into the E that everybody else writes.
func fortranExponent(r rune) rune {
	if r == 'D' || r == 'd' {
		return 'E'
	}
	return r
}

// readCards reads the header that begins at off and returns where its data
// begins. hdu names it in errors until its EXTNAME is known.
func readCards(r io.ReaderAt, size, off int64, hdu string) (*Cards, int64, error) {
	c := &Cards{HDU: hdu, values: make(map[string]value)}
	block := make([]byte, blockSize)
	for n := range maxHeaderBlocks {
		if size-off < blockSize {
			return nil, 0, fmt.Errorf("HDU %s: header has no END before the file's end at byte %d: %w", hdu, size, ErrTruncated)
		}
		if _, err := r.ReadAt(block, off); err != nil {
			return nil, 0, fmt.Errorf("HDU %s: read header at byte %d: %w", hdu, off, err)
		}
		if n == 0 && !startsHDU(block) {
			return nil, 0, fmt.Errorf("HDU %s: byte %d does not begin a FITS header", hdu, off)
		}
		off += blockSize
		if c.addBlock(block) {
			if name, err := c.String("EXTNAME"); err == nil && name != "" {
				c.HDU = name
			}
			return c, off, nil
		}
	}
	return nil, 0, fmt.Errorf("HDU %s: header has no END within %d blocks", hdu, maxHeaderBlocks)
}

// startsHDU reports whether a block begins as a primary or an extension header does.
func startsHDU(block []byte) bool {
	s := string(block[:10])
	return s == "SIMPLE  = " || s == "XTENSION= "
}

// addBlock takes the cards of a block and reports whether END was among them.
func (c *Cards) addBlock(block []byte) (end bool) {
	for i := 0; i < len(block); i += cardSize {
		card := block[i : i+cardSize]
		key := printable(card[:8])
		if key == "END" {
			return true
		}
		if string(card[8:10]) != "= " {
			continue // COMMENT, HISTORY, CONTINUE, HIERARCH, blank
		}
		if _, again := c.values[key]; !again {
			c.values[key] = parseValue(printable(card[10:]))
		}
	}
	return false
}

// parseValue reads a card's value field, with its comment if there is one.
func parseValue(field string) value {
	field = strings.TrimLeft(field, " ")
	if !strings.HasPrefix(field, "'") {
		text, _, _ := strings.Cut(field, "/")
		return value{text: strings.TrimSpace(text)}
	}
	var text strings.Builder
	for rest := field[1:]; ; {
		part, after, closed := strings.Cut(rest, "'")
		text.WriteString(part)
		if !closed || !strings.HasPrefix(after, "'") {
			return value{text: strings.TrimRight(text.String(), " "), quoted: true}
		}
		text.WriteByte('\'') // a doubled quote stands for one
		rest = after[1:]
	}
}

// printable turns bytes into text, anything but printable ASCII into question
// marks, and drops blanks at the end.
func printable(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		if c < ' ' || c > '~' {
			c = '?'
		}
		out[i] = c
	}
	return strings.TrimRight(string(out), " ")
}

package results

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds how deep objects and arrays may nest. A record nests three
// deep in its parent: children, array, object.
const maxDepth = 64

// decodeStrict reads one JSON value into map[string]any, []any, int64, float64,
// string, bool and nil. It refuses what encoding/json lets pass: a key given
// twice, bytes that are not UTF-8, half a surrogate pair, NUL, numbers that
// would not be kept whole, deep nesting, and anything after the value.
func decodeStrict(data []byte) (any, error) {
	d := &decoder{data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	d.dec.UseNumber()
	if at := invalidUTF8(data); at >= 0 {
		return nil, fmt.Errorf("%s: not UTF-8", d.position(at))
	}
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := d.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: more after the end of the object; one object is allowed", d.position(int(d.dec.InputOffset())))
	}
	return v, nil
}

// decoder walks the tokens of one JSON text.
type decoder struct {
	data []byte
	dec  *json.Decoder
	path []string // of the value in hand
}

func (d *decoder) value(depth int) (any, error) {
	tok, err := d.dec.Token()
	if err != nil {
		return nil, d.syntax(err)
	}
	switch tok := tok.(type) {
	case json.Delim:
		if depth == maxDepth {
			return nil, d.fault("nested more than %d deep", maxDepth)
		}
		if tok == '{' {
			return d.object(depth + 1)
		}
		return d.array(depth + 1)
	case json.Number:
		return d.number(string(tok))
	case string:
		return tok, d.text(tok)
	default:
		return tok, nil
	}
}

func (d *decoder) object(depth int) (any, error) {
	obj := make(map[string]any)
	for d.dec.More() {
		tok, err := d.dec.Token()
		if err != nil {
			return nil, d.syntax(err)
		}
		key := tok.(string) // Token has refused any other
		d.path = append(d.path, key)
		if err := d.text(key); err != nil {
			return nil, err
		}
		if _, ok := obj[key]; ok {
			return nil, d.fault("given twice")
		}
		if obj[key], err = d.value(depth); err != nil {
			return nil, err
		}
		d.path = d.path[:len(d.path)-1]
	}
	return obj, d.end()
}

func (d *decoder) array(depth int) (any, error) {
	list := []any{}
	for d.dec.More() {
		d.path = append(d.path, strconv.Itoa(len(list)))
		v, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		d.path = d.path[:len(d.path)-1]
	}
	return list, d.end()
}

// end takes the closing bracket.
func (d *decoder) end() error {
	if _, err := d.dec.Token(); err != nil {
		return d.syntax(err)
	}
	return nil
}

// number keeps an integer an integer, and refuses what no column could keep as
// it was sent.
func (d *decoder) number(s string) (any, error) {
	if !strings.ContainsAny(s, ".eE") {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, d.fault("the integer %s does not fit 64 bits; write a decimal point if a float is meant, quotes if text is", cut(s))
		}
		return n, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, d.fault("the number %s is beyond what a 64-bit float can hold", cut(s))
	}
	return f, nil
}

// text refuses what some database could not keep.
func (d *decoder) text(s string) error {
	switch {
	case strings.ContainsRune(s, 0):
		return d.fault("text with a NUL character; binary data belongs into a file named under blobs")
	case strings.ContainsRune(s, utf8.RuneError):
		return d.fault("text with U+FFFD, which stands for characters that were lost")
	}
	return nil
}

// fault is an error about the value in hand.
func (d *decoder) fault(format string, args ...any) error {
	return fmt.Errorf("%s: %s: %s", d.position(int(d.dec.InputOffset())), pointer(d.path), fmt.Sprintf(format, args...))
}

// syntax says where the text stops being JSON.
func (d *decoder) syntax(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return d.fault("the file ends in the middle; was the job stopped while it wrote?")
	}
	next := bytes.TrimLeft(d.data[min(int(d.dec.InputOffset()), len(d.data)):], " \t\r\n:,-")
	if bytes.HasPrefix(next, []byte("NaN")) || bytes.HasPrefix(next, []byte("Inf")) {
		return d.fault("NaN and infinities are not JSON; write null, or leave the column out")
	}
	return d.fault("not JSON: %v", err)
}

// position is where in the file an offset is, as people count.
func (d *decoder) position(offset int) string {
	before := d.data[:min(offset, len(d.data))]
	return fmt.Sprintf("line %d, column %d", bytes.Count(before, []byte("\n"))+1, len(before)-bytes.LastIndexByte(before, '\n'))
}

// invalidUTF8 is the offset of the first byte that is no UTF-8, or -1.
func invalidUTF8(data []byte) int {
	for at := 0; at < len(data); {
		r, n := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && n <= 1 {
			return at
		}
		at += n
	}
	return -1
}

// pointer writes a path as a JSON pointer (RFC 6901), printable and not
// endless, whatever the keys are.
func pointer(path []string) string {
	if len(path) == 0 {
		return "(the whole file)"
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	var b strings.Builder
	for _, p := range path {
		q := strconv.Quote(cut(p))
		b.WriteString("/" + escape.Replace(q[1:len(q)-1]))
	}
	return b.String()
}

// cut shortens foreign text for a message.
func cut(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

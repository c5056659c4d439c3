package sift

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// maxHarmonics bounds how many harmonics a candidate may have been summed of.
const maxHarmonics = 64

// ParseAccelFile reads an _ACCEL_ file of PRESTO's accelsearch. name is the
// file's, which has the DM. The powers that count are those of the polished
// harmonics, in the second table; the length of the series is in the
// description that follows it.
func ParseAccelFile(name, text string) ([]Candidate, error) {
	name = filepath.Base(name)
	m := regexp.MustCompile(`_DM(\d+\.\d{2})_`).FindStringSubmatch(name)
	if m == nil {
		return nil, fmt.Errorf("%s: the name of an _ACCEL_ file has the DM in it", name)
	}
	p := accelParser{name: name, current: -1}
	p.dm, _ = strconv.ParseFloat(m[1], 64) // digits
	for i, line := range strings.Split(text, "\n") {
		if err := p.line(strings.TrimRight(line, "\r")); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w: %.80q", name, i+1, err, line)
		}
	}
	return p.finish()
}

// accelParser reads line by line.
type accelParser struct {
	name    string
	dm      float64
	all     []Candidate
	want    []int // how many harmonics each has
	current int   // of all: whose harmonics are being read; -1 before the second table
	bins    float64
	width   float64 // s
}

// line knows a line by its beginning, as PRESTO's own reader does: a digit for
// a candidate, a blank and a digit for its first harmonic, more blanks for the
// others, a label for the description.
func (p *accelParser) line(line string) error {
	if label, value, ok := strings.Cut(line, "="); ok {
		return p.described(strings.TrimSpace(label), strings.TrimSpace(value))
	}
	fields := strings.Fields(line)
	if len(fields) == 0 {
		return nil
	}
	switch {
	case isDigit(line[0]):
		return p.fundamental(fields)
	case len(line) > 1 && line[0] == ' ' && isDigit(line[1]):
		return p.firstHarmonic(fields)
	case p.current >= 0 && isDigit(fields[0][0]) && len(p.all[p.current].Powers) < p.want[p.current]:
		return p.power(fields, 2)
	}
	return nil
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

func (p *accelParser) described(label, value string) (err error) {
	switch label {
	case "Number of bins in the time series":
		p.bins, err = plain(value)
	case "Width of each time series bin (sec)":
		p.width, err = plain(value)
	}
	return err
}

func (p *accelParser) fundamental(fields []string) error {
	if len(fields) < 10 {
		return errors.New("a candidate has at least ten columns")
	}
	c := Candidate{AccelFile: p.name, DM: p.dm}
	harmonics, err := strconv.Atoi(fields[4])
	if err != nil || harmonics < 1 || harmonics > maxHarmonics {
		return fmt.Errorf("%.20q is not a number of harmonics", fields[4])
	}
	// The number's column has room for 9999 only: count where it overflows.
	c.Number = len(p.all) + 1
	if n, err := strconv.Atoi(fields[0]); err != nil || n != c.Number && c.Number <= 9999 {
		return fmt.Errorf("candidate %.20q stands where number %d should", fields[0], c.Number)
	}
	for i, to := range map[int]*float64{3: &c.CPow, 7: &c.R, 9: &c.Z} {
		if *to, err = plain(fields[i]); err != nil {
			return err
		}
	}
	if c.R <= 0 {
		return errors.New("the frequency is not positive")
	}
	p.all, p.want = append(p.all, c), append(p.want, harmonics)
	return nil
}

func (p *accelParser) firstHarmonic(fields []string) error {
	p.current++
	if p.current >= len(p.all) {
		return errors.New("there are harmonics of a candidate that is not listed")
	}
	return p.power(fields, 3)
}

// power adds the power of the next harmonic.
func (p *accelParser) power(fields []string, column int) error {
	if len(fields) <= column {
		return errors.New("the line of a harmonic is cut")
	}
	x, err := plain(fields[column])
	p.all[p.current].Powers = append(p.all[p.current].Powers, x)
	return err
}

// finish checks that all is there.
func (p *accelParser) finish() ([]Candidate, error) {
	seconds := p.bins * p.width
	for i := range p.all {
		if len(p.all[i].Powers) != p.want[i] {
			return nil, fmt.Errorf("%s: candidate %d has %d harmonics, of %d the power is given", p.name, i+1, p.want[i], len(p.all[i].Powers))
		}
		p.all[i].Seconds = seconds
	}
	if len(p.all) > 0 && !(seconds > 0) {
		return nil, fmt.Errorf("%s: the length of the time series is missing", p.name)
	}
	return p.all, nil
}

// plain reads a number that may have an error in brackets and a power of ten,
// as in 48.6(9.9) and 0.0(1.6)x10^3. Where the power is cut off by the width of
// its column it is 5, as PRESTO assumes.
func plain(s string) (float64, error) {
	mantissa, rest, _ := strings.Cut(s, "(")
	x, err := strconv.ParseFloat(mantissa, 64)
	if _, exponent, ok := strings.Cut(rest, "^"); ok && err == nil {
		e, bad := strconv.Atoi(exponent)
		if bad != nil {
			e = 5
		}
		x *= math.Pow10(e)
	}
	if err == nil && (math.IsNaN(x) || math.IsInf(x, 0)) {
		err = fmt.Errorf("%.20s is not a number", s)
	}
	return x, err
}

package presto

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// paramsFile is where a job leaves the settings of its search.
const paramsFile = "search_params.txt"

// Params are those settings of a search that say what is uploaded of it.
type Params struct {
	ToPrepfoldSigma    float64 // candidates above it are folded
	MaxCandsToFold     int     // and at most so many
	SiftingShortPeriod float64 // s; shorter periods are sifted out
	SiftingLongPeriod  float64 // s; longer ones too
}

// ParseParams reads search_params.txt: lines of Python that give a value to a
// name. They are read, never run. The error names the line that is no such
// thing, or the setting that is missing.
func ParseParams(text string) (Params, error) {
	values := make(map[string]string)
	assignment := regexp.MustCompile(`^([A-Za-z_]\w*)\s*=\s*(\S.*?)\s*$`)
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, " \t\r")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		m := assignment.FindStringSubmatch(line)
		if m == nil {
			return Params{}, fmt.Errorf("line %d: %.80q is not of the form name = value", i+1, line)
		}
		values[m[1]] = m[2]
	}
	var p Params
	most := 0.0
	for name, to := range map[string]*float64{
		"to_prepfold_sigma":    &p.ToPrepfoldSigma,
		"max_cands_to_fold":    &most,
		"sifting_short_period": &p.SiftingShortPeriod,
		"sifting_long_period":  &p.SiftingLongPeriod,
	} {
		text, ok := values[name]
		if !ok {
			return Params{}, fmt.Errorf("it has no %s", name)
		}
		x, err := finite(text)
		if err != nil {
			return Params{}, fmt.Errorf("%s: %w", name, err)
		}
		*to = x
	}
	p.MaxCandsToFold = int(min(most, 1e6))
	return p, p.check()
}

func (p Params) check() error {
	switch {
	case p.MaxCandsToFold < 0:
		return fmt.Errorf("max_cands_to_fold is %d", p.MaxCandsToFold)
	case p.SiftingShortPeriod <= 0, p.SiftingLongPeriod <= p.SiftingShortPeriod:
		return fmt.Errorf("sifting_short_period %s and sifting_long_period %s: the first must be positive and below the second",
			strconv.FormatFloat(p.SiftingShortPeriod, 'g', -1, 64), strconv.FormatFloat(p.SiftingLongPeriod, 'g', -1, 64))
	}
	return nil
}

// finite reads a number, and refuses what is none.
func finite(s string) (float64, error) {
	x, err := strconv.ParseFloat(s, 64)
	if err == nil && (math.IsNaN(x) || math.IsInf(x, 0)) {
		err = fmt.Errorf("%s is not a number", s)
	}
	return x, err
}

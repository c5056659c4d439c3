package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

var errDuration = errors.New(`write a number and a unit, as "60s", "90m", "3h", "2d" or "1h30m"`)

const day = 24 * time.Hour

// ParseDuration reads a time span in Go's form ("90s", "1h30m"), with days as
// well ("2d", "1d12h"). It is never negative; "0" needs no unit.
func ParseDuration(text string) (Duration, error) {
	days, rest, hasDays := strings.Cut(text, "d")
	if !hasDays {
		days, rest = "", text
	}
	var sum time.Duration
	if hasDays {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || strings.Trim(days, digits+".") != "" || n > float64(math.MaxInt64/day) {
			return 0, errDuration
		}
		sum = time.Duration(n * float64(day))
	}
	if rest != "" || !hasDays {
		d, err := time.ParseDuration(rest)
		if err != nil || strings.HasPrefix(rest, "-") || d > math.MaxInt64-sum {
			return 0, errDuration
		}
		sum += d
	}
	return Duration(sum), nil
}

// UnmarshalText is ParseDuration.
func (d *Duration) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDuration(string(text))
	return err
}

// MarshalText is String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String returns d in the shortest form that ParseDuration reads: "30m", not "30m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if short, ok := strings.CutSuffix(s, "m0s"); ok {
		s = short + "m"
	}
	if short, ok := strings.CutSuffix(s, "h0m"); ok {
		s = short + "h"
	}
	return s
}

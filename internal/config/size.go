package config

import (
	"errors"
	"math/big"
	"strconv"
	"strings"
)

var errSize = errors.New(`write a number and one of the units B, kB, MB, GB, TB, KiB, MiB, GiB, TiB, as "60GiB"`)

type unit struct {
	name  string
	bytes int64
}

// units returns the units of Size, largest first.
func units() []unit {
	return []unit{
		{"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9},
		{"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"kB", 1e3}, {"B", 1},
	}
}

// ParseSize reads a number of bytes such as "60GiB", "1.5 TB" or "500MB". A
// fraction of a byte is dropped; "0" needs no unit.
func ParseSize(text string) (Size, error) {
	const longest = 30 // digits; beyond that it cannot fit
	if text == "0" {
		return 0, nil
	}
	for _, u := range units() {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		number = strings.TrimRight(number, " ")
		if len(number) > longest || strings.Trim(number, digits+".") != "" {
			return 0, errSize
		}
		value, ok := new(big.Rat).SetString(number)
		if !ok {
			return 0, errSize
		}
		value.Mul(value, new(big.Rat).SetInt64(u.bytes))
		whole := new(big.Int).Quo(value.Num(), value.Denom())
		if !whole.IsInt64() {
			return 0, errSize
		}
		return Size(whole.Int64()), nil
	}
	return 0, errSize
}

// UnmarshalText is ParseSize.
func (s *Size) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSize(string(text))
	return err
}

// MarshalText is String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String returns s exactly, in the largest unit of which it is a whole number.
func (s Size) String() string {
	for _, u := range units() {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return "0B"
}

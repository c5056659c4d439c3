package operator

import (
	"fmt"
	"strings"
	"time"
)

// Stamp writes a time for people, in UTC; "-" if it is zero.
func Stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// Span writes a length of time in its two largest units, as "45s", "3m20s",
// "2h05m" or "3d04h".
func Span(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", s)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", m, s)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", h, m)
	}
	return fmt.Sprintf("%dd%02dh", h/24, h%24)
}

// Bytes writes a number of bytes to three digits, in powers of ten.
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, units := float64(n), "kMGTPE"
	v /= 1000
	for v >= 999.5 && len(units) > 1 {
		v /= 1000
		units = units[1:]
	}
	digits := 0
	if v < 9.995 {
		digits = 2
	} else if v < 99.95 {
		digits = 1
	}
	return fmt.Sprintf("%.*f %cB", digits, v, units[0])
}

// Count writes a number and the noun it counts, as "1 file" or "3 files".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// oneLine is a text without line ends; what is foreign may have any.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

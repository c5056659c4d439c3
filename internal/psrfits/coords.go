package psrfits

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Angle is an angle in the form in which headers have it: hours (of right
// ascension) or degrees, minutes and seconds.
type Angle struct {
	negative bool
	hours    bool
	whole    int
	minute   int
	second   float64
}

// ParseRA reads a right ascension, hh:mm:ss.ssss, from 0h up to 24h.
func ParseRA(s string) (Angle, error) {
	a, err := parseAngle(s)
	a.hours = true
	if err == nil && (a.negative || a.whole >= 24) {
		err = fmt.Errorf("%q is not in 0h to 24h", s)
	}
	return a, err
}

// ParseDec reads a declination, ±dd:mm:ss.ssss, from -90 to 90 degrees.
func ParseDec(s string) (Angle, error) {
	a, err := parseAngle(s)
	if err == nil && math.Abs(a.Degrees()) > 90 {
		err = fmt.Errorf("%q is not in -90 to 90 degrees", s)
	}
	return a, err
}

func parseAngle(s string) (Angle, error) {
	form := regexp.MustCompile(`^([+-]?)(\d{2,3}):([0-5]\d)(?::([0-5]\d(?:\.\d*)?))?$`)
	m := form.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		return Angle{}, fmt.Errorf("%q is not of the form dd:mm:ss.ssss", s)
	}
	// What the pattern lets through these can read; no second is 0.
	a := Angle{negative: m[1] == "-"}
	a.whole, _ = strconv.Atoi(m[2])
	a.minute, _ = strconv.Atoi(m[3])
	a.second, _ = strconv.ParseFloat(m[4], 64)
	return a, nil
}

// RAFromDegrees is the right ascension next to deg that has four decimals of a second.
func RAFromDegrees(deg float64) Angle {
	a := fromDegrees(math.Mod(math.Mod(deg, 360)+360, 360) / 15)
	a.hours = true
	a.whole %= 24
	return a
}

// DecFromDegrees is the declination next to deg that has four decimals of a second.
func DecFromDegrees(deg float64) Angle {
	a := fromDegrees(math.Abs(deg))
	a.negative = deg < 0
	return a
}

func fromDegrees(x float64) Angle {
	const second = 1e4
	n := int64(math.Round(x * 3600 * second))
	return Angle{
		whole:  int(n / (3600 * second)),
		minute: int(n / (60 * second) % 60),
		second: float64(n%(60*second)) / second,
	}
}

// Degrees returns the angle in degrees, also of a right ascension. It goes by
// way of radians, as the values in the common database do, so that they are
// equal to the last digit.
func (a Angle) Degrees() float64 {
	halfTurn := 180.0 * 3600 // seconds of arc
	if a.hours {
		halfTurn = 12 * 3600 // seconds
	}
	radians := (60*(60*float64(a.whole)+float64(a.minute)) + a.second) * (math.Pi / halfTurn)
	x := radians * (180 / math.Pi)
	if a.negative {
		x = -x
	}
	return x
}

// Packed returns the number HHMMSS.ssss or ±DDMMSS.ssss, in which the common
// database has coordinates, to four decimals.
func (a Angle) Packed() float64 {
	x, _ := strconv.ParseFloat(strings.ReplaceAll(a.String(), ":", ""), 64) // digits and a sign
	return x
}

// String returns hh:mm:ss.ssss or ±dd:mm:ss.ssss.
func (a Angle) String() string {
	sign := ""
	switch {
	case a.negative:
		sign = "-"
	case !a.hours:
		sign = "+"
	}
	// Rounded as a whole, lest 59.99996 become 60.0000.
	r := fromDegrees(float64(a.whole) + (float64(a.minute)+a.second/60)/60)
	return fmt.Sprintf("%s%02d:%02d:%07.4f", sign, r.whole, r.minute, r.second)
}

// Galactic converts J2000 coordinates to galactic ones, all in degrees,
// longitude from 0 to 360.
//
// It does so the way the values in the common database were made: by a
// rotation from J2000 to B1950 (that of the FK5 to the FK4 without the terms
// of aberration; Aoki et al. 1983, A&A 128, 263) and then by the definition of
// the galactic system, with its pole at 12h49m, +27.4° of B1950 and the north
// celestial pole at l = 123° (Blaauw et al. 1960, MNRAS 121, 123). The matrix
// of the Hipparcos catalogue (ESA SP-1200, vol. 1, 1.5.3) differs from it by
// up to half an arc second: much less than a beam, but more than the eight
// decimals that are compared after an upload.
func Galactic(ra, dec float64) (l, b float64) {
	return toSphere(galacticFromB1950().apply(b1950FromJ2000().apply(toVector(ra, dec))))
}

// Equatorial is the opposite of Galactic.
func Equatorial(l, b float64) (ra, dec float64) {
	return toSphere(b1950FromJ2000().transpose().apply(galacticFromB1950().transpose().apply(toVector(l, b))))
}

type vector [3]float64

type matrix [3]vector

func b1950FromJ2000() matrix {
	return matrix{
		{0.9999257080, 0.0111789372, 0.0048590036},
		{-0.0111789372, 0.9999375134, -0.0000271579},
		{-0.0048590035, -0.0000271626, 0.9999881946},
	}
}

// galacticFromB1950 is the rotation to the pole at (192.25°, 27.4°) of B1950.
// The angles are in radians, with the digits that the original has.
func galacticFromB1950() matrix {
	const opposite = 5.28834763 // longitude opposite to the celestial pole's: 303°
	sa, ca := math.Sincos(3.35539549)
	sd, cd := math.Sincos(0.478220215)
	sl, cl := math.Sincos(opposite - math.Pi)
	return matrix{
		{-sl*sa - cl*sd*ca, sl*ca - cl*sd*sa, cl * cd},
		{cl*sa - sl*sd*ca, -cl*ca - sl*sd*sa, sl * cd},
		{cd * ca, cd * sa, sd},
	}
}

func (m matrix) apply(v vector) vector {
	var w vector
	for i, row := range m {
		w[i] = row[0]*v[0] + row[1]*v[1] + row[2]*v[2]
	}
	return w
}

func (m matrix) transpose() matrix {
	var t matrix
	for i := range m {
		for j := range m {
			t[j][i] = m[i][j]
		}
	}
	return t
}

// toVector makes a unit vector of a longitude and a latitude, degrees.
func toVector(lon, lat float64) vector {
	so, co := math.Sincos(radians(lon))
	sa, ca := math.Sincos(radians(lat))
	return vector{co * ca, so * ca, sa}
}

// toSphere is the opposite of toVector, longitude from 0 to 360.
func toSphere(v vector) (lon, lat float64) {
	lon = degrees(math.Atan2(v[1], v[0]))
	if lon < 0 {
		lon += 360
	}
	return lon, degrees(math.Atan2(v[2], math.Hypot(v[0], v[1])))
}

func radians(deg float64) float64 { return deg * (math.Pi / 180) }

func degrees(rad float64) float64 { return rad * (180 / math.Pi) }

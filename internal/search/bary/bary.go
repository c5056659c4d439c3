// Package bary computes how much the motion of the telescope about the solar
// system's barycentre changes the frequency of a pulsar.
//
// It does so by a Keplerian orbit of the Earth and the rotation of the Earth.
// What is left out - the Moon (12 m/s), the motion of the Sun about the
// barycentre (13 m/s), perturbations of the orbit by planets (about 2 m/s),
// relativity (1.5e-8) - makes an error of up to 1e-7 of the frequency, 9 ns for
// a pulsar of 90 ms. That is a hundredth of what a period is good to that was
// found in five minutes of data; it is not enough for timing.
package bary

import "math"

// Site is where a telescope is.
type Site struct {
	Axis      float64 // distance from the Earth's axis, m
	Longitude float64 // east, degrees
}

// SiteOf returns the site of a telescope, by its name in the files' headers
// (TELESCOP); false for one that is not known.
func SiteOf(telescope string) (Site, bool) {
	switch telescope {
	case "Arecibo", "ARECIBO", "arecibo", "AO":
		return Site{Axis: 6056525, Longitude: -66.7534}, true
	}
	return Site{}, false
}

const lightSpeed = 299792458 // m/s

// Doppler returns the ratio of a frequency at the telescope to that at the
// barycentre, for a source at J2000 coordinates, degrees, at an MJD, UTC.
func (s Site) Doppler(ra, dec, mjd float64) float64 {
	sd, cd := math.Sincos(rad(dec))
	sa, ca := math.Sincos(rad(ra))
	v := orbital(mjd)
	r := s.rotation(mjd)
	toward := (v[0]+r[0])*ca*cd + (v[1]+r[1])*sa*cd + v[2]*sd
	return 1 + toward/lightSpeed
}

func rad(deg float64) float64 { return deg * math.Pi / 180 }

// orbital is the Earth's velocity about the Sun, equatorial, J2000, m/s. The
// Sun's longitude and the orbit's elements are those of Meeus (1998,
// Astronomical Algorithms, 2nd ed., ch. 25), the velocity that of the annual
// aberration (ch. 23), whose constant is the mean speed over that of light.
// They are of the equinox of date; the general precession brings them to J2000.
func orbital(mjd float64) [3]float64 {
	t := (mjd - 51544.5) / 36525
	anomaly := rad(357.52911 + 35999.05029*t - 0.0001537*t*t)
	center := (1.914602-0.004817*t)*math.Sin(anomaly) + (0.019993-0.000101*t)*math.Sin(2*anomaly) + 0.000289*math.Sin(3*anomaly)
	precession := 1.396971*t + 0.000308*t*t
	sun := rad(280.46646 + 36000.76983*t + 0.0003032*t*t + center - precession)
	perihelion := rad(102.93735 + 1.71946*t + 0.00046*t*t - precession)
	e := 0.016708634 - 0.000042037*t

	speed := rad(20.49552/3600) * lightSpeed
	x := speed * (math.Sin(sun) - e*math.Sin(perihelion))
	y := speed * (-math.Cos(sun) + e*math.Cos(perihelion))
	so, co := math.Sincos(rad(23.4392911)) // obliquity of the ecliptic, J2000
	return [3]float64{x, y * co, y * so}
}

// rotation is the velocity of the site about the Earth's axis, m/s.
func (s Site) rotation(mjd float64) [2]float64 {
	const turn = 7.2921159e-5 // rad/s
	sidereal := rad(280.46061837 + 360.98564736629*(mjd-51544.5) + s.Longitude)
	sl, cl := math.Sincos(sidereal)
	v := turn * s.Axis
	return [2]float64{-v * sl, v * cl}
}

package bary

import (
	"math"
	"testing"
)

// TestTheSamplesDopplerIsTEMPOs: PRESTO, by way of TEMPO and an
// ephemeris of the planets, has these two frequencies of one pulsar.
func TestTheSamplesDopplerIsTEMPOs(t *testing.T) {
	t.Parallel()
	const topo, bary = 11.148198488129005, 11.148941072563586
	site, ok := SiteOf("Arecibo")
	if !ok {
		t.Fatal("Arecibo is not known")
	}
	got := site.Doppler(288.42757583, 10.72370325, 56982.83039351852+65.536/2/86400)
	if want := topo / bary; math.Abs(got-want) > 1e-7 {
		t.Errorf("it is %.10f, want %.10f: off by %.2g", got, want, got-want)
	} else {
		t.Logf("off by %.2g", got-want)
	}
}

func TestTheEarthGoesRoundInAYear(t *testing.T) {
	t.Parallel()
	// At the March equinox the Earth moves towards ecliptic longitude 270°, which
	// is RA 270°, Dec -23.44°, with 29.9 km/s; the ellipse adds 485 m/s across, and
	// the equinox of J2000 is 0.21° away, another 110 m/s.
	v := orbital(57101.95) // 2015-03-20 22:45
	speed := math.Sqrt(v[0]*v[0] + v[1]*v[1] + v[2]*v[2])
	if math.Abs(speed-29900) > 150 || math.Abs(v[0]+595) > 10 || math.Abs(v[2]/speed+math.Sin(rad(23.44))) > 0.01 {
		t.Errorf("at the equinox it moves with %v m/s", v)
	}
	fast, slow := orbital(57026.3), orbital(57209.8) // perihelion and aphelion of 2015
	if f, s := math.Hypot(fast[0], math.Hypot(fast[1], fast[2])), math.Hypot(slow[0], math.Hypot(slow[1], slow[2])); math.Abs(f-30287) > 10 || math.Abs(s-29291) > 10 {
		t.Errorf("at perihelion it has %v m/s, at aphelion %v; want 30287 and 29291", f, s)
	}
}

func TestAnUnknownTelescopeHasNoSite(t *testing.T) {
	t.Parallel()
	if s, ok := SiteOf("Somewhere"); ok {
		t.Errorf("it is at %+v", s)
	}
}

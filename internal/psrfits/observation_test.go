package psrfits

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheHeaderIsThatOfTheOriginal holds every value against those that the
// original pipeline computed of the same file, which is a stripped one.
func TestTheHeaderIsThatOfTheOriginal(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("testdata", "header.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	o, err := OpenObservation([]string{filepath.Join("testdata", sampleFile)})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	observation, header := o.Header.Columns()
	if len(observation) != 5 || len(observation)+len(header) != len(want) {
		t.Errorf("%d and %d columns, want %d together", len(observation), len(header), len(want))
	}
	for key, w := range want {
		got, ok := header[key]
		if !ok {
			got, ok = observation[key]
		}
		if !ok || !same(key, got, w) {
			t.Errorf("%s is %v, want %v", key, got, w)
		}
	}
}

// same compares a value with one out of JSON, bit by bit. Only coordinates in
// degrees, which come by another order of operations, may be 1e-9 apart: a
// tenth of the last of the digits that are compared after an upload.
func same(key string, got, want any) bool {
	switch got := got.(type) {
	case int64:
		return float64(got) == want
	case float64:
		w, ok := want.(float64)
		degrees := strings.Contains(key, "galactic") || strings.HasSuffix(key, "_deg")
		return ok && (got == w || degrees && math.Abs(got-w) <= 1e-9)
	}
	return got == want
}

// writeFile writes a file with known samples.
func writeFile(t *testing.T, dir, name string, h FileHeader) string {
	t.Helper()
	path := filepath.Join(dir, name)
	w, err := Create(path, h)
	if err != nil {
		t.Fatal(err)
	}
	writeTo(t, w, h)
	return path
}

const (
	half0 = "4bit-p2030.20141121.G45.00+00.00.N.b3s0g0.00100.fits"
	half1 = "4bit-p2030.20141121.G45.00+00.00.N.b3s1g0.00100.fits"
	wapp  = "p2030_54321_12345_0010_G45.00+00.00_3.w4bit.fits"
)

// band gives a header the frequencies first, first-step, first-2·step, ...
func band(first, step float64) FileHeader {
	h := testHeader(4, 1)
	for c := range h.Freqs {
		h.Freqs[c] = first - step*float64(c)
	}
	h.CenterFreq = (h.Freqs[0] + h.Freqs[len(h.Freqs)-1]) / 2
	return h
}

func TestThePairIsOneBand(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		upper, lower float64 // highest channel of a half of 8 channels at steps of 2 MHz
		want         []float64
	}{
		{"side by side", 1430, 1414, []float64{1400, 1402, 1404, 1406, 1408, 1410, 1412, 1414, 1416, 1418, 1420, 1422, 1424, 1426, 1428, 1430}},
		{"with a gap", 1440, 1414, []float64{1400, 1402, 1404, 1406, 1408, 1410, 1412, 1414, 1426, 1428, 1430, 1432, 1434, 1436, 1438, 1440}},
		{"four channels in both", 1422, 1414, []float64{1400, 1402, 1404, 1406, 1408, 1410, 1412, 1414, 1416, 1418, 1420, 1422}},
		{"an overlap that does not fit the channels", 1421, 1414, []float64{1400, 1402, 1404, 1406, 1408, 1410, 1411, 1413, 1415, 1417, 1419, 1421}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			upper := writeFile(t, dir, half0, band(tt.upper, 2))
			lower := writeFile(t, dir, half1, band(tt.lower, 2))
			o, err := OpenObservation([]string{upper, lower})
			if err != nil {
				t.Fatal(err)
			}
			defer o.Close()
			if got := o.Channels(); !equal(got, tt.want) {
				t.Errorf("channels are %v, want %v", got, tt.want)
			}
			h := o.Header
			n := len(tt.want)
			if h.Channels != n || h.CenterFreq != (tt.want[0]+tt.want[n-1])/2 || h.ChannelWidth != 2000 || h.NumSamples != 48 ||
				h.DataSize != 48*int64(n)/2 || h.OriginalFile != half0 || h.NumIFs != 1 || h.FileSize != 2*testHeader(4, 1).FileSize() {
				t.Errorf("header is %+v", h)
			}
			checkSpectra(t, o)
		})
	}
}

func equal(a, b []float64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// checkSpectra holds the combined spectra against those of the files.
func checkSpectra(t *testing.T, o *Observation) {
	t.Helper()
	var b Block
	got := make([]float32, len(o.Channels()))
	for i := range o.Rows() {
		if err := o.ReadBlock(i, &b); err != nil {
			t.Fatal(err)
		}
		b.Spectrum(5, got)
		for c, s := range o.from {
			h := o.Files[s.file].Header
			want := float32(0) // the weight of the last channel
			if s.channel < h.Channels-1 {
				want = float32(sample(h, i, 5*h.Channels+s.channel))*(1+float32(s.channel)/4) + 10*float32(s.channel)
			}
			if got[c] != want {
				t.Fatalf("block %d, channel %d of %v MHz is %v, want %v", i, c, s.freq, got[c], want)
			}
		}
	}
}

func TestWhatDoesNotBelongTogetherIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ok := writeFile(t, dir, half0, band(1430, 2))
	other := func(name string, change func(*FileHeader)) string {
		h := band(1414, 2)
		change(&h)
		return writeFile(t, t.TempDir(), name, h)
	}
	nothing := func(*FileHeader) {}
	for _, tt := range []struct {
		name  string
		paths []string
		want  string
	}{
		{"no file", nil, "no files"},
		{"an unknown name", []string{other("data.fits", nothing)}, "not a name of"},
		{"the same half twice", []string{ok, ok}, "not of the same observation"},
		{"halves of two scans", []string{ok, other(strings.Replace(half1, "00100", "00200", 1), nothing)}, "not of the same observation"},
		{"three files", []string{ok, ok, ok}, "not of the same observation"},
		{"a file that is not there", []string{filepath.Join(dir, half1)}, "no such file"},
		{"another start", []string{ok, other(half1, func(h *FileHeader) { h.StartSecond += 2 })}, "begin 2.0000"},
		{"another beam", []string{ok, other(half1, func(h *FileHeader) { h.Beam = 4 })}, "beam differ"},
		{"another sample time", []string{ok, other(half1, func(h *FileHeader) { h.SampleTime = 0.001 })}, "TBIN"},
		{"a WAPP file without beam", []string{other(wapp, func(h *FileHeader) { h.Beam = -1 })}, "the beam"},
		{"a half without NUMIFS", []string{other(half1, func(h *FileHeader) { h.NumIFs = 0 })}, "NUMIFS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := OpenObservation(tt.paths)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestAShorterHalfShortensThePair(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	short := band(1414, 2)
	short.Rows = 2
	o, err := OpenObservation([]string{writeFile(t, dir, half0, band(1430, 2)), writeFile(t, dir, half1, short)})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if o.Rows() != 2 || o.Header.NumSamples != 32 || len(o.Notes) != 1 {
		t.Errorf("%d rows, %d samples, notes %q", o.Rows(), o.Header.NumSamples, o.Notes)
	}
}

func TestRowsThatWereCutOffMoveTheStart(t *testing.T) {
	t.Parallel()
	h := testHeader(4, 1)
	h.SkippedRows = 7
	h.StartDay, h.StartSecond, h.StartOffset = 54321, 12345, 0
	o, err := OpenObservation([]string{writeFile(t, t.TempDir(), wapp, h)})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	want := 54321 + (12345+7*16*0.0005)/86400
	if got := o.Header.TimestampMJD; math.Abs(got-want) > 1e-10 {
		t.Errorf("start is MJD %v, want %v", got, want)
	}
	if h := o.Header; h.Type != "WAPP" || h.NumIFs != 1 || h.ScanNum != "0010" || h.OrigDec != -104325.3317 || h.StartAST != 12345-4*3600+86400+1 {
		t.Errorf("header is %+v", h)
	}
}

func TestParseName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Name{
		half0:      {Kind: Mock, Project: "p2030", Day: "20141121", Source: "G45.00+00.00.N", Beam: "3", Subband: "0", Scan: "00100"},
		sampleFile: {Kind: MergedMock, Project: "p2030", Day: "20141121", Source: "G45.00+00.00.N", Beam: "3", Scan: "00100"},
		wapp:       {Kind: WAPP, Project: "p2030", Day: "54321", Second: "12345", Source: "G45.00+00.00", Beam: "3", Scan: "0010"},
		"4bit-p2030.20141121.X.b8s0g0.00100.fits": {},
		"p2030.20141121.X.b3.00100.fits.part":     {},
		"README":                                  {},
	} {
		got, ok := ParseName(filepath.Join("a.b", name))
		if got != want || ok != (want.Kind != "") {
			t.Errorf("ParseName(%q) = %+v, %v", name, got, ok)
		}
	}
}

func TestAngles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		s       string
		parse   func(string) (Angle, error)
		degrees float64
		packed  float64
		text    string
	}{
		{"19:13:42.6182", ParseRA, 288.4275758333333, 191342.6182, "19:13:42.6182"},
		{"00:00:00", ParseRA, 0, 0, "00:00:00.0000"},
		{"05:59:59.99996", ParseRA, 89.9999998333333, 60000, "06:00:00.0000"},
		{"-00:30:00.5", ParseDec, -0.5001388888889, -3000.5, "-00:30:00.5000"},
		{"+90:00", ParseDec, 90, 900000, "+90:00:00.0000"},
	} {
		a, err := tt.parse(tt.s)
		if err != nil || math.Abs(a.Degrees()-tt.degrees) > 1e-12 || a.Packed() != tt.packed || a.String() != tt.text {
			t.Errorf("%s: %v degrees, %v, %s, %v", tt.s, a.Degrees(), a.Packed(), a, err)
		}
	}
	for _, s := range []string{"24:00:00", "-01:00:00", "1:00:00", "01:60:00", "01:00:60", "", "01", "01:00:00x"} {
		if _, err := ParseRA(s); err == nil {
			t.Errorf("ParseRA(%q) was accepted", s)
		}
	}
	if _, err := ParseDec("-90:00:01"); err == nil {
		t.Error("a declination below the pole was accepted")
	}
	if s := RAFromDegrees(-1e-9).String() + " " + DecFromDegrees(-10.5).String(); s != "00:00:00.0000 -10:30:00.0000" {
		t.Error(s)
	}
}

func TestGalacticCoordinates(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		ra, dec, l, b float64 // J2000, by the matrix of Hipparcos
	}{
		{"the north galactic pole", 192.85948, 27.12825, 0, 90},
		{"the galactic centre", 266.40499, -28.93617, 0, 0},
		{"the north celestial pole", 0, 90, 122.93192, 27.12825},
	} {
		l, b := Galactic(tt.ra, tt.dec)
		apart := math.Hypot(math.Remainder(l-tt.l, 360)*math.Cos(radians(b)), b-tt.b)
		if apart*3600 > 1 {
			t.Errorf("%s is at %v, %v: %.2f arc seconds off", tt.name, l, b, apart*3600)
		}
		ra, dec := Equatorial(l, b)
		back := math.Hypot(math.Remainder(ra-tt.ra, 360)*math.Cos(radians(dec)), dec-tt.dec)
		if back > 1e-7 {
			t.Errorf("%s comes back at %v, %v", tt.name, ra, dec)
		}
	}
}

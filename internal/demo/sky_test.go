package demo

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"longhaul/internal/psrfits"
)

// skies are observations of each kind.
func skies() map[string]Observation {
	return map[string]Observation{
		"a Mock pair":                {MockPair, "p2030", "G45.00+00.00.N", "20141121", "00100", 3},
		"a merged Mock file":         {Merged, "p2030", "G182.50-03.25.S", "20141121", "00200", 0},
		"a WAPP file":                {WAPP, "p2030", "G45.00+00.00", "54321", "0010", 6},
		"the beam that nobody wants": {MockPair, "P2030", "G40.10+01.00.C", "20200229", "99999", 7},
	}
}

func TestAMadeUpObservationHasTheHeaderThatItPromises(t *testing.T) {
	t.Parallel()
	for name, o := range skies() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			paths, err := o.Write(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			obs, err := psrfits.OpenObservation(paths)
			if err != nil {
				t.Fatal(err)
			}
			defer obs.Close()
			got, header := obs.Header.Columns()
			for key, v := range header {
				got[key] = v
			}
			want := o.WantHeader()
			if len(got) != len(want) {
				t.Errorf("%d columns, want %d", len(got), len(want))
			}
			for key, w := range want {
				if !near(got[key], w) {
					t.Errorf("%s is %v (%[2]T), want %v (%[3]T)", key, got[key], w)
				}
			}
		})
	}
}

// near allows floats to differ in the last digit.
func near(got, want any) bool {
	g, ok := got.(float64)
	w, both := want.(float64)
	if !ok || !both {
		return got == want
	}
	return math.Abs(g-w) <= 1e-12*math.Max(1, math.Abs(w))
}

func TestAMadeUpObservationIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	o := skies()["a Mock pair"]
	read := func(o Observation) (all [][]byte) {
		paths, err := o.Write(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		for i, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil || filepath.Base(path) != o.Filenames()[i] {
				t.Fatal(path, err)
			}
			if len(b) < 300e3 || len(b) > 1e6 {
				t.Errorf("%s has %d bytes", path, len(b))
			}
			all = append(all, b)
		}
		return all
	}
	first := read(o)
	if !slices.EqualFunc(first, read(o), bytes.Equal) {
		t.Error("written twice, the files differ")
	}
	o.Beam = 4
	if other := read(o); bytes.Equal(first[0][20000:], other[0][20000:]) {
		t.Error("two beams have the same noise")
	}
}

func TestFilenamesAreThoseOfTheSurvey(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"a Mock pair":        {"4bit-p2030.20141121.G45.00+00.00.N.b3s0g0.00100.fits", "4bit-p2030.20141121.G45.00+00.00.N.b3s1g0.00100.fits"},
		"a merged Mock file": {"p2030.20141121.G182.50-03.25.S.b0.00200.fits"},
		"a WAPP file":        {"p2030_54321_31005_0010_G45.00+00.00_6.w4bit.fits"},
	} {
		if got := skies()[name].Filenames(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestAnObservationThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	good := skies()["a Mock pair"]
	for name, change := range map[string]func(*Observation){
		"a source without position": func(o *Observation) { o.Source = "J1913+1054" },
		"a source with a directory": func(o *Observation) { o.Source = "../G45.00+00.00" },
		"a beam too many":           func(o *Observation) { o.Beam = 8 },
		"a project without number":  func(o *Observation) { o.Project = "test" },
		"a scan too long":           func(o *Observation) { o.Scan = "123456" },
		"a day that is none":        func(o *Observation) { o.Date = "20141131" },
	} {
		o := good
		change(&o)
		dir := t.TempDir()
		if _, err := o.Write(dir); err == nil {
			t.Errorf("%s was made", name)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s left %v", name, left)
		}
	}
}

func TestTheBeamsOfAPointingShareTheirObservation(t *testing.T) {
	t.Parallel()
	o := skies()["a Mock pair"]
	first := o.WantHeader()
	for o.Beam = range 7 {
		want := o.WantHeader()
		for _, key := range []string{"obs_name", "project_id", "source_name", "timestamp_mjd", "scan_num"} {
			if want[key] != first[key] {
				t.Errorf("beam %d: %s is %v, not %v", o.Beam, key, want[key], first[key])
			}
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	o := skies()["a Mock pair"]
	dir := b.TempDir()
	for b.Loop() {
		if _, err := o.Write(dir); err != nil {
			b.Fatal(err)
		}
	}
}

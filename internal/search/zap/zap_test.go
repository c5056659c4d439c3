package zap

import (
	"archive/tar"
	"compress/gzip"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAListIsReadAndPercentagesAreClipped(t *testing.T) {
	t.Parallel()
	zaps, err := Parse("# freq width\n 60 2\nB 8.5 1\n\n0.5 2 # low\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(zaps) != 3 || zaps[0].Barycentric || !zaps[1].Barycentric {
		t.Errorf("read are %+v", zaps)
	}
	if got := Percent(zaps, 0.1, 100.1, 100); got != 2+1+1.4 {
		t.Errorf("%v %% are zapped, want 4.4", got)
	}
	if got := Percent(zaps, 0.1, 10, 90); got != (1+1.4)/90*100 {
		t.Errorf("%v %% are zapped below 10 Hz, want %v", got, (1+1.4)/90*100)
	}
	for _, bad := range []string{"60\n", "60 x\n", "60 -1\n", "nan 1\n", "60 1 2\n"} {
		if _, err := Parse("1 1\n" + bad); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: the error is %v", bad, err)
		}
	}
}

// place makes a directory of zaplists, and the same as a tarball above it.
func place(t *testing.T, files map[string]string) (dir, tarball string) {
	t.Helper()
	dir = t.TempDir()
	tarball = filepath.Join(t.TempDir(), "zaplists.tar.gz")
	f, err := os.Create(tarball)
	if err != nil {
		t.Fatal(err)
	}
	zip := gzip.NewWriter(f)
	out := tar.NewWriter(zip)
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		if err := out.WriteHeader(&tar.Header{Name: "zaplists/" + name, Mode: 0o640, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []interface{ Close() error }{out, zip, f} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return dir, tarball
}

func TestTheZaplistIsThatOfTheFileTheBeamTheDayOrTheDefault(t *testing.T) {
	t.Parallel()
	const (
		merged = "/data/p2030.20141121.G45.00+00.00.N.b3.00100.fits"
		wapp   = "p2030_53600_12345_0012_G45.00_3.w4bit.fits" // MJD 53600 is 2005-08-18
		lower  = "4bit-p2030.20141121.G45.00+00.00.N.b3s1g0.00100.fits"
		upper  = "4bit-p2030.20141121.G45.00+00.00.N.b3s0g0.00100.fits"
	)
	const (
		file     = "20141121/mock_4bit/p2030.20141121.G45.00+00.00.N.b3.00100.zaplist"
		beam     = "20141121/mock_4bit/p2030.20141121.b3.zaplist"
		day      = "20141121/mock_4bit/p2030.20141121.all.zaplist"
		flat     = "p2030.20141121.b3.zaplist"
		wappBeam = "20050818/wapp_4bit/p2030.20050818.b3.zaplist"
	)
	for name, c := range map[string]struct {
		there []string
		paths []string
		want  string // "" for the default
	}{
		"the file's is first":         {[]string{day, beam, file}, []string{merged}, file},
		"then the beam's":             {[]string{day, beam}, []string{merged}, beam},
		"then the day's":              {[]string{day, wappBeam}, []string{merged}, day},
		"then the default":            {[]string{wappBeam}, []string{merged}, ""},
		"it can be at the top":        {[]string{flat, day}, []string{merged}, flat},
		"a pair has the merged one's": {[]string{beam, file}, []string{lower, upper}, file},
		"a WAPP file's day is an MJD": {[]string{wappBeam, beam}, []string{wapp}, wappBeam},
	} {
		files := make(map[string]string)
		for i, name := range c.there {
			files[name] = strings.Repeat("1 1\n", i+1)
		}
		dir, tarball := place(t, files)
		def := filepath.Join(t.TempDir(), "PALFA.zaplist")
		if err := os.WriteFile(def, []byte("# none\n"), 0o640); err != nil {
			t.Fatal(err)
		}
		for _, at := range []string{dir, tarball} {
			l, err := Choose(Place{at, def}, c.paths)
			switch {
			case err != nil:
				t.Errorf("%s: %s: %v", name, at, err)
			case c.want == "" && (l.From != def || l.Name != "PALFA.zaplist"):
				t.Errorf("%s: %s: chosen is %s, want the default", name, at, l.From)
			case c.want != "" && (!strings.HasSuffix(l.From, c.want) || l.Text != files[c.want] || len(l.Zaps) != strings.Count(l.Text, "\n")):
				t.Errorf("%s: chosen is %s, want %s", name, l.From, c.want)
			}
		}
	}
}

func TestAZaplistThatIsMissingOrBrokenIsNamed(t *testing.T) {
	t.Parallel()
	paths := []string{"p2030.20141121.G45.00+00.00.N.b3.00100.fits"}
	dir, _ := place(t, map[string]string{"p2030.20141121.b3.zaplist": "60 x\n"})
	for name, c := range map[string]struct {
		place Place
		paths []string
		says  string
	}{
		"broken":          {Place{Dir: dir}, paths, "b3.zaplist: line 1"},
		"none":            {Place{}, paths, "no default_zaplist is set"},
		"no default":      {Place{Default: filepath.Join(dir, "x")}, paths, "default zaplist"},
		"no directory":    {Place{Dir: filepath.Join(dir, "x")}, paths, "zaplists in"},
		"not an archive":  {Place{Dir: filepath.Join(dir, "p2030.20141121.b3.zaplist")}, paths, "zaplists in"},
		"a strange file":  {Place{Dir: dir}, []string{"x.fits"}, "not a name"},
		"no observation":  {Place{Dir: dir}, nil, "no files"},
		"links lead away": {Place{Dir: linked(t)}, paths, "zaplists in"},
	} {
		if _, err := Choose(c.place, c.paths); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: the error is %v, want it to say %q", name, err, c.says)
		}
	}
}

// linked is a directory whose zaplist is a link out of it.
func linked(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "p2030.20141121.b3.zaplist")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestZappedBinsHaveTheLevelOfTheirNeighbours(t *testing.T) {
	t.Parallel()
	noise := rand.New(rand.NewPCG(1, 2))
	spectrum := make([]complex64, 4000)
	for i := range spectrum {
		spectrum[i] = complex64(complex(noise.NormFloat64(), noise.NormFloat64()) * complex(math.Sqrt(50), 0)) // mean power 100
	}
	for i := 1990; i <= 2010; i++ {
		spectrum[i] *= 30
	}
	before := append([]complex64{}, spectrum...)
	const doppler = 1.0001
	Apply(spectrum, []Zap{{Freq: 20, Width: 0.22}, {Freq: 30, Width: 0, Barycentric: true}, {Freq: 1000, Width: 1}, {Freq: 0, Width: 0.02}}, 100, doppler)
	changed := 0
	for i, a := range spectrum {
		if a == before[i] {
			continue
		}
		changed++
		if p := real(a)*real(a) + imag(a)*imag(a); p < 50 || p > 200 {
			t.Errorf("bin %d has power %v, want about 100", i, p)
		}
	}
	if changed != 23+2+1 {
		t.Errorf("%d bins changed, want 23 at 20 Hz, 2 at 30 Hz and 1 at 0 Hz", changed)
	}
	if spectrum[3000] == before[3000] || spectrum[3001] == before[3001] || spectrum[0] != before[0] {
		t.Error("the wrong bins changed")
	}
	all := []complex64{1, 2, 3}
	Apply(all, []Zap{{Freq: 1, Width: 100}}, 1, 1) // nothing is left to tell the level
	if all[2] != 3 {
		t.Errorf("a spectrum without level is %v", all)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("# freq width\n60.0 0.1\nB 11.1 0.01\n")
	f.Fuzz(func(t *testing.T, text string) {
		zaps, err := Parse(text)
		if err != nil {
			return
		}
		if len(zaps) > strings.Count(text, "\n")+1 {
			t.Errorf("%d zaps in %q", len(zaps), text)
		}
		Apply(make([]complex64, 64), zaps, 10, 1)
	})
}

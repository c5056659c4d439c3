package quicklook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"longhaul/internal/psrfits"
)

const (
	halfName   = "4bit-p2030.20141121.G45.00+00.00.N.b3s%g0.00100.fits"
	mergedName = "p2030.20141121.G45.00+00.00.N.b3.00100.fits"
)

// half names the file of a subband.
func half(subband string) string { return strings.Replace(halfName, "%", subband, 1) }

// testHeader describes a file of 32 channels of 2 MHz around a frequency.
func testHeader(center float64) psrfits.FileHeader {
	h := psrfits.FileHeader{
		Observer: "TEST", Project: "p2030", Source: "G45.00+00.00.N", RA: "19:13:42.6182", Dec: "+10:43:25.3317",
		CenterFreq: center, StartDay: 56982, StartSecond: 71746, Beam: 3, NumIFs: 1,
		SampleTime: 0.001, Channels: 32, Pols: 1, PolType: "AA+BB", RowSpectra: 256, Bits: 8, Rows: 4,
	}
	for c := range h.Channels {
		h.Freqs = append(h.Freqs, center+31-2*float64(c))
	}
	return h
}

// mustWrite writes a file. sample gives the value of channel c of spectrum n.
func mustWrite(t testing.TB, path string, h psrfits.FileHeader, weights []float32, sample func(n, c int) uint8) string {
	t.Helper()
	w, err := psrfits.Create(path, h)
	if err != nil {
		t.Fatal(err)
	}
	row := psrfits.RowData{Weights: weights, Offsets: make([]float32, h.Channels), Scales: make([]float32, h.Channels), Samples: make([]uint8, h.Channels*h.RowSpectra)}
	for c := range h.Channels {
		row.Offsets[c], row.Scales[c] = 100, 0.5
	}
	for r := range h.Rows {
		for i := range row.Samples {
			row.Samples[i] = sample(r*h.RowSpectra+i/h.Channels, i%h.Channels)
		}
		if err := w.WriteRow(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func ones(n int) []float32 { return slices.Repeat([]float32{1}, n) }

// mustRun looks at files and returns the numbers that were found, by name, and
// the manifest.
func mustRun(t testing.TB, dir string, files ...string) (map[string]float64, manifest) {
	t.Helper()
	if err := Run(t.Context(), Options{DataFiles: files, OutDir: dir}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, resultsFile))
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	numbers := make(map[string]float64)
	for _, d := range m.Records[0].Children {
		if d.Table == "diagnostics" {
			numbers[d.Refs["type_id"].Values["name"].(string)] = d.Values["value"].(float64)
		}
	}
	return numbers, m
}

// TestAPairBecomesResults looks at two halves that overlap by 8 channels, with
// one channel that is louder than the others, one that never changes, one that
// has no weight, and one loud spectrum.
func TestAPairBecomesResults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	weights := ones(32)
	weights[12] = 0
	noise := rand.New(rand.NewPCG(1, 2))
	upper := mustWrite(t, filepath.Join(dir, half("0")), testHeader(1424), weights, func(n, c int) uint8 {
		v := 80 + 10*noise.NormFloat64()
		switch {
		case c == 9:
			v += 30 * math.Sin(float64(n))
		case c == 17:
			v = 80
		case n == 700:
			v += 60
		}
		return uint8(v)
	})
	lower := mustWrite(t, filepath.Join(dir, half("1")), testHeader(1376), ones(32), func(n, _ int) uint8 {
		v := 80 + 10*noise.NormFloat64()
		if n == 700 {
			v += 60
		}
		return uint8(v)
	})
	out := filepath.Join(dir, "out")
	numbers, m := mustRun(t, out, lower, upper)
	const channels = 56
	for name, want := range map[string]struct{ value, within float64 }{
		"Outlying channels":     {100. / channels, 0},
		"Dead channels":         {200. / channels, 1e-12},
		"Median channel mean":   {100 + 0.5*79.6, 0.2},
		"Median channel RMS":    {5, 0.3},
		"Total power mean":      {139.8 * 55 / channels, 0.5},
		"Total power excursion": {24, 6},
		"Samples clipped low":   {0, 0},
	} {
		if got, ok := numbers[name]; !ok || math.Abs(got-want.value) > want.within {
			t.Errorf("%s is %v, want %v", name, got, want.value)
		}
	}
	if numbers["Total power skewness"] < 2 || numbers["Total power kurtosis"] < 20 {
		t.Errorf("the loud spectrum does not show: %v", numbers)
	}
	checkManifest(t, out, m)
	checkPictures(t, out, m)
	checkSame(t, out, upper, lower)
}

// checkManifest holds the manifest against the schema, and its header's
// columns against those that the common database has.
func checkManifest(t *testing.T, dir string, m manifest) {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join("..", "..", "schema", "results.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, resultsFile))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(doc); err != nil {
		t.Error(err)
	}
	head := m.Records[0]
	shared := head.Refs["observation_id"].Values
	if len(head.Values) != 31 || len(shared) != 5 || shared["obs_name"] != "p2030.G45.00+00.00.N.56982.00100" || head.Values["beam_id"] != 3.0 {
		t.Errorf("header is %v, of observation %v", head.Values, shared)
	}
	for _, text := range []string{`"sample_time": 1000.0,`, `"num_samples": 1024,`, `"center_freq": 1400.0,`} {
		if !bytes.Contains(b, []byte(text)) {
			t.Errorf("%s is not in the manifest", text)
		}
	}
}

// checkPictures decodes the plots and counts the table's lines.
func checkPictures(t *testing.T, dir string, m manifest) {
	t.Helper()
	var files []string
	for _, d := range m.Records[0].Children {
		if d.Table != "diagnostic_plots" {
			continue
		}
		name := d.Blobs["filedata"]
		files = append(files, name)
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if img, err := png.Decode(bytes.NewReader(b)); strings.HasSuffix(name, ".png") && (err != nil || img.Bounds().Dx() != 900 || img.Bounds().Dy() != 600) {
			t.Errorf("%s is no picture of 900 by 600: %v", name, err)
		}
		if name == channelsFile && (strings.Count(string(b), "\n") != 57 || strings.Count(string(b), " dead\n") != 2) {
			t.Errorf("table is\n%s", b)
		}
	}
	if want := []string{bandpassFile, powerFile, spectrumFile, channelsFile}; !slices.Equal(files, want) {
		t.Errorf("files are %q, want %q", files, want)
	}
}

// mustLook looks at files without drawing pictures.
func mustLook(t *testing.T, files ...string) *look {
	t.Helper()
	obs, err := psrfits.OpenObservation(files)
	if err != nil {
		t.Fatal(err)
	}
	defer obs.Close()
	l, err := read(t.Context(), obs)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// checkSame looks again, and holds a picture and the manifest against those
// that are there.
func checkSame(t *testing.T, dir string, files ...string) {
	t.Helper()
	l := mustLook(t, files...)
	picture, err := bandpassPlot(l)
	again := t.TempDir()
	if err = errors.Join(err, writeResults(again, l), os.WriteFile(filepath.Join(again, bandpassFile), picture, 0o640)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{resultsFile, bandpassFile} {
		a, _ := os.ReadFile(filepath.Join(dir, name))
		b, _ := os.ReadFile(filepath.Join(again, name))
		if len(a) == 0 || !bytes.Equal(a, b) {
			t.Errorf("%s differs from one look to the next", name)
		}
	}
}

func TestAConstantFileHasNoSpreadAndNoNaN(t *testing.T) {
	t.Parallel()
	for value, clipped := range map[uint8]string{0: "Samples clipped low", 255: "Samples clipped high", 77: ""} {
		path := mustWrite(t, filepath.Join(t.TempDir(), mergedName), testHeader(1400), ones(32), func(_, _ int) uint8 { return value })
		l := mustLook(t, path)
		want := map[string]float64{"Dead channels": 100, "Total power mean": 100 + float64(value)/2, clipped: 100}
		for _, d := range l.diagnostics() {
			if d.value != want[d.name] {
				t.Errorf("all samples %d: %s is %v, want %v", value, d.name, d.value, want[d.name])
			}
		}
	}
}

func TestOneChannelAndOneSpectrumAreEnough(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := testHeader(1400)
	h.Channels, h.Freqs, h.Rows, h.RowSpectra = 1, []float64{1400}, 1, 1
	path := mustWrite(t, filepath.Join(dir, mergedName), h, ones(1), func(_, _ int) uint8 { return 7 })
	numbers, _ := mustRun(t, dir, path) // with its pictures of nothing
	if numbers["Total power mean"] != 103.5 || numbers["Dead channels"] != 100 {
		t.Error(numbers)
	}
}

func TestNoResultsOfWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	whole := mustWrite(t, filepath.Join(dir, mergedName), testHeader(1400), ones(32), func(n, c int) uint8 { return uint8(n + c) })
	stopped, stop := context.WithCancel(t.Context())
	stop()
	stripped := filepath.Join("..", "psrfits", "testdata", mergedName)
	cut := filepath.Join(t.TempDir(), mergedName)
	b, err := os.ReadFile(whole)
	if err == nil {
		err = os.WriteFile(cut, b[:len(b)-10000], 0o640)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		ctx  context.Context
		file string
		want error
	}{
		{"stopped", stopped, whole, context.Canceled},
		{"stripped of its samples", t.Context(), stripped, psrfits.ErrNoData},
		{"truncated", t.Context(), cut, psrfits.ErrTruncated},
		{"not there", t.Context(), filepath.Join(t.TempDir(), mergedName), os.ErrNotExist},
	} {
		out := filepath.Join(dir, "out")
		if err := Run(tt.ctx, Options{DataFiles: []string{tt.file}, OutDir: out}); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if _, err := os.Stat(filepath.Join(out, resultsFile)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: there is a %s", tt.name, resultsFile)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	h := testHeader(1400)
	h.Bits, h.Rows, h.RowSpectra = 4, 64, 2048
	noise := rand.New(rand.NewPCG(5, 6))
	path := mustWrite(b, filepath.Join(b.TempDir(), mergedName), h, ones(32), func(_, _ int) uint8 { return uint8(noise.IntN(16)) })
	b.SetBytes(h.FileSize())
	for b.Loop() {
		obs, err := psrfits.OpenObservation([]string{path})
		if err == nil {
			_, err = read(b.Context(), obs)
		}
		if err = errors.Join(err, obs.Close()); err != nil {
			b.Fatal(err)
		}
	}
}

package presto

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"longhaul/internal/results"
)

const beam = "p2030.20141121.G45.00+00.00.N.b3.00100"

// expected is the part of expected.json that says what an upload must contain.
type expected struct {
	Header     map[string]any `json:"header"`
	Candidates []struct {
		CandNum    int64   `json:"cand_num"`
		TopoFreq   float64 `json:"topo_freq"`
		BaryFreq   float64 `json:"bary_freq"`
		TopoPeriod float64 `json:"topo_period"`
		BaryPeriod float64 `json:"bary_period"`
		TopoFDot   float64 `json:"topo_f_dot"`
		BaryFDot   float64 `json:"bary_f_dot"`
		DM         float64 `json:"dm"`
		SNR        float64 `json:"snr"`
		Coherent   float64 `json:"coherent_power"`
		Incoherent float64 `json:"incoherent_power"`
		NumHits    int64   `json:"num_hits"`
		Harmonics  int64   `json:"num_harmonics"`
		Sigma      float64 `json:"sigma"`
		PFD        string  `json:"pfd"`
		PFDBytes   int64   `json:"pfd_bytes"`
		PNG        string  `json:"png"`
		PNGBytes   int64   `json:"png_bytes"`
	} `json:"candidates"`
	Diagnostics []struct {
		Name     string  `json:"name"`
		Kind     string  `json:"kind"`
		Value    float64 `json:"value"`
		Filename string  `json:"filename"`
		Bytes    int64   `json:"bytes"`
	} `json:"diagnostics"`
	SinglePulse []struct {
		Type     string `json:"type"`
		Filename string `json:"filename"`
		Bytes    int64  `json:"bytes"`
	} `json:"singlepulse"`
}

func readExpected(t *testing.T) expected {
	t.Helper()
	data, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Sample expected }
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all.Sample
}

// read reads a directory that must be one of results.
func read(t *testing.T, dir string) results.Record {
	t.Helper()
	records, err := New(0).Read(t.Context(), results.Source{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != 1 || records[0].Table != "headers" {
		t.Fatalf("%d records, the first in %q; want one header", len(records), records[0].Table)
	}
	return records[0]
}

// children returns the rows of one table.
func children(r results.Record, table string) []results.Record {
	var rows []results.Record
	for _, c := range r.Children {
		if c.Table == table {
			rows = append(rows, c)
		}
	}
	return rows
}

func TestTheHeaderIsThatOfTheObservation(t *testing.T) {
	t.Parallel()
	top := read(t, "testdata/beam3")
	got := maps.Clone(top.Values)
	maps.Copy(got, top.Refs["observation_id"].Values)
	for name, want := range readExpected(t).Header {
		if strings.HasPrefix(strings.TrimPrefix(name, "orig_"), "galactic") {
			continue // by another formula, equal to 1e-6 degrees; package psrfits compares them
		}
		v := got[name]
		if n, ok := v.(int64); ok {
			v = float64(n)
		}
		if v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
}

func TestCandidatesAreThoseOfTheList(t *testing.T) {
	t.Parallel()
	want := readExpected(t).Candidates
	got := children(read(t, "testdata/beam3"), "pdm_candidates")
	if len(got) != len(want) {
		t.Fatalf("%d candidates, want %d", len(got), len(want))
	}
	for i, w := range want {
		values := map[string]any{
			"cand_num": w.CandNum, "frequency": w.TopoFreq, "bary_frequency": w.BaryFreq,
			"period": w.TopoPeriod, "bary_period": w.BaryPeriod, "f_dot": w.TopoFDot, "bary_f_dot": w.BaryFDot,
			"dm": w.DM, "snr": w.SNR, "coherent_power": w.Coherent, "incoherent_power": w.Incoherent,
			"num_hits": w.NumHits, "num_harmonics": w.Harmonics, "presto_sigma": w.Sigma,
		}
		for name, v := range values {
			if got[i].Values[name] != v {
				t.Errorf("candidate %d: %s is %v, want %v", w.CandNum, name, got[i].Values[name], v)
			}
		}
		if len(got[i].Values) != len(values) {
			t.Errorf("candidate %d has the values %v", w.CandNum, slices.Sorted(maps.Keys(got[i].Values)))
		}
		checkFile(t, got[i].Children[0], "prepfold plot", w.PNG, w.PNGBytes)
		checkFile(t, got[i].Children[1], "pfd binary", w.PFD, w.PFDBytes)
	}
}

// checkFile compares a row that holds a file, and reads the file.
func checkFile(t *testing.T, r results.Record, kind, name string, size int64) {
	t.Helper()
	b := r.Blobs["filedata"]
	data, err := b.ReadAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Refs["type_id"].Values["name"] != kind || r.Values["filename"] != name || int64(len(data)) != size {
		t.Errorf("the file is %v of type %v with %d bytes; want %s of type %s with %d",
			r.Values["filename"], r.Refs["type_id"].Values["name"], len(data), name, kind, size)
	}
}

func TestDiagnosticsAreTheFourteen(t *testing.T) {
	t.Parallel()
	top := read(t, "testdata/beam3")
	byName := make(map[string]results.Record)
	for _, r := range append(children(top, "diagnostics"), children(top, "diagnostic_plots")...) {
		byName[r.Refs["type_id"].Values["name"].(string)] = r
	}
	want := readExpected(t).Diagnostics
	if len(byName) != len(want) || len(want) != 14 {
		t.Errorf("%d diagnostics, want %d", len(byName), len(want))
	}
	for _, w := range want {
		r := byName[w.Name]
		switch {
		case r.Refs["type_id"].Values["kind"] != w.Kind:
			t.Errorf("%s: kind %v, want %s", w.Name, r.Refs["type_id"].Values["kind"], w.Kind)
		case w.Kind == "binary":
			checkFile(t, r, w.Name, w.Filename, w.Bytes)
		case r.Values["value"] != w.Value:
			t.Errorf("%s is %v, want %v", w.Name, r.Values["value"], w.Value)
		}
	}
}

func TestSinglePulseFilesAreThere(t *testing.T) {
	t.Parallel()
	top := read(t, "testdata/beam3")
	got := append(children(top, "sp_plots"), children(top, "sp_files")...)
	want := readExpected(t).SinglePulse
	if len(got) != len(want) {
		t.Fatalf("%d files, want %d", len(got), len(want))
	}
	for i, w := range want {
		checkFile(t, got[i], w.Type, w.Filename, w.Bytes)
	}
}

// beamCopy is a copy of the sample that a test may change.
func beamCopy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/beam3")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func remove(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestASearchThatFoundNothingIsNoError(t *testing.T) {
	t.Parallel()
	dir := beamCopy(t)
	plots, err := filepath.Glob(filepath.Join(dir, "*.pfd.png"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range plots {
		remove(t, dir, filepath.Base(p))
	}
	remove(t, dir, beam+".accelcands", beam+"_pfd.tgz")
	top := read(t, dir)
	if n := len(children(top, "pdm_candidates")); n != 0 {
		t.Errorf("%d candidates", n)
	}
	var names []string
	for _, r := range append(children(top, "diagnostics"), children(top, "diagnostic_plots")...) {
		name := r.Refs["type_id"].Values["name"].(string)
		names = append(names, name)
		if strings.HasPrefix(name, "Num cands") && r.Values["value"] != 0.0 {
			t.Errorf("%s is %v, want 0", name, r.Values["value"])
		}
	}
	if len(names) != 12 || slices.Contains(names, "Min sigma folded") || slices.Contains(names, "Accelcands list") {
		t.Errorf("the diagnostics are %q", names)
	}
}

func TestARangeWithoutSinglePulsesHasNoPlot(t *testing.T) {
	t.Parallel()
	dir := beamCopy(t)
	name := beam + "_singlepulse.tgz"
	quiet := retar(t, filepath.Join(dir, name), func(member string) bool { return strings.Contains(member, "_DM450.00.") })
	if err := os.WriteFile(filepath.Join(dir, name), quiet, 0o640); err != nil {
		t.Fatal(err)
	}
	remove(t, dir, beam+"_DMs300-1000+_singlepulse.png")
	if n := len(children(read(t, dir), "sp_plots")); n != 2 {
		t.Errorf("%d plots, want 2", n)
	}
}

// retar returns a tarball in which some members are empty.
func retar(t *testing.T, path string, empty func(name string) bool) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	d := directory{ctx: t.Context(), path: filepath.Dir(path)}
	err := d.walk(filepath.Base(path), func(name string, size int64, r io.Reader) error {
		if empty(name) {
			size, r = 0, strings.NewReader("")
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o640}); err != nil {
			return err
		}
		_, err := io.Copy(w, r)
		return err
	})
	if err := errors.Join(err, w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestWhatABrokenJobLeavesIsRefused(t *testing.T) {
	t.Parallel()
	cand := beam + "_DM45.00_Z0_ACCEL_Cand_1.pfd"
	for _, c := range []struct {
		name string
		file string              // that is removed
		edit func([]byte) []byte // or changed
		says []string            // parts of the error
	}{
		{"no header", beam + ".fits", nil, []string{"*.fits", "missing"}},
		{"no settings", "search_params.txt", nil, []string{"search_params.txt"}},
		{"no zaplist", "p2030.20141121.b3.zaplist", nil, []string{"*.zaplist", "missing"}},
		{"no word of rfifind", beam + "_rfifind.out", nil, []string{"*rfifind.out", "missing"}},
		{"no plot of rfifind", beam + "_rfifind.png", nil, []string{"*rfifind.png", "missing"}},
		{"a list that is gone though plots are there", beam + ".accelcands", nil, []string{"*.accelcands", "folded"}},
		{"a folded candidate without its plot", cand + ".png", nil, []string{cand + ".png"}},
		{"no .pfd files", beam + "_pfd.tgz", nil, []string{"*_pfd.tgz", "missing"}},
		{"no single pulses", beam + "_singlepulse.tgz", nil, []string{"*_singlepulse.tgz", "missing"}},
		{"a plot missing where there are single pulses", beam + "_DMs0-110_singlepulse.png", nil, []string{"DMs0-110", "DM of"}},
		{"a tarball that is cut", beam + "_pfd.tgz", func(b []byte) []byte { return b[:len(b)/2] }, []string{"_pfd.tgz", "damaged"}},
		{"a tarball with a flipped bit", beam + "_singlepulse.tgz", func(b []byte) []byte { b[len(b)/2] ^= 4; return b }, []string{"_singlepulse.tgz"}},
		{"a list with a torn line", beam + ".accelcands", func(b []byte) []byte {
			return b[:strings.LastIndex(string(b), beam)+len(beam)+40]
		}, []string{".accelcands", "line 62"}},
		{"a list without the candidate of a plot", beam + ".accelcands", func(b []byte) []byte {
			i := strings.LastIndex(string(b), beam)
			return b[:i]
		}, []string{"plot of no candidate"}},
		{"a setting that is missing", "search_params.txt", func(b []byte) []byte {
			return []byte(strings.ReplaceAll(string(b), "to_prepfold_sigma", "x"))
		}, []string{"search_params.txt", "to_prepfold_sigma"}},
		{"rfifind that said nothing", beam + "_rfifind.out", func([]byte) []byte { return nil }, []string{"rfifind.out", "bad   intervals"}},
		{"a FITS file that is cut", beam + ".fits", func(b []byte) []byte { return b[:5000] }, []string{".fits"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := beamCopy(t)
			path := filepath.Join(dir, c.file)
			if c.edit == nil {
				remove(t, dir, c.file)
			} else {
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, c.edit(data), 0o640); err != nil {
					t.Fatal(err)
				}
			}
			_, err := New(0).Read(t.Context(), results.Source{Dir: dir})
			if !errors.Is(err, results.ErrInvalid) {
				t.Fatalf("the error is %v, want ErrInvalid", err)
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("the error does not say %q: %v", s, err)
				}
			}
		})
	}
}

func TestALinkOutOfTheDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{beam + ".fits", beam + "_pfd.tgz", beam + ".accelcands", beam + "_rfifind.png"} {
		dir := beamCopy(t)
		path := filepath.Join(dir, name)
		outside := filepath.Join(t.TempDir(), "outside")
		if err := os.Rename(path, outside); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, path); err != nil {
			t.Fatal(err)
		}
		if _, err := New(0).Read(t.Context(), results.Source{Dir: dir}); !errors.Is(err, results.ErrInvalid) {
			t.Errorf("%s as a link: %v, want ErrInvalid", name, err)
		}
	}
}

func TestAFileAboveTheLimitIsRefused(t *testing.T) {
	t.Parallel()
	_, err := New(1<<20).Read(t.Context(), results.Source{Dir: "testdata/beam3"})
	if !errors.Is(err, results.ErrInvalid) || !strings.Contains(err.Error(), ".pfd in it is larger") {
		t.Errorf("the error is %v", err)
	}
}

func TestADirectoryThatIsGoneIsAnOutage(t *testing.T) {
	t.Parallel()
	_, err := New(0).Read(t.Context(), results.Source{Dir: filepath.Join(t.TempDir(), "gone")})
	if err == nil || errors.Is(err, results.ErrInvalid) {
		t.Errorf("the error is %v", err)
	}
}

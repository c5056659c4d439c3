package results

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// whole is a manifest that uses everything.
const whole = `{"format":"longhaul-results-1","records":[{"table":"headers",
 "values":{"beam_id":3,"sample_time":500.0,"original_file":"a.fits","good":true,"none":null,"big":9223372036854775807},
 "refs":{"observation_id":{"table":"observations","values":{"obs_name":"p2030.1"}}},
 "children":[
  {"table":"diagnostics","values":{"value":1.5},"refs":{"type_id":{"table":"diagnostic_types","values":{"name":"Outlying channels","kind":"numeric"}}}},
  {"table":"diagnostic_plots","values":{"filename":"bandpass.png"},"blobs":{"filedata":"plots/bandpass.png"}}]}]}`

// record wraps the inner part of one record's object into a manifest.
func record(inner string) string {
	return `{"format":"longhaul-results-1","records":[{` + inner + `}]}`
}

func newManifest(t testing.TB, maxBlob int64) *Manifest {
	t.Helper()
	m, err := NewManifest(maxBlob)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// outputDir is a directory with these files.
func outputDir(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestManifestReadsEverything(t *testing.T) {
	t.Parallel()
	dir := outputDir(t, map[string]string{ManifestName: whole, "plots/bandpass.png": "abc"})
	got, err := newManifest(t, 0).Read(t.Context(), Source{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	plot := got[0].Children[1].Blobs["filedata"]
	content, err := plot.ReadAll(t.Context())
	if err != nil || string(content) != "abc" {
		t.Errorf("blob = %q, %v, want abc", content, err)
	}
	plot.Open = nil // functions are not comparable
	want := []Record{{
		Table: "headers",
		Values: map[string]any{"beam_id": int64(3), "sample_time": 500.0, "original_file": "a.fits",
			"good": true, "none": nil, "big": int64(math.MaxInt64)},
		Refs: map[string]Record{"observation_id": {Table: "observations", Values: map[string]any{"obs_name": "p2030.1"}}},
		Children: []Record{
			{Table: "diagnostics", Values: map[string]any{"value": 1.5}, Refs: map[string]Record{
				"type_id": {Table: "diagnostic_types", Values: map[string]any{"name": "Outlying channels", "kind": "numeric"}}}},
			{Table: "diagnostic_plots", Values: map[string]any{"filename": "bandpass.png"}, Blobs: map[string]Blob{"filedata": {
				Name: "plots/bandpass.png", Size: 3, SHA256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}}},
		},
	}}
	got[0].Children[1].Blobs["filedata"] = plot
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestManifestRefusesBadText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		want       []string // parts of the message
	}{
		{"an empty file", ``, []string{"line 1, column 1", "ends in the middle"}},
		{"a file cut short", whole[:200], []string{"ends in the middle"}},
		{"no JSON", "\n{nope}", []string{"line 2", "not JSON"}},
		{"a trailing comma", record(`"table":"t","values":{},`), []string{"not JSON"}},
		{"NaN", record(`"table":"t","values":{"a":NaN}`), []string{"/records/0/values/a", "write null"}},
		{"minus infinity", record(`"table":"t","values":{"a":-Infinity}`), []string{"/records/0/values/a", "write null"}},
		{"a number beyond float64", record(`"table":"t","values":{"a":1e400}`), []string{"/records/0/values/a", "1e400"}},
		{"an integer beyond int64", record(`"table":"t","values":{"a":9223372036854775808}`), []string{"/records/0/values/a", "quotes"}},
		{"a number with a huge exponent", record(`"table":"t","values":{"a":1e99999999999}`), []string{"/records/0/values/a"}},
		{"a key given twice", record(`"table":"t","values":{"a":1,"a":2}`), []string{"/records/0/values/a", "given twice"}},
		{"a key given twice in other words", record(`"table":"t","values":{"a":1,"\u0061":2}`), []string{"given twice"}},
		{"NUL in text", record(`"table":"t","values":{"a":"x\u0000"}`), []string{"/records/0/values/a", "NUL"}},
		{"half a surrogate pair", record(`"table":"t","values":{"a":"\ud800"}`), []string{"U+FFFD"}},
		{"bytes that are not UTF-8", record("\"table\":\"t\",\"values\":{\"a\":\"\xff\"}"), []string{"column 71", "not UTF-8"}},
		{"a second value", whole + `{}`, []string{"more after the end"}},
		{"nesting without end", strings.Repeat(`[`, 100_000), []string{"nested more than 64 deep"}},
		{"an array at the top", `[]`, []string{"(the whole file)", "is of type array, must be object"}},
		{"null", `null`, []string{"must be object"}},
		{"no records", `{"format":"longhaul-results-1"}`, []string{`lacks "records"`}},
		{"an empty list of records", `{"format":"longhaul-results-1","records":[]}`, []string{"/records", "at least 1"}},
		{"another format", `{"format":"longhaul-results-2","records":[{"table":"t","values":{}}]}`, []string{"/format", `must be "longhaul-results-1"`}},
		{"an unknown key", record(`"table":"t","values":{},"extra":1`), []string{"/records/0", `unknown key "extra"`}},
		{"no table", record(`"values":{}`), []string{`lacks "table"`}},
		{"a table that is a number", record(`"table":3,"values":{}`), []string{"/records/0/table", "is of type number, must be string"}},
		{"a hostile table", record(`"table":"t; DROP TABLE t","values":{}`), []string{"/records/0/table", "cannot be a table", "lower-case"}},
		{"a hostile column", record(`"table":"t","values":{"a\" --":1}`), []string{"/records/0/values", "cannot be a column"}},
		{"a column in capitals", record(`"table":"t","values":{"RA":1}`), []string{`"RA"`, "lower-case"}},
		{"a name too long", record(`"table":"` + strings.Repeat("a", 64) + `","values":{}`), []string{"at most 63"}},
		{"a value that is an object", record(`"table":"t","values":{"a":{}}`), []string{"/records/0/values/a", "is of type object"}},
		{"a blob that is a number", record(`"table":"t","values":{},"blobs":{"a":1}`), []string{"/records/0/blobs/a", "must be string"}},
		{"a blob without name", record(`"table":"t","values":{},"blobs":{"a":""}`), []string{"/records/0/blobs/a", "must name a file"}},
		{"a blob with an endless name", record(`"table":"t","values":{},"blobs":{"a":"` + strings.Repeat("x", 5000) + `"}`), []string{"at most 4096"}},
		{"a shared row with children", record(`"table":"t","values":{},"refs":{"r":{"table":"u","values":{"a":1},"children":[]}}`), []string{"/records/0/refs/r", `unknown key "children"`}},
		{"a shared row without values", record(`"table":"t","values":{},"refs":{"r":{"table":"u","values":{}}}`), []string{"/records/0/refs/r/values", "at least 1"}},
		{"a child without table", record(`"table":"t","values":{},"children":[{"values":{}}]`), []string{"/records/0/children/0", `lacks "table"`}},
		{"a column as value and blob", record(`"table":"t","values":{"a":1},"blobs":{"a":"f"}`), []string{"/records/0/blobs/a", "under values too"}},
		{"many faults", record(`"table":"t","values":{"a":[],"b":[],"c":[],"d":[],"e":[],"f":[],"g":[]}`), []string{"/values/a", "/values/e", "and 2 more"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := outputDir(t, map[string]string{ManifestName: tt.text})
			_, err := newManifest(t, 0).Read(t.Context(), Source{Dir: dir})
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("Read = %v, want ErrInvalid", err)
			}
			for _, want := range append(tt.want, filepath.Join(dir, ManifestName)) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("message lacks %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "urn:longhaul") || len(err.Error()) > 2000 {
				t.Errorf("message is not for people: %v", err)
			}
		})
	}
}

func TestManifestRefusesBadFiles(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(outputDir(t, map[string]string{"secret": "s"}), "secret")
	for _, tt := range []struct {
		name, blob, want string
		prepare          func(dir string) error
	}{
		{"a missing file", "gone.png", "no such file", nil},
		{"a path that climbs", "../secret", "relative path beneath", nil},
		{"a path that climbs from within", "a/../../secret", "relative path beneath", nil},
		{"an absolute path", outside, "relative path beneath", nil},
		{"the directory itself", ".", "relative path beneath", nil},
		{"a name with a line break", "a\\nb", "control characters", nil},
		{"a symbolic link to the outside", "link", "a symbolic link", func(dir string) error {
			return os.Symlink(outside, filepath.Join(dir, "link"))
		}},
		{"a symbolic link to the inside", "link", "a symbolic link", func(dir string) error {
			return os.Symlink(ManifestName, filepath.Join(dir, "link"))
		}},
		{"a directory that is a symbolic link", "link/secret", "a symbolic link", func(dir string) error {
			return os.Symlink(filepath.Dir(outside), filepath.Join(dir, "link"))
		}},
		{"a directory", "sub", "a directory", func(dir string) error {
			return os.Mkdir(filepath.Join(dir, "sub"), 0o750)
		}},
		{"a pipe that nobody writes", "pipe", "a special file", func(dir string) error {
			return unix.Mkfifo(filepath.Join(dir, "pipe"), 0o640)
		}},
		{"a file over the limit", "large", "larger than the 10 bytes", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "large"), make([]byte, 11), 0o640)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := outputDir(t, map[string]string{ManifestName: record(`"table":"t","values":{},"blobs":{"a":"` + tt.blob + `"}`)})
			if tt.prepare != nil {
				if err := tt.prepare(dir); err != nil {
					t.Fatal(err)
				}
			}
			_, err := newManifest(t, 10).Read(t.Context(), Source{Dir: dir})
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "/records/0/blobs/a") {
				t.Errorf("Read = %v, want ErrInvalid with the place and %q", err, tt.want)
			}
		})
	}
}

func TestManifestItself(t *testing.T) {
	t.Parallel()
	m := newManifest(t, 0)
	t.Run("may be missing, with its directory", func(t *testing.T) {
		t.Parallel()
		for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "gone")} {
			if _, err := m.Read(t.Context(), Source{Dir: dir}); !errors.Is(err, ErrInvalid) || !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Read = %v, want ErrInvalid and fs.ErrNotExist", err)
			}
		}
	})
	t.Run("must not be a symbolic link", func(t *testing.T) {
		t.Parallel()
		dir := outputDir(t, map[string]string{"other.json": record(`"table":"t","values":{}`)})
		if err := os.Symlink("other.json", filepath.Join(dir, ManifestName)); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Read(t.Context(), Source{Dir: dir}); !errors.Is(err, ErrInvalid) {
			t.Errorf("Read = %v, want ErrInvalid", err)
		}
	})
	t.Run("has a limit", func(t *testing.T) {
		t.Parallel()
		dir := outputDir(t, map[string]string{ManifestName: ""})
		if err := os.Truncate(filepath.Join(dir, ManifestName), MaxManifest+1); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Read(t.Context(), Source{Dir: dir}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "larger than") {
			t.Errorf("Read = %v, want ErrInvalid about the size", err)
		}
	})
	t.Run("is not read once the caller has stopped", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		dir := outputDir(t, map[string]string{ManifestName: whole, "plots/bandpass.png": ""})
		if _, err := m.Read(ctx, Source{Dir: dir}); !errors.Is(err, context.Canceled) || errors.Is(err, ErrInvalid) {
			t.Errorf("Read = %v, want context.Canceled", err)
		}
	})
}

func TestBlobThatChangesIsNoticed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, now, want string }{
		{"grown", "abcd", "longer"},
		{"shrunk", "ab", "shorter"},
		{"altered", "abd", "has changed"},
		{"emptied", "", "shorter"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := outputDir(t, map[string]string{"f": "abc"})
			b, err := FileBlob(t.Context(), dir, "f", 3)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "f"), []byte(tt.now), 0o640); err != nil {
				t.Fatal(err)
			}
			if _, err := b.ReadAll(t.Context()); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ReadAll = %v, want ErrInvalid with %q", err, tt.want)
			}
		})
	}
}

// BenchmarkManifest shows that the cost of a record does not grow with their number.
func BenchmarkManifest(b *testing.B) {
	for _, rows := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			child := `{"table":"diagnostics","values":{"value":0.25},"refs":{"type_id":{"table":"diagnostic_types","values":{"name":"n","kind":"numeric"}}}}`
			text := record(`"table":"headers","values":{},"children":[` + strings.Repeat(child+",", rows-1) + child + `]`)
			dir, m := outputDir(b, map[string]string{ManifestName: text}), newManifest(b, 0)
			for b.Loop() {
				if _, err := m.Read(b.Context(), Source{Dir: dir}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*rows), "us/record")
		})
	}
}

// FuzzManifest holds that whatever is accepted is JSON, has records, and keeps
// to the types that package results promises; and that nothing panics.
func FuzzManifest(f *testing.F) {
	for _, seed := range []string{
		whole, "", "null", "[]", record(`"table":"t","values":{"a":1e5,"b":-0,"c":"\u00e9"}`),
		record(`"table":"t","values":{"a":1},"blobs":{"b":"../x"}`),
		record(`"table":"t","values":{},"refs":{"r":{"table":"u","values":{"a":1},"refs":{"s":{"table":"v","values":{"a":1}}}}}`),
		record(`"table":"t","values":{"a":1,"a":2}`), record(`"table":"t","values":{"a":NaN}`), strings.Repeat(`[{"a":`, 40),
	} {
		f.Add([]byte(seed))
	}
	m := newManifest(f, 0)
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := m.parse(data)
		if err != nil {
			if len(err.Error()) > 10_000 {
				t.Errorf("message of %d bytes", len(err.Error()))
			}
			return
		}
		if !json.Valid(data) {
			t.Fatal("accepted what is not JSON")
		}
		b := builder{ctx: t.Context(), dir: t.TempDir(), maxBlob: 1, seen: map[string]Blob{}}
		records, err := b.records(doc["records"].([]any), "/records")
		if err != nil {
			return // blobs: there are no files
		}
		if len(records) == 0 {
			t.Fatal("accepted no records")
		}
		checkTypes(t, records)
	})
}

func checkTypes(t *testing.T, records []Record) {
	for _, r := range records {
		for col, v := range r.Values {
			switch v := v.(type) {
			case nil, bool, string, int64:
			case float64:
				if math.IsNaN(v) || math.IsInf(v, 0) {
					t.Errorf("%s.%s is %v", r.Table, col, v)
				}
			default:
				t.Errorf("%s.%s is a %T", r.Table, col, v)
			}
		}
		for _, ref := range r.Refs {
			checkTypes(t, []Record{ref})
		}
		checkTypes(t, r.Children)
	}
}

package commondb

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"longhaul/internal/results"
)

// open opens a database, which it makes if there is none.
func open(t testing.TB, o Options) *DB {
	t.Helper()
	if _, err := Init(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func blob(name, content string) results.Blob {
	sum := sha256.Sum256([]byte(content))
	return results.Blob{Name: name, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }}
}

func diagnosticType(name, kind string) map[string]results.Record {
	return map[string]results.Record{"type_id": {Table: "diagnostic_types",
		Values: map[string]any{"name": name, "description": "about " + name, "kind": kind}}}
}

// beam is the results of one beam, five rows of which four are its own.
func beam(n int64) results.Record {
	return results.Record{
		Table: "headers",
		Values: map[string]any{"beam_id": n, "original_file": fmt.Sprintf("b%d.fits", n), "sample_time": 65.476190476190476,
			"num_samples": 131072.0, "start_ast": int64(57345), "observers": "Héloïse 'X'; --", "obstype": nil},
		Refs: map[string]results.Record{"observation_id": {Table: "observations", Values: map[string]any{
			"obs_name": "p2030.G45", "project_id": "p2030", "timestamp_mjd": 56982.83039351852, "scan_num": "00100"}}},
		Children: []results.Record{
			{Table: "diagnostics", Values: map[string]any{"value": 0.680022667422247}, Refs: diagnosticType("Percent zapped", "numeric")},
			{Table: "diagnostic_plots", Values: map[string]any{"filename": "bandpass.png"},
				Blobs: map[string]results.Blob{"filedata": blob("bandpass.png", "PNG\x00\xff bytes")}, Refs: diagnosticType("Bandpass plot", "binary")},
			{Table: "diagnostic_plots", Values: map[string]any{"filename": "empty.txt"},
				Blobs: map[string]results.Blob{"filedata": blob("empty.txt", "")}, Refs: diagnosticType("Bandpass plot", "binary")},
		},
	}
}

func meta(submit string) Meta {
	return Meta{Submit: submit, Job: "G45 beam 3", Stage: "search", Institution: "McGill", Pipeline: "PRESTO", Survey: "PALFA", Version: "PRESTO:1;PIPELINE:2"}
}

// wantRows compares the number of rows of the tables named.
func wantRows(t *testing.T, db *DB, want map[string]int) {
	t.Helper()
	got, err := db.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for table, n := range want {
		if got[table] != n {
			t.Errorf("%d rows of %s, want %d", got[table], table, n)
		}
	}
}

// nothing is the state of a database to which nothing was uploaded.
var nothing = map[string]int{"uploads": 0, "versions": 0, "observations": 0, "headers": 0, "diagnostic_types": 0, "diagnostics": 0, "diagnostic_plots": 0}

func TestUploadKeepsEverything(t *testing.T) {
	everywhere(t, func(t *testing.T, b backend) {
		db := open(t, b.options(t))
		got, err := db.Upload(t.Context(), meta("s1"), []results.Record{beam(3)})
		if err != nil {
			t.Fatal(err)
		}
		if got.Already || got.Rows != 4 || got.Bytes != 11 || len(got.Digest) != 64 {
			t.Errorf("receipt %+v, want 4 rows and 11 bytes", got)
		}
		wantRows(t, db, map[string]int{"uploads": 1, "versions": 1, "observations": 1, "headers": 1, "diagnostic_types": 2, "diagnostics": 1, "diagnostic_plots": 2})
		for table, want := range map[string]map[string]any{
			"headers": {"beam_id": int64(3), "sample_time": 65.476190476190476, "num_samples": int64(131072), "start_ast": 57345.0,
				"observers": "Héloïse 'X'; --", "obstype": nil, "upload_id": int64(1), "observation_id": int64(1)},
			"observations":     {"timestamp_mjd": 56982.83039351852, "scan_num": "00100"},
			"diagnostics":      {"value": 0.680022667422247, "header_id": int64(1)},
			"diagnostic_plots": {"filename": "bandpass.png", "filedata": int64(11)},
			"uploads": {"submit": "s1", "job": "G45 beam 3", "version_id": int64(1), "digest": got.Digest,
				"records": int64(4), "bytes": int64(11), "created_at": "2026-02-28T12:00:00.000Z"},
		} {
			rows, err := db.Rows(t.Context(), table)
			if err != nil {
				t.Fatal(err)
			}
			for col, v := range want {
				if rows[0][col] != v {
					t.Errorf("%s.%s = %v (%T), want %v (%T)", table, col, rows[0][col], rows[0][col], v, v)
				}
			}
		}
		if found, at, err := db.Find(t.Context(), "s1"); !found || !at.Equal(noon) || err != nil {
			t.Errorf("Find = %v, %v, %v", found, at, err)
		}
		if found, _, err := db.Find(t.Context(), "s2"); found || err != nil {
			t.Errorf("Find of another = %v, %v", found, err)
		}
	})
}

// manifest is the results.json of a job, with every column of a header.
const manifest = `{"format":"longhaul-results-1","records":[{"table":"headers","values":{
 "beam_id":3,"original_file":"p2030.20141121.G45.00+00.00.N.b3.00100.fits","sample_time":500.0,"observation_time":65.536,
 "num_samples":131072.0,"num_samples_per_record":1024,"center_freq":1375.48861694336,"channel_bandwidth":3360.595703125,
 "num_channels_per_record":96,"num_ifs":2,"sum_id":1,"orig_right_ascension":191342.6182,"orig_declination":104325.3317,
 "orig_ra_deg":288.42757583333326,"orig_dec_deg":10.72370325,"orig_galactic_longitude":45.00005864381437,
 "orig_galactic_latitude":-0.00012388219839356012,"right_ascension":191342.6182,"declination":104325.3317,
 "ra_deg":288.42757583333326,"dec_deg":10.72370325,"galactic_longitude":45.00005864381437,
 "galactic_latitude":-0.00012388219839356012,"orig_start_az":210.34483337402344,"orig_start_za":8.775114059448242,
 "start_ast":57345,"start_lst":70302.12552194881,"observers":"SYNTHETIC","obstype":"Mock","file_size":74880,"data_size":6291456.0},
 "refs":{"observation_id":{"table":"observations","values":{"obs_name":"p2030.G45.00+00.00.N.56982.00100","project_id":"p2030",
  "source_name":"G45.00+00.00.N","timestamp_mjd":56982.83039351852,"scan_num":"00100"}}},
 "children":[
  {"table":"diagnostics","values":{"value":1.5},"refs":{"type_id":{"table":"diagnostic_types","values":{"name":"Outlying channels","description":"share of them","kind":"numeric"}}}},
  {"table":"diagnostic_plots","values":{"filename":"bandpass.png"},"blobs":{"filedata":"bandpass.png"},
   "refs":{"type_id":{"table":"diagnostic_types","values":{"name":"Bandpass plot","description":"mean and RMS by channel","kind":"binary"}}}}]}]}`

func TestManifestReachesTheDatabase(t *testing.T) {
	everywhere(t, func(t *testing.T, b backend) {
		dir := t.TempDir()
		for name, content := range map[string]string{results.ManifestName: manifest, "bandpass.png": "\x89PNG"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o640); err != nil {
				t.Fatal(err)
			}
		}
		reader, err := results.NewManifest(0)
		if err != nil {
			t.Fatal(err)
		}
		db := open(t, b.options(t))
		for i, want := range []bool{false, true} { // read anew, the same results have the same digest
			records, err := reader.Read(t.Context(), results.Source{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			got, err := db.Upload(t.Context(), meta("s1"), records)
			if err != nil || got.Already != want || got.Rows != 3 || got.Bytes != 4 {
				t.Errorf("upload %d = %+v, %v", i, got, err)
			}
		}
		rows, err := db.Rows(t.Context(), "headers")
		if err != nil {
			t.Fatal(err)
		}
		for col, v := range rows[0] {
			if v == nil {
				t.Errorf("headers.%s is null", col)
			}
		}
	})
}

func TestUploadIsIdempotent(t *testing.T) {
	everywhere(t, func(t *testing.T, b backend) {
		db := open(t, b.options(t))
		first, err := db.Upload(t.Context(), meta("s1"), []results.Record{beam(3)})
		if err != nil {
			t.Fatal(err)
		}
		second, err := db.Upload(t.Context(), meta("s1"), []results.Record{beam(3)})
		if err != nil || !second.Already || second.Digest != first.Digest || second.Rows != first.Rows {
			t.Errorf("again = %+v, %v, want %+v already there", second, err, first)
		}
		other := beam(3)
		other.Children[0].Values["value"] = 0.680022667422248 // one bit
		if _, err := db.Upload(t.Context(), meta("s1"), []results.Record{other}); !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), "uploaded at 2026-02-28T12:00:00Z with other content") {
			t.Errorf("with other content = %v, want ErrMismatch", err)
		}
		wantRows(t, db, map[string]int{"uploads": 1, "headers": 1, "diagnostics": 1})
	})
}

func TestSharedRowsAreMadeOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, b backend) {
		db := open(t, b.options(t))
		for i := range int64(3) {
			r := beam(i)
			if i == 2 { // another program's last bits
				r.Refs["observation_id"].Values["timestamp_mjd"] = 56982.83039351852 + 7.3e-12
			}
			if _, err := db.Upload(t.Context(), meta(fmt.Sprint("s", i)), []results.Record{r, beam(i + 10)}); err != nil {
				t.Fatal(err)
			}
		}
		wantRows(t, db, map[string]int{"uploads": 3, "versions": 1, "observations": 1, "headers": 6, "diagnostic_types": 2})

		for name, change := range map[string]func(results.Record){
			"another project":          func(r results.Record) { r.Refs["observation_id"].Values["project_id"] = "p9999" },
			"a start a second later":   func(r results.Record) { r.Refs["observation_id"].Values["timestamp_mjd"] = 56982.8304 },
			"a value where there none": func(r results.Record) { r.Refs["observation_id"].Values["source_name"] = "G45" },
		} {
			r := beam(3)
			change(r)
			_, err := db.Upload(t.Context(), meta("conflict"), []results.Record{r})
			if !errors.Is(err, ErrRejected) || !strings.Contains(err.Error(), `obs_name "p2030.G45"`) || !strings.Contains(err.Error(), "in the common database") {
				t.Errorf("%s: Upload = %v, want ErrRejected with both values", name, err)
			}
		}
		wantRows(t, db, map[string]int{"uploads": 3, "observations": 1, "headers": 6})
	})
}

func TestUploadRejects(t *testing.T) {
	everywhere(t, func(t *testing.T, b backend) {
		db := open(t, b.options(t))
		alter(t, db, `CREATE TABLE keyless (upload_id {integer}, a {text}, FOREIGN KEY (upload_id) REFERENCES uploads (id)) {table}`)
		alter(t, db, `CREATE TABLE twins (id {key}, a {integer}, b {integer}, FOREIGN KEY (a) REFERENCES uploads (id), FOREIGN KEY (b) REFERENCES uploads (id)) {table}`)
		set := func(col string, v any) func(*results.Record) {
			return func(r *results.Record) { r.Values[col] = v }
		}
		table := func(name string) func(*results.Record) {
			return func(r *results.Record) { r.Table = name }
		}
		for _, tt := range []struct {
			name   string
			change func(*results.Record)
			want   string
		}{
			{"an unknown table", table("nonsense"), `"nonsense": no such table; there are diagnostic_plots, diagnostic_types, diagnostics`},
			{"a table in capitals", table("HEADERS"), "no such table"},
			{"a hostile table", table(`headers"; DROP TABLE headers; --`), "no such table"},
			{"SQLite's own table", table("sqlite_schema"), "no such table"},
			{"the table of uploads", table("uploads"), "written by the upload itself"},
			{"a table whose rows hang on others", table("diagnostics"), "cannot stand alone"},
			{"a table without key", table("keyless"), "no integer primary key"},
			{"a table with two parents", table("twins"), "several columns"},
			{"an unknown column", set("nonsense", 1.0), "headers.\"nonsense\": no such column; headers has beam_id, center_freq"},
			{"a hostile column", set(`beam_id" = 1; --`, 1.0), "no such column"},
			{"SQLite's hidden key", set("rowid", int64(1)), "no such column"},
			{"PostgreSQL's hidden column", set("ctid", int64(1)), "no such column"},
			{"the table of the version", table(versionTable), "no such table"},
			{"a primary key", set("id", int64(1)), "headers.id is a key"},
			{"another upload's key", set("upload_id", int64(1)), "headers.upload_id is a key"},
			{"another row's key", set("observation_id", int64(1)), "is given twice"},
			{"text for a number", set("beam_id", "3"), `headers.beam_id holds integers, not "3"`},
			{"a number for text", set("original_file", int64(3)), "headers.original_file holds text, not 3"},
			{"a fraction for an integer", set("beam_id", 3.5), "holds integers, not 3.5"},
			{"a float beyond any integer", set("beam_id", 1e30), "holds integers, not 1e+30"},
			{"an integer that no float can hold", set("center_freq", int64(1<<53+1)), "holds numbers, not 9007199254740993"},
			{"an infinity", set("center_freq", posInf()), "cannot be stored"},
			{"NUL in text", set("observers", "a\x00b"), "is not text"},
			{"text that is not UTF-8", set("observers", "\xff"), "is not text"},
			{"a Go type that is not promised", set("beam_id", 3), "type int"},
			{"null where a value must be", set("original_file", nil), "headers.original_file: null"},
			{"a missing value", func(r *results.Record) { delete(r.Values, "original_file") }, "original_file"},
			{"a constraint", set("sample_time", -1.0), "sample_time"},
			{"a file for a number", func(r *results.Record) {
				r.Blobs = map[string]results.Blob{"center_freq": blob("f", "x")}
			}, "headers.center_freq holds numbers, not the file"},
			{"a column as value and file", func(r *results.Record) {
				r.Blobs = map[string]results.Blob{"center_freq": blob("f", "x")}
				r.Values["center_freq"] = 1.0
			}, "is given twice"},
			{"a file too large", func(r *results.Record) {
				b := blob("large", "x")
				b.Size = 2_000_000_000
				r.Children[1].Blobs["filedata"] = b
			}, "records[0].children[1]: rejected by the common database: diagnostic_plots.filedata: the file \"large\" has 2000000000 bytes"},
			{"a file that was not measured", func(r *results.Record) {
				r.Children[1].Blobs["filedata"] = results.Blob{Name: "f"}
			}, "was not measured"},
			{"a shared row of the wrong table", func(r *results.Record) {
				r.Refs["observation_id"] = results.Record{Table: "versions", Values: map[string]any{"version_number": "x"}}
			}, "headers.observation_id refers to observations"},
			{"a shared row for a plain column", func(r *results.Record) {
				r.Refs["beam_id"] = r.Refs["observation_id"]
			}, "headers.beam_id does not refer to another table"},
			{"a shared row that is an upload", func(r *results.Record) {
				r.Refs["upload_id"] = results.Record{Table: "uploads", Values: map[string]any{"submit": "s"}}
			}, "headers.upload_id refers to uploads"},
			{"a shared row without its name", func(r *results.Record) {
				delete(r.Refs["observation_id"].Values, "obs_name")
			}, "found by its unique columns (obs_name)"},
			{"a shared row with children", func(r *results.Record) {
				o := r.Refs["observation_id"]
				o.Children = []results.Record{beam(1)}
				r.Refs["observation_id"] = o
			}, "neither blobs nor children"},
			{"a child of the wrong parent", func(r *results.Record) {
				r.Children = []results.Record{beam(1)}
			}, "no column refers to it"},
			{"a child with another's key", func(r *results.Record) {
				r.Children[0].Values["header_id"] = int64(1)
			}, "diagnostics.header_id is a key"},
			{"endless nesting", func(r *results.Record) {
				for range 100 {
					*r = results.Record{Table: "headers", Children: []results.Record{*r}}
				}
			}, "nest more than 32 deep"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				r := beam(3)
				tt.change(&r)
				_, err := db.Upload(t.Context(), meta("s1"), []results.Record{r})
				if !errors.Is(err, ErrRejected) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("Upload = %v\nwant ErrRejected with %q", err, tt.want)
				}
				if err != nil && len(err.Error()) > 1500 {
					t.Errorf("message of %d bytes", len(err.Error()))
				}
				wantRows(t, db, nothing)
			})
		}
		if _, err := db.Upload(t.Context(), meta("s1"), nil); !errors.Is(err, ErrRejected) {
			t.Errorf("Upload of nothing = %v, want ErrRejected", err)
		}
		if _, err := db.Upload(t.Context(), Meta{}, []results.Record{beam(3)}); !errors.Is(err, ErrRejected) {
			t.Errorf("Upload without submit = %v, want ErrRejected", err)
		}
	})
}

func posInf() float64 { return 1 / zero }

var zero float64

func TestConcurrentUploadsFromTwoHandles(t *testing.T) {
	everywhere(t, func(t *testing.T, b backend) {
		o := b.options(t)
		handles := []*DB{open(t, o), open(t, o)}
		const each = 8
		var wg sync.WaitGroup
		for h, db := range handles {
			for i := range each {
				wg.Go(func() {
					own, common := fmt.Sprintf("own-%d-%d", h, i), fmt.Sprintf("common-%d", i)
					for _, submit := range []string{own, common} { // common: both handles upload it
						if _, err := db.Upload(t.Context(), meta(submit), []results.Record{beam(int64(i))}); err != nil {
							t.Errorf("%s: %v", submit, err)
						}
					}
				})
			}
		}
		wg.Wait()
		wantRows(t, handles[0], map[string]int{"uploads": 3 * each, "headers": 3 * each, "versions": 1, "observations": 1, "diagnostic_types": 2})
	})
}

// many is the results of a beam with so many diagnostics.
func many(diagnostics int) []results.Record {
	r := beam(3)
	for i := range diagnostics {
		r.Children = append(r.Children, results.Record{Table: "diagnostics",
			Values: map[string]any{"value": float64(i) / 7}, Refs: diagnosticType(fmt.Sprint("type ", i%14), "numeric")})
	}
	return []results.Record{r}
}

func TestManyRowsInOneUpload(t *testing.T) {
	everywhere(t, func(t *testing.T, b backend) {
		db := open(t, b.options(t))
		if got, err := db.Upload(t.Context(), meta("s1"), many(2000)); err != nil || got.Rows != 2004 {
			t.Fatalf("Upload = %+v, %v", got, err)
		}
		wantRows(t, db, map[string]int{"diagnostics": 2001, "diagnostic_types": 16})
	})
}

func TestManyColumnSetsInOneUpload(t *testing.T) {
	everywhere(t, func(t *testing.T, b backend) {
		db := open(t, b.options(t))
		cols := []string{"center_freq", "ra_deg", "dec_deg", "start_lst", "file_size", "num_ifs", "sum_id"}
		var list []results.Record
		for set := range 1 << len(cols) { // more statements than are kept
			r := beam(int64(set))
			r.Children = nil
			for i, c := range cols {
				if set>>i&1 == 1 {
					r.Values[c] = int64(i)
				}
			}
			list = append(list, r)
		}
		if _, err := db.Upload(t.Context(), meta("s1"), list); err != nil {
			t.Fatal(err)
		}
		wantRows(t, db, map[string]int{"headers": len(list)})
	})
}

func TestCheckLeavesNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, b backend) {
		db := open(t, b.options(t))
		if err := db.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantRows(t, db, nothing)
		lie(t, db, "diagnostics", map[backend]string{
			SQLite:   "AFTER INSERT ON diagnostics BEGIN UPDATE diagnostics SET value = 0; END",
			Postgres: "BEFORE|NEW.value = 0",
			MySQL:    "BEFORE|SET NEW.value = 0",
		}[b])
		if err := db.Check(t.Context()); !errors.Is(err, ErrMismatch) {
			t.Errorf("Check of a liar = %v, want ErrMismatch", err)
		}
	})
}

func TestRowsRefusesForeignNames(t *testing.T) {
	everywhere(t, func(t *testing.T, b backend) {
		db := open(t, b.options(t))
		for _, name := range []string{"", "nonsense", "sqlite_schema", `headers" WHERE 0; --`} {
			if _, err := db.Rows(t.Context(), name); !errors.Is(err, ErrRejected) {
				t.Errorf("Rows(%q) = %v, want ErrRejected", name, err)
			}
		}
	})
}

func TestTablesOfASurveysOwn(t *testing.T) {
	everywhere(t, func(t *testing.T, b backend) {
		db := open(t, b.options(t))
		for _, ddl := range map[backend][]string{
			SQLite: {
				`CREATE TABLE sites (id INTEGER PRIMARY KEY, name TEXT NOT NULL, country TEXT, UNIQUE (name, country))`,
				`CREATE TABLE "odd ""table" (id INTEGER PRIMARY KEY, upload_id INTEGER NOT NULL REFERENCES uploads, seen DATETIME, ok BOOLEAN,
				size DECIMAL(10, 2), double AS (size * 2), site INTEGER REFERENCES sites (id))`,
			},
			Postgres: {
				`CREATE TABLE sites (id serial PRIMARY KEY, name varchar(40) NOT NULL, country text, UNIQUE (name, country))`,
				`CREATE TABLE "odd ""table" (id smallserial PRIMARY KEY, upload_id bigint NOT NULL REFERENCES uploads, seen timestamp, ok boolean,
				size numeric(10, 2), double numeric GENERATED ALWAYS AS (size * 2) STORED, site int REFERENCES sites (id))`,
			},
			MySQL: {
				`CREATE TABLE sites (id int AUTO_INCREMENT PRIMARY KEY, name varchar(40) NOT NULL, country varchar(40), UNIQUE (name, country))`,
				"CREATE TABLE `odd \"table` (id smallint unsigned AUTO_INCREMENT PRIMARY KEY, upload_id bigint NOT NULL, seen datetime, ok boolean," +
					"size decimal(10, 2), `double` decimal(10, 2) AS (size * 2), site int," +
					"FOREIGN KEY (upload_id) REFERENCES uploads (id), FOREIGN KEY (site) REFERENCES sites (id))",
			},
		}[b] {
			alter(t, db, ddl)
		}
		r := results.Record{Table: `odd "table`, Values: map[string]any{"seen": "2026-02-28T12:00:00Z", "ok": true, "size": 1.25},
			Refs: map[string]results.Record{"site": {Table: "sites", Values: map[string]any{"name": "Arecibo", "country": "PR"}}}}
		if _, err := db.Upload(t.Context(), meta("s1"), []results.Record{r, r}); err != nil {
			t.Fatal(err)
		}
		wantRows(t, db, map[string]int{`odd "table`: 2, "sites": 1})
		r.Values["double"] = 2.5
		if _, err := db.Upload(t.Context(), meta("s2"), []results.Record{r}); !errors.Is(err, ErrRejected) || !strings.Contains(err.Error(), "no such column") {
			t.Errorf("a generated column: %v, want ErrRejected", err)
		}
	})
}

func TestDigestTellsTreesApart(t *testing.T) {
	t.Parallel()
	seen := make(map[string]string)
	for name, change := range map[string]func(*results.Record){
		"as it is":             func(*results.Record) {},
		"a value":              func(r *results.Record) { r.Values["beam_id"] = int64(4) },
		"a type":               func(r *results.Record) { r.Values["beam_id"] = 3.0 },
		"a null":               func(r *results.Record) { delete(r.Values, "obstype") },
		"a blob's digest":      func(r *results.Record) { r.Children[1].Blobs["filedata"] = blob("bandpass.png", "PNG\x00\xfe bytes") },
		"the order":            func(r *results.Record) { c := r.Children; c[0], c[1] = c[1], c[0] },
		"a child less":         func(r *results.Record) { r.Children = r.Children[:2] },
		"a shared value":       func(r *results.Record) { r.Refs["observation_id"].Values["scan_num"] = "00101" },
		"a value moved":        func(r *results.Record) { r.Values["observers"], r.Values["obstype"] = nil, r.Values["observers"] },
		"a child of the child": func(r *results.Record) { r.Children[0].Children = r.Children[1:]; r.Children = r.Children[:1] },
	} {
		r := beam(3)
		change(&r)
		m, err := measureTree([]results.Record{r})
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[m.digest]; ok {
			t.Errorf("%q and %q have the same digest", name, other)
		}
		seen[m.digest] = name
	}
	a, _ := measureTree([]results.Record{beam(3)})
	b, _ := measureTree([]results.Record{beam(3)})
	if a != b {
		t.Error("the same tree has two digests")
	}
}

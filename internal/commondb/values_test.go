package commondb

import (
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"longhaul/internal/results"
)

// types are a table of many types on each server.
var types = map[backend]string{
	Postgres: `CREATE TABLE many_types (id {key}, upload_id bigint NOT NULL REFERENCES uploads (id),
		small smallint, medium integer, single real, fixed numeric(6,2), short varchar(3), padded char(5), flag boolean,
		seen timestamptz, local timestamp, day date, doc jsonb, bytes bytea, whole bigint, number double precision, words text)`,
	MySQL: `CREATE TABLE many_types (id {key}, upload_id bigint NOT NULL,
		small smallint, medium integer, single float, fixed decimal(6,2), short varchar(3), padded char(5), flag boolean,
		seen datetime(6), local datetime, day date, doc json, bytes blob, whole bigint, number double, words text,
		tiny tinyint unsigned, huge bigint unsigned, FOREIGN KEY (upload_id) REFERENCES uploads (id)) {table}`,
}

func TestValuesAreKeptOrRefused(t *testing.T) {
	long := strings.Repeat("é", 40_000) // more than a MySQL TEXT holds
	onServers(t, func(t *testing.T, b backend) {
		db := open(t, b.options(t))
		alter(t, db, types[b])
		for _, tt := range []struct {
			column string
			value  any
			want   error // nil: it is kept
			only   backend
		}{
			{"small", int64(-32768), nil, ""},
			{"small", int64(32768), ErrRejected, ""},
			{"medium", int64(math.MaxInt32), nil, ""},
			{"medium", int64(math.MaxInt32 + 1), ErrRejected, ""},
			{"whole", int64(math.MinInt64), nil, ""},
			{"whole", int64(math.MaxInt64), nil, ""},
			{"whole", float64(1 << 62), nil, ""},
			{"whole", 1e19, ErrRejected, ""},
			{"whole", true, nil, ""},
			{"tiny", int64(255), nil, MySQL},
			{"tiny", int64(-1), ErrRejected, MySQL},
			{"huge", int64(math.MaxInt64), nil, MySQL},
			{"huge", int64(-1), ErrRejected, MySQL},
			{"number", math.SmallestNonzeroFloat64, nil, ""},
			{"number", math.MaxFloat64, nil, ""},
			{"number", 0.1 + 0.2, nil, ""},
			{"number", math.Copysign(0, -1), nil, ""},
			{"number", int64(1) << 53, nil, ""},
			{"number", math.NaN(), ErrRejected, ""},
			{"number", math.Inf(1), ErrRejected, ""},
			{"single", 0.5, nil, ""},
			{"single", 0.1, ErrMismatch, ""},
			{"single", 1e300, ErrMismatch, Postgres},
			{"single", 1e300, ErrRejected, MySQL},
			{"fixed", 1234.25, nil, ""},
			{"fixed", 0.1, nil, ""},
			{"fixed", 1.005, ErrMismatch, ""},
			{"fixed", 123456.0, ErrRejected, ""},
			{"short", "äöü", nil, ""},
			{"short", "four", ErrRejected, ""},
			{"short", "a ", nil, ""},
			{"padded", "fives", nil, ""},
			{"padded", "four", ErrMismatch, Postgres},
			{"padded", "a ", ErrMismatch, MySQL},
			{"flag", true, nil, ""},
			{"flag", false, nil, ""},
			{"flag", "yes", ErrRejected, ""},
			{"words", "trailing blanks  ", nil, ""},
			{"words", "back\\slash 'quote' \"double\" `tick` %s ? $1 🔭 \r\n\t", nil, ""},
			{"words", "", nil, ""},
			{"words", "NUL\x00", ErrRejected, ""},
			{"words", long, nil, Postgres},
			{"words", long, ErrRejected, MySQL},
			{"seen", "2026-02-28T12:00:00.123456Z", nil, ""},
			{"seen", "2026-02-28T13:30:00.5+01:30", nil, ""},
			{"seen", "2026-02-28T12:00:00.1234567Z", ErrMismatch, ""},
			{"seen", "yesterday", ErrRejected, ""},
			{"local", "2026-07-01T12:00:00Z", nil, ""},
			{"local", "2026-07-01T12:00:00.5Z", ErrMismatch, MySQL},
			{"day", "2026-07-01", ErrRejected, ""},
			{"doc", `{"a": 1}`, ErrRejected, Postgres},
			{"bytes", "text", ErrRejected, ""},
			{"bytes", blob("f", "\x00\xff\\x41"), nil, ""},
			{"bytes", blob("f", ""), nil, ""},
			{"bytes", blob("f", strings.Repeat("x", 70_000)), ErrRejected, MySQL},
		} {
			if tt.only != "" && tt.only != b {
				continue
			}
			r := results.Record{Table: "many_types", Values: map[string]any{tt.column: tt.value}}
			if f, ok := tt.value.(results.Blob); ok {
				r = results.Record{Table: "many_types", Blobs: map[string]results.Blob{tt.column: f}}
			}
			m := meta(tt.column + show(tt.value) + time.Now().String())
			_, err := db.Upload(t.Context(), m, []results.Record{r, r})
			if !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.column) && tt.want != nil {
				t.Errorf("%s = %s: Upload = %v, want %v", tt.column, show(tt.value), err, tt.want)
			}
		}
	})
}

func TestATableWithoutTransactionsIsRefused(t *testing.T) {
	t.Parallel()
	db := open(t, backend(MySQL).options(t))
	alter(t, db, `CREATE TABLE unsafe (id {key}, upload_id bigint) ENGINE=MyISAM`)
	_, err := db.Upload(t.Context(), meta("s1"), []results.Record{{Table: "unsafe", Values: map[string]any{}}})
	var p *Problem
	if !errors.Is(err, ErrRejected) || !errors.As(err, &p) || p.Cause != NoTransaction || !strings.Contains(err.Error(), "InnoDB") {
		t.Errorf("Upload = %v, want ErrRejected with the way out", err)
	}
	ok := true
	for _, f := range db.Inspect(t.Context()) {
		ok = ok && (f.OK || f.What != "tables")
	}
	if ok {
		t.Error("Inspect does not find it")
	}
}

func TestAKeyThatTheDatabaseDoesNotGiveIsRefused(t *testing.T) {
	onServers(t, func(t *testing.T, b backend) {
		db := open(t, b.options(t))
		alter(t, db, `CREATE TABLE keys_of_others (id bigint PRIMARY KEY, upload_id {integer}, FOREIGN KEY (upload_id) REFERENCES uploads (id)) {table}`)
		_, err := db.Upload(t.Context(), meta("s1"), []results.Record{{Table: "keys_of_others", Values: map[string]any{}}})
		if !errors.Is(err, ErrRejected) || !strings.Contains(err.Error(), "does not give its key") {
			t.Errorf("Upload = %v, want ErrRejected", err)
		}
	})
}

// plots are files of so many bytes, which hold no memory.
func plots(n int, size int) []results.Record {
	content := strings.Repeat("PNG and more of it. ", size/20)
	r := beam(3)
	r.Children = nil
	b := blob("plot.png", content)
	for range n {
		r.Children = append(r.Children, results.Record{Table: "diagnostic_plots", Values: map[string]any{"filename": "plot.png"},
			Blobs: map[string]results.Blob{"filedata": b}, Refs: diagnosticType("Candidate plot", "binary")})
	}
	return []results.Record{r}
}

func TestMemoryDoesNotGrowWithTheFiles(t *testing.T) {
	for _, name := range Drivers() { // one after the other: it looks at the memory of the whole process
		b := backend(name)
		db := open(t, b.options(t))
		records := plots(20, 2_000_000)
		runtime.GC()
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		most := before.HeapInuse
		uploaded := make(chan error, 1)
		go func() {
			_, err := db.Upload(t.Context(), meta("s1"), records)
			uploaded <- err
		}()
		tick := time.NewTicker(20 * time.Millisecond)
		for busy := true; busy; {
			select {
			case err := <-uploaded:
				must(t, err)
				busy = false
			case <-tick.C:
				var now runtime.MemStats
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapInuse)
			}
		}
		tick.Stop()
		grown := int64(most) - int64(before.HeapInuse)
		t.Logf("%s: 40 MB in 20 files: at most %d MB more memory", name, grown>>20)
		if grown > 25<<20 {
			t.Errorf("%s: memory grew by %d MB", name, grown>>20)
		}
	}
}

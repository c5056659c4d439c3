package commondb

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/internal/results"
)

// TestReadBackNoticesWhatTheDatabaseChanged has triggers stand for a database
// that rounds, cuts or drops.
func TestReadBackNoticesWhatTheDatabaseChanged(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, trigger, want string }{
		{"a float is rounded", `AFTER INSERT ON diagnostics BEGIN UPDATE diagnostics SET value = round(value, 4) WHERE id = new.id; END`,
			"diagnostics.value of row 1: sent 0.680022667422247, got 0.68"},
		{"a float loses one bit", `AFTER INSERT ON headers BEGIN UPDATE headers SET sample_time = sample_time + 1.4210854715202004e-14; END`,
			"headers.sample_time"},
		{"an integer changes", `AFTER INSERT ON headers BEGIN UPDATE headers SET beam_id = 4; END`,
			"headers.beam_id of row 1: sent 3, got 4"},
		{"text is cut", `AFTER INSERT ON headers BEGIN UPDATE headers SET observers = substr(observers, 1, 3); END`,
			`headers.observers of row 1: sent "Héloïse 'X'; --", got "Hél"`},
		{"null becomes a value", `AFTER INSERT ON headers BEGIN UPDATE headers SET obstype = 'Mock'; END`,
			`headers.obstype of row 1: sent null, got "Mock"`},
		{"a blob is cut", `AFTER INSERT ON diagnostic_plots BEGIN UPDATE diagnostic_plots SET filedata = coalesce(substr(filedata, 1, 5), x''); END`,
			`diagnostic_plots.filedata of row 1: sent the file "bandpass.png" of 11 bytes, got 5`},
		{"a blob is altered", `AFTER INSERT ON diagnostic_plots BEGIN UPDATE diagnostic_plots SET filedata = zeroblob(length(filedata)); END`,
			"diagnostic_plots.filedata of row 1: sent the file \"bandpass.png\" with SHA-256"},
		{"a row hangs on another parent", `AFTER INSERT ON diagnostics BEGIN UPDATE diagnostics SET type_id = (SELECT max(id) FROM diagnostic_types) + 0 * new.id; INSERT INTO diagnostic_types (name, kind) VALUES ('x', 'numeric'); UPDATE diagnostics SET type_id = (SELECT max(id) FROM diagnostic_types); END`,
			"diagnostics.type_id"},
		{"an earlier row is changed by a later one", `AFTER INSERT ON diagnostic_plots BEGIN UPDATE headers SET beam_id = 9; END`,
			"headers.beam_id of row 1: sent 3, got 9"},
		{"a shared row is changed", `AFTER INSERT ON observations BEGIN UPDATE observations SET scan_num = '100'; END`,
			`observations.scan_num of row 1: sent "00100", got "100"`},
		{"a row is deleted", `AFTER INSERT ON diagnostics BEGIN DELETE FROM diagnostics; END`,
			"diagnostics: row 1 is gone"},
		{"a row is not stored", `BEFORE INSERT ON diagnostics BEGIN SELECT RAISE(IGNORE); END`,
			"diagnostics: the database took a row and did not keep it"},
		{"the upload's row is changed", `AFTER INSERT ON uploads BEGIN UPDATE uploads SET job = ''; END`,
			"uploads.job of row 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := open(t, options(t))
			alter(t, db, `CREATE TRIGGER liar `+tt.trigger)
			_, err := db.Upload(t.Context(), meta("s1"), []results.Record{beam(3)})
			if !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Upload = %v\nwant ErrMismatch with %q", err, tt.want)
			}
			wantRows(t, db, nothing)
			alter(t, db, `DROP TRIGGER liar`)
			if _, err := db.Upload(t.Context(), meta("s1"), []results.Record{beam(3)}); err != nil {
				t.Errorf("without the trigger: %v", err)
			}
		})
	}
}

func TestBlobThatChangesIsRejected(t *testing.T) {
	t.Parallel()
	db := open(t, options(t))
	dir := t.TempDir()
	file := filepath.Join(dir, "bandpass.png")
	if err := os.WriteFile(file, []byte("before"), 0o640); err != nil {
		t.Fatal(err)
	}
	b, err := results.FileBlob(t.Context(), dir, "bandpass.png", 100)
	if err != nil {
		t.Fatal(err)
	}
	r := beam(3)
	r.Children[1].Blobs["filedata"] = b
	for name, content := range map[string]string{"altered": "after!", "longer": "before and after", "shorter": ""} {
		if err := os.WriteFile(file, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Upload(t.Context(), meta("s1"), []results.Record{r}); !errors.Is(err, ErrRejected) || !strings.Contains(err.Error(), "bandpass.png") {
			t.Errorf("%s: Upload = %v, want ErrRejected with the file's name", name, err)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Upload(t.Context(), meta("s1"), []results.Record{r}); !errors.Is(err, ErrRejected) {
		t.Errorf("removed: Upload = %v, want ErrRejected", err)
	}
	wantRows(t, db, nothing)
}

func TestUploadThatIsStoppedLeavesNothing(t *testing.T) {
	t.Parallel()
	db := open(t, options(t))
	ctx, cancel := context.WithCancel(t.Context())
	r := beam(3)
	last := r.Children[2].Blobs["filedata"]
	read := last.Open
	last.Open = func() (io.ReadCloser, error) { cancel(); return read() } // all other rows are inserted by now
	r.Children[2].Blobs["filedata"] = last
	_, err := db.Upload(ctx, meta("s1"), []results.Record{r})
	if !errors.Is(err, context.Canceled) || errors.Is(err, pipeline.ErrOutage) || errors.Is(err, ErrRejected) {
		t.Errorf("Upload = %v, want context.Canceled alone", err)
	}
	wantRows(t, db, nothing)
	if _, err := db.Upload(t.Context(), meta("s1"), []results.Record{beam(3)}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestOutages(t *testing.T) {
	t.Parallel()
	upload := func(db *DB) error {
		_, err := db.Upload(context.Background(), meta("s1"), []results.Record{beam(3)})
		return err
	}
	for _, tt := range []struct {
		name string
		hurt func(t *testing.T, db *DB, o Options) (heal func())
	}{
		{"another process holds the lock", func(t *testing.T, db *DB, o Options) func() {
			alter(t, db, `PRAGMA busy_timeout = 100`)
			other := open(t, o)
			tx, err := other.write.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			return func() { tx.Rollback() }
		}},
		{"the disk is full", func(t *testing.T, db *DB, _ Options) func() {
			alter(t, db, `PRAGMA max_page_count = 1`) // no less than it has
			return func() { alter(t, db, `PRAGMA max_page_count = 1000000`) }
		}},
		{"the file is gone", func(t *testing.T, _ *DB, o Options) func() {
			if err := os.Rename(o.Database, o.Database+".away"); err != nil {
				t.Fatal(err)
			}
			return func() { os.Rename(o.Database+".away", o.Database) }
		}},
		{"the file was replaced", func(t *testing.T, _ *DB, o Options) func() {
			if err := errors.Join(os.Rename(o.Database, o.Database+".away"), os.WriteFile(o.Database, nil, 0o640)); err != nil {
				t.Fatal(err)
			}
			return func() { os.Rename(o.Database+".away", o.Database) }
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := options(t)
			db := open(t, o)
			big := beam(1)
			big.Children[1].Blobs["filedata"] = blob("big", strings.Repeat("x", 100_000))
			heal := tt.hurt(t, db, o)
			_, err := db.Upload(t.Context(), meta("s0"), []results.Record{big})
			if !errors.Is(err, pipeline.ErrOutage) || errors.Is(err, ErrRejected) {
				t.Errorf("Upload = %v, want an outage", err)
			}
			var oe *pipeline.OutageError
			if errors.As(err, &oe) && oe.System != pipeline.CommonDatabase {
				t.Errorf("outage of %s, want the common database", oe.System)
			}
			heal()
			if err := upload(db); err != nil {
				t.Errorf("after it is back: %v", err)
			}
			wantRows(t, db, map[string]int{"uploads": 1, "headers": 1})
		})
	}
	t.Run("the results' disk does not answer", func(t *testing.T) {
		t.Parallel()
		db := open(t, options(t))
		r := beam(3)
		b := r.Children[1].Blobs["filedata"]
		b.Open = func() (io.ReadCloser, error) {
			return nil, pipeline.Outage(pipeline.LocalDisk, errors.New("stale file handle"))
		}
		r.Children[1].Blobs["filedata"] = b
		_, err := db.Upload(t.Context(), meta("s1"), []results.Record{r})
		var oe *pipeline.OutageError
		if !errors.As(err, &oe) || oe.System != pipeline.LocalDisk || errors.Is(err, ErrRejected) {
			t.Errorf("Upload = %v, want an outage of the disk", err)
		}
		wantRows(t, db, nothing)
	})
	t.Run("its own time-out passes", func(t *testing.T) {
		t.Parallel()
		db := open(t, options(t))
		alter(t, db, `CREATE TRIGGER slow AFTER INSERT ON diagnostics BEGIN
			SELECT count(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000000) SELECT i FROM n); END`)
		db.timeout = 300 * time.Millisecond // opening it may take longer on a busy machine
		start := time.Now()
		if err := upload(db); !errors.Is(err, pipeline.ErrOutage) {
			t.Errorf("Upload = %v, want an outage", err)
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("it took %v", took)
		}
		db.timeout = DefaultTimeout
		wantRows(t, db, nothing)
	})
}

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

func TestBlobThatChangesIsRejected(t *testing.T) {
	everywhere(t, func(t *testing.T, b backend) {
		db := open(t, b.options(t))
		dir := t.TempDir()
		file := filepath.Join(dir, "bandpass.png")
		if err := os.WriteFile(file, []byte("before"), 0o640); err != nil {
			t.Fatal(err)
		}
		content, err := results.FileBlob(t.Context(), dir, "bandpass.png", 100)
		if err != nil {
			t.Fatal(err)
		}
		r := beam(3)
		r.Children[1].Blobs["filedata"] = content
		for name, text := range map[string]string{"altered": "after!", "longer": "before and after", "shorter": ""} {
			if err := os.WriteFile(file, []byte(text), 0o640); err != nil {
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
	})
}

func TestUploadThatIsStoppedLeavesNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, b backend) {
		db := open(t, b.options(t))
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
	})
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

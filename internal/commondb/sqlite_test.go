package commondb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"longhaul/internal/pipeline"
	"longhaul/internal/results"
)

func TestInitMakesTheDatabaseOnce(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Database = filepath.Join(t.TempDir(), "new dir", "odd?name #1%41.db")
	for i, want := range []bool{true, false, false} {
		if created, err := Init(t.Context(), o); created != want || err != nil {
			t.Errorf("Init %d = %v, %v, want %v", i, created, err, want)
		}
	}
	info, err := os.Stat(o.Database)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v, want 0640", info.Mode(), err)
	}
	db := open(t, o)
	if _, err := db.Upload(t.Context(), meta("s1"), []results.Record{beam(3)}); err != nil {
		t.Fatal(err)
	}
	if created, err := Init(t.Context(), o); created || err != nil {
		t.Errorf("Init of one in use = %v, %v", created, err)
	}
	wantRows(t, db, map[string]int{"uploads": 1})
}

func TestInitCompletesOneThatWasCutOff(t *testing.T) {
	t.Parallel()
	o := options(t)
	if err := os.WriteFile(o.Database, nil, 0o640); err != nil { // all that a kill can leave
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), o); !errors.Is(err, pipeline.ErrNotFound) || !strings.Contains(err.Error(), "longhaul init") {
		t.Errorf("Open of an empty file = %v, want ErrNotFound with the way out", err)
	}
	if created, err := Init(t.Context(), o); !created || err != nil {
		t.Errorf("Init = %v, %v, want created", created, err)
	}
	wantRows(t, open(t, o), nothing)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	change := func(query string) func(*testing.T, Options) {
		return func(t *testing.T, o Options) {
			if _, err := Init(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			db, err := Open(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			alter(t, db, query)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name    string
		prepare func(*testing.T, Options)
		is      error
		want    string
	}{
		{"a missing file", func(*testing.T, Options) {}, pipeline.ErrNotFound, "longhaul init"},
		{"a directory", func(t *testing.T, o Options) { must(t, os.Mkdir(o.Database, 0o750)) }, pipeline.ErrFatal, "not a file"},
		{"no database", func(t *testing.T, o Options) {
			must(t, os.WriteFile(o.Database, bytes.Repeat([]byte("no database "), 1000), 0o640))
		}, pipeline.ErrFatal, "backup"},
		{"a newer version", change(`PRAGMA user_version = 99`), pipeline.ErrFatal, "newer longhaul"},
		{"an older version", change(`PRAGMA user_version = 0`), pipeline.ErrFatal, "this program needs"},
		{"another program's database", change(`PRAGMA application_id = 1`), pipeline.ErrFatal, "another program's"},
		{"a file cut short", func(t *testing.T, o Options) {
			change(`SELECT 1`)(t, o)
			must(t, os.Truncate(o.Database, 8192))
		}, pipeline.ErrFatal, "backup"},
		{"a page of rubbish", func(t *testing.T, o Options) {
			change(`SELECT 1`)(t, o)
			f, err := os.OpenFile(o.Database, os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, 4096), 5*4096)
			must(t, errors.Join(err, f.Close()))
		}, pipeline.ErrFatal, "backup"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := options(t)
			tt.prepare(t, o)
			db, err := Open(t.Context(), o)
			if db != nil {
				t.Error("it was opened")
			}
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), o.Database) {
				t.Errorf("Open = %v\nwant %v with %q and the file's name", err, tt.is, tt.want)
			}
		})
	}
	t.Run("an unknown driver", func(t *testing.T) {
		t.Parallel()
		o := options(t)
		o.Driver = "oracle"
		if _, err := Open(t.Context(), o); !errors.Is(err, pipeline.ErrFatal) || !strings.Contains(err.Error(), "there are sqlite, postgres, mysql") {
			t.Errorf("Open = %v", err)
		}
	})
	t.Run("another program's database, for Init too", func(t *testing.T) {
		t.Parallel()
		o := options(t)
		change(`PRAGMA application_id = 1`)(t, o)
		if created, err := Init(t.Context(), o); created || !errors.Is(err, pipeline.ErrFatal) {
			t.Errorf("Init = %v, %v, want ErrFatal", created, err)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestKilledUploadLeavesNothing kills a process, with SIGKILL, that has
// inserted all rows but the last.
func TestKilledUploadLeavesNothing(t *testing.T) {
	t.Parallel()
	o := options(t)
	if _, err := Init(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "LONGHAUL_TEST_KILL="+o.Database)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the process was not killed: %v\n%s", err, out)
	}
	db := open(t, o)
	wantRows(t, db, nothing)
	if found, _, err := db.Find(t.Context(), "s1"); found || err != nil {
		t.Errorf("Find = %v, %v, want nothing", found, err)
	}
	if got, err := db.Upload(t.Context(), meta("s1"), []results.Record{beam(3)}); err != nil || got.Already {
		t.Errorf("Upload afterwards = %+v, %v", got, err)
	}
}

// uploadAndDie is what that process does.
func uploadAndDie(path string) {
	db, err := Open(context.Background(), Options{Database: path})
	if err == nil {
		r := beam(3)
		b := r.Children[2].Blobs["filedata"]
		b.Open = func() (io.ReadCloser, error) {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		r.Children[2].Blobs["filedata"] = b
		_, err = db.Upload(context.Background(), meta("s1"), []results.Record{r})
	}
	fmt.Println("still alive:", err)
	os.Exit(1)
}

func TestEveryForeignKeyHasAnIndex(t *testing.T) {
	t.Parallel()
	db := open(t, options(t))
	cat, err := db.dialect.catalog(t.Context(), db.read)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, tab := range cat {
		for _, col := range tab.columns {
			if col.parent == "" {
				continue
			}
			found++
			var plan string
			var skip int
			q := fmt.Sprintf(`EXPLAIN QUERY PLAN SELECT 1 FROM %s WHERE %s = 1`, tab.name, col.name)
			if err := db.read.QueryRowContext(t.Context(), q).Scan(&skip, &skip, &skip, &plan); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(plan, "USING COVERING INDEX") {
				t.Errorf("%s.%s: %s", tab.name, col.name, plan)
			}
		}
	}
	if found != 14 {
		t.Errorf("%d foreign keys, want 14", found)
	}
}

func TestEveryConnectionHasThePragmas(t *testing.T) {
	t.Parallel()
	db := open(t, options(t))
	for name, want := range map[string]string{"foreign_keys": "1", "journal_mode": "wal", "synchronous": "2", "busy_timeout": "10000"} {
		for _, h := range []string{"write", "read"} {
			var got string
			handle := map[string]querier{"write": db.write, "read": db.read}[h]
			if err := handle.QueryRowContext(t.Context(), `PRAGMA `+name).Scan(&got); err != nil || got != want {
				t.Errorf("%s on the %s handle is %s, %v, want %s", name, h, got, err, want)
			}
		}
	}
	if _, err := db.read.ExecContext(t.Context(), `DELETE FROM uploads`); err == nil {
		t.Error("the read handle writes")
	}
}

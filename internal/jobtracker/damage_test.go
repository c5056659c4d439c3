package jobtracker_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
)

const pageSize = 4096

// sound makes a job-tracker with some content, closed, all in one file.
func sound(t *testing.T) (path string) {
	t.Helper()
	s := openFile(t)
	for _, status := range []pipeline.Status{pipeline.New, pipeline.Uploaded, pipeline.TerminalFailure} {
		jobtrackertest.MakeJob(t, s, status)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return s.Path()
}

// killed makes a job-tracker as a daemon leaves it that was killed: the last
// changes are in the -wal.
func killed(t *testing.T) (path string) {
	t.Helper()
	s := openFile(t)
	jobtrackertest.MakeJob(t, s, pipeline.Uploaded)
	path = filepath.Join(t.TempDir(), "jobtracker.db")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		copyFile(t, s.Path()+suffix, path+suffix)
	}
	return path
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, disk.FileMode); err != nil {
		t.Fatal(err)
	}
}

// change changes the bytes of a file.
func change(t *testing.T, path string, fn func([]byte) []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, fn(content), disk.FileMode); err != nil {
		t.Fatal(err)
	}
}

func TestDamageIsFoundWhenOpening(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		make   func(t *testing.T) string
		damage func(t *testing.T, path string)
		wayOut string
	}{
		{"a page overwritten with zeros", sound, func(t *testing.T, path string) {
			change(t, path, func(b []byte) []byte { clear(b[2*pageSize : 3*pageSize]); return b })
		}, "newest backup"},
		{"a page overwritten with another", sound, func(t *testing.T, path string) {
			from, to := rootPage(t, path, "job_files"), rootPage(t, path, "jobs")
			change(t, path, func(b []byte) []byte { copy(b[to:to+pageSize], b[from:]); return b })
		}, "newest backup"},
		{"an index that lacks rows, so that work would be hidden for ever", sound, func(t *testing.T, path string) {
			from, to := rootPage(t, path, "requests_status"), rootPage(t, path, "jobs_status")
			change(t, path, func(b []byte) []byte { copy(b[to:to+pageSize], b[from:]); return b })
		}, "newest backup"},
		{"bytes flipped in the head of every page", sound, func(t *testing.T, path string) {
			change(t, path, func(b []byte) []byte {
				for p := pageSize; p < len(b); p += pageSize {
					b[p+3] ^= 0xff // the number of cells
				}
				return b
			})
		}, "newest backup"},
		{"truncated to half", sound, func(t *testing.T, path string) {
			change(t, path, func(b []byte) []byte { return b[:len(b)/2/pageSize*pageSize] })
		}, "newest backup"},
		{"truncated in the middle of a page", sound, func(t *testing.T, path string) {
			change(t, path, func(b []byte) []byte { return b[:len(b)-pageSize/2] })
		}, "newest backup"},
		{"truncated in its first page", sound, func(t *testing.T, path string) {
			change(t, path, func(b []byte) []byte { return b[:50] })
		}, "newest backup"},
		{"empty", sound, func(t *testing.T, path string) {
			change(t, path, func(b []byte) []byte { return nil })
		}, "newest backup"},
		{"text", sound, func(t *testing.T, path string) {
			change(t, path, func(b []byte) []byte { return bytes.Repeat([]byte("not a database\n"), 1000) })
		}, "newest backup"},
		{"its -wal deleted", killed, func(t *testing.T, path string) {
			if err := os.Remove(path + "-wal"); err != nil {
				t.Fatal(err)
			}
		}, "jobtracker.db-shm"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := tt.make(t)
			tt.damage(t, path)
			before := listing(t, path)
			s, err := jobtracker.Open(t.Context(), path, jobtracker.Options{Actor: "test"})
			if err == nil {
				s.Close()
				t.Fatal("it was opened")
			}
			if !errors.Is(err, pipeline.ErrFatal) || !strings.Contains(err.Error(), tt.wayOut) || !strings.Contains(err.Error(), path) {
				t.Errorf("%v\nwant %v, the path, and the way out: %s", err, pipeline.ErrFatal, tt.wayOut)
			}
			if strings.Count(err.Error(), "newest backup") > 1 {
				t.Errorf("it says the same thing twice: %v", err)
			}
			if after := listing(t, path); after != before {
				t.Errorf("looking at it changed it:\n%s\nwas\n%s", after, before)
			}
		})
	}
}

// listing is what lies beside a job-tracker, with sizes.
func listing(t *testing.T, path string) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, e := range entries {
		all.WriteString(e.Name() + "\n")
	}
	return all.String()
}

// TestAKilledDaemonLosesNothing: a -wal that is there is no damage.
func TestAKilledDaemonLosesNothing(t *testing.T) {
	t.Parallel()
	openAndClose(t, killed(t))
}

// TestAnyFlippedByteIsFoundOrHarmless flips single bytes all over the file. The
// tracker has no checksums, so a changed letter in a text is not found; but it
// must not crash, and must not be taken for an outage.
func TestAnyFlippedByteIsFoundOrHarmless(t *testing.T) {
	t.Parallel()
	original := sound(t)
	content, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "jobtracker.db")
	found := 0
	for at := 16; at < len(content); at += len(content)/15 - 1 {
		bad := bytes.Clone(content)
		bad[at] ^= 0xff
		if err := os.WriteFile(path, bad, disk.FileMode); err != nil {
			t.Fatal(err)
		}
		s, err := jobtracker.Open(t.Context(), path, jobtracker.Options{Actor: "test"})
		if err == nil {
			err = s.Close()
		}
		if err != nil {
			found++
		}
		if err != nil && !errors.Is(err, pipeline.ErrFatal) {
			t.Errorf("byte %d: %v, want %v", at, err, pipeline.ErrFatal)
		}
	}
	if found == 0 {
		t.Error("no flipped byte was found")
	}
}

// rootPage returns where the first page of a table or index begins in the file.
func rootPage(t *testing.T, path, name string) int {
	t.Helper()
	db := jobtrackerDB(t, path)
	var page int
	if err := db.QueryRowContext(t.Context(), `SELECT rootpage FROM sqlite_schema WHERE name = ?`, name).Scan(&page); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return (page - 1) * pageSize
}

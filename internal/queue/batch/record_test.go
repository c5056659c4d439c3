package batch

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"longhaul/internal/queue"
)

func TestARecordComesBack(t *testing.T) {
	t.Parallel()
	dir, at := t.TempDir(), time.Date(2026, 2, 3, 4, 5, 6, 7, time.UTC)
	for _, tt := range []struct {
		record Record
		want   queue.State
	}{
		{
			Record{Name: "good", Node: "n1", StartedAt: at, EndedAt: at.Add(time.Hour)},
			queue.State{Phase: queue.Finished, Reason: queue.Exited, Node: "n1", StartedAt: at, EndedAt: at.Add(time.Hour)},
		},
		{
			Record{Name: "bad", ExitCode: 130, EndedAt: at},
			queue.State{Phase: queue.Finished, Reason: queue.Exited, ExitCode: 130, EndedAt: at},
		},
		{
			Record{Name: "killed", ExitCode: 137, Signal: 9, EndedAt: at},
			queue.State{Phase: queue.Finished, Reason: queue.Signaled, ExitCode: 137, EndedAt: at},
		},
	} {
		if err := tt.record.Write(RecordPath(dir, tt.record.Name)); err != nil {
			t.Fatal(err)
		}
		got, err := ReadRecord(dir, tt.record.Name)
		if err != nil || got != tt.record || got.State() != tt.want {
			t.Errorf("%s came back as %+v, %v", tt.record.Name, got, err)
		}
	}
}

func TestARecordThatCannotBeTrusted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"empty": "", "torn": `{"name":"torn","exit_co`, "unended": `{"name":"unended"}`,
		"others":   `{"name":"x","ended_at":"2026-01-01T00:00:00Z"}`,
		"negative": `{"name":"negative","exit_code":-1,"ended_at":"2026-01-01T00:00:00Z"}`,
		"disagree": `{"name":"disagree","exit_code":0,"signal":9,"ended_at":"2026-01-01T00:00:00Z"}`,
		"long":     strings.Repeat(" ", maxRecord) + `{"name":"long","ended_at":"2026-01-01T00:00:00Z"}`,
	} {
		if err := os.WriteFile(RecordPath(dir, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		if r, err := ReadRecord(dir, name); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %+v, %v, want ErrDamaged", name, r, err)
		}
	}
	if _, err := ReadRecord(dir, "never"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing record: %v", err)
	}
	if _, err := ReadRecord(dir, "../x"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a name that climbs: %v", err)
	}
	if err := syscall.Mkfifo(RecordPath(dir, "fifo"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRecord(dir, "fifo"); err == nil {
		t.Error("a FIFO was believed")
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"name":"a","exit_code":137,"signal":9,"node":"n","started_at":"2026-01-01T00:00:00Z","ended_at":"2026-01-01T00:00:01Z"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseRecord(text)
		if err != nil {
			return
		}
		if s := r.State(); s.Phase != queue.Finished || s.ExitCode < 0 || s.ExitCode > 255 || s.EndedAt.IsZero() {
			t.Errorf("%q is %+v", text, s)
		}
	})
}

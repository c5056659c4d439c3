package local

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"longhaul/internal/queue"
)

// BenchmarkPass is what a job pooler's pass costs with a long history.
func BenchmarkPass(b *testing.B) {
	for _, ended := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("after %d jobs", ended), func(b *testing.B) {
			m, err := New(Options{Spool: filepath.Join(b.TempDir(), "spool"), Supervisor: []string{"/bin/true"}})
			if err != nil {
				b.Fatal(err)
			}
			var refs []queue.Ref
			for i := range ended + 1 {
				name := fmt.Sprintf("job%d", i)
				dir := m.endedPath(name)
				if err := os.Mkdir(dir, 0o750); err != nil {
					b.Fatal(err)
				}
				if i < 20 {
					refs = append(refs, queue.Ref{ID: name, Name: name})
				}
			}
			if err := writeRecord(m.endedPath("job0"), exitFile, exitRecord{Reason: queue.Exited, Ended: time.Now()}); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := m.Poll(b.Context(), refs[:1]); err != nil {
					b.Fatal(err)
				}
				if _, _, err := m.Status(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkJob is one job of many that do nothing, from Submit to its end.
func BenchmarkJob(b *testing.B) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	m, err := New(Options{Spool: filepath.Join(dir, "spool"), MaxRunning: 4, Supervisor: []string{self, "local-supervise"}})
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	n := 0
	for ; b.Loop(); n++ {
		_, err := m.Submit(b.Context(), queue.Spec{
			Name: fmt.Sprintf("job%d", n), Command: []string{"/bin/true"}, Stdout: dir + "/out", Stderr: dir + "/err",
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/time.Since(began).Seconds(), "submits/s")
	for {
		running, queued, err := m.Status(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if running+queued == 0 {
			break
		}
		if err := pause(b.Context(), 10*time.Millisecond); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/time.Since(began).Seconds(), "jobs/s")
}

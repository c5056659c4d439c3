package slurm

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"longhaul/internal/queue/batch"
	"longhaul/tests/engines"
)

// clusters are the real Slurms of these tests, each started when first needed.
var clusters = struct {
	sync.Mutex
	started []*engines.Slurm
	dirs    []string
}{}

func TestMain(m *testing.M) {
	// The long tests do little but wait for their clusters, on any number of CPUs.
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Setenv("LONGHAUL_OURS", "must not reach a job")
	code := m.Run()
	var wg sync.WaitGroup
	for _, s := range clusters.started {
		wg.Go(func() {
			if err := s.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, "stop slurm:", err)
			}
		})
	}
	wg.Wait()
	for _, dir := range clusters.dirs {
		if code != 0 && os.Getenv("KEEP") != "" {
			fmt.Fprintln(os.Stderr, "kept:", dir)
			continue
		}
		os.RemoveAll(dir)
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// cluster starts a Slurm, which lives until all tests are over.
func cluster(t testing.TB, opt engines.SlurmOptions) *engines.Slurm {
	t.Helper()
	engines.Need(t, engines.SlurmPrograms()...)
	if opt.Accounting {
		engines.Need(t, append(engines.MariaDBPrograms(), "slurmdbd")...)
	}
	dir, err := os.MkdirTemp("", "slurm") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	s, err := engines.NewSlurm(context.Background(), dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	clusters.Lock()
	defer clusters.Unlock()
	clusters.started = append(clusters.started, s)
	clusters.dirs = append(clusters.dirs, dir)
	return s
}

// options are those of a Manager for a cluster.
func options(t testing.TB, s *engines.Slurm) Options {
	return Options{Dir: t.TempDir(), Env: s.Env(), Timeout: 20 * time.Second}
}

func open(t testing.TB, o Options) *Manager {
	t.Helper()
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// scripted answers commands without any Slurm.
type scripted func(argv []string) (batch.Output, error)

func (s scripted) Run(_ context.Context, _ []byte, argv ...string) (batch.Output, error) {
	return s(argv)
}

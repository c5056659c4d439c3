package gridengine

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
	"longhaul/internal/queue/cluster"
	"longhaul/internal/queue/queuetest"
	"longhaul/tests/engines"
)

// start starts a Grid Engine for one test.
func start(t *testing.T) *engines.GridEngine {
	t.Helper()
	engines.Need(t, append(engines.GridEnginePrograms(), "qsub")...)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	g, err := engines.NewGridEngine(ctx, t.TempDir(), engines.GridEngineOptions{Slots: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func options(g *engines.GridEngine, dir string) Options {
	return Options{
		Options: cluster.Options{
			Dir: dir, HistoryEvery: 100 * time.Millisecond, Settle: 3 * time.Second, DeleteWait: 20 * time.Second,
			Env: g.Env(), Timeout: 20 * time.Second,
		},
		Queue: g.Queue(), Project: "survey", Account: "palfa",
	}
}

func open(t *testing.T, o Options) *cluster.Manager {
	t.Helper()
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestManagerMeetsTheSpecification(t *testing.T) {
	t.Parallel()
	// A few for all parts, each for one part at a time: starting one is not cheap.
	const clusters = 4
	free := make(chan *engines.GridEngine, clusters)
	for range clusters {
		free <- start(t)
	}
	queuetest.Run(t, func(st *testing.T) queuetest.Harness {
		st.Parallel()
		g := <-free
		st.Cleanup(func() { free <- g })
		o := options(g, filepath.Join(st.TempDir(), "jobs"))
		faulty := &queuetest.Faulty{
			Commander: batch.Runner{Env: append([]string{"TZ=UTC"}, g.Env()...), Timeout: 20 * time.Second},
			Submit:    []string{"qsub"}, Ask: []string{"qstat"},
			Refusal: batch.Output{ExitCode: 1, Stderr: []byte("Unable to run job: error: no suitable queues\nExiting.\n")},
		}
		o.Commands = faulty
		return queuetest.Harness{
			Manager:   open(st, o),
			Reopen:    func(st *testing.T) queue.Manager { return open(st, o) },
			Slots:     4,
			UnknownID: "99999",
			Patience:  30 * time.Second,
			Every:     400 * time.Millisecond,
			Fault:     faulty.Arm,
			Ends: map[queue.Reason]func(*testing.T, queue.Ref){
				queue.NodeFailed: func(t *testing.T, _ queue.Ref) {
					if err := errors.Join(g.FailNode(), g.StartExec(t.Context())); err != nil {
						t.Error(err)
					}
				},
			},
			Hold:    func(t *testing.T, ref queue.Ref) { run(t, g.Command("qhold", ref.ID)) },
			Release: func(t *testing.T, ref queue.Ref) { run(t, g.Command("qrls", ref.ID)) },
		}
	})
}

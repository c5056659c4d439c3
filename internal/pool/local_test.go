package pool_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/queue/local"
	"longhaul/internal/worker"
)

// TestMain makes this program the local queue's supervisor and the worker.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "local-supervise":
			os.Exit(local.SuperviseMain(os.Args[2:]))
		case "worker":
			os.Exit(worker.Main(os.Args[3:])) // after --
		}
	}
	// Workers with the race detector would wait a second at their end.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// until makes passes until one condition holds.
func (r *rig) until(what string, cond func() bool) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			r.Fatalf("waited in vain for %s: %+v", what, r.jobs())
		case <-tick.C:
			r.pass()
		}
	}
}

// Real jobs, run by real workers under the real local queue: one goes well, one
// fails, and one is killed by an operator behind the pooler's back.
func TestRealJobs(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *config.Config) {
		c.Processing.Longhaul = self
		c.Stages[0].Env = map[string]string{"HOLD": c.Basic.QsublogDir}
		c.Stages[0].Command = []string{"/bin/sh", "-c", `
			case "$DATAFILES" in
			*00001.fits*) wc -c "${DATAFILES%%;*}" > "$OUTDIR/size" ;;
			*00002.fits*) echo "no zaplist" >&2; exit 3 ;;
			*) while [ ! -e "$HOLD/go" ]; do sleep 0.1; done ;;
			esac`}
	})
	r.cfg.JobPooler.MaxAttempts = 1
	m, err := local.New(local.Options{Spool: filepath.Join(jobtrackertest.Dir(r.T, r.store), "spool"), MaxRunning: 2,
		Supervisor: []string{self, "local-supervise"}, Grace: time.Second, Now: r.clock.Now})
	r.must(err)
	r.queue = m
	r.restart()
	for scan := 1; scan <= 3; scan++ {
		r.pair(scan)
	}
	status := func(id pipeline.JobID) pipeline.Status {
		j, err := r.store.Job(t.Context(), id)
		if errors.Is(err, pipeline.ErrNotFound) {
			return pipeline.Created
		}
		r.must(err)
		return j.Status
	}
	r.until("the first job", func() bool { return status(1) == pipeline.Processed })
	r.until("the second job", func() bool { return status(2) == pipeline.TerminalFailure })
	r.wantDetails(2, pipeline.TerminalFailure, 1, "exit status 3: no zaplist")
	text, err := os.ReadFile(filepath.Join(r.submits(1)[0].OutputDir, "size"))
	if err != nil || len(text) == 0 {
		t.Errorf("results %q, %v", text, err)
	}

	r.until("the third job to run", func() bool { s := r.submits(3); return len(s) == 1 && !s[0].StartedAt.IsZero() })
	r.restart() // a new pooler goes on with it
	r.must(m.Delete(t.Context(), r.submits(3)[0].QueueID))
	r.until("the third job to be given up", func() bool {
		r.clock.Advance(time.Second) // an operator has some seconds to say that it was he
		return status(3) == pipeline.TerminalFailure
	})
	r.wantDetails(3, pipeline.TerminalFailure, 1, string(queue.Cancelled))
}

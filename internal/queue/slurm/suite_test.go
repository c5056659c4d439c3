package slurm

import (
	"testing"
	"time"

	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
	"longhaul/internal/queue/queuetest"
	"longhaul/tests/engines"
)

// harness is a Manager for the suite, on a cluster of two slots.
func harness(t *testing.T, s *engines.Slurm) queuetest.Harness {
	o := options(t, s)
	o.Args = []string{"--export=ALL"} // a login for each job takes half of the time
	faulty := &queuetest.Faulty{
		Commander: NewRunner(o), Submit: []string{"sbatch"}, Ask: []string{"squeue"},
		Refusal: batch.Output{ExitCode: 1, Stderr: []byte("sbatch: error: Batch job submission failed: Requested node configuration is not available\n")},
	}
	o.Commands = faulty
	ask := func(t *testing.T, command string, args ...string) {
		t.Helper()
		if _, err := s.Ask(t.Context(), command, args...); err != nil {
			t.Fatal(err)
		}
	}
	return queuetest.Harness{
		Manager: open(t, o),
		Reopen:  func(t *testing.T) queue.Manager { return open(t, o) },
		Slots:   2, UnknownID: "4000000000", Every: 50 * time.Millisecond,
		Fault: faulty.Arm,
		Ends: map[queue.Reason]func(*testing.T, queue.Ref){
			queue.Cancelled: func(t *testing.T, ref queue.Ref) { ask(t, "scancel", ref.ID) },
		},
		Hold:    func(t *testing.T, ref queue.Ref) { ask(t, "scontrol", "hold", ref.ID) },
		Release: func(t *testing.T, ref queue.Ref) { ask(t, "scontrol", "release", ref.ID) },
	}
}

func TestManager(t *testing.T) {
	t.Parallel()
	s := cluster(t, engines.SlurmOptions{})
	queuetest.Run(t, func(t *testing.T) queuetest.Harness { return harness(t, s) })
}

func TestManagerWithAccounting(t *testing.T) {
	t.Parallel()
	s := cluster(t, engines.SlurmOptions{Accounting: true})
	queuetest.Run(t, func(t *testing.T) queuetest.Harness { return harness(t, s) })
}

// Package queuetest is the specification of queue.Manager in executable form:
// the suite that every implementation passes.
//
// It watches a batch system from outside only, by files that its jobs write
// and wait for, and gives a slow one as much time as its Harness asks for. It
// needs /bin/sh and sleep where the jobs run, and leaves to the
// implementations' own tests what only they promise.
package queuetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"longhaul/internal/queue"
)

// Harness is a batch system to test.
type Harness struct {
	Manager queue.Manager
	// Reopen returns another Manager for the same batch system, as a restarted
	// job pooler would have.
	Reopen func(*testing.T) queue.Manager
	// Slots is how many jobs of one CPU run at a time. The suite fills them to
	// make others wait; nobody else may use them.
	Slots int
	// UnknownID has the form of an ID and was never given to a job.
	UnknownID string
	// Dir is a directory that the nodes see too; empty: a temporary one.
	Dir string
	// Patience is how long one change of a job's phase may take; 0: 20 s.
	Patience time.Duration
	// Every is the time between polls; 0: 20 ms.
	Every time.Duration
	// Parallel is set if each Harness is a batch system of its own.
	Parallel bool

	// What follows can be left out where it cannot be made; the parts that need
	// it are then skipped, and say so.

	// Fault makes the next command go wrong in a certain way, or returns false
	// where that cannot be done. Faulty.Arm is one.
	Fault func(Fault) bool
	// Ends make a running job end for a reason, which may take half of Patience.
	// There are not more of them than Slots.
	Ends map[queue.Reason]func(*testing.T, queue.Ref)
	// Hold keeps a waiting job from starting, until Release.
	Hold, Release func(*testing.T, queue.Ref)
}

// Run tests the batch systems that open returns, one for each part.
func Run(t *testing.T, open func(*testing.T) Harness) {
	for _, part := range []struct {
		name string
		test func(*bench)
	}{
		{"a job ends well", endsWell},
		{"a job ends badly", endsBadly},
		{"a job is killed by a signal", killed},
		{"arguments and environment arrive byte for byte", arriveExactly},
		{"a submission is found by its name", foundByName},
		{"an ID of another submission is unknown", otherSubmission},
		{"one poll answers for many", pollMany},
		{"a specification without sense is rejected", senseless},
		{"status counts what runs and what waits", counts},
		{"a waiting job that is deleted never runs", deleteWaiting},
		{"a running job is deleted with all its processes", deleteRunning},
		{"deleting what has ended is no error", deleteEnded},
		{"deleting what never was is unknown", deleteUnknown},
		{"the last part of standard error is returned", lastErrors},
		{"a restarted pooler knows everything", reopened},
		{"callers at the same time do not disturb each other", concurrent},
		{"a call ends with its context", cancelledCall},
		{"a submission whose reply is lost is found", replyLost},
		{"a submission that never arrived is unknown", notArrived},
		{"a refused submission is rejected", refused},
		{"a submission that is accepted twice runs once", takenTwice},
		{"without an answer nothing is concluded", noAnswer},
		{"a job that others end tells why", endedByOthers},
		{"a held job waits and says so", held},
	} {
		t.Run(part.name, func(t *testing.T) {
			h := open(t)
			if h.Parallel {
				t.Parallel()
			}
			part.test(newBench(t, h))
		})
	}
}

// bench is one batch system under test.
type bench struct {
	*testing.T
	Harness
	tag string // makes names unique
	n   int
}

func newBench(t *testing.T, h Harness) *bench {
	if h.Dir == "" {
		h.Dir = t.TempDir()
	}
	if h.Patience == 0 {
		h.Patience = 20 * time.Second
	}
	if h.Every == 0 {
		h.Every = 20 * time.Millisecond
	}
	return &bench{T: t, Harness: h, tag: fmt.Sprintf("t%x", time.Now().UnixNano())}
}

// job returns the specification of a job that runs a shell script with
// arguments, where $DIR is a directory that job and test share.
func (b *bench) job(script string, args ...string) queue.Spec {
	b.n++
	name := fmt.Sprintf("%s-%d", b.tag, b.n)
	return queue.Spec{
		Name:      name,
		Command:   append([]string{"/bin/sh", "-c", script, "sh"}, args...),
		Env:       map[string]string{"DIR": b.Dir},
		Stdout:    filepath.Join(b.Dir, name+".out"),
		Stderr:    filepath.Join(b.Dir, name+".err"),
		Resources: queue.Resources{CPUs: 1},
	}
}

// waiting is a script for job that runs until release is called with its argument.
const waiting = `echo $$ > "$DIR/$1.started"; while [ ! -e "$DIR/$1.go" ]; do sleep 0.05; done`

// release lets a job that runs the script waiting go on.
func (b *bench) release(arg string) { b.write(arg + ".go") }

func (b *bench) write(name string) {
	b.Helper()
	if err := os.WriteFile(filepath.Join(b.Dir, name), nil, 0o640); err != nil {
		b.Fatal(err)
	}
}

// submit hands a job over, and takes it back when the test is over.
func (b *bench) submit(spec queue.Spec) queue.Ref {
	b.Helper()
	ref, err := b.trySubmit(spec)
	if err != nil {
		b.Fatalf("Submit: %v", err)
	}
	return ref
}

// trySubmit is submit for other goroutines.
func (b *bench) trySubmit(spec queue.Spec) (queue.Ref, error) {
	at := time.Now().Unix()
	id, err := b.Manager.Submit(b.Context(), spec)
	if err != nil {
		return queue.Ref{}, err
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := b.Manager.Delete(ctx, id); err != nil && !errors.Is(err, queue.ErrUnknown) {
			b.Errorf("clean up: %v", err)
		}
	})
	return queue.Ref{ID: id, Name: spec.Name, Submitted: at}, nil
}

// fill submits jobs that occupy every slot, and returns when all run. They end
// when "fill" is released.
func (b *bench) fill() []queue.Ref {
	b.Helper()
	var refs []queue.Ref
	for range b.Slots {
		refs = append(refs, b.submit(b.job(waiting, "fill")))
	}
	for _, ref := range refs {
		b.await(ref, queue.Running)
	}
	return refs
}

// poll returns the state of one submission.
func (b *bench) poll(ref queue.Ref) queue.State {
	b.Helper()
	states, err := b.Manager.Poll(b.Context(), []queue.Ref{ref})
	if err != nil {
		b.Fatalf("Poll: %v", err)
	}
	state, ok := states[ref]
	if !ok || len(states) != 1 {
		b.Fatalf("Poll of %v answered %v, want one entry for it", ref, states)
	}
	return state
}

// await polls until a submission is in a phase.
func (b *bench) await(ref queue.Ref, phase queue.Phase) queue.State {
	b.Helper()
	var state queue.State
	b.until(fmt.Sprintf("%s to be %s", ref.Name, phase), func() bool {
		state = b.poll(ref)
		if state.Phase == queue.Finished && phase != queue.Finished {
			b.Fatalf("%s has ended, %+v, before it was seen to be %s", ref.Name, state, phase)
		}
		return state.Phase == phase
	})
	return state
}

// until waits for a condition.
func (b *bench) until(what string, cond func() bool) {
	b.Helper()
	deadline := time.After(b.Patience)
	tick := time.NewTicker(b.Every)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline:
			b.Fatalf("waited %s for %s in vain", b.Patience, what)
		case <-tick.C:
		}
	}
}

// read waits for a file that a job writes, and returns it when it has as many
// bytes as are wanted.
func (b *bench) read(path string, want int) string {
	b.Helper()
	var text []byte
	b.until(fmt.Sprintf("%s to have %d bytes", path, want), func() bool {
		var err error
		if text, err = os.ReadFile(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			b.Fatal(err)
		}
		return err == nil && len(text) >= want
	})
	return string(text)
}

// exists reports whether a job has made a file in the common directory.
func (b *bench) exists(name string) bool {
	_, err := os.Stat(filepath.Join(b.Dir, name))
	return err == nil
}

// lines counts the lines of a file in the common directory.
func (b *bench) lines(name string) int {
	text, err := os.ReadFile(filepath.Join(b.Dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}

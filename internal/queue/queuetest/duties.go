package queuetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"longhaul/internal/queue"
)

func foundByName(b *bench) {
	find := func(ref queue.Ref, when string) {
		b.Helper()
		if id, err := b.Manager.Find(b.Context(), ref.Name); id != ref.ID || err != nil {
			b.Errorf("Find of a job that %s = %q, %v, want %q", when, id, err, ref.ID)
		}
	}
	runs := b.fill()[0]
	waits := b.submit(b.job(`:`))
	find(runs, "runs")
	find(waits, "waits")
	b.release("fill")
	b.await(runs, queue.Finished)
	b.await(waits, queue.Finished)
	find(waits, "has ended")
	if id, err := b.Manager.Find(b.Context(), b.tag+"-never"); !errors.Is(err, queue.ErrUnknown) {
		b.Errorf("Find of a job that never was = %q, %v, want ErrUnknown", id, err)
	}
	// A part of a name is no name.
	if id, err := b.Manager.Find(b.Context(), b.tag); !errors.Is(err, queue.ErrUnknown) {
		b.Errorf("Find of the beginning of a name = %q, %v, want ErrUnknown", id, err)
	}
}

func otherSubmission(b *bench) {
	ref := b.submit(b.job(`:`))
	b.await(ref, queue.Finished)
	name, later, hour, bare := ref, ref, ref, ref
	name.Name += "x"
	later.Submitted += 30 * 86400
	hour.Submitted -= 3600
	bare.Submitted = 0
	for what, tt := range map[string]struct {
		ref   queue.Ref
		known bool
	}{
		"with another name":               {name, false},
		"submitted a month later":         {later, false},
		"with clocks an hour apart":       {hour, true},
		"whose submission is not on file": {bare, true},
	} {
		if s := b.poll(tt.ref); (s.Phase != queue.Unknown) != tt.known {
			b.Errorf("a job %s is %s, want known: %v", what, s.Phase, tt.known)
		}
	}
}

func pollMany(b *bench) {
	runs := b.fill()[0]
	waits := b.submit(b.job(`exit 3`))
	never := queue.Ref{ID: b.UnknownID, Name: b.tag + "-never", Submitted: time.Now().Unix()}
	ask := func(want map[queue.Ref]queue.Phase) {
		b.Helper()
		states, err := b.Manager.Poll(b.Context(), []queue.Ref{runs, never, waits})
		if err != nil || len(states) != len(want) {
			b.Fatalf("Poll of three = %v, %v", states, err)
		}
		for ref, phase := range want {
			if states[ref].Phase != phase {
				b.Errorf("%s is %s, want %s", ref.Name, states[ref].Phase, phase)
			}
		}
	}
	ask(map[queue.Ref]queue.Phase{runs: queue.Running, waits: queue.Queued, never: queue.Unknown})
	b.release("fill")
	b.await(runs, queue.Finished)
	if s := b.await(waits, queue.Finished); s.ExitCode != 3 {
		b.Errorf("the job that waited ended %+v, want exit 3", s)
	}
	ask(map[queue.Ref]queue.Phase{runs: queue.Finished, waits: queue.Finished, never: queue.Unknown})
	if states, err := b.Manager.Poll(b.Context(), nil); len(states) != 0 || err != nil {
		b.Errorf("Poll of none = %v, %v, want nothing", states, err)
	}
}

func senseless(b *bench) {
	for what, change := range map[string]func(*queue.Spec){
		"no command":      func(s *queue.Spec) { s.Command = nil },
		"a path as name":  func(s *queue.Spec) { s.Name = "../" + s.Name },
		"an option":       func(s *queue.Spec) { s.Name = "--" + s.Name },
		"relative output": func(s *queue.Spec) { s.Stdout = "out" },
	} {
		spec := b.job(`:`)
		change(&spec)
		if id, err := b.Manager.Submit(b.Context(), spec); !errors.Is(err, queue.ErrRejected) {
			b.Errorf("Submit with %s = %q, %v, want ErrRejected", what, id, err)
		}
	}
}

func counts(b *bench) {
	status := func(running, waiting int) {
		b.Helper()
		var r, q int
		b.until(fmt.Sprintf("%d running and %d waiting", running, waiting), func() bool {
			var err error
			if r, q, err = b.Manager.Status(b.Context()); err != nil {
				b.Fatalf("Status: %v", err)
			}
			return r == running && q == waiting
		})
	}
	r0, q0, err := b.Manager.Status(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	refs := b.fill()
	for range 3 {
		refs = append(refs, b.submit(b.job(`:`)))
	}
	status(r0+b.Slots, q0+3)
	b.release("fill")
	for _, ref := range refs {
		b.await(ref, queue.Finished)
	}
	status(r0, q0)
}

func deleteWaiting(b *bench) {
	runs := b.fill()[0]
	doomed := b.submit(b.job(`: > "$DIR/doomed.ran"`))
	other := b.submit(b.job(`: > "$DIR/other.ran"`))
	b.await(doomed, queue.Queued)
	if err := b.Manager.Delete(b.Context(), doomed.ID); err != nil {
		b.Fatalf("Delete: %v", err)
	}
	// Batch systems differ in whether they remember one that never ran.
	if s := b.poll(doomed); s.Phase != queue.Unknown && (s.Phase != queue.Finished || s.Reason != queue.Cancelled) {
		b.Errorf("after Delete the job is %+v, want unknown or cancelled", s)
	}
	b.release("fill")
	b.await(runs, queue.Finished)
	b.await(other, queue.Finished) // it was behind the deleted one
	if b.exists("doomed.ran") || !b.exists("other.ran") {
		b.Error("the deleted job ran, or the other did not")
	}
}

func deleteRunning(b *bench) {
	// A shell and a child, which both ignore SIGTERM.
	ref := b.submit(b.job(`trap "" TERM; sleep 600 & echo $! >> "$DIR/pids"; echo $$ >> "$DIR/pids"; wait; sleep 600`))
	b.until("the job's processes", func() bool { return b.lines("pids") == 2 })
	if err := b.Manager.Delete(b.Context(), ref.ID); err != nil {
		b.Fatalf("Delete: %v", err)
	}
	if s := b.await(ref, queue.Finished); s.Reason != queue.Cancelled {
		b.Errorf("after Delete the job is %+v, want cancelled", s)
	}
	text, err := os.ReadFile(filepath.Join(b.Dir, "pids"))
	if err != nil {
		b.Fatal(err)
	}
	for _, pid := range strings.Fields(string(text)) {
		b.until("process "+pid+" to be dead", func() bool { return dead(pid) })
	}
}

// dead reports whether a process has ended; its entry may still be there.
func dead(pid string) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}

func deleteEnded(b *bench) {
	ref := b.submit(b.job(`exit 5`))
	b.await(ref, queue.Finished)
	for range 2 {
		if err := b.Manager.Delete(b.Context(), ref.ID); err != nil {
			b.Errorf("Delete of a job that has ended: %v", err)
		}
	}
	if s := b.poll(ref); s.Reason != queue.Exited || s.ExitCode != 5 {
		b.Errorf("after Delete the job ended %+v, want as before, exit 5", s)
	}
}

func deleteUnknown(b *bench) {
	for _, id := range []string{b.UnknownID, "no such job", "../..", "--all", "*", ""} {
		if err := b.Manager.Delete(b.Context(), id); !errors.Is(err, queue.ErrUnknown) {
			b.Errorf("Delete(%q) = %v, want ErrUnknown", id, err)
		}
	}
}

func reopened(b *bench) {
	ended := b.submit(b.job(`exit 4`))
	b.await(ended, queue.Finished)
	runs := b.fill()[0]
	waits := b.submit(b.job(`echo late >&2`))
	b.Manager = b.Reopen(b.T)
	if s := b.poll(ended); s.Phase != queue.Finished || s.ExitCode != 4 {
		b.Errorf("the job that had ended is %+v, want exit 4", s)
	}
	if s := b.poll(runs); s.Phase != queue.Running {
		b.Errorf("the running job is %s", s.Phase)
	}
	if s := b.poll(waits); s.Phase != queue.Queued {
		b.Errorf("the waiting job is %s", s.Phase)
	}
	if id, err := b.Manager.Find(b.Context(), waits.Name); id != waits.ID || err != nil {
		b.Errorf("Find = %q, %v, want %q", id, err, waits.ID)
	}
	b.release("fill")
	if s := b.await(runs, queue.Finished); !s.Succeeded() {
		b.Errorf("the running job ended %+v", s)
	}
	if s := b.await(waits, queue.Finished); !s.Succeeded() {
		b.Errorf("the waiting job ended %+v", s)
	}
	if text, err := b.Manager.Errors(b.Context(), waits.ID); text != "late\n" || err != nil {
		b.Errorf("Errors = %q, %v", text, err)
	}
}

func concurrent(b *bench) {
	const callers, each = 6, 3
	var specs [callers][each]queue.Spec
	for i := range specs {
		for j := range specs[i] {
			specs[i][j] = b.job(`echo "$1" >> "$DIR/ran.$1"`, strconv.Itoa(each*i+j))
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	ids := make(map[string]queue.Ref)
	for i := range callers {
		wg.Go(func() {
			for _, spec := range specs[i] {
				ref, err1 := b.trySubmit(spec)
				_, _, err2 := b.Manager.Status(b.Context())
				states, err3 := b.Manager.Poll(b.Context(), []queue.Ref{ref})
				if err := errors.Join(err1, err2, err3); err != nil || states[ref].Phase == queue.Unknown {
					b.Errorf("submit, count and poll: %v; the job is %s", err, states[ref].Phase)
				}
				mu.Lock()
				ids[ref.ID] = ref
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(ids) != callers*each {
		b.Errorf("%d IDs for %d jobs", len(ids), callers*each)
	}
	for _, ref := range ids {
		if s := b.await(ref, queue.Finished); !s.Succeeded() {
			b.Errorf("%s ended %+v", ref.Name, s)
		}
	}
	for i := range callers * each {
		if n := b.lines(fmt.Sprintf("ran.%d", i)); n != 1 {
			b.Errorf("job %d ran %d times", i, n)
		}
	}
}

func cancelledCall(b *bench) {
	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	ref := b.submit(b.job(`:`))
	if _, err := b.Manager.Poll(ctx, []queue.Ref{ref}); err == nil {
		b.Error("Poll succeeded with a context that was over")
	}
	// What was accepted in spite of the error is found by name, and can be run to its end.
	spec := b.job(`echo once >> "$DIR/once"`)
	_, errSubmit := b.Manager.Submit(ctx, spec)
	id, errFind := b.Manager.Find(b.Context(), spec.Name)
	switch {
	case errors.Is(errSubmit, queue.ErrRejected):
		b.Errorf("Submit with a context that was over = %v, which says never", errSubmit)
	case errSubmit == nil && errFind != nil:
		b.Errorf("Submit succeeded, but Find = %v", errFind)
	case errors.Is(errFind, queue.ErrUnknown):
		id = b.submit(spec).ID
	}
	b.await(queue.Ref{ID: id, Name: spec.Name}, queue.Finished)
	if n := b.lines("once"); n != 1 {
		b.Errorf("the job ran %d times", n)
	}
}

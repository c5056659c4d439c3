package queuetest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
)

// Fault is something that goes wrong between a Manager and its batch system.
type Fault string

// The faults of one submission, and of one question.
const (
	ReplyLost   Fault = "the submission is accepted, and the reply lost"
	NotArrived  Fault = "the submission does not arrive, and nothing answers"
	Refused     Fault = "the submission is refused for what it asks for"
	TakenTwice  Fault = "the submission is accepted twice"
	NoAnswer    Fault = "a question is not answered"
	ErrorAnswer Fault = "a question is answered by an error"
	EmptyAnswer Fault = "a question is answered by nothing at all"
)

// Faulty is a batch.Commander that can be told to make the next command of a
// kind go wrong; commands in between, of the other kind, go well.
type Faulty struct {
	batch.Commander
	Submit  []string     // names of the commands that submit
	Ask     []string     // names of those that ask about submissions
	Refusal batch.Output // of a submission

	mu   sync.Mutex
	next Fault
}

// Arm makes the next command go wrong. It is what Harness.Fault asks for.
func (f *Faulty) Arm(fault Fault) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = fault
	return true
}

// take returns the fault that this command is to have, if any.
func (f *Faulty) take(argv []string) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	kind := f.Submit
	if slices.Contains([]Fault{NoAnswer, ErrorAnswer, EmptyAnswer}, f.next) {
		kind = f.Ask
	}
	if f.next == "" || !slices.Contains(kind, filepath.Base(argv[0])) {
		return ""
	}
	fault := f.next
	f.next = ""
	return fault
}

// Run implements batch.Commander.
func (f *Faulty) Run(ctx context.Context, stdin []byte, argv ...string) (batch.Output, error) {
	fault := f.take(argv)
	lost := pipeline.Outage(pipeline.QueueManager, fmt.Errorf("fault: %s", fault))
	switch fault {
	case NotArrived, NoAnswer:
		return batch.Output{}, lost
	case ErrorAnswer:
		return batch.Output{ExitCode: 1, Stderr: []byte("error: cannot connect to the server\n")}, nil
	case EmptyAnswer:
		return batch.Output{}, nil
	case Refused:
		return f.Refusal, nil
	}
	out, err := f.Commander.Run(ctx, stdin, argv...)
	switch {
	case err != nil:
		return out, err
	case fault == ReplyLost:
		return batch.Output{}, lost
	case fault == TakenTwice:
		return f.Commander.Run(ctx, stdin, argv...)
	}
	return out, nil
}

// fault arms the harness, or leaves the part out with the reason.
func (b *bench) fault(f Fault) {
	b.Helper()
	if b.Fault == nil || !b.Fault(f) {
		b.Skipf("this batch system's tests cannot make this fault: %s", f)
	}
}

func replyLost(b *bench) {
	b.fault(ReplyLost)
	spec := b.job(`echo ran >> "$DIR/ran"`)
	if ref, err := b.trySubmit(spec); err == nil || errors.Is(err, queue.ErrRejected) {
		b.Fatalf("Submit = %v, %v, want an error that leaves it open", ref, err)
	}
	id, err := b.Manager.Find(b.Context(), spec.Name)
	if err != nil {
		b.Fatalf("Find: %v", err)
	}
	if s := b.await(queue.Ref{ID: id, Name: spec.Name}, queue.Finished); !s.Succeeded() {
		b.Errorf("the job ended %+v", s)
	}
	if n := b.lines("ran"); n != 1 {
		b.Errorf("the job ran %d times", n)
	}
}

func notArrived(b *bench) {
	b.fault(NotArrived)
	spec := b.job(`:`)
	if ref, err := b.trySubmit(spec); !errors.Is(err, pipeline.ErrOutage) || errors.Is(err, queue.ErrRejected) {
		b.Fatalf("Submit = %v, %v, want an outage", ref, err)
	}
	if id, err := b.Manager.Find(b.Context(), spec.Name); !errors.Is(err, queue.ErrUnknown) {
		b.Errorf("Find = %q, %v, want ErrUnknown", id, err)
	}
	b.await(b.submit(spec), queue.Finished)
}

func refused(b *bench) {
	b.fault(Refused)
	if ref, err := b.trySubmit(b.job(`:`)); !errors.Is(err, queue.ErrRejected) || errors.Is(err, pipeline.ErrOutage) {
		b.Errorf("Submit = %v, %v, want ErrRejected", ref, err)
	}
}

func takenTwice(b *bench) {
	runs := b.fill()[0]
	b.fault(TakenTwice)
	ref := b.submit(b.job(`echo ran >> "$DIR/ran"`))
	other := b.submit(b.job(`:`))
	b.until("the second submission to be taken back", func() bool {
		b.poll(ref)
		_, queued, err := b.Manager.Status(b.Context())
		return err == nil && queued == 2
	})
	if id, err := b.Manager.Find(b.Context(), ref.Name); id != ref.ID || err != nil {
		b.Errorf("Find = %q, %v, want %q", id, err, ref.ID)
	}
	b.release("fill")
	b.await(runs, queue.Finished)
	b.await(ref, queue.Finished)
	b.await(other, queue.Finished) // it was behind both
	if n := b.lines("ran"); n != 1 {
		b.Errorf("the job ran %d times", n)
	}
}

func noAnswer(b *bench) {
	ref := b.submit(b.job(waiting, "go"))
	b.await(ref, queue.Running)
	for _, f := range []Fault{NoAnswer, ErrorAnswer, EmptyAnswer} {
		b.fault(f)
		if states, err := b.Manager.Poll(b.Context(), []queue.Ref{ref}); !errors.Is(err, pipeline.ErrOutage) {
			b.Errorf("%s: Poll = %v, %v, want an outage", f, states, err)
		}
		b.fault(f)
		if running, queued, err := b.Manager.Status(b.Context()); !errors.Is(err, pipeline.ErrOutage) {
			b.Errorf("%s: Status = %d, %d, %v, want an outage", f, running, queued, err)
		}
		b.fault(f)
		if id, err := b.Manager.Find(b.Context(), ref.Name); !errors.Is(err, pipeline.ErrOutage) || errors.Is(err, queue.ErrUnknown) {
			b.Errorf("%s: Find = %q, %v, want an outage", f, id, err)
		}
		b.fault(f)
		if err := b.Manager.Delete(b.Context(), ref.ID); !errors.Is(err, pipeline.ErrOutage) || errors.Is(err, queue.ErrUnknown) {
			b.Errorf("%s: Delete = %v, want an outage", f, err)
		}
	}
	if s := b.poll(ref); s.Phase != queue.Running {
		b.Errorf("afterwards the job is %+v", s)
	}
	b.release("go")
	b.await(ref, queue.Finished)
}

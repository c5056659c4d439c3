package queuetest

import (
	"maps"
	"slices"

	"longhaul/internal/queue"
)

// endedByOthers: what somebody or something else does to running jobs is told
// by its reason. All of them happen at a time, for some take a while.
func endedByOthers(b *bench) {
	if len(b.Ends) == 0 {
		b.Skip("this batch system's tests cannot end a job from outside")
	}
	refs := make(map[queue.Reason]queue.Ref)
	for _, reason := range slices.Sorted(maps.Keys(b.Ends)) {
		refs[reason] = b.submit(b.job(waiting, "never"))
		b.await(refs[reason], queue.Running)
	}
	for reason, end := range b.Ends {
		end(b.T, refs[reason])
	}
	for reason, ref := range refs {
		if s := b.await(ref, queue.Finished); s.Reason != reason || s.Succeeded() {
			b.Errorf("a job whose end was to be %q ended %+v", reason, s)
		}
	}
}

// held: a job that somebody holds waits, and says that it will not start.
func held(b *bench) {
	if b.Hold == nil || b.Release == nil {
		b.Skip("this batch system's tests cannot hold a job")
	}
	fill := b.fill()
	ref := b.submit(b.job(`:`))
	other := b.submit(b.job(`:`))
	b.Hold(b.T, ref)
	b.release("fill")
	b.await(fill[0], queue.Finished)
	b.await(other, queue.Finished) // it was behind the held one
	if s := b.poll(ref); s.Phase != queue.Queued || s.Detail == "" {
		b.Errorf("the held job is %+v, want queued, with a word about it", s)
	}
	b.Release(b.T, ref)
	if s := b.await(ref, queue.Finished); !s.Succeeded() {
		b.Errorf("the held job ended %+v", s)
	}
}

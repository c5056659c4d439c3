package download_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"longhaul/internal/archive/archivetest"
	"longhaul/internal/pipeline"
)

// crash is what a downloader that was killed left of one file.
type crash struct {
	at      string // the last thing that it did
	leave   func(c *remains)
	offsets []int64 // from which the next one retrieves the file
	counts  int     // attempts that are held against the file
	status  pipeline.Status
}

// remains makes the traces of a downloader step by step.
type remains struct {
	s       *site
	f       pipeline.File
	content []byte
	a       pipeline.Attempt
}

func (c *remains) start(offset int64) {
	c.a = must(c.s.store.StartAttempt(c.s.t.Context(), c.f, offset))(c.s.t)
}

func (c *remains) write(content []byte) {
	check(c.s.t, os.WriteFile(c.s.part(c.f.Filename), content, 0o640))
}

func (c *remains) progress(n int64) {
	check(c.s.t, c.s.store.Progress(c.s.t.Context(), c.a, n))
}

func (c *remains) end(status pipeline.Status, n int) {
	check(c.s.t, c.s.store.EndTransfer(c.s.t.Context(), c.a, status, int64(n), "ended"))
	c.a.Status = status
}

func (c *remains) digest() {
	check(c.s.t, c.s.store.KeepDigest(c.s.t.Context(), c.a, sha256Of(c.content)))
}

// fail makes a number of attempts fail, and the file with them.
func (c *remains) fail(times int) {
	ctx, t := c.s.t.Context(), c.s.t
	for i := range times {
		if i > 0 {
			check(t, c.s.store.RetryFile(ctx, c.f.ID, c.s.clock.Now(), "again"))
			c.f = c.s.file(c.f.Filename)
		}
		c.start(c.f.Bytes)
		check(t, c.s.store.FailTransfer(ctx, c.a, pipeline.DownloadFailed, 0, "broke", true))
	}
}

func crashes() []crash {
	const some = 40_000
	gone := []int64{}
	return []crash{
		{at: "entered", leave: func(c *remains) {}, offsets: []int64{0}},
		{at: "attempt-started", leave: func(c *remains) { c.start(0) }, offsets: []int64{0}},
		{at: "bytes-written", leave: func(c *remains) {
			c.start(0)
			c.write(c.content[:some])
		}, offsets: []int64{0}}, // nobody knows that they were synced
		{at: "progress-told", leave: func(c *remains) {
			c.start(0)
			c.write(c.content[:some+5000])
			c.progress(some)
		}, offsets: []int64{some}},
		{at: "machine-lost-the-part-file", leave: func(c *remains) {
			c.start(0)
			c.progress(some)
		}, offsets: []int64{0}},
		{at: "machine-lost-bytes-of-the-part-file", leave: func(c *remains) {
			c.start(0)
			c.write(c.content[:some/2])
			c.progress(some)
		}, offsets: []int64{some / 2}},
		{at: "machine-left-zeros-at-the-end", leave: func(c *remains) {
			c.start(0)
			c.write(append(slices.Clone(c.content[:some]), make([]byte, len(c.content)-some)...))
			c.progress(some)
		}, offsets: []int64{some}},
		{at: "all-written", leave: func(c *remains) {
			c.start(0)
			c.write(c.content)
			c.progress(int64(len(c.content)))
		}, offsets: gone},
		{at: "transfer-complete", leave: func(c *remains) {
			c.start(0)
			c.write(c.content)
			c.end(pipeline.Complete, len(c.content))
		}, offsets: gone},
		{at: "transfer-stopped", leave: func(c *remains) {
			c.start(0)
			c.write(c.content[:some])
			c.end(pipeline.Unknown, some)
		}, offsets: []int64{some}},
		{at: "transfer-short", leave: func(c *remains) {
			c.start(0)
			c.write(c.content[:some])
			c.end(pipeline.Complete, some)
		}, offsets: []int64{some}, counts: 1},
		{at: "part-file-removed-as-wrong", leave: func(c *remains) {
			c.start(0)
			c.end(pipeline.Complete, len(c.content))
		}, offsets: []int64{0}, counts: 1},
		{at: "digest-kept", leave: func(c *remains) {
			c.start(0)
			c.write(c.content)
			c.end(pipeline.Complete, len(c.content))
			c.digest()
		}, offsets: gone},
		{at: "linked", leave: func(c *remains) { // where rename cannot refuse to replace
			c.start(0)
			c.write(c.content)
			c.end(pipeline.Complete, len(c.content))
			c.digest()
			check(c.s.t, os.Link(c.s.part(c.f.Filename), c.f.Path))
		}, offsets: gone},
		{at: "renamed", leave: func(c *remains) {
			c.start(0)
			c.write(c.content)
			c.end(pipeline.Complete, len(c.content))
			c.digest()
			check(c.s.t, os.Rename(c.s.part(c.f.Filename), c.f.Path))
		}, offsets: gone},
		{at: "renamed-after-a-stop", leave: func(c *remains) {
			c.start(0)
			c.write(c.content)
			c.end(pipeline.Unknown, len(c.content))
			c.digest()
			check(c.s.t, os.Rename(c.s.part(c.f.Filename), c.f.Path))
		}, offsets: gone},
		{at: "failed-once", leave: func(c *remains) {
			c.write(c.content[:some])
			c.fail(1)
		}, offsets: []int64{0}, counts: 1},
		{at: "failed-for-the-last-time", leave: func(c *remains) {
			c.write(c.content[:some])
			c.fail(3)
		}, offsets: gone, counts: 3, status: pipeline.TerminalFailure},
		{at: "part-file-removed-before-giving-up", leave: func(c *remains) { c.fail(3) },
			offsets: gone, counts: 3, status: pipeline.TerminalFailure},
	}
}

// TestACrashBetweenAnyTwoStepsIsSettled leaves a file for each step of the way,
// as if a downloader had been killed after it, and starts another one.
func TestACrashBetweenAnyTwoStepsIsSettled(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(b *setup) { b.cfg.NumDownloads = len(crashes()) })
	content := noise(100_000, 1)
	for _, c := range crashes() {
		name := "raw." + c.at
		c.leave(&remains{s: s, f: s.enter(name, content), content: content})
	}
	s.restart()
	s.rounds(3)
	given := 0
	for _, c := range crashes() {
		name := "raw." + c.at
		if c.status == pipeline.TerminalFailure {
			given++
			s.wantStatus(name, c.status, c.counts)
		} else {
			s.wantStatus(name, pipeline.Downloaded, c.counts)
			s.wantWhole(name, content)
		}
		if got := s.offsets(name); !slices.Equal(got, c.offsets) {
			t.Errorf("%s: retrieved from %d, want %d", name, got, c.offsets)
		}
	}
	if left := s.parts(); len(left) > 0 {
		t.Errorf("part files are left: %q", left)
	}
	if n := s.notices(pipeline.NoticeTerminalFailure); n != given {
		t.Errorf("%d notices, want %d", n, given)
	}
}

// TestAnotherFileIsNotTakenForOneThatWasRenamed: the part file is gone and
// something of the right size has the final name, but it is not what was
// verified.
func TestAnotherFileIsNotTakenForOneThatWasRenamed(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(b *setup) { b.cfg.NumDownloads = 3 })
	content, other := noise(1000, 1), noise(1000, 2)
	target := filepath.Join(t.TempDir(), "target")
	check(t, os.WriteFile(target, content, 0o640))
	places := map[string]func(path string) error{
		"raw.other":           func(p string) error { return os.WriteFile(p, other, 0o640) },
		"raw.other-no-digest": func(p string) error { return os.WriteFile(p, other, 0o640) },
		"raw.link":            func(p string) error { return os.Symlink(target, p) },
	}
	for name, place := range places {
		c := &remains{s: s, f: s.enter(name, content), content: content}
		c.start(0)
		c.end(pipeline.Complete, len(content))
		if name != "raw.other-no-digest" {
			c.digest()
		}
		check(t, place(s.final(name)))
	}
	s.restart()
	s.rounds(3)
	for name := range places {
		s.wantStatus(name, pipeline.TerminalFailure, 3)
		if got, err := os.ReadFile(s.final(name)); name != "raw.link" && !slices.Equal(got, other) {
			t.Errorf("%s was replaced (%v)", name, err)
		}
	}
	if st := must(os.Lstat(s.final("raw.link")))(t); st.Mode().IsRegular() {
		t.Error("the link was replaced")
	}
}

// TestAFileIsGivenUpWhenItsPartFileIsGone: what cannot be removed now is
// removed later, since the file is given up only then.
func TestAFileIsGivenUpWhenItsPartFileIsGone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := &remains{s: s, f: s.enter("raw", noise(1000, 1))}
	c.write([]byte("part of it"))
	c.fail(3)
	temp := s.opt.Config.Temp
	check(t, os.Rename(temp, temp+".away")) // a disk that is not mounted
	check(t, os.WriteFile(temp, nil, 0o640))
	wantOutage(t, s.pass(), pipeline.LocalDisk)
	s.wantStatus("raw", pipeline.Failed, 3)
	check(t, os.Remove(temp))
	check(t, os.Rename(temp+".away", temp))
	s.rounds(1)
	s.wantStatus("raw", pipeline.TerminalFailure, 3)
	if left := s.parts(); len(left) > 0 {
		t.Errorf("part files are left: %q", left)
	}
}

// momentCtx does something at the nth time that it is asked for its error,
// which the job-tracker does after everything that it reads.
type momentCtx struct {
	context.Context
	n  *atomic.Int32
	do func()
}

func (c momentCtx) Err() error {
	if c.n.Add(-1) == 0 {
		c.do()
	}
	return c.Context.Err()
}

// TestATransferThatEndsDuringAPassIsNotSettledTwice lets a transfer end at each
// moment of a pass.
func TestATransferThatEndsDuringAPassIsNotSettledTwice(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := new(hooked)
	s.via(h)
	for moment := int32(1); moment <= 12; moment++ {
		name := fmt.Sprintf("raw.%d", moment)
		s.enter(name, []byte("x"))
		gate := make(chan struct{})
		h.fetch = func(context.Context, string) error { <-gate; return nil }
		check(t, s.d.Pass(t.Context()))
		n := new(atomic.Int32)
		n.Store(moment)
		end := sync.OnceFunc(func() { close(gate); s.d.Wait() })
		if err := s.d.Pass(momentCtx{t.Context(), n, end}); err != nil {
			t.Errorf("moment %d: %v", moment, err)
		}
		end()
		s.wantStatus(name, pipeline.Downloaded, 0)
		if a := s.attempts(name); len(a) != 1 {
			t.Errorf("moment %d: attempts %+v", moment, a)
		}
	}
}

// TestAnOutcomeThatCannotBeWrittenDownIsSettledLater closes the way to the
// tracker while a transfer runs.
func TestAnOutcomeThatCannotBeWrittenDownIsSettledLater(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	content := noise(100_000, 1)
	s.enter("raw", content)
	a := pipeline.Attempt{}
	s.via(&hooked{fetch: func(ctx context.Context, _ string) error {
		if a.ID == 0 { // as if another had settled it: nothing can be written about it any more
			a = s.attempts("raw")[0]
			return s.store.EndTransfer(ctx, a, pipeline.Unknown, 0, "settled by another")
		}
		return nil
	}})
	s.ftp.SetFault(once(archivetest.Fault{Action: archivetest.Cut, After: 10}))
	check(t, s.pass())
	if n := s.log.count("settled in the next pass"); n != 1 {
		t.Errorf("said %d times", n)
	}
	s.rounds(2)
	s.wantWhole("raw", content)
	s.wantStatus("raw", pipeline.Downloaded, 0)
}

// TestWhatIsNotKeptIsNotLeft: bytes that came after the tracker's last word are
// not counted, so they must not take the room that another file is given.
func TestWhatIsNotKeptIsNotLeft(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	content := noise(100_000, 1)
	c := &remains{s: s, f: s.enter("raw", content), content: content}
	c.start(0)
	c.write(content[:40_000])
	c.progress(10_000)
	s.restart()
	check(t, s.pass())
	st, err := os.Stat(s.part("raw"))
	check(t, err)
	if f := s.file("raw"); f.Bytes != 10_000 || st.Size() != f.Bytes {
		t.Errorf("the part file of a file that is %s has %d bytes, the tracker counts %d", f.Status, st.Size(), f.Bytes)
	}
}

package download_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"longhaul/internal/archive"
	"longhaul/internal/archive/archivetest"
	"longhaul/internal/config"
	"longhaul/internal/pipeline"
)

// fetched makes a number of downloads that took place in the past, each of the
// given size and time.
func (s *site) fetched(n int, size int64, took time.Duration) {
	s.t.Helper()
	ctx, t := s.t.Context(), s.t
	for i := range n {
		name := fmt.Sprintf("raw.past.%d", i)
		must(s.store.EnterFiles(ctx, []pipeline.File{{
			Filename: name, RemoteFilename: name, Path: s.final(name), Size: size, Product: "raw", GroupKey: name,
		}}, "listed"))(t)
		f := s.file(name)
		a := must(s.store.StartAttempt(ctx, f, 0))(t)
		s.clock.Advance(took)
		check(t, s.store.EndTransfer(ctx, a, pipeline.Complete, size, "ended"))
		a.Status = pipeline.Complete
		check(t, s.store.FileVerified(ctx, a, "sha256:00"))
		f = s.file(name)
		check(t, s.store.WantFileDeleted(ctx, f.ID, "done"))
		check(t, s.store.FileDeleted(ctx, f))
	}
}

// sizing is a case of the rule by which requests are sized.
type sizing struct {
	name        string
	numRestored int
	space       config.Size
	minFree     config.Size
	free        int64
	waiting     int   // observations asked for and not yet here
	inHand      int64 // size of a file that waits for its download; 0: none
	want        int   // 0: nothing is asked for
}

func TestRequestsAreSizedByTheOriginalsRule(t *testing.T) {
	t.Parallel()
	const gb, much = 1_000_000_000, 1 << 50
	for _, tt := range []struct {
		name  string
		past  func(*site)
		cases []sizing
	}{
		{"nothing is known", func(*site) {}, []sizing{
			{"the smallest", 100, 1000 * gb, 0, much, 0, 0, 5},
			{"wait for what is asked for", 100, 1000 * gb, 0, much, 5, 0, 0},
			{"no space at all", 100, 1000 * gb, 10 * gb, 10 * gb, 0, 0, 0},
		}},
		{"downloads are fast", func(s *site) { s.fetched(3, gb, time.Second) }, []sizing{
			{"as many as numrestored allows", 100, 1000 * gb, 0, much, 0, 0, 50},
			{"the largest that numrestored allows", 49, 1000 * gb, 0, much, 0, 0, 20},
			{"less what is asked for", 60, 1000 * gb, 0, much, 50, 0, 10},
			{"less what waits for its download", 20, 1000 * gb, 0, much, 0, 1, 10},
			{"numrestored is used up", 54, 1000 * gb, 0, much, 50, 0, 0},
			{"what fits space_to_use", 100, 19 * gb, 0, much, 0, 0, 10},
			{"less what is to come", 100, 19 * gb, 0, much, 0, 10 * gb, 5},
			{"less what is asked for, at the mean size", 100, 19 * gb, 0, much, 10, 0, 5},
			{"space_to_use is used up", 100, 19 * gb, 0, much, 0, 15 * gb, 0},
			{"what min_free_space leaves", 100, 1000 * gb, 10 * gb, 16 * gb, 0, 0, 5},
		}},
		{"downloads take two hours", func(s *site) { s.fetched(2, gb, 2*time.Hour) }, []sizing{
			{"what comes in a day, two at once: 24", 100, 1000 * gb, 0, much, 0, 0, 20},
		}},
		{"downloads take days", func(s *site) { s.fetched(1, gb, 100*time.Hour) }, []sizing{
			{"at least the smallest", 100, 1000 * gb, 0, much, 0, 0, 5},
		}},
		{"files were empty", func(s *site) { s.fetched(1, 0, time.Second) }, []sizing{
			{"the smallest", 100, 1000 * gb, 0, much, 0, 0, 5},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			tt.past(s)
			s.ftp.SetDown(true) // nothing is fetched meanwhile
			for i, c := range tt.cases {
				if got := s.asksFor(c, i); got != c.want {
					t.Errorf("%s: asked for %d, want %d", c.name, got, c.want)
				}
			}
		})
	}
}

// asksFor makes one pass in the situation of a case, and undoes it.
func (s *site) asksFor(c sizing, i int) (asked int) {
	s.t.Helper()
	ctx, t := s.t.Context(), s.t
	s.opt.Config.NumRestored, s.opt.Config.SpaceToUse, s.opt.Config.MinFreeSpace = c.numRestored, c.space, c.minFree
	s.opt.Free = func(string) (int64, error) { return c.free, nil }
	s.restart()
	if c.waiting > 0 {
		id := must(s.store.BeginRequest(ctx, c.waiting, 4, "mock"))(t)
		check(t, s.store.NameRequest(ctx, id, fmt.Sprintf("WAITING%d", i)))
	}
	name := fmt.Sprintf("raw.%d", i)
	if c.inHand > 0 {
		must(s.store.EnterFiles(ctx, []pipeline.File{{
			Filename: name, RemoteFilename: name, Path: s.final(name), Size: c.inHand, Product: "raw", GroupKey: name,
		}}, "listed"))(t)
	}
	s.willGive(fmt.Sprintf("GUID%d", i))
	before := s.service.Stats().Restores
	s.try()
	if s.service.Stats().Restores > before {
		asked = s.requests()[0].Number // newest first
	}
	for _, r := range must(s.store.WaitingRequests(ctx))(t) {
		check(t, s.store.FailRequest(ctx, r.ID, "undone", pipeline.Notice{}))
	}
	if c.inHand > 0 {
		a := must(s.store.StartAttempt(ctx, s.file(name), 0))(t)
		check(t, s.store.FailTransfer(ctx, a, pipeline.NoRemoteFile, 0, "undone", true))
		check(t, s.store.GiveUpFile(ctx, a.FileID, "undone", pipeline.Notice{}))
	}
	return asked
}

func TestARefusedRequestFailsAndTheNextOneWaits(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(b *setup) { b.cfg.NumRestored = 5 })
	wait := time.Minute
	for n := 1; n <= 4; n++ {
		check(t, s.pass())
		if r := s.requests(); len(r) != n || r[0].Status != pipeline.Failed || !strings.Contains(r[0].Details, "fail") {
			t.Fatalf("requests after refusal %d: %+v", n, r)
		}
		if got := s.notices(pipeline.NoticeRequestFailed); got != n {
			t.Errorf("%d notices after refusal %d", got, n)
		}
		s.clock.Advance(wait * 8 / 10)
		check(t, s.pass())
		if got := s.service.Stats().Restores; got != n {
			t.Errorf("asked %d times, the last one within %v of refusal %d", got, wait*8/10, n)
		}
		s.clock.Advance(wait * 4 / 10)
		wait *= 2
	}
	s.willGive("GUID2")
	check(t, s.pass())
	if r := s.requests(); r[0].Status != pipeline.Waiting || r[0].GUID != "GUID2" {
		t.Errorf("request: %+v", r[0])
	}
}

func TestALostAnswerIsAskedForAgainUnderTheSameRow(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(b *setup) { b.cfg.NumRestored = 5 })
	s.willGive("LOST1", "LOST2", "GUID2")
	s.service.SetFault(archivetest.LoseReply)
	for range 2 {
		wantOutage(t, s.pass(), pipeline.RestoreService)
		s.clock.Advance(10 * time.Hour)
		s.restart() // also by a daemon that knows only the row
	}
	s.service.SetFault(archivetest.NoFault)
	check(t, s.pass())
	if r := s.requests(); len(r) != 1 || r[0].GUID != "GUID2" || r[0].Status != pipeline.Waiting {
		t.Errorf("requests: %+v", r)
	}
	if n := s.service.Stats().Restores; n != 3 {
		t.Errorf("asked %d times", n)
	}
	check(t, s.pass()) // the wait of 20 hours for an answer is not held against it
	s.clock.Advance(5 * time.Hour)
	check(t, s.pass())
	if r := s.requests(); r[0].Status != pipeline.Waiting {
		t.Errorf("request: %+v", r[0])
	}
}

// stopping cancels a context while the archive answers.
type stopping struct {
	archive.Restorer
	stop func()
}

func (r stopping) Restore(ctx context.Context, number, bits int, datatype string) (string, error) {
	guid, err := r.Restorer.Restore(ctx, number, bits, datatype)
	r.stop()
	return guid, err
}

func TestAnAnswerThatComesWhileStoppingIsKept(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(b *setup) { b.cfg.NumRestored = 5 })
	s.willGive("GUID2")
	ctx, cancel := context.WithCancel(t.Context())
	s.opt.Restorer = stopping{s.opt.Restorer, cancel}
	s.restart()
	if err := s.d.Pass(ctx); err != nil {
		t.Error(err)
	}
	if r := s.requests(); len(r) != 1 || r[0].GUID != "GUID2" {
		t.Errorf("requests: %+v", r)
	}
}

// TestARequestWaitsUntilItIsDone goes through the answers that are no "done".
func TestARequestWaitsUntilItIsDone(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(b *setup) { b.cfg.NumRestored = 5 })
	s.willGive("GUID2")
	check(t, s.pass())
	content := noise(1000, 1)
	for _, answer := range []struct {
		word  string
		after func()
	}{
		{"pending", nil},
		{"failed, perhaps", nil},
		{"done", nil}, // its directory is not there
		{"Done", func() { s.put("GUID2/.unfinished", content) }}, // hidden
	} {
		if answer.after != nil {
			answer.after()
		}
		s.says("GUID2", answer.word)
		s.clock.Advance(time.Hour)
		check(t, s.pass())
		if r := s.requests(); len(r) != 1 || r[0].Status != pipeline.Waiting {
			t.Fatalf("after %q: %+v", answer.word, r)
		}
	}
	s.put("GUID2/4bit-p2030.20141121.G45.b0s0g0.00100.fits", content)
	s.says("GUID2", "done")
	s.clock.Advance(time.Hour)
	check(t, s.pass())
	s.wantWhole("4bit-p2030.20141121.G45.b0s0g0.00100.fits", content)
	if r := s.requests(); len(r) != 1 || r[0].Status != pipeline.Finished || r[0].Size != 1000 {
		t.Errorf("requests: %+v", r)
	}
}

func TestARequestThatTakesTooLongFails(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(b *setup) { b.cfg.NumRestored = 5 })
	s.willGive("GUID2", "GUID3")
	check(t, s.pass())
	s.clock.Advance(5 * time.Hour)
	check(t, s.pass())

	// An outage of eight hours is no time in which the archive could have answered.
	s.service.SetFault(archivetest.ServiceUnavailable)
	for range 8 {
		s.clock.Advance(time.Hour)
		wantOutage(t, s.pass(), pipeline.RestoreService)
	}
	s.service.SetFault(archivetest.NoFault)
	s.clock.Advance(time.Minute)
	check(t, s.pass())
	s.clock.Advance(5 * time.Hour)
	check(t, s.pass())
	if r := s.requests(); len(r) != 1 || r[0].Status != pipeline.Waiting {
		t.Fatalf("requests: %+v", r)
	}
	s.clock.Advance(2 * time.Hour)
	check(t, s.pass())
	r := s.requests()
	if len(r) != 2 || r[1].Status != pipeline.Failed || !strings.Contains(r[1].Details, "wait") || r[0].GUID != "GUID3" {
		t.Errorf("requests: %+v", r)
	}
	if n := s.notices(pipeline.NoticeRequestFailed); n != 1 {
		t.Errorf("%d notices", n)
	}
}

// TestAGUIDOfAnotherRequestIsNotTaken: some archives give the same answer
// until it has been asked about.
func TestAGUIDOfAnotherRequestIsNotTaken(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(b *setup) { b.cfg.NumRestored = 10; b.cfg.RequestSizes = []int{5} })
	s.fetched(1, 1000, time.Second)
	s.willGive("GUID2", "GUID2", "GUID2", "GUID3")
	for range 4 {
		check(t, s.pass())
		s.clock.Advance(time.Minute)
	}
	if r := s.requests(); len(r) != 2 || r[1].GUID != "GUID2" || r[0].GUID != "GUID3" {
		t.Errorf("requests: %+v", r)
	}
	if n := s.notices(pipeline.NoticeRequestFailed); n != 0 {
		t.Errorf("%d notices", n)
	}
}

// TestARequestThatBringsNothingIsNotRepeatedAtOnce: otherwise the archive is
// made to restore in a circle.
func TestARequestThatBringsNothingIsNotRepeatedAtOnce(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{"no product": "README.txt", "known already": "raw.known"} {
		s := newSite(t, func(b *setup) { b.cfg.NumRestored = 5 })
		s.enter("raw.known", []byte("x"))
		s.rounds(1)
		s.put("GUID2/"+file, []byte("x"))
		s.willGive("GUID2", "GUID3")
		s.says("GUID2", "done")
		s.clock.Advance(time.Hour)
		check(t, s.pass())
		s.clock.Advance(31 * time.Second)
		check(t, s.pass())
		r := s.requests()
		want := pipeline.Finished
		if file == "README.txt" {
			want = pipeline.Failed
		}
		if len(r) < 1 || r[0].Status != want || r[0].GUID != "GUID2" {
			t.Errorf("%s: %+v", name, r)
		}
		asked := s.service.Stats().Restores
		s.clock.Advance(10 * time.Second)
		check(t, s.pass())
		if n := s.service.Stats().Restores; n != asked {
			t.Errorf("%s: asked again at once", name)
		}
		s.clock.Advance(10 * time.Minute)
		check(t, s.pass())
		if n := s.service.Stats().Restores; n != asked+1 {
			t.Errorf("%s: not asked again", name)
		}
	}
}

// TestOneRequestDoesNotHoldUpAnother: the listing of the first cannot be read.
func TestOneRequestDoesNotHoldUpAnother(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(b *setup) { b.cfg.NumRestored = 10; b.cfg.RequestSizes = []int{5} })
	for _, g := range []string{"GUID2", "GUID3"} {
		id := must(s.store.BeginRequest(t.Context(), 5, 4, "mock"))(t)
		check(t, s.store.NameRequest(t.Context(), id, g))
		s.says(g, "done")
	}
	s.put("GUID3/raw", []byte("x"))
	s.opt.Server = failList{s.opt.Server}
	s.restart()
	if err := s.pass(); err == nil || errors.Is(err, pipeline.ErrOutage) {
		t.Errorf("pass: %v", err)
	}
	s.wantStatus("raw", pipeline.Downloaded, 0)
}

// failList cannot list the directory of GUID2.
type failList struct{ archive.FileServer }

func (f failList) List(ctx context.Context, dir string) (archive.Listing, error) {
	if dir == "/GUID2" {
		return archive.Listing{}, errors.New("the listing makes no sense")
	}
	return f.FileServer.List(ctx, dir)
}

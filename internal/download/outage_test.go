package download_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"longhaul/internal/archive/archivetest"
	"longhaul/internal/pipeline"
)

// wantOutage checks that a pass told of an outage of one system, and of
// nothing else.
func wantOutage(t *testing.T, err error, system pipeline.System) {
	t.Helper()
	var out *pipeline.OutageError
	if !errors.As(err, &out) || out.System != system {
		t.Errorf("error is %v, want an outage: %s", err, system)
	}
}

func TestAnOutageOfTheFileServerMarksNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	content := noise(1000, 1)
	s.enter("raw.1", content)
	s.enter("raw.2", content)
	s.ftp.SetDown(true)
	for range 5 {
		wantOutage(t, s.pass(), pipeline.FileServer)
		s.clock.Advance(time.Hour)
	}
	for _, name := range []string{"raw.1", "raw.2"} {
		s.wantStatus(name, pipeline.New, 0)
		if n := len(s.attempts(name)); n != 0 {
			t.Errorf("%s: %d attempts", name, n)
		}
	}
	s.ftp.SetDown(false)
	s.rounds(1)
	s.wantWhole("raw.1", content)
	s.wantWhole("raw.2", content)
}

// TestAnOutageInTheMiddleOfATransferUsesNoAttempt lets the server go down with
// a transfer half done, which by itself looks like any broken transfer.
func TestAnOutageInTheMiddleOfATransferUsesNoAttempt(t *testing.T) {
	t.Parallel()
	for _, tls := range []bool{false, true} {
		s := newSite(t, func(b *setup) { b.tls = tls })
		content := noise(300_000, 1)
		s.enter("raw", content)
		const went = 100_000
		s.ftp.SetFault(once(archivetest.Fault{Action: archivetest.Drop, After: went}))
		s.via(&hooked{wrote: func(_ string, total int64) {
			if total == went {
				s.ftp.SetDown(true)
			}
		}})
		s.try()
		if a := s.attempts("raw"); len(a) != 1 || a[0].Status != pipeline.Unknown || a[0].Bytes != went {
			t.Errorf("attempts: %+v", a)
		}
		for range 5 { // told in every pass, so that it is one outage and not many
			wantOutage(t, s.pass(), pipeline.FileServer)
			s.clock.Advance(20 * time.Second)
		}
		s.wantStatus("raw", pipeline.Retrying, 0)
		for range 3 {
			s.clock.Advance(time.Hour)
			wantOutage(t, s.pass(), pipeline.FileServer)
		}
		if n := len(s.attempts("raw")); n != 1 {
			t.Errorf("%d attempts while the server was down", n)
		}
		s.ftp.SetDown(false)
		s.try()
		s.rounds(1)
		s.wantWhole("raw", content)
		s.wantStatus("raw", pipeline.Downloaded, 0)
		if got := s.offsets("raw"); !slices.Equal(got, []int64{0, went}) {
			t.Errorf("retrieved from %d", got)
		}
	}
}

// TestWhileAnOutageLastsOneDownloadTriesForAll has a server that answers
// everything but sends nothing.
func TestWhileAnOutageLastsOneDownloadTriesForAll(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(b *setup) { b.cfg.NumDownloads = 4 })
	content := noise(1000, 1)
	names := []string{"raw.1", "raw.2", "raw.3", "raw.4", "raw.5", "raw.6"}
	for _, name := range names {
		s.enter(name, content)
	}
	down := true
	s.via(&hooked{fetch: func(context.Context, string) error {
		if down {
			return pipeline.Outage(pipeline.FileServer, errors.New("425 no data connection"))
		}
		return nil
	}})
	attempts := func() (n int) {
		for _, name := range names {
			n += len(s.attempts(name))
		}
		return n
	}
	s.try()
	for n := 4; n < 7; n++ {
		if got := attempts(); got != n {
			t.Errorf("%d attempts, want %d", got, n)
		}
		wantOutage(t, s.pass(), pipeline.FileServer)
	}
	s.clock.Advance(time.Hour)
	down = false
	s.try() // one finds out
	s.rounds(2)
	for _, name := range names {
		s.wantWhole(name, content)
		s.wantStatus(name, pipeline.Downloaded, 0)
	}
}

func TestAnOutageOfTheRestoreServiceDoesNotHoldUpDownloads(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(b *setup) { b.cfg.NumRestored = 11; b.opt.Every = time.Minute })
	content := noise(1000, 1)
	s.enter("raw", content)
	s.willGive("GUID2", "GUID3")
	for _, fault := range []archivetest.RestoreFault{archivetest.ServiceUnavailable, archivetest.Garbage, archivetest.ServiceUnavailable} {
		s.service.SetFault(fault)
		wantOutage(t, s.pass(), pipeline.RestoreService)
		s.clock.Advance(3 * time.Hour)
	}
	s.wantWhole("raw", content)
	if r := s.requests(); len(r) != 1 || r[0].Status != pipeline.Waiting || r[0].GUID != "" {
		t.Errorf("requests: %+v", r)
	}
	if n := s.notices(pipeline.NoticeRequestFailed); n != 0 {
		t.Errorf("%d notices", n)
	}
	s.service.SetFault(archivetest.NoFault)
	check(t, s.pass())
	if r := s.requests(); len(r) != 2 || r[1].GUID != "GUID2" || r[0].GUID != "GUID3" {
		t.Errorf("requests: %+v", r)
	}
}

// TestATransferFromBeforeAnOutageDoesNotEndIt: it says nothing about how
// things are since.
func TestATransferFromBeforeAnOutageDoesNotEndIt(t *testing.T) {
	t.Parallel()
	for _, system := range []pipeline.System{pipeline.LocalDisk, pipeline.FileServer} {
		ended := make(chan struct{}, 10)
		s := newSite(t, func(b *setup) { b.opt.Wake = func() { ended <- struct{}{} } })
		content := noise(1000, 1)
		s.enter("raw.breaks", content)
		s.enter("raw.ends", content)
		broken, begun := false, make(chan struct{})
		s.via(&hooked{fetch: func(_ context.Context, path string) error {
			switch {
			case path == "/"+guid+"/raw.ends":
				close(begun)
				<-ended // the other one
			case !broken:
				broken = true
				<-begun
				return pipeline.Outage(system, errors.New("it does not answer"))
			}
			return nil
		}})
		s.try()
		s.wantStatus("raw.ends", pipeline.Downloaded, 0)
		wantOutage(t, s.pass(), system)
		s.clock.Advance(time.Hour)
		s.try()
		s.rounds(1)
		s.wantWhole("raw.breaks", content)
	}
}

// TestASilentServerFreesItsSlot: the other file is fetched while one stalls,
// and the slot of that one is given back.
func TestASilentServerFreesItsSlot(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(b *setup) { b.cfg.NumDownloads = 1; b.client.IdleTimeout = 200 * time.Millisecond })
	content := noise(100_000, 1)
	s.enter("raw.stalls", content)
	s.enter("raw.works", content)
	s.ftp.SetFault(func(path string, offset int64) archivetest.Fault {
		if offset == 0 && path == "/"+guid+"/raw.stalls" {
			return archivetest.Fault{Action: archivetest.Stall, After: 1000}
		}
		return archivetest.Fault{}
	})
	s.rounds(3)
	s.wantWhole("raw.works", content)
	s.wantWhole("raw.stalls", content)
	if got := s.offsets("raw.stalls"); !slices.Equal(got, []int64{0, 1000}) {
		t.Errorf("retrieved from %d", got)
	}
}

package servertest

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"
)

// The patience of a client that is to lose it: before it is logged in, and with
// a server that has something to do, on a busy machine.
const (
	short  = 300 * time.Millisecond
	medium = 3 * time.Second
)

// long is a file, in bytes, that the proxy cuts in the middle; longer is more
// than fits into the buffers between client and server.
const (
	long   = 2 << 20
	longer = 16 << 20
)

// faultsOnTheWay breaks the connections between client and server.
func (s *suite) faultsOnTheWay(t *testing.T) {
	if len(s.Ports) == 0 {
		t.Skip("NOT TESTED: no proxy can stand between this server and its clients")
	}
	dir, content := s.dir(t), noise(long)
	s.write(t, dir, "raw.fits", content)
	for _, tt := range []struct {
		name     string
		rule     rule
		kind     string
		some     bool // of the file comes
		ftp      bool // only where there are data connections
		patience time.Duration
	}{
		{"cut at once", rule{0, cut, false}, "outage", false, false, 0},
		{"cut within the greeting", rule{10, cut, false}, "outage", false, false, 0},
		{"silent from the beginning", rule{0, silence, false}, "outage", false, false, 0},
		{"silent after a few bytes", rule{40, silence, false}, "outage", false, false, 0},
		{"cut in the middle of the file", rule{1 << 20, cut, false}, "failed", true, false, 0},
		{"silent in the middle of the file", rule{1 << 20, silence, false}, "failed", true, false, medium},
		{"data connection cut at once", rule{0, cut, true}, "failed", false, true, 0},
		{"data connection silent", rule{0, silence, true}, "failed", false, true, medium},
		{"data connection cut after the first bytes", rule{5000, cut, true}, "failed", false, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.ftp && len(s.Ports) == 1 {
				t.Skip("not in this protocol: it has no data connections")
			}
			startProxy(t, s.Ports, &tt.rule)
			var got bytes.Buffer
			start := time.Now()
			change := Client{Host: proxyHost, Patience: tt.patience}
			if tt.rule.do == silence && tt.kind == "outage" {
				change.Connect, change.Patience = short, short
			}
			n, err := s.client(t, change).Fetch(t.Context(), dir+"/raw.fits", 0, &got)
			if wantKind(t, err, tt.kind); n != int64(got.Len()) || tt.some && n == 0 || n >= long {
				t.Errorf("Fetch = %d, %d were written, %v", n, got.Len(), err)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("noticed after %v", took)
			}
			s.resume(t, dir, &got, content)
		})
	}
	t.Run("silent at the end", func(t *testing.T) {
		p := startProxy(t, s.Ports, nil)
		got := &watching{at: long, do: p.fallSilent}
		_, err := s.client(t, Client{Host: proxyHost, Patience: medium}).Fetch(t.Context(), dir+"/raw.fits", 0, got)
		// Its word that this was all may have come before the last bytes were written here.
		if err != nil {
			wantKind(t, err, "failed")
		} else {
			wantBytes(t, got.Bytes(), content)
		}
	})
}

// resume goes on from what has come, directly and with patience.
func (s *suite) resume(t *testing.T, dir string, got *bytes.Buffer, content []byte) {
	t.Helper()
	wantBytes(t, got.Bytes(), content[:got.Len()])
	if _, err := s.client(t, Client{}).Fetch(t.Context(), dir+"/raw.fits", int64(got.Len()), got); err != nil {
		t.Errorf("going on: %v", err)
	}
	wantBytes(t, got.Bytes(), content)
}

// faultsOfTheServer stops and kills the server.
func (s *suite) faultsOfTheServer(t *testing.T) {
	if s.Freeze == nil {
		t.Skip("NOT TESTED: this server has no processes that could be stopped")
	}
	dir, content := s.dir(t), noise(longer)
	s.write(t, dir, "raw.fits", content)
	must := func(t *testing.T, do func() error) {
		t.Helper()
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("stopped in the middle", func(t *testing.T) {
		got := &watching{at: 1 << 20, do: func() { must(t, s.Freeze) }}
		_, err := s.client(t, Client{Patience: medium}).Fetch(t.Context(), dir+"/raw.fits", 0, got)
		wantKind(t, err, "failed")
		_, err = s.client(t, Client{Patience: short, Connect: short}).Stat(t.Context(), dir+"/raw.fits")
		wantKind(t, err, "outage")
		must(t, s.Thaw)
		s.resume(t, dir, &got.Buffer, content)
	})
	t.Run("killed in the middle", func(t *testing.T) {
		got := &watching{at: 1 << 20, do: s.KillSessions}
		n, err := s.client(t, Client{}).Fetch(t.Context(), dir+"/raw.fits", 0, got)
		if wantKind(t, err, "failed"); n >= int64(len(content)) {
			t.Errorf("Fetch = %d, %v", n, err)
		}
		s.resume(t, dir, &got.Buffer, content)
	})
	t.Run("down, and back", func(t *testing.T) {
		c := s.client(t, Client{Patience: 10 * time.Second})
		if _, err := c.Stat(t.Context(), dir+"/raw.fits"); err != nil {
			t.Fatal(err)
		}
		must(t, s.Stop)
		_, err := c.Stat(t.Context(), dir+"/raw.fits")
		wantKind(t, err, "outage")
		_, err = c.List(t.Context(), dir)
		wantKind(t, err, "outage")
		_, err = c.Fetch(t.Context(), dir+"/raw.fits", 100, io.Discard)
		wantKind(t, err, "outage")
		must(t, s.Start)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := c.Stat(ctx, dir+"/raw.fits"); err != nil {
			t.Error(err)
		}
	})
}

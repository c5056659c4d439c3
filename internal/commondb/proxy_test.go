package commondb

import (
	"bytes"
	"errors"
	"io"
	"net"
	"regexp"
	"sync"
	"testing"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/internal/results"
)

// proxy stands between a client and a server and cuts the connection at a
// place in what the client says.
type proxy struct {
	listener net.Listener
	server   string

	mu     sync.Mutex
	at     *regexp.Regexp // nil: it passes all
	answer bool           // the server hears it, and only its answer is lost
	mute   bool
	cuts   int
}

// through starts a proxy on an address of loopback and returns options by
// which it is used, without TLS, so that it can read what passes.
func through(t testing.TB, o Options, address string) (*proxy, Options) {
	t.Helper()
	l, err := net.Listen("tcp", address+":0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, server: o.address()}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); conns.Wait() })
	o.Host, o.Port, o.TLS = address, l.Addr().(*net.TCPAddr).Port, "off"
	return p, o
}

// cutAt makes the next client's words that match the last ones to pass.
func (p *proxy) cutAt(words string, answer bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at, p.answer, p.cuts = regexp.MustCompile(words), answer, 0
}

func (p *proxy) heal() (cuts int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at, p.mute = nil, false
	return p.cuts
}

// match says whether this is where to cut, and how.
func (p *proxy) match(said []byte) (cut, answer bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at == nil || !p.at.Match(said) {
		return false, false
	}
	p.cuts++
	return true, p.answer
}

// silence makes it pass nothing, and cut nothing.
func (p *proxy) silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = true
}

func (p *proxy) silent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mute
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	if p.silent() {
		io.Copy(io.Discard, client)
		return
	}
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	answers := make(chan []byte) // from the server
	go func() {
		defer close(answers)
		for {
			buf := make([]byte, 1<<16)
			n, err := server.Read(buf)
			if n > 0 {
				answers <- buf[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	defer func() {
		server.Close()
		for range answers {
		}
	}()
	words := make(chan []byte) // from the client
	go func() {
		defer close(words)
		for {
			buf := make([]byte, 1<<16)
			n, err := client.Read(buf)
			if n > 0 {
				words <- buf[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	defer func() {
		client.Close()
		for range words {
		}
	}()
	var tail []byte // words may come in pieces
	for {
		select {
		case a, ok := <-answers:
			if !ok {
				return
			}
			if _, err := client.Write(a); err != nil {
				return
			}
		case w, ok := <-words:
			if !ok {
				return
			}
			cut, answer := p.match(append(tail, w...))
			tail = bytes.Clone(w[max(0, len(w)-64):])
			if cut && !answer {
				return
			}
			if _, err := server.Write(w); err != nil {
				return
			}
			if cut {
				<-answers // it is done there
				return
			}
		}
	}
}

func TestConnectionsAreLost(t *testing.T) {
	const marker = "THE MIDDLE OF A FILE"
	middle := string(bytes.Repeat([]byte("x"), 300_000)) + marker + string(bytes.Repeat([]byte("y"), 300_000))
	onServers(t, func(t *testing.T, b backend) {
		o := b.options(t)
		truth := open(t, o)
		p, through := through(t, o, "127.0.0.1")
		for _, tt := range []struct {
			name      string
			at        string
			answer    bool
			committed bool
		}{
			{"at the first word of the client", `(?s).`, false, false},
			{"before the transaction", `(?i)begin|start transaction`, false, false},
			{"after the transaction began", `(?i)begin|start transaction`, true, false},
			{"before the upload's row", `(?i)insert into .uploads`, false, false},
			{"in the middle of a file", marker, false, false},
			{"after the last byte of the last file", `THE END OF ALL`, true, false},
			{"during the read-back", `(?s)(?i)select.*headers.*( = any| in \()`, false, false},
			{"before the commit", `(?i)\bcommit(\x00|$)`, false, false},
			{"after the commit, before its answer", `(?i)\bcommit(\x00|$)`, true, true},
		} {
			before, err := truth.Counts(t.Context())
			must(t, err)
			r := beam(3)
			r.Children[1].Blobs["filedata"] = blob("middle", middle)
			r.Children[2].Blobs["filedata"] = blob("end", "THE END OF ALL")
			through.Timeout = 20 * time.Second
			db, err := Open(t.Context(), through)
			must(t, err)
			if tt.at == "(?s)." { // a connection that stood, and is cut when it is used
				db.write.SetMaxIdleConns(0)
			}
			p.cutAt(tt.at, tt.answer)
			_, err = db.Upload(t.Context(), meta(tt.name), []results.Record{r})
			if !errors.Is(err, pipeline.ErrOutage) || errors.Is(err, ErrRejected) || errors.Is(err, ErrMismatch) {
				t.Errorf("cut %s: Upload = %v, want an outage alone", tt.name, err)
			}
			if p.heal() == 0 {
				t.Errorf("%s: nothing was cut", tt.name)
			}
			if !tt.committed {
				wantRows(t, truth, before)
			}
			got, err := db.Upload(t.Context(), meta(tt.name), []results.Record{r})
			if err != nil || got.Already != tt.committed || got.By != "" {
				t.Errorf("after a cut %s: %+v, %v, want Already %v", tt.name, got, err, tt.committed)
			}
			wantRows(t, truth, map[string]int{"uploads": before["uploads"] + 1, "headers": before["headers"] + 1,
				"diagnostics": before["diagnostics"] + 1, "diagnostic_plots": before["diagnostic_plots"] + 2})
			must(t, db.Close())
		}
	})
}

func TestAServerThatSaysNothingIsAnOutage(t *testing.T) {
	onServers(t, func(t *testing.T, b backend) {
		o := b.options(t)
		open(t, o)
		p, through := through(t, o, "127.0.0.1")
		p.silence()
		through.Timeout = 300 * time.Millisecond
		start := time.Now()
		_, err := Open(t.Context(), through)
		var pr *Problem
		if !errors.Is(err, pipeline.ErrOutage) || !errors.As(err, &pr) || pr.Cause != Unreachable {
			t.Errorf("Open = %v, want an outage: unreachable", err)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

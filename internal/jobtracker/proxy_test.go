package jobtracker_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/url"
	"strconv"
	"sync"
	"testing"
)

// proxy stands between a store and its server, and cuts connections.
type proxy struct {
	t      *testing.T
	listen net.Listener
	to     string
	mu     sync.Mutex
	fault  fault
	conns  []net.Conn
	// done counts what runs, so that the test ends after it.
	done sync.WaitGroup
}

// fault is what becomes of the next commit.
type fault int

const (
	noFault        fault = iota
	cutBefore            // both sides are cut before the server hears of it
	cutBeforeDeaf        // so, but the server does not notice that the client is gone
	cutAfter             // the server commits, and its reply is lost
	cutForGood           // both sides are cut, and nobody is let in from there on
	refuseEveryone       // nobody is let in
)

func newProxy(t *testing.T, s *server) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, listen: l, to: net.JoinHostPort(s.Host, strconv.Itoa(s.Port))}
	p.done.Go(p.serve)
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		p.done.Wait()
	})
	return p
}

// through is the address of a database by way of a proxy.
func through(db string, p *proxy) string {
	u, err := url.Parse(db)
	if err != nil {
		p.t.Fatal(err)
	}
	u.Host = p.listen.Addr().String()
	return u.String()
}

func (p *proxy) set(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// cut ends all connections, on both sides.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *proxy) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
}

// take returns the fault that is due, once.
func (p *proxy) take(of ...fault) fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range of {
		if p.fault == f {
			if f != refuseEveryone {
				p.fault = noFault
			}
			return f
		}
	}
	return noFault
}

func (p *proxy) serve() {
	for {
		client, err := p.listen.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			p.t.Error(err)
			return
		}
		if p.take(refuseEveryone) != noFault {
			_ = client.Close()
			continue
		}
		server, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.keep(client)
		p.keep(server)
		lost := make(chan struct{}) // closed when the client is to hear no more
		p.done.Go(func() { p.forward(client, server, lost) })
		p.done.Go(func() { p.back(server, client, lost) })
	}
}

// forward carries what the client says, up to the commit that is to fail.
func (p *proxy) forward(client, server net.Conn, lost chan struct{}) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if n > 0 && bytes.Contains(buffer[:n], []byte("commit\x00")) {
			switch p.take(cutBefore, cutBeforeDeaf, cutAfter, cutForGood) {
			case cutForGood:
				p.set(refuseEveryone)
				p.cut()
				return
			case cutBefore:
				_ = server.Close()
				_ = client.Close()
				return
			case cutBeforeDeaf:
				_ = client.Close()
				return
			case cutAfter:
				close(lost)
			}
		}
		if _, werr := server.Write(buffer[:n]); err != nil || werr != nil {
			_ = server.Close()
			return
		}
	}
}

// back carries what the server says.
func (p *proxy) back(server, client net.Conn, lost chan struct{}) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		select {
		case <-lost: // it has done it
			_ = client.Close()
			_ = server.Close()
			return
		default:
		}
		if _, werr := client.Write(buffer[:n]); err != nil || werr != nil {
			if !errors.Is(err, io.EOF) {
				_ = server.Close()
			}
			_ = client.Close()
			return
		}
	}
}

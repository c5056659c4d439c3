package servertest

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// proxyHost is where the proxy listens, on the same ports as the server: that
// of a data connection, which the server names in the middle of a conversation
// that may be secret, leads to the proxy too.
const proxyHost = "127.0.0.2"

// action is what the proxy does to a connection.
type action int

const (
	cut     action = iota // closes it
	silence               // keeps it open and passes nothing more to the client
)

// rule is what happens to connections once the server has sent so many bytes in
// them.
type rule struct {
	after    int64
	do       action
	dataOnly bool // FTP's data connections
}

// proxy stands between clients and a server.
type proxy struct {
	ctx     context.Context
	rule    *rule // nil: none
	running sync.WaitGroup

	mu    sync.Mutex
	quiet chan struct{} // closed: nothing passes to clients
	open  map[net.Conn]struct{}
}

// startProxy starts a proxy that ends with the test.
func startProxy(t *testing.T, ports []int, r *rule) *proxy {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p := &proxy{ctx: ctx, rule: r, quiet: make(chan struct{}), open: make(map[net.Conn]struct{})}
	t.Cleanup(func() {
		cancel()
		p.closeAll()
		p.running.Wait()
	})
	for i, port := range ports {
		l := listen(t, port)
		t.Cleanup(func() { l.Close() }) // before the others: they run in the reverse order
		p.running.Go(func() { p.accept(l, strconv.Itoa(port), i > 0) })
	}
	return p
}

// listen listens on a port of the proxy. For a moment the last proxy's socket
// may still be there: a process that was just forked, for a server elsewhere,
// has it until it runs its program.
func listen(t *testing.T, port int) net.Listener {
	t.Helper()
	end := time.Now().Add(10 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		l, err := net.Listen("tcp", net.JoinHostPort(proxyHost, strconv.Itoa(port)))
		if err == nil {
			tick.Stop()
			return l
		}
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// fallSilent lets nothing more pass to clients.
func (p *proxy) fallSilent() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.quiet)
}

func (p *proxy) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.Close()
	}
}

func (p *proxy) track(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[c] = struct{}{}
	if p.ctx.Err() != nil {
		c.Close()
	}
}

func (p *proxy) accept(l net.Listener, port string, data bool) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			client.Close()
			continue
		}
		p.track(client)
		p.track(server)
		left := make(chan struct{}) // the client has
		p.running.Go(func() {
			defer close(left)
			_, _ = io.Copy(server, client)
			_ = server.(*net.TCPConn).CloseWrite()
		})
		p.running.Go(func() {
			p.pass(client, server, data, left)
			client.Close()
			server.Close()
		})
	}
}

// pass copies what the server sends, up to the rule.
func (p *proxy) pass(client, server net.Conn, data bool, left <-chan struct{}) {
	rest := int64(-1)
	if p.rule != nil && (data || !p.rule.dataOnly) {
		rest = p.rule.after
	}
	buf := make([]byte, 16<<10)
	for {
		if rest == 0 {
			if p.rule.do == silence {
				<-left
			}
			return
		}
		n, err := server.Read(buf)
		select {
		case <-p.quiet:
			<-left
			return
		default:
		}
		if rest > 0 {
			n = int(min(int64(n), rest))
			rest -= int64(n)
		}
		if _, writeErr := client.Write(buf[:n]); err != nil || writeErr != nil {
			return
		}
	}
}

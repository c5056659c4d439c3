package archive

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/jlaffaye/ftp"
)

// keepIdle is how long a connection without work is kept.
const keepIdle = time.Minute

// session is one logged-in control connection. It belongs to one goroutine
// from take to put or drop, and is dropped after any error, because nobody
// knows then which reply the server will send next.
type session struct {
	conn    *ftp.ServerConn
	sockets *sockets
	ctx     context.Context // of the operation under way, for dialling; set by bind
	tap     io.Writer       // gets a copy of the next data connection's bytes
	mlsd    bool            // listings are machine readable
	unbind  func() bool
	expire  *time.Timer
}

// bind makes the end of ctx close the session's connections.
func (s *session) bind(ctx context.Context) {
	s.ctx = ctx
	s.unbind = context.AfterFunc(ctx, func() { s.sockets.abort(ctx.Err()) })
}

// call runs one conversation with the server and gives it up after limit, no
// matter how many bytes trickle in. A server's answer can make the library
// panic ("227 )(" does); that must not end the daemon.
func (s *session) call(limit time.Duration, conversation func() error) (err error) {
	watchdog := time.AfterFunc(limit, func() { s.sockets.abort(silentError{limit}) })
	defer watchdog.Stop()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("answer that cannot be understood: %v", p)
		}
	}()
	err = conversation()
	if cause := s.sockets.aborted(); err != nil && cause != nil {
		return cause
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return silentError{s.sockets.idle}
	}
	return err
}

// login logs in and tells a refusal from a connection that broke.
func (s *session) login(user, password string) error {
	err := s.conn.Login(user, password)
	if err == nil {
		return nil
	}
	code, words := replyOf(err)
	if code == 0 {
		// The library hides the code of a refusal of USER. If the server still
		// answers, it was one and not a broken connection.
		if probe := s.conn.NoOp(); probe != nil && !isReply(probe) {
			return err
		}
		words = err.Error()
	}
	switch code {
	case 0, ftp.StatusNotLoggedIn, ftp.StatusInvalidCredentials, ftp.StatusStorNeedAccount:
		if !crowded(words) {
			return fmt.Errorf("%w: it said %s", ErrLogin, quote(words))
		}
	}
	return fmt.Errorf("at login it said %s", quote(words))
}

// drop closes the session without ceremony.
func (s *session) drop() {
	s.unbind()
	s.sockets.abort(net.ErrClosed)
}

// connect opens a control connection and logs in.
func (f *FTP) connect(ctx context.Context) (*session, error) {
	s := &session{sockets: &sockets{
		dialer: net.Dialer{Timeout: f.opts.ConnectTimeout},
		idle:   f.opts.IdleTimeout,
	}}
	s.bind(ctx)
	// Twice: for the way to the greeting, and for the handshake and the login.
	err := s.call(f.opts.ConnectTimeout, func() (err error) {
		s.conn, err = ftp.Dial(f.address, f.dialOptions(s)...)
		return err
	})
	if err == nil {
		err = s.call(f.opts.ConnectTimeout, func() error {
			return s.login(f.opts.Username, f.opts.Password)
		})
	}
	if err != nil {
		s.drop()
		return nil, fmt.Errorf("connect to %s: %w", f.address, f.explainTLS(said(err)))
	}
	s.mlsd = s.conn.IsTimePreciseInList()
	f.opts.Log.Debug("connected to the file server", "address", f.address, "tls", f.opts.TLS, "mlsd", s.mlsd)
	return s, nil
}

func (f *FTP) dialOptions(s *session) []ftp.DialOption {
	options := []ftp.DialOption{
		ftp.DialWithDisabledEPSV(f.opts.DisableEPSV),
		ftp.DialWithDisabledMLSD(f.noMLSD.Load()),
	}
	protect := func(c net.Conn) net.Conn { return c }
	if f.opts.TLS == TLSExplicit {
		config := f.tlsConfig()
		options = append(options, ftp.DialWithExplicitTLS(config))
		// The handshake stays lazy, until the first read: a server begins it
		// only after RETR, so that to ask for it now would wait for ever.
		protect = func(c net.Conn) net.Conn { return tls.Client(c, config) }
	}
	return append(options, ftp.DialWithDialFunc(s.dialFunc(protect)))
}

// dialFunc returns the function by which the library opens connections. The
// first is the control connection, which the library protects by itself; all
// others are for data.
func (s *session) dialFunc(protect func(net.Conn) net.Conn) func(network, address string) (net.Conn, error) {
	first := true
	return func(network, address string) (net.Conn, error) {
		c, err := s.sockets.dial(s.ctx, network, address)
		if err != nil {
			return nil, err
		}
		if first {
			first, c.control = false, true
			return c, nil
		}
		return &dataConn{protect(c), c, s.tap}, nil
	}
}

// pool keeps sessions without work for a while.
type pool struct {
	mu     sync.Mutex
	idle   []*session // the last used comes last
	closed bool
}

// take returns the session that was used last, or nil.
func (p *pool) take() *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	s := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	s.expire.Stop()
	return s
}

// put gives back a session that is in order. It is closed if its operation's
// context has ended meanwhile, or the pool has.
func (p *pool) put(s *session) {
	if !s.unbind() {
		s.drop()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		s.drop()
		return
	}
	s.ctx = nil
	s.expire = time.AfterFunc(keepIdle, func() { p.remove(s) })
	p.idle = append(p.idle, s)
}

// remove closes a session that has been idle too long, unless it was taken.
func (p *pool) remove(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.idle {
		if p.idle[i] == s {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			s.drop()
			return
		}
	}
}

// clear closes all idle sessions, and with them the pool if so wished.
func (p *pool) clear(closePool bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = p.closed || closePool
	for _, s := range p.idle {
		s.expire.Stop()
		s.drop()
	}
	p.idle = nil
}

package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// lateError says that the server took longer than it may.
type lateError struct {
	what  string
	after time.Duration
}

func (e lateError) Error() string { return fmt.Sprintf("%s %v", e.what, e.after) }

// Timeout makes it a time-out in the sense of net.Error.
func (e lateError) Timeout() bool { return true }

// tooMuchError says that the server sent more than a conversation may need.
type tooMuchError struct{ most int64 }

func (e tooMuchError) Error() string { return fmt.Sprintf("answer longer than %d bytes", e.most) }

// sockets are the open connections of one session. Protocol libraries block in
// them with little regard for a context, so they can be closed from outside.
type sockets struct {
	dialer net.Dialer

	start time.Time
	heard atomic.Int64 // when something came last, nanoseconds since start
	left  atomic.Int64 // bytes that may still come

	mu    sync.Mutex
	open  map[net.Conn]struct{}
	cause error // why they were closed from outside
}

func newSockets(l limits) *sockets {
	return &sockets{
		dialer: net.Dialer{Timeout: l.connect}, start: time.Now(), open: make(map[net.Conn]struct{}),
	}
}

// dial opens one more connection.
func (s *sockets) dial(ctx context.Context, network, address string) (*conn, error) {
	raw, err := s.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return nil, errors.Join(s.cause, raw.Close())
	}
	s.open[raw] = struct{}{}
	return &conn{Conn: raw, owner: s}, nil
}

// abort closes all connections at once, without a goodbye, which unblocks
// whoever waits in one. The first cause is the one that counts.
func (s *sockets) abort(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause == nil {
		s.cause = cause
	}
	for c := range s.open {
		c.Close() // nothing to be learned from its error: the connection is given up
	}
	clear(s.open)
}

// aborted returns why the connections were closed from outside, if they were.
func (s *sockets) aborted() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

func (s *sockets) forget(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// came notes that n bytes have come.
func (s *sockets) came(n int) {
	if n > 0 {
		s.heard.Store(int64(time.Since(s.start)))
		s.left.Add(int64(-n))
	}
}

// watch aborts the connections when nothing comes for so long as idle, or when
// limit is over no matter how much trickles in, until stop is called.
// Deadlines on the sockets would not do: they also count the time in which
// nothing is asked, which is our own bandwidth limit or disk.
func (s *sockets) watch(idle, limit time.Duration) (stop func()) {
	var mu sync.Mutex
	var timer *time.Timer
	begun, stopped := time.Now(), false
	s.heard.Store(int64(begun.Sub(s.start)))
	look := func() {
		mu.Lock()
		defer mu.Unlock()
		silent := time.Since(s.start) - time.Duration(s.heard.Load())
		switch rest := min(idle-silent, limit-time.Since(begun)); {
		case stopped:
		case rest > 0:
			timer.Reset(rest)
		case silent >= idle:
			s.abort(lateError{"nothing came for", idle})
		default:
			s.abort(lateError{"not at an end after", limit})
		}
	}
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(min(idle, limit), look)
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
	}
}

// conn is a connection that tells its owner what comes.
type conn struct {
	net.Conn
	owner *sockets
	ended bool // the other side has closed it
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.ended = c.ended || errors.Is(err, io.EOF)
	c.owner.came(n)
	if c.owner.left.Load() < 0 {
		return n, errTooMuch
	}
	return n, err
}

// errTooMuch ends a read beyond what the conversation may need; the session
// says how much that is.
var errTooMuch = errors.New("too long an answer")

func (c *conn) Close() error {
	c.owner.forget(c.Conn)
	return c.Conn.Close()
}

// errNoGoodbye: anybody on the way could have cut the connection there.
var errNoGoodbye = errors.New("data connection closed without the goodbye of TLS (close_notify)")

// dataConn is a data connection as the FTP library sees it.
type dataConn struct {
	net.Conn       // the socket, or TLS over it
	socket   *conn // the socket
	// tap, if there is one, gets a copy of what is read: the library's own
	// reading of a listing leaves out what matters here.
	tap io.Writer
}

// Read refuses an end of file that is none: package tls takes a socket that
// is closed between two records for the end. After a proper goodbye it has not
// looked at the socket any more.
func (d *dataConn) Read(p []byte) (int, error) {
	n, err := d.Conn.Read(p)
	if d.Conn != d.socket && d.socket.ended && errors.Is(err, io.EOF) {
		err = errNoGoodbye
	}
	if d.tap != nil {
		if _, tapErr := d.tap.Write(p[:n]); tapErr != nil {
			return n, tapErr
		}
	}
	return n, err
}

// Close never fails: under TLS it would when the server has closed already and
// does not hear the goodbye. Whether all was sent, the server's reply says.
func (d *dataConn) Close() error {
	d.Conn.Close()
	return nil
}

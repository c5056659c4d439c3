package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// maxReply is how much a server may say on the control connection to one
// command, in bytes; anything longer is no FTP.
const maxReply = 1 << 20

// silentError says that the server took longer than it may.
type silentError struct{ after time.Duration }

func (e silentError) Error() string { return fmt.Sprintf("nothing came for %v", e.after) }

// Timeout makes it a time-out in the sense of net.Error.
func (e silentError) Timeout() bool { return true }

// sockets are the open connections of one session. The FTP library blocks in
// them with no regard for a context, so they can be closed from outside.
type sockets struct {
	dialer net.Dialer
	idle   time.Duration // longest time that one read or write may take

	mu    sync.Mutex
	open  map[net.Conn]struct{}
	cause error // why they were closed from outside
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
	if s.open == nil {
		s.open = make(map[net.Conn]struct{})
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

// conn is a connection on which each read and each write has a deadline of its
// own. The library's own deadlines end before a long transfer does, or never.
type conn struct {
	net.Conn
	owner   *sockets
	control bool // bounds how much is read for one command
	heard   int  // bytes since the last write
	ended   bool // the other side has closed it
}

func (c *conn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.owner.idle)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	c.ended = c.ended || errors.Is(err, io.EOF)
	if c.heard += n; c.control && c.heard > maxReply {
		return n, fmt.Errorf("reply longer than %d bytes", maxReply)
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	c.heard = 0
	if err := c.SetWriteDeadline(time.Now().Add(c.owner.idle)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

func (c *conn) Close() error {
	c.owner.forget(c.Conn)
	return c.Conn.Close()
}

// errNoGoodbye: anybody on the way could have cut the connection there.
var errNoGoodbye = errors.New("data connection closed without the goodbye of TLS (close_notify)")

// dataConn is a data connection as the library sees it.
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

package archive

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jlaffaye/ftp"
)

// ftpSession is one logged-in control connection.
type ftpSession struct {
	*link
	conn *ftp.ServerConn
	tap  io.Writer // gets a copy of the next data connection's bytes
	mlsd bool      // listings are machine readable
	end  *ending   // of listings
}

func (s *ftpSession) line() *link  { return s.link }
func (s *ftpSession) alive() error { return s.conn.NoOp() }

// login logs in and tells a refusal from a connection that broke.
func (s *ftpSession) login(user, password string) error {
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
	if password != "" { // a server may repeat what it does not like
		words = strings.ReplaceAll(words, password, "[secret]")
	}
	switch code {
	case 0, ftp.StatusNotLoggedIn, ftp.StatusInvalidCredentials, ftp.StatusStorNeedAccount:
		if !crowded(words) {
			return fmt.Errorf("%w: it said %s", ErrLogin, quote(words))
		}
	}
	return fmt.Errorf("at login it said %s", quote(words))
}

// connect opens a control connection and logs in.
func (f *FTP) connect(ctx context.Context) (*ftpSession, error) {
	s := &ftpSession{link: newLink(ctx, f.limits), end: new(ending)}
	// Twice: for the way to the greeting, and for the handshake and the login.
	err := s.introduce(func() (err error) {
		s.conn, err = ftp.Dial(f.address, f.dialOptions(s)...)
		return err
	})
	if err == nil {
		err = s.introduce(func() error {
			return s.login(f.opts.Username, f.opts.Password)
		})
	}
	if err != nil {
		s.drop()
		return nil, fmt.Errorf("connect to %s: %w", f.address, f.explainTLS(said(err)))
	}
	s.mlsd = s.conn.IsTimePreciseInList()
	f.limits.log.Debug("connected to the file server", "address", f.address, "tls", f.opts.TLS, "mlsd", s.mlsd)
	return s, nil
}

func (f *FTP) dialOptions(s *ftpSession) []ftp.DialOption {
	options := []ftp.DialOption{
		ftp.DialWithDisabledEPSV(f.opts.DisableEPSV),
		ftp.DialWithDisabledMLSD(f.noMLSD.Load()),
		ftp.DialWithDebugOutput(s.end),
	}
	plain := func(c net.Conn) net.Conn { return c }
	if f.opts.TLS == TLSOff {
		return append(options, ftp.DialWithDialFunc(s.dialFunc(plain, plain)))
	}
	config := f.tlsConfig()
	// The handshake stays lazy, until the first read: a server begins that of a
	// data connection only after RETR, so that to ask for it now would wait for ever.
	protect := func(c net.Conn) net.Conn { return tls.Client(c, config) }
	if f.opts.TLS == TLSImplicit {
		return append(options, ftp.DialWithTLS(config), ftp.DialWithDialFunc(s.dialFunc(protect, protect)))
	}
	return append(options, ftp.DialWithExplicitTLS(config), ftp.DialWithDialFunc(s.dialFunc(plain, protect)))
}

// dialFunc returns the function by which the library opens connections. The
// first is the control connection, all others are for data.
func (s *ftpSession) dialFunc(control, data func(net.Conn) net.Conn) func(network, address string) (net.Conn, error) {
	first := true
	return func(network, address string) (net.Conn, error) {
		c, err := s.sockets.dial(s.ctx, network, address)
		if err != nil {
			return nil, err
		}
		if first {
			first = false
			return control(c), nil
		}
		return &dataConn{data(c), c, s.tap}, nil
	}
}

// ending looks through what is read from the server for the reply at the end of
// a listing, whose words the library keeps to itself.
type ending struct {
	line []byte // begun, not ended
	cut  string // the reply that says that the listing is not all, if there is one
}

// Write looks at the beginnings of lines. What comes is the control connection
// mixed with the listing; a name in it that looks like a reply does no more
// harm than a server that says so.
func (e *ending) Write(p []byte) (int, error) {
	for _, b := range p {
		switch {
		case b == '\n':
			if line := strings.ToLower(string(e.line)); strings.HasPrefix(line, "226") && strings.Contains(line, "truncated") {
				e.cut = strings.TrimSpace(string(e.line))
			}
			e.line = e.line[:0]
		case len(e.line) < 100:
			e.line = append(e.line, b)
		}
	}
	return len(p), nil
}

// checkCut is an error if the listing that has just ended is said not to be all.
func (s *ftpSession) checkCut() error {
	if s.end.cut == "" {
		return nil
	}
	return fmt.Errorf("the server leaves files out of the listing: it said %s; raise its limit (pure-ftpd: option -L)", quote(s.end.cut))
}

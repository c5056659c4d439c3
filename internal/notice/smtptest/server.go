// Package smtptest is a real SMTP server in this process, for tests and for
// the demo. It keeps every mail that it accepts as a file, speaks STARTTLS or
// TLS at once, can ask for a login, and can be told to misbehave: to refuse,
// to fall silent, to accept a mail and lose the reply.
//
// It delivers nothing to anybody.
package smtptest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// maxMail is the greatest mail that is accepted, in bytes.
const maxMail = 1 << 20

// Options say how a Server is reached and what it asks for.
type Options struct {
	Dir         string           // where mails are kept; made if need be
	Addr        string           // to listen on; empty: any free port of 127.0.0.1
	Certificate *tls.Certificate // offers STARTTLS; nil: no TLS
	ImplicitTLS bool             // TLS from the first byte instead of STARTTLS
	Username    string           // if set, nobody mails without this login
	Password    string
}

// Server is a running mail server.
type Server struct {
	o      Options
	box    *mailbox
	smtp   *smtp.Server
	ln     net.Listener
	closed chan struct{} // ends what hangs

	mu    sync.Mutex
	fault Fault
	conns int

	wg sync.WaitGroup
}

// Start starts a server. Mails that are in the directory already stay, and
// new ones are numbered after them.
func Start(o Options) (*Server, error) {
	if o.ImplicitTLS && o.Certificate == nil {
		return nil, errors.New("smtptest: TLS without a certificate")
	}
	box, err := openMailbox(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("smtptest: %w", err)
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("smtptest: %w", err), box.close())
	}
	s := &Server{o: o, box: box, ln: ln, closed: make(chan struct{})}
	s.smtp = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{s: s, conn: c}, nil
	}))
	s.smtp.Domain = "smtptest"
	s.smtp.MaxMessageBytes = maxMail
	s.smtp.AllowInsecureAuth = o.Certificate == nil
	s.smtp.ReadTimeout = time.Minute
	s.smtp.WriteTimeout = time.Minute
	s.smtp.ErrorLog = log.New(io.Discard, "", 0) // clients that vanish are no news here
	if o.Certificate != nil {
		s.smtp.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*o.Certificate}, MinVersion: tls.VersionTLS12}
	}
	s.wg.Go(func() {
		// It ends when the listener is closed; there is nobody to tell.
		_ = s.smtp.Serve(&faultyListener{Listener: ln, s: s})
	})
	return s, nil
}

// Addr is the host and port that the server listens on.
func (s *Server) Addr() *net.TCPAddr { return s.ln.Addr().(*net.TCPAddr) }

// Connections is how many there have been.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

// Mails returns all mails that are kept, the oldest first. A mail is kept
// before its sender is told so.
func (s *Server) Mails() ([]Mail, error) { return ReadDir(s.o.Dir) }

// Close ends the server and all connections, and waits for them.
func (s *Server) Close() error {
	close(s.closed)
	err := errors.Join(s.ln.Close(), s.smtp.Close(), s.box.close())
	s.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil // closed twice: by us and by the SMTP server
	}
	return err
}

// faultyListener hands connections to the SMTP server, except those that are
// to meet silence, and speaks TLS first if that is asked for.
type faultyListener struct {
	net.Listener
	s *Server
}

func (l *faultyListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		f := l.s.connected()
		switch {
		case f.Hang:
			l.s.wg.Go(func() {
				<-l.s.closed
				_ = conn.Close()
			})
			continue
		case f.Code != 0:
			_ = conn.SetDeadline(time.Now().Add(time.Second))
			_, _ = fmt.Fprintf(conn, "%d %s\r\n", f.Code, f.text())
			_ = conn.Close()
			continue
		}
		if l.s.o.ImplicitTLS {
			return tls.Server(conn, l.s.smtp.TLSConfig), nil
		}
		return conn, nil
	}
}

// connected counts a connection and returns the fault that it is to meet.
func (s *Server) connected() Fault {
	s.mu.Lock()
	s.conns++
	s.mu.Unlock()
	f, _ := s.meet(AtConnect)
	return f
}

// session is one conversation.
type session struct {
	s      *Server
	conn   *smtp.Conn
	authed bool
	from   string
	to     []string
}

var _ smtp.AuthSession = (*session)(nil)

func (c *session) Reset()        { c.from, c.to = "", nil }
func (c *session) Logout() error { return nil }

func (c *session) AuthMechanisms() []string {
	if c.s.o.Username == "" {
		return nil
	}
	return []string{sasl.Plain, sasl.Login}
}

func (c *session) Auth(mech string) (sasl.Server, error) {
	check := func(username, password string) error {
		if err := c.s.misbehave(AtAuth); err != nil {
			return err
		}
		if username != c.s.o.Username || password != c.s.o.Password {
			return smtp.ErrAuthFailed
		}
		c.authed = true
		return nil
	}
	switch mech {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, username, password string) error { return check(username, password) }), nil
	case sasl.Login:
		return &loginServer{check: check}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

func (c *session) Mail(from string, _ *smtp.MailOptions) error {
	if c.s.o.Username != "" && !c.authed {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	c.from = from
	return c.s.misbehave(AtSender)
}

func (c *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if err := c.s.misbehaveTo(to); err != nil {
		return err
	}
	c.to = append(c.to, to)
	return nil
}

func (c *session) Data(r io.Reader) error {
	if err := c.s.misbehave(AtData); err != nil {
		return err
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := c.s.box.keep(c.from, c.to, text); err != nil {
		return &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 3, 1}, Message: "cannot keep it: " + err.Error()}
	}
	if _, lose := c.s.meet(AtReply); lose {
		return c.conn.Conn().Close() // taken, but the client never hears of it
	}
	return nil
}

// loginServer is the server's side of AUTH LOGIN.
type loginServer struct {
	check func(username, password string) error
	step  int
	user  string
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	l.step++
	switch {
	case l.step == 1 && response == nil:
		return []byte("Username:"), false, nil
	case l.user == "":
		l.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.user, string(response))
}

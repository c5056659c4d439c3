package notice

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	netmail "net/mail"
	"net/textproto"

	"github.com/wneessen/go-mail/smtp"

	"longhaul/internal/pipeline"
)

// conversation is one connection to the mail server. It ends when its context
// does, whatever the server is doing.
type conversation struct {
	*smtp.Client
	ctx    context.Context // of this one call; the connection is closed when it is done
	server string          // for messages
	tls    *tls.Config     // nil: no TLS from the first byte
	conn   net.Conn
	stop   func() bool
}

// dial opens the connection.
func (c *conversation) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.conn = conn
	c.stop = context.AfterFunc(c.ctx, func() { _ = conn.Close() })
	if c.tls == nil {
		return conn, nil
	}
	secure := tls.Client(conn, c.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return secure, nil
}

// close drops the connection, without a word to the server.
func (c *conversation) close() {
	if c.conn != nil {
		c.stop()
		_ = c.conn.Close()
	}
}

// quit takes leave. The mail is delivered by then: what the server says to
// that changes nothing.
func (c *conversation) quit() { _ = c.Quit() }

// envelope names the sender and the recipients. If the server takes some
// recipients and refuses others, it returns what is wrong with those as
// refused, and the mail can go to the rest; but those who are refused only
// for now hold it up unless goOn is set.
func (c *conversation) envelope(from *netmail.Address, to []*netmail.Address, goOn bool) (refused, err error) {
	if err := c.Mail("<" + from.Address + ">"); err != nil {
		return nil, c.outage("sender "+from.Address, err, "check [email] sender, and smtp_login if the server wants one")
	}
	const look = "check [email] recipient, and smtp_login if the server wants one"
	var errs []error
	for _, a := range to {
		err := c.Rcpt("<" + a.Address + ">")
		if err == nil {
			continue
		}
		if code := replyCode(err); code == 0 || code < 500 && !goOn {
			return nil, c.outage("recipient "+a.Address, err, later(code))
		}
		errs = append(errs, fmt.Errorf("%s: %w", a.Address, err))
	}
	switch len(errs) {
	case 0:
		return nil, nil
	case len(to):
		return nil, c.outage("every recipient is refused", errors.Join(errs...), look)
	}
	return fmt.Errorf("%w: %w (%s)", ErrRecipient, errors.Join(errs...), look), nil
}

// data sends the text of the mail. Without an error the server has it.
func (c *conversation) data(text []byte) error {
	w, err := c.Data()
	if err != nil {
		return c.outage("send", err, "")
	}
	if _, err := w.Write(text); err != nil {
		// Not closed: that would end the mail, and what there is of it might
		// be delivered.
		return c.outage("send", err, "")
	}
	err = w.Close()
	switch code := replyCode(err); {
	case err == nil:
		return nil
	case code >= 500:
		return fmt.Errorf("%w: %s says %w", ErrRefused, c.server, err)
	case code > 0:
		return c.outage("send", err, "")
	}
	return c.outage("send", fmt.Errorf("no reply, the mail may arrive twice: %w", err), "")
}

// outage marks an error as one that keeps all mails waiting, and adds where
// it happened and what to look at. So are a wrong password or an unknown
// sender: no mail goes out until somebody acts, and saying it once is enough.
func (c *conversation) outage(step string, err error, hint string) error {
	if cause := context.Cause(c.ctx); cause != nil {
		err = fmt.Errorf("%w: %w", cause, err) // else it is only a closed connection
	}
	if hint != "" {
		hint = " (" + hint + ")"
	}
	return pipeline.Outage(pipeline.MailServer, fmt.Errorf("%s: %s: %w%s", c.server, step, err, hint))
}

// replyCode is the server's reply in an error, 0 if it is none.
func replyCode(err error) int {
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		return reply.Code
	}
	return 0
}

// later says what to do about a refusal for now.
func later(code int) string {
	if code == 0 {
		return ""
	}
	return "for now; servers do that to senders they do not know: it is tried again, in preflight do so yourself in ten minutes"
}

// connectHint says which setting to look at when the server cannot be reached
// or will not let us in.
func (c *conversation) connectHint(err error) string {
	switch {
	case c.conn == nil:
		return "check [email] smtp_host and smtp_port: nobody answers there"
	case errors.Is(context.Cause(c.ctx), context.DeadlineExceeded):
		return "check [email] smtp_usessl: a server that says nothing may wait for TLS from the first byte, as on port 465"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		if _, ok := errors.AsType[x509.HostnameError](err); ok {
			return "check [email] smtp_host: the certificate is for another name"
		}
		return "check [email] smtp_ca: the certificate's authority is not trusted"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the server does not speak TLS on this port: check [email] smtp_port, smtp_usessl and smtp_usetls"
	}
	if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, io.EOF) {
		return "" // the connection broke off
	}
	switch code := replyCode(err); {
	case code == 530:
		return "check [email] smtp_usetls, smtp_usessl and smtp_login"
	case code > 530 && code < 540, code == 454:
		return "check [email] smtp_username and smtp_password"
	case code > 0:
		return ""
	}
	// The library has no names for these.
	return "the server does not offer on this port what [email] smtp_usetls or smtp_login ask for; " +
		"most take a login only after TLS, and no password is sent without it"
}

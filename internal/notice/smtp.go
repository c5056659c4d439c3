package notice

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/wneessen/go-mail"

	"longhaul/internal/pipeline"
)

// laggard is how long a mail waits for a recipient who is refused for now (a
// greylist, a full mailbox) before it goes to the others alone.
const laggard = time.Hour

// SMTPOptions are how the mail server is reached, and who writes to whom.
type SMTPOptions struct {
	Host        string // empty: localhost
	Port        int    // 0: 465 with ImplicitTLS, 587 with Login, else 25
	StartTLS    bool   // TLS by STARTTLS, and nothing without it
	ImplicitTLS bool   // TLS from the first byte
	CAFile      string // PEM file with the authorities that are trusted; empty: the system's
	Login       bool
	Username    string
	Password    string
	Timeout     time.Duration // for sending one mail, from connecting to the last reply; 0: a minute
	From        string
	To          []string
	Site        string           // part of the Message-ID, as "palfa-mcgill"
	Helo        string           // the name that we greet with; empty: this host's
	Now         func() time.Time // nil: time.Now
}

// SMTP sends mails to one mail server, each over a connection of its own. It
// is safe for concurrent use.
type SMTP struct {
	o    SMTPOptions
	from *netmail.Address
	to   []*netmail.Address
	tls  *tls.Config
}

var _ Sender = (*SMTP)(nil)

// NewSMTP checks the options; it does not talk to the server.
func NewSMTP(o SMTPOptions) (*SMTP, error) {
	o.Host = cmp.Or(o.Host, "localhost")
	o.Timeout = cmp.Or(o.Timeout, time.Minute)
	if o.Port == 0 {
		o.Port = defaultPort(o)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &SMTP{o: o, tls: &tls.Config{ServerName: o.Host, MinVersion: tls.VersionTLS12}}
	if o.StartTLS && o.ImplicitTLS {
		return nil, errors.New("smtp_usetls and smtp_usessl exclude each other")
	}
	if o.Login && o.Username == "" {
		return nil, errors.New("smtp_login needs smtp_username")
	}
	if o.Login && !o.StartTLS && !o.ImplicitTLS && !onThisHost(o.Host) {
		// From what CRAM-MD5 sends, the password can be guessed at leisure.
		return nil, fmt.Errorf("smtp_login would show the password on the way to %s; set smtp_usetls or smtp_usessl", o.Host)
	}
	var err error
	if s.from, err = netmail.ParseAddress(o.From); err != nil {
		return nil, fmt.Errorf("sender %q: %w", o.From, err)
	}
	if len(o.To) == 0 {
		return nil, errors.New("recipient: there is none")
	}
	for _, to := range o.To {
		a, err := netmail.ParseAddress(to)
		if err != nil {
			return nil, fmt.Errorf("recipient %q: %w", to, err)
		}
		s.to = append(s.to, a)
	}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("smtp_ca: %w", err)
		}
		s.tls.RootCAs = x509.NewCertPool()
		if !s.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("smtp_ca: %s holds no certificate in PEM form", o.CAFile)
		}
	}
	return s, nil
}

// onThisHost reports whether a name is that of this host for the mail library,
// which sends a password in the clear to no other.
func onThisHost(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

func defaultPort(o SMTPOptions) int {
	switch {
	case o.ImplicitTLS:
		return 465
	case o.Login:
		return 587
	}
	return 25
}

// Send sends one mail, as Sender says.
func (s *SMTP) Send(ctx context.Context, m pipeline.Mail) error {
	text, err := s.render(m)
	if err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	ctx, cancel := s.limit(ctx)
	defer cancel()
	c, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	refused, err := c.envelope(s.from, s.to, s.o.Now().Sub(m.CreatedAt) > laggard)
	if err != nil {
		return err
	}
	if err := c.data(text); err != nil {
		return err
	}
	c.quit()
	return refused
}

// Check connects, logs in and asks whether the sender and all recipients are
// welcome. Nothing is sent. Its error says what is wrong and which setting to
// look at.
func (s *SMTP) Check(ctx context.Context) error {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	c, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	refused, err := c.envelope(s.from, s.to, true)
	if err != nil {
		return err
	}
	c.quit()
	return refused
}

// limit is the time-out of one whole conversation.
func (s *SMTP) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, s.o.Timeout, fmt.Errorf("not done within %v: %w", s.o.Timeout, context.DeadlineExceeded))
}

// render writes out a mail with its headers. It depends on nothing but the
// mail and the options, so that a second copy is the same as the first.
func (s *SMTP) render(m pipeline.Mail) ([]byte, error) {
	msg := mail.NewMsg(mail.WithCharset(mail.CharsetUTF8), mail.WithEncoding(mail.EncodingQP), mail.WithNoDefaultUserAgent())
	msg.FromMailAddress(s.from)
	msg.ToMailAddress(s.to...)
	msg.Subject(subject(m.Subject))
	msg.SetDateWithValue(m.CreatedAt.UTC())
	msg.SetMessageIDWithValue(s.messageID(m))
	// RFC 3834: no out-of-office replies, please.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetGenHeader("X-Longhaul-Kind", string(m.Kind))
	msg.SetBodyString(mail.TypeTextPlain, body(m.Body))
	var b bytes.Buffer
	if _, err := msg.WriteTo(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// messageID names a mail for ever: the number in the outbox, the time, which
// sets it apart should the outbox begin anew, and the site.
func (s *SMTP) messageID(m pipeline.Mail) string {
	site := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, strings.ToLower(s.o.Site))
	_, domain, _ := strings.Cut(s.from.Address, "@")
	return fmt.Sprintf("longhaul-mail-%d.%d.%s@%s", m.ID, m.CreatedAt.Unix(), cmp.Or(site, "site"), domain)
}

// dial connects, starts TLS and logs in. The conversation ends with ctx.
func (s *SMTP) dial(ctx context.Context) (*conversation, error) {
	c := &conversation{ctx: ctx, server: net.JoinHostPort(s.o.Host, fmt.Sprint(s.o.Port))}
	client, err := mail.NewClient(s.o.Host, s.clientOptions(c)...)
	if err != nil {
		return nil, fmt.Errorf("mail client: %w", err)
	}
	c.Client, err = client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		c.close()
		return nil, c.outage("connect", s.withoutPassword(err), c.connectHint(err))
	}
	return c, nil
}

// international reports whether a mail with an address needs SMTPUTF8. Names
// and subjects do not: they are encoded.
func international(a *netmail.Address) bool {
	return strings.ContainsFunc(a.Address, func(r rune) bool { return r > unicode.MaxASCII })
}

// clientOptions are the options of the mail library. It makes the connection
// with c.dial, because it would not close it after an error itself.
func (s *SMTP) clientOptions(c *conversation) []mail.Option {
	opts := []mail.Option{
		mail.WithPort(s.o.Port),
		mail.WithTimeout(s.o.Timeout + time.Minute), // it is the context that ends the conversation
		mail.WithTLSConfig(s.tls),
		mail.WithTLSPolicy(mail.NoTLS),
		mail.WithDialContextFunc(c.dial),
	}
	if !slices.ContainsFunc(append([]*netmail.Address{s.from}, s.to...), international) {
		// The library asks for SMTPUTF8 wherever it is offered. A server that
		// goes on to one without it must then return the mail.
		opts = append(opts, mail.WithoutSMTPUTF8())
	}
	if s.o.Helo != "" {
		opts = append(opts, mail.WithHELO(s.o.Helo))
	}
	if s.o.StartTLS {
		opts = append(opts, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if s.o.ImplicitTLS {
		c.tls = s.tls
		opts = append(opts, mail.WithSSL())
	}
	if s.o.Login {
		opts = append(opts, mail.WithUsername(s.o.Username), mail.WithPassword(s.o.Password),
			mail.WithOpportunisticSMTPAuth(mail.SMTPAuthPlain, mail.SMTPAuthLogin, mail.SMTPAuthCramMD5))
	}
	return opts
}

// hiddenError is an error with another text.
type hiddenError struct {
	error
	text string
}

func (e hiddenError) Error() string { return e.text }
func (e hiddenError) Unwrap() error { return e.error }

// withoutPassword takes the password out of an error, in all the forms in which
// it was sent: a server may repeat a command that it does not like.
func (s *SMTP) withoutPassword(err error) error {
	if s.o.Password == "" {
		return err
	}
	code := base64.StdEncoding.EncodeToString
	return hiddenError{err, strings.NewReplacer(
		code([]byte("\x00"+s.o.Username+"\x00"+s.o.Password)), "[secret]", // PLAIN
		code([]byte(s.o.Password)), "[secret]", // LOGIN
		s.o.Password, "[secret]",
	).Replace(err.Error())}
}

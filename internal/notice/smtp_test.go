package notice

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"longhaul/internal/notice/smtptest"
	"longhaul/internal/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts a mail server that is closed with the test.
func start(t *testing.T, o smtptest.Options) *smtptest.Server {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := smtptest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// client returns a client for a server; change edits its options.
func client(t *testing.T, s *smtptest.Server, change func(*SMTPOptions)) *SMTP {
	t.Helper()
	o := SMTPOptions{
		Host: "127.0.0.1", Port: s.Addr().Port, Timeout: 10 * time.Second,
		From: "Longhaul <pipeline@site.example>", To: []string{"ops@site.example", "Zoë <zoe@site.example>"}, Site: "PALFA@McGill",
	}
	if change != nil {
		change(&o)
	}
	c, err := NewSMTP(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func received(t *testing.T, s *smtptest.Server) []smtptest.Mail {
	t.Helper()
	mails, err := s.Mails()
	if err != nil {
		t.Fatal(err)
	}
	return mails
}

// tlsServer starts a server with a certificate for 127.0.0.1 and returns the
// file with its authority.
func tlsServer(t *testing.T, o smtptest.Options, hosts ...string) (s *smtptest.Server, caFile string) {
	t.Helper()
	cert, pem, err := smtptest.Certificate(hosts...)
	if err != nil {
		t.Fatal(err)
	}
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pem, 0o640); err != nil {
		t.Fatal(err)
	}
	o.Certificate = &cert
	return start(t, o), caFile
}

var created = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestAMailArrivesAsItWasWritten(t *testing.T) {
	t.Parallel()
	s := start(t, smtptest.Options{})
	c := client(t, s, nil)
	text := "Größe: 5 µs, a line of " + strings.Repeat("x", 2000) + "\n.\n.leading dot\ntrailing blank \n"
	m := pipeline.Mail{ID: 12, Kind: pipeline.NoticeCrash, Subject: "größer als sonst: " + strings.Repeat("long ", 20), Body: text, CreatedAt: created}
	if err := c.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(t.Context(), m); err != nil { // again, as after a crash
		t.Fatal(err)
	}
	mails := received(t, s)
	if len(mails) != 2 {
		t.Fatalf("%d mails, want 2", len(mails))
	}
	got := mails[0]
	if got.Subject != strings.TrimSpace(m.Subject) {
		t.Errorf("subject %q, want %q", got.Subject, m.Subject)
	}
	if got.Body != text {
		t.Errorf("body %q, want %q", got.Body, text)
	}
	if !got.Date.Equal(created) {
		t.Errorf("date %v, want when it was composed, %v", got.Date, created)
	}
	if strings.Join(got.Recipients, " ") != "ops@site.example zoe@site.example" || got.Sender != "pipeline@site.example" {
		t.Errorf("envelope %v from %q", got.Recipients, got.Sender)
	}
	if got.From != `"Longhaul" <pipeline@site.example>` || !strings.Contains(got.To, "Zoë") {
		t.Errorf("from %q to %q", got.From, got.To)
	}
	if want := "<longhaul-mail-12.1772366400.palfamcgill@site.example>"; got.MessageID != want || mails[1].MessageID != want {
		t.Errorf("message IDs %q and %q, want %q both times", got.MessageID, mails[1].MessageID, want)
	}
	if got.Header.Get("Auto-Submitted") != "auto-generated" {
		t.Errorf("header %v, want Auto-Submitted", got.Header)
	}
}

func TestNoForeignTextBecomesAHeaderOrALongMail(t *testing.T) {
	t.Parallel()
	s := start(t, smtptest.Options{})
	m := pipeline.Mail{ID: 1, CreatedAt: created,
		Subject: "file a\r\nBcc: evil@x.example\r\n\r\nbody\x00\xff.fits",
		Body:    "\x1b[31mred\x00\xff\r\n.\r\nMAIL FROM:<evil@x.example>\r\n" + strings.Repeat("é", maxBody)}
	if err := client(t, s, nil).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	mails := received(t, s)
	if len(mails) != 1 || len(mails[0].Recipients) != 2 {
		t.Fatalf("received %+v, want one mail to two", mails)
	}
	got := mails[0]
	if want := "file a Bcc: evil@x.example body \uFFFD.fits"; got.Subject != want {
		t.Errorf("subject %q, want %q", got.Subject, want)
	}
	if got.Header.Get("Bcc") != "" {
		t.Error("the subject has become a header")
	}
	if !strings.HasPrefix(got.Body, "\uFFFD[31mred\uFFFD\uFFFD\n.\nMAIL FROM:<evil@x.example>\né") {
		t.Errorf("body begins with %q", got.Body[:60])
	}
	if len(got.Body) > maxBody || !strings.Contains(got.Body, "the rest is left out: ") {
		t.Errorf("body of %d bytes ends in %q", len(got.Body), got.Body[len(got.Body)-60:])
	}
}

func TestTLSAndLogin(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		server smtptest.Options
		host   string // in the certificate
		change func(*SMTPOptions)
		hint   string // part of the error; empty: it works
	}{
		{"STARTTLS", smtptest.Options{}, "127.0.0.1", func(o *SMTPOptions) { o.StartTLS = true }, ""},
		{"TLS at once", smtptest.Options{ImplicitTLS: true}, "127.0.0.1", func(o *SMTPOptions) { o.ImplicitTLS = true }, ""},
		{"a login after STARTTLS", smtptest.Options{Username: "pipe", Password: "s3cret"}, "127.0.0.1",
			func(o *SMTPOptions) { o.StartTLS, o.Login, o.Username, o.Password = true, true, "pipe", "s3cret" }, ""},
		{"a login with TLS at once", smtptest.Options{ImplicitTLS: true, Username: "pipe", Password: "s3cret"}, "127.0.0.1",
			func(o *SMTPOptions) { o.ImplicitTLS, o.Login, o.Username, o.Password = true, true, "pipe", "s3cret" }, ""},
		{"a wrong password", smtptest.Options{Username: "pipe", Password: "s3cret"}, "127.0.0.1",
			func(o *SMTPOptions) { o.StartTLS, o.Login, o.Username, o.Password = true, true, "pipe", "other" }, "check [email] smtp_username and smtp_password"},
		{"no login where one is wanted", smtptest.Options{Username: "pipe", Password: "s3cret"}, "127.0.0.1",
			func(o *SMTPOptions) { o.StartTLS = true }, "smtp_login"},
		{"an authority that is not trusted", smtptest.Options{}, "127.0.0.1",
			func(o *SMTPOptions) { o.StartTLS, o.CAFile = true, "" }, "check [email] smtp_ca"},
		{"a certificate for another host", smtptest.Options{}, "mail.other.example",
			func(o *SMTPOptions) { o.StartTLS = true }, "certificate is for another name"},
		{"TLS at once where STARTTLS is spoken", smtptest.Options{}, "127.0.0.1",
			func(o *SMTPOptions) { o.ImplicitTLS = true }, "does not speak TLS on this port"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, ca := tlsServer(t, tt.server, tt.host)
			c := client(t, s, func(o *SMTPOptions) { o.CAFile = ca; tt.change(o) })
			checkErr := c.Check(t.Context())
			err := c.Send(t.Context(), pipeline.Mail{ID: 1, Subject: "x", Body: "y", CreatedAt: created})
			if tt.hint == "" {
				if err != nil || checkErr != nil || len(received(t, s)) != 1 {
					t.Errorf("Check = %v, Send = %v, %d mails, want one sent", checkErr, err, len(received(t, s)))
				}
				return
			}
			for _, err := range []error{checkErr, err} {
				if !errors.Is(err, pipeline.ErrOutage) || !strings.Contains(err.Error(), tt.hint) {
					t.Errorf("error %v, want an outage with the hint %q", err, tt.hint)
				} else if strings.Contains(err.Error(), "s3cret") {
					t.Errorf("the error shows the password: %v", err)
				}
			}
		})
	}
}

func TestWithoutTLSNothingIsSentThatNeedsIt(t *testing.T) {
	t.Parallel()
	s := start(t, smtptest.Options{})
	err := client(t, s, func(o *SMTPOptions) { o.StartTLS = true }).Send(t.Context(), pipeline.Mail{CreatedAt: created})
	if !errors.Is(err, pipeline.ErrOutage) || !strings.Contains(err.Error(), "STARTTLS") {
		t.Errorf("Send = %v, want an outage for want of STARTTLS", err)
	}
	if len(received(t, s)) != 0 {
		t.Error("the mail went out in the clear")
	}
}

func TestFaultsOfTheServer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fault smtptest.Fault
		young bool   // the mail was composed a moment ago
		want  error  // in the error's tree
		text  string // part of the error
		mails int    // that the server has afterwards
	}{
		{"refuses connections", smtptest.Fault{At: smtptest.AtConnect, Code: 421}, false, pipeline.ErrOutage, "421", 0},
		{"is silent at the greeting", smtptest.Fault{At: smtptest.AtConnect, Hang: true}, false, pipeline.ErrOutage, "not done within 500ms", 0},
		{"is silent at the sender", smtptest.Fault{At: smtptest.AtSender, Hang: true}, false, pipeline.ErrOutage, "not done within 500ms", 0},
		{"is silent after the text", smtptest.Fault{At: smtptest.AtData, Hang: true}, false, pipeline.ErrOutage, "may arrive twice", 0},
		{"does not know the sender", smtptest.Fault{At: smtptest.AtSender, Code: 550}, false, pipeline.ErrOutage, "check [email] sender", 0},
		{"knows no recipient", smtptest.Fault{At: smtptest.AtRecipient, Code: 550}, false, pipeline.ErrOutage, "check [email] recipient", 0},
		{"knows one of two recipients", smtptest.Fault{At: smtptest.AtRecipient, Code: 550, Only: "ops@site.example"}, true, ErrRecipient, "ops@site.example", 1},
		{"greylists", smtptest.Fault{At: smtptest.AtRecipient, Code: 451}, true, pipeline.ErrOutage, "451", 0},
		{"greylists one of two recipients", smtptest.Fault{At: smtptest.AtRecipient, Code: 451, Only: "ops@site.example"}, true, pipeline.ErrOutage, "451", 0},
		{"has a full mailbox for too long", smtptest.Fault{At: smtptest.AtRecipient, Code: 452, Only: "ops@site.example"}, false, ErrRecipient, "452", 1},
		{"cannot take the text now", smtptest.Fault{At: smtptest.AtData, Code: 451}, false, pipeline.ErrOutage, "451", 0},
		{"will never take the text", smtptest.Fault{At: smtptest.AtData, Code: 554, Text: "spam"}, false, ErrRefused, "spam", 0},
		{"takes the mail and loses the reply", smtptest.Fault{At: smtptest.AtReply}, false, pipeline.ErrOutage, "may arrive twice", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, smtptest.Options{})
			s.Misbehave(tt.fault)
			c := client(t, s, func(o *SMTPOptions) {
				if tt.fault.Hang {
					o.Timeout = 500 * time.Millisecond
				}
			})
			m := pipeline.Mail{ID: 1, Subject: "x", Body: "y", CreatedAt: time.Now().Add(-2 * time.Hour)}
			if tt.young {
				m.CreatedAt = time.Now()
			}
			began := time.Now()
			err := c.Send(t.Context(), m)
			if took := time.Since(began); tt.fault.Hang && took > 5*time.Second {
				t.Errorf("it took %v in spite of a time-out of 500 ms", took)
			}
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Fatalf("Send = %v, want %v with %q", err, tt.want, tt.text)
			}
			for _, other := range []error{pipeline.ErrOutage, ErrRefused, ErrRecipient} {
				if other != tt.want && errors.Is(err, other) {
					t.Errorf("Send = %v, which is also %v", err, other)
				}
			}
			if got := len(received(t, s)); got != tt.mails {
				t.Errorf("%d mails, want %d", got, tt.mails)
			}
			s.Behave()
			if err := client(t, s, nil).Send(t.Context(), m); err != nil {
				t.Errorf("Send to the server that behaves again = %v", err)
			}
		})
	}
}

func TestAServerThatIsNotThere(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := NewSMTP(SMTPOptions{Host: "127.0.0.1", Port: port, From: "a@b.example", To: []string{"c@d.example"}})
	if err != nil {
		t.Fatal(err)
	}
	out, ok := errors.AsType[*pipeline.OutageError](c.Send(t.Context(), pipeline.Mail{}))
	if !ok || out.System != pipeline.MailServer {
		t.Errorf("Send = %v, want an outage of the mail server", out)
	}
}

func TestADaemonThatStopsDoesNotWaitForTheServer(t *testing.T) {
	t.Parallel()
	s := start(t, smtptest.Options{})
	s.Misbehave(smtptest.Fault{At: smtptest.AtData, Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := client(t, s, func(o *SMTPOptions) { o.Timeout = time.Minute }).Send(ctx, pipeline.Mail{CreatedAt: created})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 5*time.Second {
		t.Errorf("Send = %v after %v, want it ended by its context", err, time.Since(began))
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	good := SMTPOptions{From: "a@b.example", To: []string{"c@d.example"}}
	notPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(notPEM, []byte("hello"), 0o640); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*SMTPOptions)
		want   string
	}{
		{"both kinds of TLS", func(o *SMTPOptions) { o.StartTLS, o.ImplicitTLS = true, true }, "smtp_usessl"},
		{"a login without a name", func(o *SMTPOptions) { o.Login = true }, "smtp_username"},
		{"a login that others could read", func(o *SMTPOptions) { o.Host, o.Login, o.Username = "mail.example", true, "pipe" }, "smtp_usetls"},
		{"no sender", func(o *SMTPOptions) { o.From = "" }, "sender"},
		{"a sender that adds a header", func(o *SMTPOptions) { o.From = "a@b.example>\r\nBcc: <x@y.example" }, "sender"},
		{"no recipient", func(o *SMTPOptions) { o.To = nil }, "recipient"},
		{"a recipient without a host", func(o *SMTPOptions) { o.To = []string{"ops"} }, `recipient "ops"`},
		{"no authority", func(o *SMTPOptions) { o.CAFile = "/nonexistent" }, "smtp_ca"},
		{"an authority that is none", func(o *SMTPOptions) { o.CAFile = notPEM }, "smtp_ca"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := good
			tt.change(&o)
			if _, err := NewSMTP(o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("NewSMTP = %v, want an error that names %q", err, tt.want)
			}
		})
	}
	for _, tt := range []struct {
		o    SMTPOptions
		port int
	}{{SMTPOptions{}, 25}, {SMTPOptions{Login: true}, 587}, {SMTPOptions{ImplicitTLS: true, Login: true}, 465}} {
		if got := defaultPort(tt.o); got != tt.port {
			t.Errorf("port %d for %+v, want %d", got, tt.o, tt.port)
		}
	}
}

// The mailer and a real server together: down, up, replies lost.
func TestMailerWithARealServer(t *testing.T) {
	t.Parallel()
	s := start(t, smtptest.Options{})
	outbox := &memOutbox{now: time.Now}
	m := New(outbox, client(t, s, nil), Policy{Prefix: "[longhaul]", MaxPerHour: 10}, time.Now, slog.New(slog.DiscardHandler))

	s.Misbehave(smtptest.Fault{At: smtptest.AtConnect, Code: 421})
	outbox.addMany(pipeline.NoticeTerminalFailure, 1)
	for range 3 {
		if err := m.Pass(t.Context()); !errors.Is(err, pipeline.ErrOutage) {
			t.Fatalf("Pass = %v, want an outage", err)
		}
		outbox.addMany(pipeline.NoticeTerminalFailure, 10)
	}
	s.Misbehave(smtptest.Fault{At: smtptest.AtReply, Times: 1})
	if err := m.Pass(t.Context()); !errors.Is(err, pipeline.ErrOutage) {
		t.Fatalf("Pass with a lost reply = %v, want an outage", err)
	}
	if err := m.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	var subjects []string
	for _, mail := range received(t, s) {
		subjects = append(subjects, mail.Subject+" "+mail.MessageID[:strings.Index(mail.MessageID, ".")])
	}
	want := "[longhaul] job 1 given up <longhaul-mail-1|[longhaul] job 1 given up <longhaul-mail-1|" +
		"[longhaul] 30 notices: given up (first: job 1 given up) <longhaul-mail-2"
	if got := strings.Join(subjects, "|"); got != want {
		t.Errorf("received\n%s\nwant\n%s", got, want)
	}
}

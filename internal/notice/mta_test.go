package notice

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"longhaul/internal/notice/smtptest"
	"longhaul/internal/pipeline"
	"longhaul/tests/engines"
)

// mta is a real mail server, and the certificates.
type mta struct {
	*engines.Mail
	certs *engines.Certificates
}

// startMTA starts Exim with mailboxes for ops and zoe, and a login. It takes
// mails of 20 kB.
func startMTA(t *testing.T) mta {
	t.Helper()
	engines.Need(t, engines.MailPrograms()...)
	dir, err := os.MkdirTemp("", "longhaul-mta-") // not t.TempDir, which others cannot reach
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	certs, err := engines.NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o := engines.MailOptions{
		Certificate: certs.Server, Boxes: []string{"ops", "zoe"}, Username: "pipe", Password: "s3cret", MaxSize: 20 << 10,
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	m, err := engines.NewMail(ctx, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(m.Log())
		}
	})
	return mta{m, certs}
}

// client returns a client for the port that asks for nothing; change edits its options.
func (m mta) client(t *testing.T, change func(*SMTPOptions)) *SMTP {
	t.Helper()
	o := SMTPOptions{
		Host: "localhost", Port: m.Plain, CAFile: m.certs.CA, Timeout: 20 * time.Second, Helo: "pipeline.site.example",
		From: "Longhaul <pipeline@site.example>", To: []string{"ops@site.example", "Zoë <zoe@site.example>"}, Site: "test",
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

// delivered waits until a mailbox has n mails with a subject, looks again
// whether more come, and returns them.
func (m mta) delivered(t *testing.T, box, subject string, n int) []smtptest.Mail {
	t.Helper()
	var found []smtptest.Mail
	read := func() error {
		found = nil
		texts, err := m.Mail.Delivered(box)
		if err != nil {
			return err
		}
		for _, text := range texts {
			mail, err := smtptest.Parse([]byte(text))
			if err != nil {
				t.Fatalf("%v in %s", err, text)
			}
			if strings.HasPrefix(mail.Subject, subject) {
				found = append(found, mail)
			}
		}
		if len(found) != n {
			return fmt.Errorf("%d mails %q to %s, want %d", len(found), subject, box, n)
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := engines.Until(ctx, "delivery", read); err != nil {
		t.Fatal(err)
	}
	return found
}

// What a server in this process cannot show: that a real one agrees with us
// about the protocol, TLS and logins, and what it makes of a mail.
func TestARealMailServer(t *testing.T) {
	t.Parallel()
	m := startMTA(t)
	t.Run("delivers what was written", m.deliversWhatWasWritten)
	t.Run("TLS and login", m.tlsAndLogin)
	t.Run("one of two recipients is unknown", m.unknownRecipient)
	t.Run("too large a mail holds up no other", m.tooLarge)
	t.Run("a lost reply makes a second copy under the same name", m.lostReply)
	t.Run("a mail that was cut off is not delivered", m.cutOff)
	// These last, since they are felt by all.
	t.Run("greylisted, then taken", m.greylisted)
	t.Run("down, then up again", m.down)
}

func (m mta) deliversWhatWasWritten(t *testing.T) {
	text := "Größe: 5 µs, a line of " + strings.Repeat("x", 2000) + "\n.\n.leading dot\nFrom the start of a line\ntrailing blank \n"
	mail := pipeline.Mail{ID: 12, Subject: "written: größer als sonst " + strings.Repeat("long ", 20), Body: text, CreatedAt: created}
	if err := m.client(t, nil).Send(t.Context(), mail); err != nil {
		t.Fatal(err)
	}
	for _, box := range []string{"ops", "zoe"} {
		got := m.delivered(t, box, "written:", 1)[0]
		if got.Subject != strings.TrimSpace(mail.Subject) || got.Body != text {
			t.Errorf("subject %q and body %q, want %q and %q", got.Subject, got.Body, mail.Subject, text)
		}
		if want := "<longhaul-mail-12.1772366400.test@site.example>"; got.MessageID != want || got.Sender != "pipeline@site.example" {
			t.Errorf("%s from %s, want %s from the sender", got.MessageID, got.Sender, want)
		}
		// A mail that is marked as international is returned by the next
		// server if that one cannot do it; ours have nothing of the kind.
		if by := got.Header.Get("Received"); !strings.Contains(by, " with esmtp ") {
			t.Errorf("received %q, want it by plain ESMTP", by)
		}
	}
}

func (m mta) tlsAndLogin(t *testing.T) {
	login := func(o *SMTPOptions) { o.Login, o.Username, o.Password = true, "pipe", "s3cret" }
	for _, tt := range []struct {
		name   string
		change func(*SMTPOptions)
		hint   string // part of the error; empty: it works
	}{
		{"STARTTLS and a login", func(o *SMTPOptions) { login(o); o.Port, o.StartTLS = m.Submission, true }, ""},
		{"TLS at once and a login", func(o *SMTPOptions) { login(o); o.Port, o.ImplicitTLS = m.SMTPS, true }, ""},
		{"neither", func(*SMTPOptions) {}, ""},
		{"a wrong password", func(o *SMTPOptions) { login(o); o.Port, o.StartTLS, o.Password = m.Submission, true, "0ther" },
			"check [email] smtp_username and smtp_password"},
		{"no login where one is wanted", func(o *SMTPOptions) { o.Port, o.StartTLS = m.Submission, true }, "smtp_login"},
		{"a login in the clear", func(o *SMTPOptions) { login(o); o.Port = m.Submission }, "smtp_usetls"},
		{"STARTTLS where there is none", func(o *SMTPOptions) { o.StartTLS = true }, "smtp_usetls"},
		{"a login where there is none", login, "smtp_login"},
		{"TLS at once where STARTTLS is spoken", func(o *SMTPOptions) { o.Port, o.ImplicitTLS = m.Submission, true },
			"does not speak TLS on this port"},
		{"STARTTLS where TLS is spoken at once", func(o *SMTPOptions) { o.Port, o.StartTLS, o.Timeout = m.SMTPS, true, time.Second },
			"smtp_usessl"},
		{"an authority that is not trusted", func(o *SMTPOptions) { o.Port, o.StartTLS, o.CAFile = m.Submission, true, m.certs.OtherCA },
			"check [email] smtp_ca"},
		{"a certificate of another host", func(o *SMTPOptions) { o.Host, o.Port, o.ImplicitTLS = "127.0.0.3", m.SMTPS, true },
			"certificate is for another name"},
		{"an unknown server", func(o *SMTPOptions) { o.Host = "mail.invalid" }, "check [email] smtp_host"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := m.client(t, tt.change)
			checkErr := c.Check(t.Context())
			err := c.Send(t.Context(), pipeline.Mail{ID: 1, Subject: tt.name, Body: "y", CreatedAt: created})
			if tt.hint == "" {
				if err != nil || checkErr != nil {
					t.Fatalf("Check = %v, Send = %v, want no error", checkErr, err)
				}
				m.delivered(t, "ops", tt.name, 1)
				return
			}
			for _, err := range []error{checkErr, err} {
				if !errors.Is(err, pipeline.ErrOutage) || !strings.Contains(err.Error(), tt.hint) {
					t.Errorf("error %v, want an outage with the hint %q", err, tt.hint)
				} else if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "0ther") {
					t.Errorf("the error shows the password: %v", err)
				}
			}
			m.delivered(t, "ops", tt.name, 0)
		})
	}
}

// mailer returns a mailer with one notice that is due.
func (m mta) mailer(t *testing.T, subject string, change func(*SMTPOptions)) (*Mailer, *memOutbox) {
	t.Helper()
	outbox := &memOutbox{now: time.Now}
	outbox.add(pipeline.Notice{Kind: pipeline.NoticeCrash, Subject: subject, Body: "it ended\n"})
	return New(outbox, m.client(t, change), Policy{MaxPerHour: 10}, time.Now, slog.New(slog.DiscardHandler)), outbox
}

func (m mta) unknownRecipient(t *testing.T) {
	mailer, _ := m.mailer(t, "half", func(o *SMTPOptions) { o.To = []string{"nobody.here@site.example", "zoe@site.example"} })
	for range 2 { // it is not sent again for the other's sake
		if err := mailer.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	m.delivered(t, "zoe", "half", 1)
	err := m.client(t, func(o *SMTPOptions) { o.To = []string{"nobody.here@site.example"} }).Check(t.Context())
	if !errors.Is(err, pipeline.ErrOutage) || !strings.Contains(err.Error(), "nobody.here@site.example: 550") ||
		!strings.Contains(err.Error(), "check [email] recipient") {
		t.Errorf("Check = %v, want to hear who is unknown and where it says so", err)
	}
}

func (m mta) tooLarge(t *testing.T) {
	mailer, outbox := m.mailer(t, "large", nil)
	outbox.notices[0].Body = strings.Repeat("much of this.\n", 3000) // 42 kB
	outbox.add(pipeline.Notice{Kind: pipeline.NoticeOutage, Subject: "beside the large", Body: "the archive is back\n"})
	if err := mailer.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.delivered(t, "ops", "beside the large", 1)
	m.delivered(t, "ops", "large", 0)
	got := m.delivered(t, "ops", "mail 1 could not be sent as it was", 1)[0]
	if !strings.Contains(got.Body, "longhaul status") {
		t.Errorf("body %q does not say how to read the rest", got.Body)
	}
	if unsent, _ := outbox.UnsentMails(t.Context()); len(unsent) != 0 {
		t.Errorf("%d mails remain in the outbox", len(unsent))
	}
}

func (m mta) lostReply(t *testing.T) {
	p := m.cutter(t, func(line string, inText bool) bool { return inText && strings.HasPrefix(line, "250 ") })
	mailer, _ := m.mailer(t, "reply", func(o *SMTPOptions) { o.Host, o.Port = "127.0.0.1", p })
	if err := mailer.Pass(t.Context()); !errors.Is(err, pipeline.ErrOutage) || !strings.Contains(err.Error(), "may arrive twice") {
		t.Fatalf("Pass = %v, want an outage that says that the mail may arrive twice", err)
	}
	m.delivered(t, "ops", "reply", 1)
	for range 2 {
		if err := mailer.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	both := m.delivered(t, "ops", "reply", 2)
	if both[0].MessageID != both[1].MessageID || both[0].Body != both[1].Body {
		t.Errorf("message IDs %s and %s, want the same mail twice", both[0].MessageID, both[1].MessageID)
	}
}

func (m mta) cutOff(t *testing.T) {
	p := m.cutter(t, func(line string, inText bool) bool { return strings.HasPrefix(line, "354 ") })
	mailer, _ := m.mailer(t, "cut off", func(o *SMTPOptions) { o.Host, o.Port = "127.0.0.1", p })
	if err := mailer.Pass(t.Context()); !errors.Is(err, pipeline.ErrOutage) {
		t.Fatalf("Pass = %v, want an outage", err)
	}
	if err := mailer.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.delivered(t, "ops", "cut off", 1)
}

func (m mta) greylisted(t *testing.T) {
	if err := m.Greylist(true); err != nil {
		t.Fatal(err)
	}
	mailer, outbox := m.mailer(t, "grey", nil)
	for range 2 {
		if err := mailer.Pass(t.Context()); !errors.Is(err, pipeline.ErrOutage) || !strings.Contains(err.Error(), "Greylisted, try again later") {
			t.Fatalf("Pass = %v, want an outage with the server's words", err)
		}
	}
	err := m.client(t, nil).Send(t.Context(), Test("grey", "here", time.Now())) // as preflight does
	if err == nil || !strings.Contains(err.Error(), "in ten minutes") {
		t.Errorf("Send of a test mail = %v, want advice", err)
	}
	if err := m.Greylist(false); err != nil {
		t.Fatal(err)
	}
	if err := mailer.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.delivered(t, "ops", "grey", 1)
	if unsent, _ := outbox.UnsentMails(t.Context()); len(unsent) != 0 {
		t.Errorf("%d mails remain in the outbox", len(unsent))
	}
}

func (m mta) down(t *testing.T) {
	if err := m.Stop(); err != nil {
		t.Fatal(err)
	}
	// Processes that it had begun for connections may live a moment longer.
	if err := engines.Until(t.Context(), "the port to close", func() error {
		if engines.Answers(m.Plain)() == nil {
			return errors.New("somebody answers")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	mailer, outbox := m.mailer(t, "down 0", nil)
	for i := range 3 {
		if err := mailer.Pass(t.Context()); !errors.Is(err, pipeline.ErrOutage) || !strings.Contains(err.Error(), "smtp_port") {
			t.Fatalf("Pass = %v, want an outage with the settings to look at", err)
		}
		outbox.add(pipeline.Notice{Kind: pipeline.NoticeOutage, Subject: fmt.Sprintf("down %d", i+1), Body: "x\n"})
	}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := mailer.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.delivered(t, "ops", "down 0", 1)
	m.delivered(t, "ops", "3 notices: outage (first: down 1)", 1)
}

// cutter is a port from which connections go on to the server. The first of
// them is cut, and no reply passed on, at the server's line for which at is
// true; inText is true after the server has asked for the text of a mail.
func (m mta) cutter(t *testing.T, at func(line string, inText bool) bool) (port int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for cut := true; ; cut = false {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", m.Plain))
			if err != nil {
				_ = client.Close()
				return
			}
			go func() { _, _ = io.Copy(server, client) }()
			inText := false
			for lines := bufio.NewScanner(server); lines.Scan(); {
				line := lines.Text()
				if cut && at(line, inText) {
					break
				}
				inText = strings.HasPrefix(line, "354 ")
				_, _ = fmt.Fprintf(client, "%s\r\n", line)
			}
			_ = errors.Join(client.Close(), server.Close())
		}
	}()
	return ln.Addr().(*net.TCPAddr).Port
}

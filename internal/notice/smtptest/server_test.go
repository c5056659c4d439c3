package smtptest

import (
	"bufio"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(o)
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

const text = "From: a@b.example\r\nTo: c@d.example\r\nSubject: =?utf-8?q?gr=C3=B6=C3=9Fer?=\r\n" +
	"Message-ID: <1@b.example>\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nl=C3=A4nger\r\n"

// The client here is the standard library's: another one than the mailer's.
func send(s *Server) error {
	return smtp.SendMail(s.Addr().String(), nil, "a@b.example", []string{"c@d.example", "e@f.example"}, []byte(text))
}

func TestMailsAreKeptAndNumberedOn(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "mails [1]")
	for range 2 { // the second server finds the first one's mails
		s := start(t, Options{Dir: dir})
		for range 2 {
			if err := send(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "note.txt"), nil, 0o640); err != nil {
		t.Fatal(err)
	}
	mails, err := ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, m := range mails {
		files = append(files, m.File)
	}
	if got := strings.Join(files, " "); got != "001.eml 002.eml 003.eml 004.eml" {
		t.Fatalf("files %s", got)
	}
	m := mails[3]
	if m.Subject != "größer" || m.Body != "länger\n" || m.MessageID != "<1@b.example>" || m.From != "a@b.example" || m.To != "c@d.example" {
		t.Errorf("mail %+v", m)
	}
	if m.Sender != "a@b.example" || strings.Join(m.Recipients, " ") != "c@d.example e@f.example" {
		t.Errorf("envelope from %s to %v", m.Sender, m.Recipients)
	}
}

func TestTheThousandthMailComesAfterThe999th(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "999.eml"), []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	s := start(t, Options{Dir: dir})
	if err := send(s); err != nil {
		t.Fatal(err)
	}
	mails, err := s.Mails()
	if err != nil || len(mails) != 2 || mails[1].File != "1000.eml" {
		t.Errorf("mails %+v, %v, want 999.eml and 1000.eml", mails, err)
	}
}

func TestAFaultComesAsOftenAsTold(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Dir: t.TempDir()})
	s.Misbehave(Fault{At: AtRecipient, Code: 451, Text: "greylisted", Times: 2})
	for i, want := range []string{"451", "451", ""} {
		err := send(s)
		if got := ""; err != nil {
			got = err.Error()
			if want == "" || !strings.HasPrefix(got, want) {
				t.Errorf("mail %d: %v, want %q", i, err, want)
			}
		} else if want != "" {
			t.Errorf("mail %d was taken, want %s", i, want)
		}
	}
	if n := s.Connections(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

func TestClosingEndsWhatHangs(t *testing.T) {
	t.Parallel()
	for _, at := range []Step{AtConnect, AtSender, AtRecipient, AtData} {
		t.Run(string(at), func(t *testing.T) {
			t.Parallel()
			s, err := Start(Options{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			s.Misbehave(Fault{At: at, Hang: true})
			sent := make(chan error, 1)
			go func() { sent <- send(s) }()
			for s.Connections() == 0 {
				time.Sleep(time.Millisecond)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if err := <-sent; err == nil {
				t.Error("the mail was taken, want an error")
			}
		})
	}
}

func TestALoginIsNotOfferedInTheClear(t *testing.T) {
	t.Parallel()
	cert, _, err := Certificate("127.0.0.1", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, Options{Dir: t.TempDir(), Certificate: &cert, Username: "u", Password: "p"})
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("EHLO x\r\nQUIT\r\n")); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for scan := bufio.NewScanner(conn); scan.Scan(); {
		lines = append(lines, scan.Text())
	}
	all := strings.Join(lines, "\n")
	if !strings.Contains(all, "STARTTLS") || strings.Contains(all, "AUTH") {
		t.Errorf("the server offers\n%s\nwant STARTTLS and no AUTH", all)
	}
}

func TestBothLoginsAreChecked(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Dir: t.TempDir(), Username: "u", Password: "p"})
	for _, tt := range []struct {
		name string
		auth sasl.Client
		ok   bool
	}{
		{"PLAIN", sasl.NewPlainClient("", "u", "p"), true},
		{"LOGIN", sasl.NewLoginClient("u", "p"), true},
		{"PLAIN with a wrong password", sasl.NewPlainClient("", "u", "x"), false},
		{"LOGIN with a wrong password", sasl.NewLoginClient("u", "x"), false},
		{"another mechanism", sasl.NewAnonymousClient("u"), false},
	} {
		c, err := gosmtp.Dial(s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Auth(tt.auth); (err == nil) != tt.ok {
			t.Errorf("%s: Auth = %v, want ok %v", tt.name, err, tt.ok)
		}
		if err := c.Mail("a@b.example", nil); (err == nil) != tt.ok {
			t.Errorf("%s: Mail = %v, want ok %v", tt.name, err, tt.ok)
		}
		_ = c.Close()
	}
}

func TestAServerThatCannotBe(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"TLS without a certificate": {Dir: t.TempDir(), ImplicitTLS: true},
		"a file as directory":       {Dir: file},
		"no such address":           {Dir: t.TempDir(), Addr: "192.0.2.1:1"},
	} {
		if s, err := Start(o); err == nil {
			t.Errorf("%s: started", name)
			_ = s.Close()
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(text))
	f.Add([]byte("Subject: =?utf-8?b?/w==?=\r\nContent-Transfer-Encoding: base64\r\n\r\nYWJj\r\n"))
	f.Add([]byte("\r\n\r\n"))
	f.Add([]byte("Return-Path: <>\nDelivered-To: a\nDelivered-To: b\nDate: never\n\n=ZZ"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Parse(text)
		if err != nil && m.Header != nil {
			t.Errorf("Parse gives both a mail and the error %v", err)
		}
	})
}

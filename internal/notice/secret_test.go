package notice

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"longhaul/internal/pipeline"
)

// parrot is a mail server that knows the given ways to log in, refuses each
// command that logs in, and repeats it. It returns its port, and what it heard
// once it has ended.
func parrot(t *testing.T, ways string) (port int, heard func() string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	all := make(chan string, 1)
	go func() {
		defer ln.Close()
		var b strings.Builder
		defer func() { all <- b.String() }()
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "220 here\r\n")
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			line := lines.Text()
			b.WriteString(line + "\n")
			if strings.HasPrefix(line, "EHLO") {
				fmt.Fprintf(conn, "250-here\r\n250 AUTH %s\r\n", ways)
			} else if line == "AUTH LOGIN" {
				fmt.Fprint(conn, "334 VXNlcm5hbWU6\r\n")
			} else if line == "cGlwZQ==" { // pipe
				fmt.Fprint(conn, "334 UGFzc3dvcmQ6\r\n")
			} else {
				fmt.Fprintf(conn, "535 what do you mean by %q or s3cret?\r\n", line)
			}
		}
	}()
	return ln.Addr().(*net.TCPAddr).Port, func() string { return <-all }
}

func TestAServerThatRepeatsThePasswordDoesNotBringItIntoTheLog(t *testing.T) {
	t.Parallel()
	for _, ways := range []string{"PLAIN", "LOGIN"} {
		t.Run(ways, func(t *testing.T) {
			t.Parallel()
			port, heard := parrot(t, ways)
			c, err := NewSMTP(SMTPOptions{
				Host: "localhost", Port: port, Login: true, Username: "pipe", Password: "s3cret",
				From: "a@site.example", To: []string{"b@site.example"},
			})
			if err != nil {
				t.Fatal(err)
			}
			err = c.Send(t.Context(), pipeline.Mail{CreatedAt: created})
			if !errors.Is(err, pipeline.ErrOutage) || !strings.Contains(err.Error(), "what do you mean") ||
				!strings.Contains(err.Error(), "check [email] smtp_username and smtp_password") {
				t.Errorf("Send = %v, want an outage with the server's words", err)
			}
			for _, secret := range []string{"s3cret", "czNjcmV0", "AHBpcGUAczNjcmV0"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("Send = %v, which has %q in it", err, secret)
				}
			}
			if said := heard(); !strings.Contains(said, "czNjcmV0") && !strings.Contains(said, "AHBpcGUAczNjcmV0") {
				t.Errorf("the server was told %q: it was not given the password, so this test cannot fail", said)
			}
		})
	}
}

package engines

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode"
)

// mailUser is who the mail server runs as when root starts it: Exim delivers
// no mail as root.
const mailUser = "nobody"

// MailPrograms are what NewMail starts.
func MailPrograms() []string { return []string{"exim4"} }

// MailOptions are what the mail server knows and asks for.
type MailOptions struct {
	Certificate Certificate // its files are copied
	Boxes       []string    // local parts that have a mailbox, in any domain; others are unknown
	Username    string      // the login, in letters and digits
	Password    string
	MaxSize     int // of a mail in bytes; 0: a megabyte
}

// Mail is a real mail server, Exim. It has three ports:
//
//   - Plain: neither TLS nor a login, as servers are to hosts that they trust;
//   - Submission: STARTTLS, and after it a login, without which nothing is taken;
//   - SMTPS: TLS from the first byte, and a login.
//
// What it takes it delivers to mailboxes in its directory, and nothing leaves
// this host.
type Mail struct {
	Plain, Submission, SMTPS int
	dir                      string
	process                  *Process
}

// NewMail starts a mail server in dir, which is made if need be and which
// nobody, the user, must be able to reach.
func NewMail(ctx context.Context, dir string, o MailOptions) (*Mail, error) {
	ports, err := FreePorts(3)
	if err != nil {
		return nil, err
	}
	m := &Mail{Plain: ports[0], Submission: ports[1], SMTPS: ports[2], dir: dir}
	o.MaxSize = cmp.Or(o.MaxSize, 1<<20)
	if err := m.configure(o); err != nil {
		return nil, fmt.Errorf("mail server: %w", err)
	}
	return m, m.Start(ctx)
}

// Start starts the server again, on the same ports, after Stop.
func (m *Mail) Start(ctx context.Context) error {
	p, err := Start(Command{
		Path: "exim4", Args: []string{"-C", m.path("exim.conf"), "-bdf"}, Dir: m.dir, As: mailUser, Log: m.path("output"),
	})
	if err != nil {
		return fmt.Errorf("mail server: %w", err)
	}
	m.process = p
	for _, port := range []int{m.Plain, m.Submission, m.SMTPS} {
		if err := p.Ready(ctx, Answers(port)); err != nil {
			return errors.Join(fmt.Errorf("mail server: %w", err), m.Stop())
		}
	}
	return nil
}

// Stop ends the server. Mails that it has taken stay.
func (m *Mail) Stop() error { return m.process.Stop(syscall.SIGTERM) }

// Greylist makes the server refuse all recipients for now, as one does with
// senders whom it meets for the first time, or ends that.
func (m *Mail) Greylist(on bool) error {
	if on {
		return os.WriteFile(m.path("greylisting"), nil, 0o644)
	}
	return os.Remove(m.path("greylisting"))
}

// Delivered returns the mails in the mailbox of a local part as they were
// delivered, the oldest first. Above the sender's headers are the server's.
func (m *Mail) Delivered(box string) ([]string, error) {
	dir := m.path("mail", box, "new")
	entries, err := os.ReadDir(dir) // by name, which begins with the time
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	var mails []string
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		mails = append(mails, string(text))
	}
	return mails, nil
}

// Log is what the server has noted of its conversations and deliveries.
func (m *Mail) Log() string {
	var all strings.Builder
	for _, name := range []string{"mainlog", "rejectlog", "paniclog"} {
		if text, err := os.ReadFile(m.path("log", name)); err == nil {
			fmt.Fprintf(&all, "== %s\n%s", name, text)
		}
	}
	return all.String()
}

func (m *Mail) path(elem ...string) string {
	return filepath.Join(append([]string{m.dir}, elem...)...)
}

//go:embed exim.conf
var eximConf string

// configure writes what the server reads, and makes the directory its user's.
func (m *Mail) configure(o MailOptions) error {
	for _, s := range append(slices.Clone(o.Boxes), o.Username, o.Password) {
		if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			return fmt.Errorf("%q has more than letters and digits", s)
		}
	}
	if err := os.MkdirAll(m.dir, 0o755); err != nil {
		return err
	}
	for name, file := range map[string]string{"cert.pem": o.Certificate.Cert, "key.pem": o.Certificate.Key} {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(m.path(name), text, 0o600); err != nil {
			return err
		}
		if err := Own(mailUser, m.path(name)); err != nil {
			return err
		}
	}
	uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
	if uid == 0 {
		var err error
		if uid, gid, err = ids(mailUser); err != nil {
			return err
		}
	}
	var conf strings.Builder
	for _, macro := range []struct {
		name  string
		value any
	}{
		{"DIR", m.dir}, {"PLAIN", m.Plain}, {"SUBMISSION", m.Submission}, {"SMTPS", m.SMTPS}, {"BOXES", strings.Join(o.Boxes, " : ")},
		{"USER", o.Username}, {"PASSWORD", o.Password}, {"LIMIT", o.MaxSize},
		{"UID", uid}, {"GID", gid},
	} {
		fmt.Fprintf(&conf, "THE_%s = %v\n", macro.name, macro.value)
	}
	conf.WriteString(eximConf)
	// Exim reads no configuration that others could change.
	if err := os.WriteFile(m.path("exim.conf"), []byte(conf.String()), 0o644); err != nil {
		return err
	}
	return Own(mailUser, m.dir)
}

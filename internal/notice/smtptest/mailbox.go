package smtptest

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Mail is one mail that the server has accepted.
type Mail struct {
	File       string   // name in the directory, as "007.eml"
	From       string   // header, decoded
	To         string   // header, decoded
	Sender     string   // of the envelope
	Recipients []string // of the envelope
	Subject    string   // decoded
	MessageID  string   // with its angle brackets
	Date       time.Time
	Body       string // decoded, lines ending in "\n"
	Header     mail.Header
}

// ReadDir returns the mails in a server's directory, the oldest first. The
// server need not run.
func ReadDir(dir string) ([]Mail, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read mails: %w", err)
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return number(e.Name()) == 0 })
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(number(a.Name()), number(b.Name())) })
	var mails []Mail
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read mails: %w", err)
		}
		m, err := Parse(text)
		if err != nil {
			return nil, fmt.Errorf("read mail %s: %w", e.Name(), err)
		}
		m.File = e.Name()
		mails = append(mails, m)
	}
	return mails, nil
}

// Parse reads one mail as it is kept.
func Parse(text []byte) (Mail, error) {
	raw, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		return Mail{}, err
	}
	body, err := io.ReadAll(decoder(raw))
	if err != nil {
		return Mail{}, fmt.Errorf("body: %w", err)
	}
	m := Mail{
		From:       decoded(raw.Header.Get("From")),
		To:         decoded(raw.Header.Get("To")),
		Sender:     strings.Trim(raw.Header.Get("Return-Path"), "<>"),
		Recipients: raw.Header["Delivered-To"],
		Subject:    decoded(raw.Header.Get("Subject")),
		MessageID:  raw.Header.Get("Message-Id"),
		Body:       strings.ReplaceAll(string(body), "\r\n", "\n"),
		Header:     raw.Header,
	}
	m.Date, _ = raw.Header.Date() // zero if there is none
	return m, nil
}

// decoder undoes the transfer encoding of a mail's body.
func decoder(m *mail.Message) io.Reader {
	switch strings.ToLower(m.Header.Get("Content-Transfer-Encoding")) {
	case "quoted-printable":
		return quotedprintable.NewReader(m.Body)
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, m.Body)
	}
	return m.Body
}

// decoded undoes the encoding of a header, or returns it as it is.
func decoded(header string) string {
	s, err := new(mime.WordDecoder).DecodeHeader(header)
	if err != nil {
		return header
	}
	return s
}

// mailbox is the directory that mails are kept in.
type mailbox struct {
	root *os.Root
	mu   sync.Mutex
	last int // number of the newest mail
}

func openMailbox(dir string) (*mailbox, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	b := &mailbox{root: root}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	for _, e := range entries {
		b.last = max(b.last, number(e.Name()))
	}
	return b, nil
}

func (b *mailbox) close() error { return b.root.Close() }

// keep writes a mail under the next number. It appears whole, because the
// directory may be read at any time. The envelope goes on top, as mail
// servers do when they deliver.
func (b *mailbox) keep(from string, to []string, text []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var t bytes.Buffer
	fmt.Fprintf(&t, "Return-Path: <%s>\r\n", from)
	for _, rcpt := range to {
		fmt.Fprintf(&t, "Delivered-To: %s\r\n", rcpt)
	}
	t.Write(text)
	name := fmt.Sprintf("%03d.eml", b.last+1)
	if err := b.root.WriteFile(name+".part", t.Bytes(), 0o640); err != nil {
		return err
	}
	if err := b.root.Rename(name+".part", name); err != nil {
		return err
	}
	b.last++
	return nil
}

// number is the number in a mail's file name, 0 if there is none.
func number(name string) int {
	stem, ok := strings.CutSuffix(name, ".eml")
	n, err := strconv.Atoi(stem)
	if !ok || err != nil || n < 0 {
		return 0
	}
	return n
}

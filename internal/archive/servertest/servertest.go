// Package servertest is the specification of archive.FileServer: what a client
// and a server must do together, whatever they speak.
//
// It asks the same of every kind of server: listing, fetching, going on after a
// break, and telling an outage from a failure, with real files in a real
// directory and, where the server allows it, with a proxy in between that cuts
// and falls silent, and with the server stopped or killed in the middle. What
// only one protocol knows is left to the tests of package archive.
package servertest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"longhaul/internal/archive"
	"longhaul/internal/pipeline"
)

// Client says in what a client differs from one that is set up well.
type Client struct {
	Host          string        // other than the server's; a proxy listens there
	Patience      time.Duration // with a silent server; 0: more than any test takes
	Connect       time.Duration // to connect and to log in; 0: more than any test takes
	WrongPassword bool
	WrongTrust    bool // another authority or host key; Open returns nil where there is no such thing
}

// Harness is a server with what a test may do to it.
type Harness struct {
	Root string                                               // the directory that is served; empty
	Open func(t testing.TB, change Client) archive.FileServer // Close is up to the suite

	// Ports are those that the server listens on at 127.0.0.1, first the one
	// that clients begin with, then those of data connections. Empty: no proxy
	// can stand in between.
	Ports []int

	// The server can be stopped in whatever it does, and go on; the processes
	// that serve clients can be killed; the server can end, and start again.
	// All nil for a server without processes of its own.
	Freeze, Thaw, Stop, Start func() error
	KillSessions              func()

	NoLogin       bool // nobody logs in
	LinksAreFiles bool // the server does not show links as what they are
	// Crowd puts a directory of a hundred thousand files, f000000.fits and on,
	// beneath Root, and takes it away when the test ends.
	Crowd func(t *testing.T, name string)
}

// Run runs the suite. open is called once.
func Run(t *testing.T, open func(*testing.T) Harness) {
	s := &suite{Harness: open(t)}
	// The server's troubles come first, one by one; the parallel tests wait.
	t.Run("faults on the way", s.faultsOnTheWay)
	t.Run("faults of the server", s.faultsOfTheServer)
	for name, test := range map[string]func(*testing.T){
		"lists regular files with their sizes":                 s.lists,
		"what cannot be trusted is not listed":                 s.hostileNames,
		"odd names are listed and fetched":                     s.oddNames,
		"lists a hundred thousand files":                       s.crowd,
		"fetches from any offset":                              s.offsets,
		"goes on near the end of a file of 10 GiB":             s.huge,
		"many fetches at once":                                 s.concurrent,
		"what is missing is said to be missing":                s.missing,
		"a change shows in size or time":                       s.changed,
		"files of checksums are found and read":                s.checksums,
		"a login that is refused is an outage":                 s.loginRefused,
		"a server that is not the right one is an outage":      s.wrongServer,
		"the end of the context and errors of the writer pass": s.interrupted,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

type suite struct{ Harness }

// client opens a client, and closes it at the end of the test.
func (s *suite) client(t *testing.T, change Client) archive.FileServer {
	t.Helper()
	if change.Patience == 0 {
		change.Patience = time.Minute
	}
	if change.Connect == 0 {
		change.Connect = time.Minute
	}
	c := s.Open(t, change)
	if c == nil {
		return nil
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

// dir makes a directory of the test's own and returns its name on the server.
func (s *suite) dir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(s.Root, "GUID")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Base(dir)
}

// write makes a file that the server may read.
func (s *suite) write(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.Root, dir, name), content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// noise returns bytes that do not repeat, so that a wrong offset shows.
func noise(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = r.Read(b) // never fails
	return b
}

// kind names what the downloader would make of an error.
func kind(err error) string {
	switch {
	case err == nil:
		return "none"
	case errors.Is(err, archive.ErrLogin) && errors.Is(err, pipeline.ErrOutage):
		return "login"
	case errors.Is(err, pipeline.ErrOutage):
		return "outage"
	case errors.Is(err, archive.ErrNoFile):
		return "no file"
	case errors.Is(err, archive.ErrNoResume):
		return "no resume"
	case errors.Is(err, archive.ErrChanged):
		return "changed"
	}
	return "failed"
}

func wantKind(t *testing.T, err error, want string) {
	t.Helper()
	if got := kind(err); got != want {
		t.Errorf("error is of kind %q, want %q: %v", got, want, err)
	}
}

func wantBytes(t *testing.T, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("got %d bytes that are not the %d wanted", len(got), len(want))
	}
}

// watching is a writer that keeps what comes and does something at a point.
type watching struct {
	bytes.Buffer
	at int
	do func() // once
}

func (w *watching) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if w.do != nil && w.Len() >= w.at {
		do := w.do
		w.do = nil
		do()
	}
	return n, err
}

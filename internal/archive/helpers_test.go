package archive_test

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"longhaul/internal/archive"
	"longhaul/internal/archive/archivetest"
	"longhaul/internal/pipeline"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait for servers and time-outs far more than they compute.
	if p := flag.Lookup("test.parallel"); p.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		if err := p.Value.Set("8"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

const (
	user     = "pipe"
	password = "pipe+secret&more"
)

// noise returns bytes that do not repeat, so that a wrong offset shows.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// server starts a file server on a new directory that holds raw.fits in GUID/.
func server(t *testing.T, content []byte, change func(*archivetest.FileServerOptions)) *archivetest.FileServer {
	t.Helper()
	root := t.TempDir()
	writeFile(t, filepath.Join(root, "GUID", "raw.fits"), content)
	opts := archivetest.FileServerOptions{Root: root, Username: user, Password: password}
	if change != nil {
		change(&opts)
	}
	s, err := archivetest.NewFileServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the file server: %v", err)
		}
	})
	return s
}

// client returns a client for a server, with short time-outs.
func client(t *testing.T, s *archivetest.FileServer, change func(*archive.FTPOptions)) *archive.FTP {
	t.Helper()
	return clientAt(t, s.Host(), s.Port(), change)
}

func clientAt(t *testing.T, host string, port int, change func(*archive.FTPOptions)) *archive.FTP {
	t.Helper()
	opts := archive.FTPOptions{
		Host: host, Port: port, Username: user, Password: password,
		ConnectTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second,
	}
	if change != nil {
		change(&opts)
	}
	f, err := archive.NewFTP(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Errorf("closing the client: %v", err)
		}
	})
	return f
}

// impatient shortens the time-outs, for tests of silence.
func impatient(o *archive.FTPOptions) {
	o.ConnectTimeout, o.IdleTimeout = 200*time.Millisecond, 200*time.Millisecond
}

// newCA returns a new private authority.
func newCA(t *testing.T) *archivetest.CA {
	t.Helper()
	ca, err := archivetest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o640); err != nil {
		t.Fatal(err)
	}
}

// listen runs a server that is none: it hands each connection to handle.
func listen(t *testing.T, handle func(net.Conn)) (host string, port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			handle(c)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	addr := l.Addr().(*net.TCPAddr)
	return addr.IP.String(), addr.Port
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
	case errors.Is(err, archive.ErrRefused):
		return "refused"
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

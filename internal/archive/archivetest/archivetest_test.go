package archivetest_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"longhaul/internal/archive/archivetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// handshake reports whether a client that trusts one CA accepts the server of another.
func handshake(t *testing.T, server, trusted *archivetest.CA) error {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", server.ServerConfig())
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, c) // makes the handshake; the client's view of it is what counts
		c.Close()
	})
	defer done.Wait()
	defer l.Close()
	dialer := net.Dialer{Timeout: 10 * time.Second}
	c, err := tls.DialWithDialer(&dialer, "tcp", l.Addr().String(), &tls.Config{RootCAs: trusted.Pool()})
	if err != nil {
		return err
	}
	return c.Close()
}

func TestCAIsKeptInItsDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := archivetest.OpenCA(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := archivetest.OpenCA(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := handshake(t, second, first); err != nil {
		t.Errorf("the CA was not kept: %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "server.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info, err)
	}
	if err := os.Truncate(filepath.Join(dir, "server.pem"), 100); err != nil {
		t.Fatal(err)
	}
	third, err := archivetest.OpenCA(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := handshake(t, third, third); err != nil {
		t.Errorf("the new CA is of no use: %v", err)
	}
	if err := handshake(t, third, first); err == nil {
		t.Error("a client accepts the server of another CA")
	}
}

func TestCloseEndsSessionsInWhateverTheyDo(t *testing.T) {
	t.Parallel()
	s, err := archivetest.NewFileServer(archivetest.FileServerOptions{Root: t.TempDir(), Username: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	idle, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.ParseIP(s.Host()), Port: s.Port()})
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if _, err := idle.Read(make([]byte, 3)); err != nil { // the greeting: the session runs
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := idle.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, idle); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}

func TestServersNeedWhatTheyServe(t *testing.T) {
	t.Parallel()
	if _, err := archivetest.NewFileServer(archivetest.FileServerOptions{Root: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a file server without a directory started")
	}
	if _, err := archivetest.NewRestoreService(archivetest.RestoreServiceOptions{}); err == nil {
		t.Error("a restore service without functions started")
	}
}

package archive_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"longhaul/internal/archive"
	"longhaul/internal/archive/archivetest"
	"longhaul/internal/archive/servertest"
	"longhaul/tests/engines"
)

// TestServers runs the suite on every kind of file server.
func TestServers(t *testing.T) {
	t.Parallel()
	many := newCrowd(t)
	for name, open := range map[string]func(*testing.T) servertest.Harness{
		"vsftpd":                  many.in(ftpServer(engines.NewVsftpd, engines.VsftpdPrograms, "")),
		"vsftpd, explicit TLS":    ftpServer(engines.NewVsftpd, engines.VsftpdPrograms, archive.TLSExplicit),
		"proftpd":                 ftpServer(engines.NewProftpd, engines.ProftpdPrograms, ""),
		"proftpd, explicit TLS":   many.in(ftpServer(engines.NewProftpd, engines.ProftpdPrograms, archive.TLSExplicit)),
		"pure-ftpd, explicit TLS": ftpServer(engines.NewPureFTPd, engines.PureFTPdPrograms, archive.TLSExplicit),
		"sshd":                    many.in(sshServer),
		"nginx":                   many.in(nginxServer),
		"a directory":             many.in(directory),
		"FTP in this process":     inProcess,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servertest.Run(t, open)
		})
	}
}

// crowd is a directory of a hundred thousand files, which is moved to where it
// is needed: it takes longer to make than to list.
type crowd struct {
	make func() (string, error)
	mu   sync.Mutex // held while it is away
}

func newCrowd(t *testing.T) *crowd {
	dir, err := engines.FileServerDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return &crowd{make: sync.OnceValues(func() (string, error) {
		home := filepath.Join(dir, "crowd")
		if err := os.Mkdir(home, 0o755); err != nil {
			return "", err
		}
		for i := range 100_000 {
			// The quickest way to an empty file.
			if err := syscall.Mknod(filepath.Join(home, fmt.Sprintf("f%06d.fits", i)), syscall.S_IFREG|0o644, 0); err != nil {
				return "", err
			}
		}
		return home, nil
	})}
}

// in gives the crowd to a harness.
func (c *crowd) in(open func(*testing.T) servertest.Harness) func(*testing.T) servertest.Harness {
	return func(t *testing.T) servertest.Harness {
		h := open(t)
		h.Crowd = func(t *testing.T, name string) {
			c.mu.Lock()
			t.Cleanup(c.mu.Unlock)
			home, err := c.make()
			if err != nil {
				t.Fatal(err)
			}
			there := filepath.Join(h.Root, name)
			if err := os.Rename(home, there); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := os.Rename(there, home); err != nil {
					t.Error(err)
				}
			})
		}
		return h
	}
}

// publicDir is a directory for a server's files.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := engines.FileServerDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// must returns what is there unless there is an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// harness is that of a real server.
func harness(t *testing.T, s *engines.FileServer) servertest.Harness {
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return servertest.Harness{
		Root: s.Root, Ports: append([]int{s.Port}, s.DataPorts...),
		Freeze: s.Freeze, Thaw: s.Thaw, Stop: s.Stop, KillSessions: s.KillSessions,
		Start: func() error { return s.Start(context.WithoutCancel(t.Context())) },
	}
}

func or(host, otherwise string) string {
	if host == "" {
		return otherwise
	}
	return host
}

type newFTPServer = func(context.Context, string, engines.FTPOptions) (*engines.FileServer, error)

func ftpServer(start newFTPServer, programs func() []string, mode string) func(*testing.T) servertest.Harness {
	return func(t *testing.T) servertest.Harness {
		engines.NeedRoot(t)
		engines.Need(t, programs()...)
		s := must(start(t.Context(), publicDir(t), engines.FTPOptions{TLS: mode}))(t)
		h := harness(t, s)
		h.Open = func(t testing.TB, change servertest.Client) archive.FileServer {
			opts := archive.FTPOptions{
				Host: or(change.Host, s.Host), Port: s.Port, Username: s.User, Password: s.Password, TLS: mode,
				ConnectTimeout: change.Connect, IdleTimeout: change.Patience,
			}
			switch {
			case mode == "" && change.WrongTrust:
				return nil
			case change.WrongTrust:
				opts.CAFile = s.Certificates.OtherCA
			case mode != "":
				opts.CAFile = s.Certificates.CA
			}
			if change.WrongPassword {
				opts.Password = "wrong"
			}
			return must(archive.NewFTP(opts))(t)
		}
		return h
	}
}

func sshServer(t *testing.T) servertest.Harness {
	engines.NeedRoot(t)
	engines.Need(t, engines.SSHDPrograms()...)
	s := must(engines.NewSSHD(t.Context(), publicDir(t)))(t)
	h := harness(t, &s.FileServer)
	h.Open = func(t testing.TB, change servertest.Client) archive.FileServer {
		opts := sftpOptions(s)
		opts.Host, opts.ConnectTimeout, opts.IdleTimeout = or(change.Host, s.Host), change.Connect, change.Patience
		if change.WrongPassword {
			opts.KeyFile = s.OtherKey
		}
		if change.WrongTrust {
			opts.KnownHosts = s.Stranger
		}
		return must(archive.NewSFTP(opts))(t)
	}
	return h
}

func sftpOptions(s *engines.SSHServer) archive.SFTPOptions {
	return archive.SFTPOptions{
		Host: s.Host, Port: s.Port, Username: s.User, KeyFile: s.Key, KnownHosts: s.KnownHosts,
	}
}

func nginxServer(t *testing.T) servertest.Harness {
	engines.NeedRoot(t)
	engines.Need(t, engines.NginxPrograms()...)
	s := must(engines.NewNginx(t.Context(), publicDir(t), engines.NginxOptions{}))(t)
	h := harness(t, &s.FileServer)
	h.LinksAreFiles = true
	h.Open = func(t testing.TB, change servertest.Client) archive.FileServer {
		opts := httpsOptions(s)
		opts.URL = "https://" + net.JoinHostPort(or(change.Host, s.Host), strconv.Itoa(s.Port)) + "/basic"
		opts.ConnectTimeout, opts.IdleTimeout = change.Connect, change.Patience
		if change.WrongPassword {
			opts.Password = "wrong"
		}
		if change.WrongTrust {
			opts.CAFile = s.Certificates.OtherCA
		}
		return must(archive.NewHTTPS(opts))(t)
	}
	return h
}

func httpsOptions(s *engines.NginxServer) archive.HTTPSOptions {
	return archive.HTTPSOptions{
		URL:      fmt.Sprintf("https://%s:%d/basic/", s.Host, s.Port),
		Username: s.User, Password: s.Password, CAFile: s.Certificates.CA,
	}
}

func directory(t *testing.T) servertest.Harness {
	root := publicDir(t)
	return servertest.Harness{
		Root: root, NoLogin: true,
		Open: func(t testing.TB, change servertest.Client) archive.FileServer {
			if change.WrongTrust {
				return nil
			}
			return must(archive.NewDisk(root, nil))(t)
		},
	}
}

func inProcess(t *testing.T) servertest.Harness {
	root, ca := t.TempDir(), newCA(t)
	s := must(archivetest.NewFileServer(archivetest.FileServerOptions{
		Root: root, Username: user, Password: password, CA: ca, RequireReuse: true,
	}))(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return servertest.Harness{
		Root: root,
		Open: func(t testing.TB, change servertest.Client) archive.FileServer {
			opts := archive.FTPOptions{
				Host: s.Host(), Port: s.Port(), Username: user, Password: password, TLS: archive.TLSExplicit, RootCAs: ca.Pool(),
				ConnectTimeout: change.Connect, IdleTimeout: change.Patience,
			}
			if change.WrongPassword {
				opts.Password = "wrong"
			}
			if change.WrongTrust {
				opts.RootCAs = nil
			}
			return must(archive.NewFTP(opts))(t)
		},
	}
}

func TestImplicitTLSOfBothVersions(t *testing.T) {
	t.Parallel()
	engines.NeedRoot(t)
	engines.Need(t, append(engines.ProftpdPrograms(), engines.VsftpdPrograms()...)...)
	content := noise(100_000)
	for server, start := range map[string]newFTPServer{"proftpd": engines.NewProftpd, "vsftpd": engines.NewVsftpd} {
		s := must(start(t.Context(), publicDir(t), engines.FTPOptions{TLS: archive.TLSImplicit}))(t)
		harness(t, s)
		file := filepath.Join(s.Root, "raw.fits")
		writeFile(t, file, content)
		if err := os.Chmod(file, 0o644); err != nil {
			t.Fatal(err)
		}
		for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
			t.Run(server+", "+name, func(t *testing.T) {
				t.Parallel()
				f := clientAt(t, s.Host, s.Port, func(o *archive.FTPOptions) {
					o.Username, o.Password, o.TLS, o.TLSMax, o.CAFile = s.User, s.Password, archive.TLSImplicit, version, s.Certificates.CA
				})
				if l, err := f.List(t.Context(), ""); err != nil || len(l.Entries) != 1 {
					t.Errorf("List = %+v, %v", l, err)
				}
				for range 3 {
					var got bytes.Buffer
					if _, err := f.Fetch(t.Context(), "raw.fits", 0, &got); err != nil {
						t.Error(err)
					}
					wantBytes(t, got.Bytes(), content)
				}
			})
		}
	}
}

func TestCertificateOfAnotherHostIsNamed(t *testing.T) {
	t.Parallel()
	engines.NeedRoot(t)
	engines.Need(t, engines.VsftpdPrograms()...)
	s := must(engines.NewVsftpd(t.Context(), publicDir(t), engines.FTPOptions{TLS: archive.TLSExplicit, Wrong: true}))(t)
	harness(t, s)
	_, err := clientAt(t, "localhost", s.Port, func(o *archive.FTPOptions) {
		o.TLS, o.CAFile = archive.TLSExplicit, s.Certificates.CA
	}).List(t.Context(), "")
	wantKind(t, err, "outage")
	wantWords(t, err, "certificate of localhost is not trusted", "valid for wrong.example", "ftp_host must be a name in the certificate")
}

// wantWords checks that an error tells an operator what he needs.
func wantWords(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("error does not say %q: %v", w, err)
		}
	}
}

func TestListingThatTheServerCutsShortIsNotTakenForAll(t *testing.T) {
	t.Parallel()
	engines.NeedRoot(t)
	engines.Need(t, engines.PureFTPdPrograms()...)
	s := must(engines.NewPureFTPd(t.Context(), publicDir(t), engines.FTPOptions{MaxList: 10}))(t)
	harness(t, s)
	for i := range 5 {
		writeFile(t, filepath.Join(s.Root, "few", fmt.Sprintf("f%d", i)), nil)
	}
	for i := range 30 {
		writeFile(t, filepath.Join(s.Root, "many", fmt.Sprintf("f%d", i)), nil)
	}
	for _, dir := range []string{"few", "many"} {
		if err := os.Chmod(filepath.Join(s.Root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f := clientAt(t, s.Host, s.Port, func(o *archive.FTPOptions) { o.Username, o.Password = s.User, s.Password })
	for range 2 {
		_, err := f.List(t.Context(), "many")
		wantKind(t, err, "outage")
		wantWords(t, err, "leaves files out", "truncated to 10", "-L")
		if l, err := f.List(t.Context(), "few"); err != nil || len(l.Entries) != 5 {
			t.Errorf("few files: %+v, %v", l, err)
		}
	}
}

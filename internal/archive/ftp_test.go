package archive_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"longhaul/internal/archive"
	"longhaul/internal/archive/archivetest"
)

// flavours are the ways in which servers differ that should make no difference.
func flavours(t *testing.T) map[string]struct {
	server func(*archivetest.FileServerOptions)
	client func(*archive.FTPOptions)
} {
	ca := newCA(t)
	secure := func(o *archivetest.FileServerOptions) { o.CA, o.RequireReuse = ca, true }
	trust := func(o *archive.FTPOptions) { o.TLS, o.RootCAs = archive.TLSExplicit, ca.Pool() }
	return map[string]struct {
		server func(*archivetest.FileServerOptions)
		client func(*archive.FTPOptions)
	}{
		"plain":                          {},
		"TLS with demanded reuse":        {secure, trust},
		"TLS 1.2 with demanded reuse":    {secure, func(o *archive.FTPOptions) { trust(o); o.TLSMax = tls.VersionTLS12 }},
		"EPSV refused by the server":     {server: func(o *archivetest.FileServerOptions) { o.NoEPSV = true }},
		"EPSV switched off":              {client: func(o *archive.FTPOptions) { o.DisableEPSV = true }},
		"only LIST":                      {server: func(o *archivetest.FileServerOptions) { o.NoMLSD = true }},
		"MLSD announced but not there":   {server: func(o *archivetest.FileServerOptions) { o.FalseMLSD = true }},
		"only LIST, over TLS, no resume": {func(o *archivetest.FileServerOptions) { secure(o); o.NoMLSD, o.NoREST = true, true }, trust},
	}
}

func TestListStatAndFetchFromEveryKindOfServer(t *testing.T) {
	t.Parallel()
	content := noise(300_000)
	for name, flavour := range flavours(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server(t, content, flavour.server)
			f := client(t, s, flavour.client)
			for _, dir := range []string{"GUID", "/GUID", "/GUID/"} {
				listing, err := f.List(t.Context(), dir)
				if err != nil {
					t.Fatal(err)
				}
				if len(listing.Entries) != 1 || listing.Entries[0].Name != "raw.fits" || listing.Entries[0].Size != 300_000 {
					t.Fatalf("List(%q) = %+v", dir, listing)
				}
				e, err := f.Stat(t.Context(), "GUID/raw.fits")
				if err != nil || e.Size != 300_000 || e.Name != "raw.fits" || time.Since(e.ModTime) > time.Hour {
					t.Errorf("Stat = %+v, %v", e, err)
				}
				if listed := listing.Entries[0].ModTime; !listed.IsZero() && !listed.Equal(e.ModTime) {
					t.Errorf("listed time %v, Stat says %v", listed, e.ModTime)
				}
			}
			var got bytes.Buffer
			n, err := f.Fetch(t.Context(), "/GUID/raw.fits", 0, &got)
			if err != nil || n != 300_000 {
				t.Errorf("Fetch = %d, %v", n, err)
			}
			wantBytes(t, got.Bytes(), content)
			if stats := s.Stats(); stats.Logins > 2 { // 2: once more to do without MLSD
				t.Errorf("%d logins, want the connection to be used again", stats.Logins)
			}
		})
	}
}

func TestFetchGoesOnFromAnOffset(t *testing.T) {
	t.Parallel()
	content := noise(200_000)
	s := server(t, content, nil)
	f := client(t, s, nil)
	for _, offset := range []int64{1, 123_456, 200_000} {
		var got bytes.Buffer
		n, err := f.Fetch(t.Context(), "GUID/raw.fits", offset, &got)
		if err != nil || n != 200_000-offset {
			t.Errorf("Fetch from %d = %d, %v", offset, n, err)
		}
		wantBytes(t, got.Bytes(), content[offset:])
	}
	_, err := f.Fetch(t.Context(), "GUID/raw.fits", 200_001, new(bytes.Buffer))
	wantKind(t, err, "no resume")
	if r := s.Stats().Retrievals; len(r) != 3 || r[1].Offset != 123_456 || r[1].Sent != 200_000-123_456 {
		t.Errorf("retrievals %+v", r)
	}
}

func TestServerWithoutRESTCannotResume(t *testing.T) {
	t.Parallel()
	f := client(t, server(t, noise(100), func(o *archivetest.FileServerOptions) { o.NoREST = true }), nil)
	n, err := f.Fetch(t.Context(), "GUID/raw.fits", 50, new(bytes.Buffer))
	if wantKind(t, err, "no resume"); n != 0 {
		t.Errorf("%d bytes were written", n)
	}
}

func TestEachFetchHasItsOwnTLSSession(t *testing.T) {
	t.Parallel()
	// A session cache that several control connections share makes this fail
	// on a server that demands the reuse of the right session.
	ca, content := newCA(t), noise(100_000)
	s := server(t, content, func(o *archivetest.FileServerOptions) { o.CA, o.RequireReuse = ca, true })
	f := client(t, s, func(o *archive.FTPOptions) { o.TLS, o.RootCAs = archive.TLSExplicit, ca.Pool() })
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 3 {
				var got bytes.Buffer
				if _, err := f.Fetch(t.Context(), "GUID/raw.fits", 0, &got); err != nil {
					t.Error(err)
				}
				wantBytes(t, got.Bytes(), content)
			}
		})
	}
	all.Wait()
	if n := s.Stats().Logins; n > 4 {
		t.Errorf("%d logins for four at a time", n)
	}
}

func TestPrivateCAIsNeededAndEnough(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	s := server(t, []byte("x"), func(o *archivetest.FileServerOptions) { o.CA = ca })
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := ca.WritePEM(file); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(*archive.FTPOptions)
		kind   string
		says   string
	}{
		"the right CA, by file":    {func(o *archive.FTPOptions) { o.CAFile = file }, "none", ""},
		"the system's CAs":         {func(*archive.FTPOptions) {}, "outage", "ftp_tls_ca"},
		"another CA":               {func(o *archive.FTPOptions) { o.RootCAs = newCA(t).Pool() }, "outage", "certificate of 127.0.0.1 is not trusted"},
		"a name not in it":         {func(o *archive.FTPOptions) { o.CAFile, o.Host = file, "127.0.0.2" }, "outage", ""},
		"no TLS where it's a must": {func(o *archive.FTPOptions) { o.TLS = archive.TLSOff }, "login", "TLS is required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := client(t, s, func(o *archive.FTPOptions) { o.TLS = archive.TLSExplicit; tt.change(o) })
			_, err := f.Stat(t.Context(), "GUID/raw.fits")
			wantKind(t, err, tt.kind)
			if tt.says != "" && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error does not say %q: %v", tt.says, err)
			}
		})
	}
}

func TestServerWithoutTLSIsAnOutage(t *testing.T) {
	t.Parallel()
	f := client(t, server(t, nil, nil), func(o *archive.FTPOptions) { o.TLS = archive.TLSExplicit })
	_, err := f.List(t.Context(), "GUID")
	wantKind(t, err, "outage")
}

func TestLoginRefusedIsToldFromACrowdedServer(t *testing.T) {
	t.Parallel()
	s := server(t, []byte("x"), func(o *archivetest.FileServerOptions) { o.MaxClients = 1 })
	wrong := client(t, s, func(o *archive.FTPOptions) { o.Password = "no such password" })
	_, err := wrong.List(t.Context(), "")
	wantKind(t, err, "login")
	if strings.Contains(err.Error(), "no such password") {
		t.Errorf("password in the error: %v", err)
	}
	first := client(t, s, nil)
	if _, err := first.List(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	_, err = client(t, s, nil).List(t.Context(), "") // the first one's idle connection is in the way
	wantKind(t, err, "outage")
	if !strings.Contains(err.Error(), "maximum number") {
		t.Errorf("server's words are missing: %v", err)
	}
}

func TestRefusedUserNameIsARefusedLogin(t *testing.T) {
	t.Parallel()
	host, port := listen(t, talk("220 ready\r\n", "530 this server is anonymous only\r\n", "530 log in first\r\n"))
	_, err := clientAt(t, host, port, nil).List(t.Context(), "")
	wantKind(t, err, "login")
}

func TestMissingFilesAndDirectories(t *testing.T) {
	t.Parallel()
	for name, list := range map[string]bool{"MLSD": false, "LIST": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := client(t, server(t, nil, func(o *archivetest.FileServerOptions) { o.NoMLSD = list }), nil)
			_, err := f.Fetch(t.Context(), "GUID/none.fits", 0, new(bytes.Buffer))
			wantKind(t, err, "no file")
			_, err = f.Stat(t.Context(), "GUID/none.fits")
			wantKind(t, err, "no file")
			_, err = f.List(t.Context(), "NONE")
			wantKind(t, err, "no file")
		})
	}
}

func TestStatShowsThatAFileHasChanged(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	file := filepath.Join(root, "raw.fits")
	writeFile(t, file, []byte("first"))
	s := server(t, nil, func(o *archivetest.FileServerOptions) { o.Root = root })
	f := client(t, s, nil)
	before, err := f.Stat(t.Context(), "raw.fits")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, []byte("second"))
	after, err := f.Stat(t.Context(), "raw.fits")
	if err != nil {
		t.Fatal(err)
	}
	if before == after {
		t.Errorf("both times %+v", before)
	}
}

func TestIdleConnectionsThatHaveEndedAreReplaced(t *testing.T) {
	t.Parallel()
	s := server(t, []byte("x"), nil)
	f := client(t, s, nil)
	for range 3 {
		if _, err := f.Stat(t.Context(), "GUID/raw.fits"); err != nil {
			t.Fatal(err)
		}
		s.Disconnect()
	}
	if n := s.Stats().Logins; n != 3 {
		t.Errorf("%d logins, want 3", n)
	}
}

func TestPathsThatWouldBeCommandsAreNotSent(t *testing.T) {
	t.Parallel()
	s := server(t, nil, nil)
	f := client(t, s, nil)
	for _, path := range []string{"a\r\nDELE b", "-R", "../etc/passwd", "a/../../b", "\xff", "a\x00b", strings.Repeat("a", 5000)} {
		_, err := f.List(t.Context(), path)
		wantKind(t, err, "failed")
		_, err = f.Stat(t.Context(), path)
		wantKind(t, err, "failed")
		_, err = f.Fetch(t.Context(), path, 0, new(bytes.Buffer))
		wantKind(t, err, "failed")
	}
	if n := s.Stats().Connections; n != 0 {
		t.Errorf("the server was asked, %d connections", n)
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]archive.FTPOptions{
		"no host":           {},
		"two-line user":     {Host: "h", Username: "a\r\nDELE b"},
		"unknown TLS":       {Host: "h", TLS: "perhaps"},
		"CA file missing":   {Host: "h", TLS: archive.TLSExplicit, CAFile: filepath.Join(t.TempDir(), "none")},
		"port out of range": {Host: "h", Port: 70000},
	} {
		if _, err := archive.NewFTP(opts); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestEndedContextIsReturnedAsItIs(t *testing.T) {
	t.Parallel()
	host, port := listen(t, silence)
	for name, f := range map[string]*archive.FTP{
		"silent at greeting": clientAt(t, host, port, nil),
		"stalled transfer": client(t, server(t, noise(1000), func(o *archivetest.FileServerOptions) {
			o.Fault = func(string, int64) archivetest.Fault {
				return archivetest.Fault{Action: archivetest.Stall, After: 10}
			}
		}), nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			start := time.Now()
			_, err := f.Fetch(ctx, "GUID/raw.fits", 0, new(bytes.Buffer))
			if err != context.DeadlineExceeded {
				t.Errorf("Fetch = %v, want the context's error itself", err)
			}
			if took := time.Since(start); took > 4*time.Second {
				t.Errorf("returned after %v", took)
			}
		})
	}
}

func TestWriterErrorIsPassedOn(t *testing.T) {
	t.Parallel()
	f := client(t, server(t, noise(1000), nil), nil)
	full := errors.New("disk full")
	n, err := f.Fetch(t.Context(), "GUID/raw.fits", 0, writerFunc(func(p []byte) (int, error) { return 7, full }))
	if n != 7 || !errors.Is(err, full) {
		t.Errorf("Fetch = %d, %v", n, err)
	}
	wantKind(t, err, "failed")
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// silence keeps a connection open and says nothing until the client leaves.
func silence(c net.Conn) {
	_, _ = c.Read(make([]byte, 1))
}

// talk says its lines, the first at once and each other after a command.
func talk(lines ...string) func(net.Conn) {
	return func(c net.Conn) {
		for i, line := range lines {
			if i > 0 {
				if _, err := c.Read(make([]byte, 1024)); err != nil {
					return
				}
			}
			if _, err := c.Write([]byte(line)); err != nil {
				return
			}
		}
		silence(c)
	}
}

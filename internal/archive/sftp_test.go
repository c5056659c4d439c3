package archive_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"longhaul/internal/archive"
	"longhaul/tests/engines"
)

func TestLoginToSSHD(t *testing.T) {
	t.Parallel()
	engines.NeedRoot(t)
	engines.Need(t, engines.SSHDPrograms()...)
	s := must(engines.NewSSHD(t.Context(), publicDir(t)))(t)
	harness(t, &s.FileServer)
	ecdsa := knownHosts(t, s, s.HostKey[:len(s.HostKey)-len(".pub")]+"-ecdsa.pub")
	for name, tt := range map[string]struct {
		change func(*archive.SFTPOptions)
		kind   string
		says   []string
	}{
		"by key":                            {func(*archive.SFTPOptions) {}, "none", nil},
		"by locked key":                     {func(o *archive.SFTPOptions) { o.KeyFile, o.KeyPassphrase = s.LockedKey, s.KeyPhrase }, "none", nil},
		"by password":                       {func(o *archive.SFTPOptions) { o.KeyFile, o.Password = "", s.Password }, "none", nil},
		"by password after the wrong key":   {func(o *archive.SFTPOptions) { o.KeyFile, o.Password = s.OtherKey, s.Password }, "none", nil},
		"only its second host key known":    {func(o *archive.SFTPOptions) { o.KnownHosts = ecdsa }, "none", nil},
		"wrong key":                         {func(o *archive.SFTPOptions) { o.KeyFile = s.OtherKey }, "login", []string{"publickey"}},
		"wrong password":                    {func(o *archive.SFTPOptions) { o.KeyFile, o.Password = "", "wrong" }, "login", []string{"password"}},
		"a user whom the server won't have": {func(o *archive.SFTPOptions) { o.Username = "daemon" }, "login", nil},
		"another host key known":            {func(o *archive.SFTPOptions) { o.KnownHosts = s.Stranger }, "outage", []string{"line 1", "another server", "SHA256:"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := sftpOptions(s)
			tt.change(&opts)
			_, err := sftpClient(t, opts).List(t.Context(), "")
			wantKind(t, err, tt.kind)
			wantWords(t, err, tt.says...)
			if err != nil && strings.Contains(err.Error(), s.Password) {
				t.Errorf("password in the error: %v", err)
			}
		})
	}
	t.Run("the error about an unknown server has the line that makes it known", func(t *testing.T) {
		t.Parallel()
		opts := sftpOptions(s)
		opts.KnownHosts = filepath.Join(t.TempDir(), "known_hosts")
		writeFile(t, opts.KnownHosts, []byte("# nobody yet\n"))
		_, err := sftpClient(t, opts).List(t.Context(), "")
		wantKind(t, err, "outage")
		wantWords(t, err, "SHA256:", "add the line: ")
		if err == nil {
			return
		}
		_, line, _ := strings.Cut(err.Error(), "add the line: ")
		writeFile(t, opts.KnownHosts, []byte(line+"\n"))
		if _, err := sftpClient(t, opts).List(t.Context(), ""); err != nil {
			t.Error(err)
		}
	})
}

// knownHosts makes a file of known hosts with one public key.
func knownHosts(t *testing.T, s *engines.SSHServer, public string) string {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey(must(os.ReadFile(public))(t))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "known_hosts")
	writeFile(t, file, []byte(knownhosts.Line([]string{fmt.Sprintf("[%s]:%d", s.Host, s.Port)}, key)+"\n"))
	return file
}

func sftpClient(t *testing.T, opts archive.SFTPOptions) *archive.SFTP {
	t.Helper()
	f := must(archive.NewSFTP(opts))(t)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return f
}

func TestSFTPOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := filepath.Join(dir, "known_hosts")
	writeFile(t, good, nil)
	bad := filepath.Join(dir, "bad")
	writeFile(t, bad, []byte("host ssh-ed25519 nonsense\n"))
	open := filepath.Join(dir, "open")
	writeFile(t, open, []byte("key"))
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		opts archive.SFTPOptions
		says string
	}{
		"no host":             {archive.SFTPOptions{Username: "u", Password: "p", KnownHosts: good}, "no host"},
		"no user":             {archive.SFTPOptions{Host: "h", Password: "p", KnownHosts: good}, "no user name"},
		"no known hosts":      {archive.SFTPOptions{Host: "h", Username: "u", Password: "p"}, "known hosts"},
		"known hosts missing": {archive.SFTPOptions{Host: "h", Username: "u", Password: "p", KnownHosts: good + "x"}, "no such file"},
		"known hosts bad":     {archive.SFTPOptions{Host: "h", Username: "u", Password: "p", KnownHosts: bad}, "bad:1"},
		"nothing to log in":   {archive.SFTPOptions{Host: "h", Username: "u", KnownHosts: good}, "neither a key nor a password"},
		"key is no key":       {archive.SFTPOptions{Host: "h", Username: "u", KeyFile: good, KnownHosts: good}, "private key"},
		"everybody's key":     {archive.SFTPOptions{Host: "h", Username: "u", KeyFile: open, KnownHosts: good}, "0600"},
		"port out of range":   {archive.SFTPOptions{Host: "h", Username: "u", Password: "p", KnownHosts: good, Port: 70000}, "no such port"},
	} {
		if _, err := archive.NewSFTP(tt.opts); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fakeSFTP is a server of one file, raw.fits, and whatever listing, that keeps
// to its own rules.
type fakeSFTP struct {
	content []byte
	size    func() int64          // nil: that of content
	most    int                   // bytes in one answer; 0: any
	read    func(offset int64)    // before each answer
	list    func(from int) string // the name of an entry; "" ends the listing
	noSFTP  bool
}

type fileInfo struct {
	name string
	size int64
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.size }
func (i fileInfo) Mode() fs.FileMode  { return 0o644 }
func (i fileInfo) ModTime() time.Time { return time.Unix(1_600_000_000, 0) }
func (i fileInfo) IsDir() bool        { return false }
func (i fileInfo) Sys() any           { return nil }

func (f *fakeSFTP) info() fileInfo {
	if f.size != nil {
		return fileInfo{"raw.fits", f.size()}
	}
	return fileInfo{"raw.fits", int64(len(f.content))}
}

// Fileread implements sftp.FileReader.
func (f *fakeSFTP) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	if path.Base(r.Filepath) != "raw.fits" {
		return nil, os.ErrNotExist
	}
	return f, nil
}

func (f *fakeSFTP) ReadAt(p []byte, offset int64) (int, error) {
	if f.read != nil {
		f.read(offset)
	}
	if f.most > 0 {
		p = p[:min(len(p), f.most)]
	}
	return bytes.NewReader(f.content).ReadAt(p, offset)
}

// Filelist implements sftp.FileLister.
func (f *fakeSFTP) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	if r.Method == "List" {
		return f, nil
	}
	return one{f.info()}, nil
}

// Lstat implements sftp.LstatFileLister.
func (f *fakeSFTP) Lstat(*sftp.Request) (sftp.ListerAt, error) { return one{f.info()}, nil }

func (f *fakeSFTP) ListAt(to []fs.FileInfo, from int64) (int, error) {
	for i := range to {
		name := f.list(int(from) + i)
		if name == "" {
			return i, io.EOF
		}
		to[i] = fileInfo{name, 1}
	}
	return len(to), nil
}

type one []fs.FileInfo

func (o one) ListAt(to []fs.FileInfo, from int64) (int, error) {
	if from >= int64(len(o)) {
		return 0, io.EOF
	}
	return copy(to, o[from:]), nil
}

// serve runs the server and returns a client.
func (f *fakeSFTP) serve(t *testing.T, change func(*archive.SFTPOptions)) *archive.SFTP {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer := must(ssh.NewSignerFromKey(key))(t)
	config := &ssh.ServerConfig{
		KeyboardInteractiveCallback: func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err == nil && (len(answers) != 1 || answers[0] != password) {
				err = errors.New("wrong")
			}
			return nil, err
		},
	}
	config.AddHostKey(signer)
	host, port := listen(t, func(c net.Conn) { f.converse(c, config) })
	opts := archive.SFTPOptions{
		Host: host, Port: port, Username: user, Password: password,
		KnownHosts: filepath.Join(t.TempDir(), "known_hosts"), ConnectTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second,
	}
	address := knownhosts.Normalize(fmt.Sprintf("%s:%d", host, port))
	writeFile(t, opts.KnownHosts, []byte(knownhosts.Line([]string{address}, signer.PublicKey())+"\n"))
	if change != nil {
		change(&opts)
	}
	return sftpClient(t, opts)
}

func (f *fakeSFTP) converse(raw net.Conn, config *ssh.ServerConfig) {
	_, channels, requests, err := ssh.NewServerConn(raw, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for next := range channels {
		channel, requests, err := next.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			_ = r.Reply(r.Type == "subsystem" && !f.noSFTP, nil)
			if r.Type == "subsystem" && !f.noSFTP {
				go ssh.DiscardRequests(requests)
				break
			}
		}
		server := sftp.NewRequestServer(channel, sftp.Handlers{FileGet: f, FileList: f})
		_ = server.Serve()
		_ = server.Close()
	}
}

func TestSFTPServerThatSendsLessThanItIsAskedFor(t *testing.T) {
	t.Parallel()
	content := noise(1_000_000)
	f := (&fakeSFTP{content: content, most: 10_000}).serve(t, nil)
	for _, offset := range []int64{0, 123_456} {
		var got bytes.Buffer
		n, err := f.Fetch(t.Context(), "raw.fits", offset, &got)
		if err != nil || n != 1_000_000-offset {
			t.Errorf("Fetch = %d, %v", n, err)
		}
		wantBytes(t, got.Bytes(), content[offset:])
	}
}

func TestSFTPFileThatIsNotWhatItWas(t *testing.T) {
	t.Parallel()
	content := noise(500_000)
	var reads atomic.Int64
	grown := func() int64 {
		if reads.Load() > 0 {
			return 500_001
		}
		return 500_000
	}
	for name, tt := range map[string]struct {
		server *fakeSFTP
		kind   string
	}{
		"grows while it is fetched": {&fakeSFTP{content: content, size: grown, read: func(int64) { reads.Add(1) }}, "changed"},
		"is shorter than it says":   {&fakeSFTP{content: content, size: func() int64 { return 600_000 }}, "failed"},
		"has a size below nothing":  {&fakeSFTP{content: content, size: func() int64 { return -1 }}, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got bytes.Buffer
			n, err := tt.server.serve(t, nil).Fetch(t.Context(), "raw.fits", 0, &got)
			if wantKind(t, err, tt.kind); n != int64(got.Len()) {
				t.Errorf("%d bytes, %d were written", n, got.Len())
			}
			wantBytes(t, got.Bytes(), content[:got.Len()])
		})
	}
}

func TestSFTPReadsAhead(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int64
	enough := make(chan struct{})
	f := (&fakeSFTP{content: noise(2_000_000), read: func(int64) {
		// Eight answers wait for each other; a client that asks one by one would wait for ever.
		if n := now.Add(1); n > most.Load() {
			if most.Store(n); n == 8 {
				close(enough)
			}
		}
		<-enough
		now.Add(-1)
	}}).serve(t, nil)
	if n, err := f.Fetch(t.Context(), "raw.fits", 0, io.Discard); err != nil || n != 2_000_000 {
		t.Errorf("Fetch = %d, %v, with %d requests at once", n, err, most.Load())
	}
}

func TestSFTPBandwidthLimitIsNotTheServersFault(t *testing.T) {
	t.Parallel()
	// Each block waits longer for the limit than the server may be silent.
	f := (&fakeSFTP{content: noise(200_000)}).serve(t, func(o *archive.SFTPOptions) {
		o.Limiter, o.IdleTimeout = archive.NewLimiter(80_000), 500*time.Millisecond
	})
	if n, err := f.Fetch(t.Context(), "raw.fits", 0, io.Discard); err != nil || n != 200_000 {
		t.Errorf("Fetch = %d, %v", n, err)
	}
}

func TestSFTPListingsThatCannotBeTrusted(t *testing.T) {
	t.Parallel()
	hostile := []string{"good.fits", "-rf", ".hidden", "bell\a", "latin-\xe9", "new\nline", "good.fits", strings.Repeat("n", 300)}
	f := (&fakeSFTP{list: func(i int) string {
		if i < len(hostile) {
			return hostile[i]
		}
		return ""
	}}).serve(t, nil)
	l, err := f.List(t.Context(), "GUID")
	if err != nil || !slices.Equal(names(l), []string{"good.fits"}) || len(l.Refused) != 7 {
		t.Errorf("%q, refused %q, %v", names(l), l.Refused, err)
	}
}

func TestSFTPServersThatAreNoneAreOutages(t *testing.T) {
	t.Parallel()
	known := filepath.Join(t.TempDir(), "known_hosts")
	writeFile(t, known, nil)
	for name, handle := range map[string]func(net.Conn){
		"silent":            silence,
		"closed at once":    func(net.Conn) {},
		"not SSH":           talk("220 ready\r\n"),
		"greeting, no more": talk("SSH-2.0-test\r\n"),
		"nonsense":          talk("SSH-2.0-test\r\n", strings.Repeat("x", 5000)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host, port := listen(t, handle)
			_, err := sftpClient(t, archive.SFTPOptions{
				Host: host, Port: port, Username: user, Password: password, KnownHosts: known,
				ConnectTimeout: 300 * time.Millisecond, IdleTimeout: 300 * time.Millisecond,
			}).Fetch(t.Context(), "raw.fits", 0, io.Discard)
			wantKind(t, err, "outage")
		})
	}
	t.Run("SSH without SFTP", func(t *testing.T) {
		t.Parallel()
		_, err := (&fakeSFTP{noSFTP: true}).serve(t, nil).List(t.Context(), "")
		wantKind(t, err, "outage")
	})
	t.Run("stalled in the middle", func(t *testing.T) {
		t.Parallel()
		wait, done := context.WithCancel(context.Background())
		t.Cleanup(done)
		server := &fakeSFTP{content: noise(5_000_000), read: func(offset int64) {
			if offset > 3_000_000 {
				<-wait.Done()
			}
		}}
		f := server.serve(t, func(o *archive.SFTPOptions) { o.IdleTimeout = time.Second })
		n, err := f.Fetch(t.Context(), "raw.fits", 0, io.Discard)
		wantKind(t, err, "failed")
		wantWords(t, err, "nothing came for 1s")
		if n < 1_000_000 || n >= 5_000_000 {
			t.Errorf("%d bytes", n)
		}
		done()
	})
}

package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"path"
	"strconv"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/time/rate"
)

// SFTPOptions say where the file server is and how to speak to it.
type SFTPOptions struct {
	Host     string
	Port     int // 0: 22
	Username string

	// KeyFile holds a private key in OpenSSH's or PEM form, KeyPassphrase what
	// opens it, if it is locked. Password is tried where the server does not
	// take the key, or there is none. One of KeyFile and Password must be there.
	KeyFile       string
	KeyPassphrase string
	Password      string

	// KnownHosts is a file in OpenSSH's form with the server's host key. A
	// server whose key is not in it is never logged in to.
	KnownHosts string

	ConnectTimeout time.Duration // to be connected and greeted, and again to log in; 0: 30 s
	IdleTimeout    time.Duration // longest silence of the server; 0: one minute
	MinRate        int64         // least rate of a transfer, bytes a second; 0: none
	MinRateTime    time.Duration // over which MinRate is measured; 0: one minute
	Limiter        *rate.Limiter // bandwidth limit in bytes, may be shared; nil: none
	Log            *slog.Logger  // nil: none
}

// SFTP is a file server that speaks SFTP, the file transfer of SSH. Its errors
// are of the same kinds as those of FTP.
type SFTP struct {
	opts    SFTPOptions
	limits  limits
	address string
	known   ssh.HostKeyCallback
	auth    []ssh.AuthMethod
	pool    *pool[*sftpSession]
}

var _ FileServer = (*SFTP)(nil)

// NewSFTP returns a client; it reads its files, but does not connect yet.
func NewSFTP(opts SFTPOptions) (*SFTP, error) {
	if opts.Host == "" || opts.Username == "" {
		return nil, errors.New("file server: no host or no user name")
	}
	if opts.Port < 0 || opts.Port > 65535 {
		return nil, fmt.Errorf("file server: no such port: %d", opts.Port)
	}
	if opts.Port == 0 {
		opts.Port = 22
	}
	known, err := loadHostKeys(opts.KnownHosts)
	if err != nil {
		return nil, fmt.Errorf("file server: %w", err)
	}
	auth, err := authMethods(opts)
	if err != nil {
		return nil, fmt.Errorf("file server: %w", err)
	}
	f := &SFTP{
		opts: opts, known: known, auth: auth,
		limits:  newLimits(opts.ConnectTimeout, opts.IdleTimeout, opts.MinRate, opts.MinRateTime, opts.Limiter, opts.Log),
		address: net.JoinHostPort(opts.Host, strconv.Itoa(opts.Port)),
	}
	f.pool = &pool[*sftpSession]{open: f.connect, limits: f.limits}
	return f, nil
}

// Close implements FileServer.
func (f *SFTP) Close() error {
	f.pool.clear(true)
	return nil
}

// List implements FileServer.
func (f *SFTP) List(ctx context.Context, dir string) (Listing, error) {
	var c collector
	err := f.on(ctx, "list", dir, func(s *sftpSession) error {
		infos, err := sftpAnswer(s, f.limits.long(), maxListing, func() ([]fs.FileInfo, error) {
			return s.client.ReadDirContext(ctx, wireName(dir))
		})
		if err != nil {
			return f.sort(ctx, err, true)
		}
		for _, info := range infos {
			if info.Mode().IsRegular() {
				c.addInfo(info)
			}
		}
		return nil
	})
	if err != nil {
		return Listing{}, err
	}
	return c.result(), nil
}

// addInfo adds a regular file.
func (c *collector) addInfo(info fs.FileInfo) {
	if info.Size() < 0 {
		c.refuse(info.Name(), errors.New("size is no number of bytes"))
		return
	}
	c.add(entryOf(info))
}

// Stat implements FileServer. A link is no file, wherever it leads.
func (f *SFTP) Stat(ctx context.Context, file string) (e Entry, err error) {
	err = f.on(ctx, "stat", file, func(s *sftpSession) error {
		e, err = f.stat(ctx, s, file)
		return err
	})
	return e, err
}

func (f *SFTP) stat(ctx context.Context, s *sftpSession, file string) (Entry, error) {
	info, err := sftpAnswer(s, f.limits.idle, maxReply, func() (fs.FileInfo, error) { return s.client.Lstat(wireName(file)) })
	if err != nil {
		return Entry{}, f.sort(ctx, err, false)
	}
	if !info.Mode().IsRegular() {
		return Entry{}, fmt.Errorf("%w: not a regular file", ErrNoFile)
	}
	if info.Size() < 0 {
		return Entry{}, errors.New("size is no number of bytes")
	}
	return entryOf(info), nil
}

// Fetch implements FileServer. It also looks whether the file is the same, by
// size and time, before and after.
func (f *SFTP) Fetch(ctx context.Context, file string, offset int64, w io.Writer) (n int64, err error) {
	if offset < 0 {
		return 0, fmt.Errorf("fetch %s: negative offset %d", quote(file), offset)
	}
	err = f.on(ctx, "fetch", file, func(s *sftpSession) error {
		before, err := f.stat(ctx, s, file)
		if err != nil {
			return err
		}
		if offset > before.Size {
			return fmt.Errorf("%w: it ends before offset %d", ErrNoResume, offset)
		}
		remote, err := sftpAnswer(s, f.limits.idle, maxReply, func() (*sftp.File, error) { return s.client.Open(wireName(file)) })
		if err != nil {
			return f.sort(ctx, err, false)
		}
		n, err = f.copy(s, remote, offset, before, w)
		return err
	})
	return n, err
}

// copy sends an open file from an offset on to w.
func (f *SFTP) copy(s *sftpSession, remote *sftp.File, offset int64, before Entry, w io.Writer) (int64, error) {
	ahead := readAhead(remote, offset, before.Size)
	defer ahead.stop()
	n, err := s.receive(ahead.Read, w)
	if err != nil {
		return n, err
	}
	after, err := sftpAnswer(s, f.limits.idle, maxReply, remote.Stat)
	if err != nil {
		return n, fmt.Errorf("after %d bytes: %w", n, err)
	}
	if e := entryOf(after); e.Size != before.Size || !e.ModTime.Equal(before.ModTime) {
		return n, fmt.Errorf("%w while it was fetched", ErrChanged)
	}
	if offset+n != before.Size {
		return n, fmt.Errorf("after %d bytes: the server ends the file %d bytes before its size", n, before.Size-offset-n)
	}
	_, err = sftpAnswer(s, f.limits.idle, maxReply, func() (struct{}, error) { return struct{}{}, remote.Close() })
	return n, err
}

// on runs an operation on a path, in a session, and describes its error.
func (f *SFTP) on(ctx context.Context, what, name string, operation func(*sftpSession) error) error {
	if err := checkPath(name); err != nil {
		return fmt.Errorf("%s %s: %w", what, quote(name), err)
	}
	return describe(ctx, what, name, f.pool.with(ctx, operation))
}

// sort sorts an error from before any byte of a file came. What the server
// answers is about the file or, in a listing, about nothing but itself;
// anything else is a connection that broke.
func (f *SFTP) sort(ctx context.Context, err error, listing bool) error {
	_, answered := errors.AsType[*sftp.StatusError](err)
	answered = answered || errors.Is(err, fs.ErrPermission)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: it said so", ErrNoFile)
	case isTooMuch(err), answered && !listing:
		return err
	}
	return outage(ctx, err)
}

// wireName is a path as the server is told it: the empty one is the directory
// that one arrives in.
func wireName(name string) string {
	if name == "" {
		return "."
	}
	return path.Clean(name)
}

// sftpAnswer asks the server for one thing.
func sftpAnswer[T any](s *sftpSession, limit time.Duration, most int64, ask func() (T, error)) (answer T, err error) {
	err = s.call(limit, most, func() (err error) {
		answer, err = ask()
		return err
	})
	return answer, err
}

package archive

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jlaffaye/ftp"
	"golang.org/x/time/rate"

	"longhaul/internal/pipeline"
)

// FTPOptions say where the file server is and how to speak to it.
type FTPOptions struct {
	Host     string
	Port     int // 0: 21, or 990 with TLSImplicit
	Username string
	Password string

	TLS     string         // TLSOff, TLSExplicit or TLSImplicit; empty is TLSOff
	RootCAs *x509.CertPool // trusted authorities; nil: those of CAFile
	CAFile  string         // PEM file of trusted authorities; empty: the system's
	TLSMax  uint16         // highest version of TLS, such as tls.VersionTLS12; 0: any

	DisableEPSV bool // open data connections by PASV, for servers or firewalls that fail with EPSV

	ConnectTimeout time.Duration // to be connected and greeted, and again to log in; 0: 30 s
	IdleTimeout    time.Duration // longest silence of the server; 0: one minute
	MinRate        int64         // least rate of a transfer, bytes a second; 0: none
	MinRateTime    time.Duration // over which MinRate is measured; 0: one minute
	Limiter        *rate.Limiter // bandwidth limit in bytes, may be shared; nil: none
	Log            *slog.Logger  // nil: none
}

// FTP is a file server that speaks FTP, plain or with TLS.
//
// The kinds of error: ErrNoFile when the server says so; an outage when the
// server could not be reached, did not accept the login (then ErrLogin, too)
// or did not come as far as sending data; the context's own error when it has
// ended; anything else means that this transfer failed.
type FTP struct {
	opts    FTPOptions
	limits  limits
	address string
	pool    *pool[*ftpSession]
	noMLSD  atomic.Bool // the server announces MLSD but does not know it
}

var _ FileServer = (*FTP)(nil)

// NewFTP returns a client; it does not connect yet.
func NewFTP(opts FTPOptions) (*FTP, error) {
	if opts.Host == "" {
		return nil, errors.New("file server: no host")
	}
	for _, s := range []string{opts.Host, opts.Username, opts.Password} {
		if strings.ContainsAny(s, "\r\n") {
			return nil, errors.New("file server: host, user name and password must be one line each")
		}
	}
	if opts.Port < 0 || opts.Port > 65535 {
		return nil, fmt.Errorf("file server: no such port: %d", opts.Port)
	}
	port := 21
	switch opts.TLS {
	case "", TLSOff:
		opts.TLS = TLSOff
	case TLSExplicit, TLSImplicit:
		if opts.TLS == TLSImplicit {
			port = 990
		}
		roots, err := trusted(opts.RootCAs, opts.CAFile)
		if err != nil {
			return nil, fmt.Errorf("file server: %w", err)
		}
		opts.RootCAs = roots
	default:
		return nil, fmt.Errorf("file server: TLS is %q, must be %q, %q or %q", opts.TLS, TLSOff, TLSExplicit, TLSImplicit)
	}
	if opts.Port == 0 {
		opts.Port = port
	}
	f := &FTP{
		opts:    opts,
		limits:  newLimits(opts.ConnectTimeout, opts.IdleTimeout, opts.MinRate, opts.MinRateTime, opts.Limiter, opts.Log),
		address: net.JoinHostPort(opts.Host, strconv.Itoa(opts.Port)),
	}
	f.pool = &pool[*ftpSession]{open: f.connect, limits: f.limits}
	return f, nil
}

// Close implements FileServer.
func (f *FTP) Close() error {
	f.pool.clear(true)
	return nil
}

// Stat implements FileServer. The time is zero if the server does not have MDTM.
func (f *FTP) Stat(ctx context.Context, path string) (Entry, error) {
	if err := checkPath(path); err != nil {
		return Entry{}, fmt.Errorf("stat %s: %w", quote(path), err)
	}
	e := Entry{Name: path[strings.LastIndexByte(path, '/')+1:]}
	err := f.pool.with(ctx, func(s *ftpSession) error {
		return sortRefusal(ctx, s.call(f.limits.idle, maxReply, func() (err error) {
			e.Size, err = s.conn.FileSize(path)
			if err == nil && e.Size < 0 {
				return fmt.Errorf("size of %d bytes", e.Size)
			}
			if err == nil && s.conn.IsGetTimeSupported() {
				e.ModTime, err = s.conn.GetTime(path)
				e.ModTime = e.ModTime.Truncate(time.Second)
			}
			return err
		}))
	})
	if err != nil {
		return Entry{}, describe(ctx, "stat", path, err)
	}
	return e, nil
}

// Fetch implements FileServer. From the server's consent to send on, an error
// is no outage but a failed attempt; before that, nothing was written to w.
func (f *FTP) Fetch(ctx context.Context, path string, offset int64, w io.Writer) (n int64, err error) {
	if err := checkPath(path); err != nil {
		return 0, fmt.Errorf("fetch %s: %w", quote(path), err)
	}
	if offset < 0 {
		return 0, fmt.Errorf("fetch %s: negative offset %d", quote(path), offset)
	}
	err = f.pool.with(ctx, func(s *ftpSession) error {
		response, err := f.retrieve(ctx, s, path, offset)
		if err != nil {
			return err
		}
		if n, err = f.receive(s, response, w); err != nil {
			return err
		}
		return f.checkEnd(s, path, offset, n)
	})
	return n, describe(ctx, "fetch", path, err)
}

// retrieve asks for a file and returns when the server is about to send it.
func (f *FTP) retrieve(ctx context.Context, s *ftpSession, path string, offset int64) (response *ftp.Response, err error) {
	limit := f.limits.connect + f.limits.idle // a data connection, and some replies
	err = s.call(limit, maxReply, func() (err error) {
		response, err = s.conn.RetrFrom(path, uint64(offset))
		return err
	})
	if code, _ := replyOf(err); offset > 0 && (notKnown(err) || code == 554 || code == ftp.StatusBadArguments) {
		return nil, fmt.Errorf("%w: offset %d: %w", ErrNoResume, offset, said(err))
	}
	return response, sortRefusal(ctx, err)
}

// receive copies what the server sends, and waits for its word that this was
// all: a transfer that broke can look like the end of the file.
func (f *FTP) receive(s *ftpSession, response *ftp.Response, w io.Writer) (int64, error) {
	n, err := s.receive(response.Read, w)
	if err != nil {
		return n, f.explainTLS(err)
	}
	if err := s.call(f.limits.idle, maxReply, response.Close); err != nil {
		return n, fmt.Errorf("after %d bytes: end not confirmed: %w", n, said(err))
	}
	return n, nil
}

// checkEnd compares what came with the size of the file. Whatever cuts a plain
// connection once the server has sent all, makes a short file with a good reply;
// and from beyond the end vsftpd sends nothing, and says that all is well.
func (f *FTP) checkEnd(s *ftpSession, path string, offset, n int64) error {
	var size int64
	err := s.call(f.limits.idle, maxReply, func() (err error) {
		size, err = s.conn.FileSize(path)
		return err
	})
	switch {
	case err != nil && offset > 0 && n == 0:
		return fmt.Errorf("ask for the size: %w", said(err))
	case err != nil: // its word that this was all still stands
		return nil
	case offset > size && n == 0:
		return fmt.Errorf("%w: it ends before offset %d", ErrNoResume, offset)
	case offset+n != size:
		return fmt.Errorf("after %d bytes: the server says that this was all, but the file has %d more", n, size-offset-n)
	}
	return nil
}

// List implements FileServer, by MLSD if the server has it and LIST otherwise.
// Times are known from MLSD only.
func (f *FTP) List(ctx context.Context, dir string) (Listing, error) {
	if err := checkPath(dir); err != nil {
		return Listing{}, fmt.Errorf("list %s: %w", quote(dir), err)
	}
	listing, err := f.list(ctx, dir)
	if notKnown(err) && f.noMLSD.CompareAndSwap(false, true) {
		f.pool.clear(false) // they would try MLSD again
		listing, err = f.list(ctx, dir)
	}
	switch code, _ := replyOf(err); {
	case err == nil:
		return listing, nil
	case isTooMuch(err), errors.Is(err, pipeline.ErrOutage):
	case code == ftp.StatusFileUnavailable:
		err = fmt.Errorf("%w: %w", ErrNoFile, said(err))
	default: // nothing can be said about the files
		err = outage(ctx, f.explainTLS(err))
	}
	return Listing{}, describe(ctx, "list", dir, err)
}

func (f *FTP) list(ctx context.Context, dir string) (listing Listing, err error) {
	err = f.pool.with(ctx, func(s *ftpSession) error {
		if s.mlsd {
			listing, err = f.listMLSD(s, dir)
		} else {
			listing, err = f.listLIST(s, dir)
		}
		if err == nil {
			err = s.checkCut()
		}
		return err
	})
	return listing, err
}

// listMLSD reads what the server sends by itself, as the library takes every
// kind of entry that it does not know, such as links, for a file.
func (f *FTP) listMLSD(s *ftpSession, dir string) (Listing, error) {
	var text bytes.Buffer
	s.tap = &text
	defer func() { s.tap = nil }()
	err := s.call(f.limits.long(), maxListing, func() error {
		_, err := s.conn.List(dir)
		return err
	})
	if err != nil {
		return Listing{}, err
	}
	return parseMLSD(&text)
}

// listLIST changes into the directory first: in the argument of LIST a missing
// directory looks empty to some servers, and a blank ends the name for others.
func (f *FTP) listLIST(s *ftpSession, dir string) (Listing, error) {
	var entries []*ftp.Entry
	err := s.call(f.limits.long(), maxListing, func() (err error) {
		home := ""
		if dir != "" {
			if home, err = s.conn.CurrentDir(); err != nil {
				return err
			}
			if err = s.conn.ChangeDir(dir); err != nil {
				return err
			}
		}
		if entries, err = s.conn.List(""); err != nil || dir == "" {
			return err
		}
		return s.conn.ChangeDir(home)
	})
	return fromLIST(entries), err
}

// describe adds what was tried, except to the end of the context.
func describe(ctx context.Context, operation, path string, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return ctx.Err()
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", operation, quote(path), err)
}

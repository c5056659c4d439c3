package archive

import (
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
	Port     int // 0: 21
	Username string
	Password string

	TLS     string         // TLSOff or TLSExplicit; empty is TLSOff
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

// FTP is a file server that speaks FTP, plain or with explicit TLS.
//
// The kinds of error: ErrNoFile when the server says so; an outage when the
// server could not be reached, did not accept the login (then ErrLogin, too)
// or did not come as far as sending data; the context's own error when it has
// ended; anything else means that this transfer failed.
type FTP struct {
	opts    FTPOptions
	address string
	pool    pool
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
	switch opts.TLS {
	case "", TLSOff:
		opts.TLS = TLSOff
	case TLSExplicit:
		if opts.RootCAs == nil && opts.CAFile != "" {
			pool, err := loadCA(opts.CAFile)
			if err != nil {
				return nil, fmt.Errorf("file server: %w", err)
			}
			opts.RootCAs = pool
		}
	default:
		return nil, fmt.Errorf("file server: TLS is %q, must be %q or %q", opts.TLS, TLSOff, TLSExplicit)
	}
	opts.fillIn()
	return &FTP{opts: opts, address: net.JoinHostPort(opts.Host, strconv.Itoa(opts.Port))}, nil
}

func (o *FTPOptions) fillIn() {
	positive := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	positive(&o.ConnectTimeout, 30*time.Second)
	positive(&o.IdleTimeout, time.Minute)
	positive(&o.MinRateTime, time.Minute)
	if o.Port == 0 {
		o.Port = 21
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// Close implements FileServer.
func (f *FTP) Close() error {
	f.pool.clear(true)
	return nil
}

// with runs an operation in a session of its own, which is used again by
// others only if all went well.
func (f *FTP) with(ctx context.Context, operation func(*session) error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s, err := f.session(ctx)
	if err != nil {
		return outage(ctx, err)
	}
	if err := operation(s); err != nil {
		s.drop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	f.pool.put(s)
	return nil
}

// session returns an idle session that still works, or a new one.
func (f *FTP) session(ctx context.Context) (*session, error) {
	if s := f.pool.take(); s != nil {
		s.bind(ctx)
		err := s.call(f.opts.ConnectTimeout, s.conn.NoOp)
		if err == nil {
			return s, nil
		}
		f.opts.Log.Debug("idle connection to the file server had ended", "err", said(err))
		s.drop()
		f.pool.clear(false) // the others have waited longer still
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return f.connect(ctx)
}

// Stat implements FileServer. The time is zero if the server does not have MDTM.
func (f *FTP) Stat(ctx context.Context, path string) (Entry, error) {
	if err := checkPath(path); err != nil {
		return Entry{}, fmt.Errorf("stat %s: %w", quote(path), err)
	}
	e := Entry{Name: path[strings.LastIndexByte(path, '/')+1:]}
	err := f.with(ctx, func(s *session) error {
		return sortRefusal(ctx, s.call(f.opts.IdleTimeout, func() (err error) {
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
	err = f.with(ctx, func(s *session) error {
		response, err := f.retrieve(ctx, s, path, offset)
		if err != nil {
			return err
		}
		n, err = f.receive(ctx, s, response, w)
		return err
	})
	return n, describe(ctx, "fetch", path, err)
}

// retrieve asks for a file and returns when the server is about to send it.
func (f *FTP) retrieve(ctx context.Context, s *session, path string, offset int64) (response *ftp.Response, err error) {
	limit := f.opts.ConnectTimeout + f.opts.IdleTimeout // a data connection, and some replies
	err = s.call(limit, func() (err error) {
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
func (f *FTP) receive(ctx context.Context, s *session, response *ftp.Response, w io.Writer) (int64, error) {
	read := func(p []byte) (n int, err error) {
		err = s.call(f.opts.IdleTimeout, func() (err error) {
			n, err = response.Read(p)
			return err
		})
		return n, f.explainTLS(err)
	}
	least := &meter{least: f.opts.MinRate, over: f.opts.MinRateTime}
	n, err := pump(ctx, w, read, f.opts.Limiter, least)
	if err != nil {
		return n, fmt.Errorf("after %d bytes: %w", n, err)
	}
	if err := s.call(f.opts.IdleTimeout, response.Close); err != nil {
		return n, fmt.Errorf("after %d bytes: end not confirmed: %w", n, said(err))
	}
	return n, nil
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
	case errors.Is(err, errListingTooLong), errors.Is(err, pipeline.ErrOutage):
	case code == ftp.StatusFileUnavailable:
		err = fmt.Errorf("%w: %w", ErrNoFile, said(err))
	default: // nothing can be said about the files
		err = outage(ctx, f.explainTLS(err))
	}
	return Listing{}, describe(ctx, "list", dir, err)
}

func (f *FTP) list(ctx context.Context, dir string) (listing Listing, err error) {
	err = f.with(ctx, func(s *session) error {
		if s.mlsd {
			listing, err = f.listMLSD(s, dir)
			return err
		}
		listing, err = f.listLIST(s, dir)
		return err
	})
	return listing, err
}

// listMLSD reads what the server sends by itself, as the library takes every
// kind of entry that it does not know, such as links, for a file.
func (f *FTP) listMLSD(s *session, dir string) (Listing, error) {
	text := &limitedBuffer{most: maxListing, over: errListingTooLong}
	s.tap = text
	defer func() { s.tap = nil }()
	err := s.call(f.listTimeout(), func() error {
		_, err := s.conn.List(dir)
		return err
	})
	if err != nil {
		return Listing{}, err
	}
	return parseMLSD(&text.buf)
}

// listLIST changes into the directory first: in the argument of LIST a missing
// directory looks empty to some servers, and a blank ends the name for others.
func (f *FTP) listLIST(s *session, dir string) (Listing, error) {
	s.tap = &limitedBuffer{most: maxListing, over: errListingTooLong}
	defer func() { s.tap = nil }()
	var entries []*ftp.Entry
	err := s.call(f.listTimeout(), func() (err error) {
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

// listTimeout is the longest that a whole listing may take: there is no least
// rate for it, and servers pause to look at a hundred thousand files.
func (f *FTP) listTimeout() time.Duration { return 10 * f.opts.IdleTimeout }

// describe adds what was tried, except to the end of the context.
func describe(ctx context.Context, operation, path string, err error) error {
	if err == nil || (ctx.Err() != nil && errors.Is(err, ctx.Err())) {
		return err
	}
	return fmt.Errorf("%s %s: %w", operation, quote(path), err)
}

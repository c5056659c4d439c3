package archive

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// HTTPSOptions say where the file server is and how to speak to it.
type HTTPSOptions struct {
	// URL is the directory beneath which all paths lie: https://host:port/data/.
	URL string

	Username string // with Password: basic authentication; both empty: none
	Password string
	Token    string // bearer token; not together with Username

	// Manifest is the name of the file in each directory which lists it; see
	// parseManifest. Empty: the server's index page is read.
	Manifest string

	RootCAs *x509.CertPool // trusted authorities; nil: those of CAFile
	CAFile  string         // PEM file of trusted authorities; empty: the system's
	TLSMax  uint16         // highest version of TLS, such as tls.VersionTLS12; 0: any

	ConnectTimeout time.Duration // to be connected, and again for the handshake; 0: 30 s
	IdleTimeout    time.Duration // longest silence of the server; 0: one minute
	MinRate        int64         // least rate of a transfer, bytes a second; 0: none
	MinRateTime    time.Duration // over which MinRate is measured; 0: one minute
	Limiter        *rate.Limiter // bandwidth limit in bytes, may be shared; nil: none
	Log            *slog.Logger  // nil: none
}

// HTTPS is a file server that speaks HTTP over TLS. Its errors are of the same
// kinds as those of FTP. Proxies that the environment names are not used, and
// redirections are followed within the server only: elsewhere neither the
// credentials nor the trust apply.
type HTTPS struct {
	opts   HTTPSOptions
	base   *url.URL // ends in a slash
	limits limits
	pool   *pool[*httpSession]
}

var _ FileServer = (*HTTPS)(nil)

// NewHTTPS returns a client; it does not connect yet.
func NewHTTPS(opts HTTPSOptions) (*HTTPS, error) {
	base, err := url.Parse(opts.URL)
	switch {
	case err != nil:
		return nil, errors.New("file server: the URL cannot be understood")
	case base.Scheme != "https" || base.Host == "":
		return nil, fmt.Errorf("file server: the URL must begin with https:// and a host, not %s", quote(base.Redacted()))
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("file server: the URL must be without user, query and fragment")
	case opts.Token != "" && (opts.Username != "" || opts.Password != ""):
		return nil, errors.New("file server: either a token or a user name with a password")
	case strings.ContainsAny(opts.Token+opts.Username+opts.Password, "\r\n") || strings.Contains(opts.Username, ":"):
		return nil, errors.New("file server: token, user name and password must be one line each, the name without a colon")
	}
	if opts.Manifest != "" {
		if err := CheckName(opts.Manifest); err != nil {
			return nil, fmt.Errorf("file server: manifest %s: %w", quote(opts.Manifest), err)
		}
	}
	if opts.RootCAs, err = trusted(opts.RootCAs, opts.CAFile); err != nil {
		return nil, fmt.Errorf("file server: %w", err)
	}
	f := &HTTPS{
		opts: opts, base: &url.URL{Scheme: base.Scheme, Host: base.Host, Path: strings.TrimSuffix(base.Path, "/") + "/"},
		limits: newLimits(opts.ConnectTimeout, opts.IdleTimeout, opts.MinRate, opts.MinRateTime, opts.Limiter, opts.Log),
	}
	f.pool = &pool[*httpSession]{open: f.connect, limits: f.limits}
	return f, nil
}

// Close implements FileServer.
func (f *HTTPS) Close() error {
	f.pool.clear(true)
	return nil
}

// at is the URL of a path.
func (f *HTTPS) at(name string) *url.URL {
	u := *f.base
	u.Path += strings.TrimPrefix(path.Clean("/"+name), "/")
	return &u
}

// on runs an operation on a path, in a session, and describes its error.
func (f *HTTPS) on(ctx context.Context, what, name string, operation func(*httpSession) error) error {
	if err := checkPath(name); err != nil {
		return fmt.Errorf("%s %s: %w", what, quote(name), err)
	}
	return describe(ctx, what, name, f.pool.with(ctx, operation))
}

// Stat implements FileServer. The time is zero if the server does not say.
func (f *HTTPS) Stat(ctx context.Context, file string) (e Entry, err error) {
	err = f.on(ctx, "stat", file, func(s *httpSession) error {
		v, err := f.head(ctx, s, file)
		e = Entry{Name: path.Base(file), Size: v.size, ModTime: v.modTime}
		return err
	})
	if err != nil {
		return Entry{}, err
	}
	return e, nil
}

// version is what the server says of one version of a file.
type version struct {
	size    int64     // -1: not known
	etag    string    // strong; empty if there is none
	date    string    // Last-Modified, as it came
	modTime time.Time // the same
}

func versionOf(r *http.Response) version {
	v := version{size: r.ContentLength, date: r.Header.Get("Last-Modified")}
	if tag := r.Header.Get("ETag"); strings.HasPrefix(tag, `"`) { // weak ones begin with W/
		v.etag = tag
	}
	if t, err := http.ParseTime(v.date); err == nil {
		v.modTime = t.UTC()
	} else {
		v.date = ""
	}
	return v
}

// validator is what the server can recognise the version by, or empty.
func (v version) validator() string {
	if v.etag != "" {
		return v.etag
	}
	return v.date
}

// differs reports whether two answers are surely about two versions.
func (v version) differs(w version) bool {
	return v.etag != "" && w.etag != "" && v.etag != w.etag || v.date != "" && w.date != "" && v.date != w.date
}

// head asks for the version of a file.
func (f *HTTPS) head(ctx context.Context, s *httpSession, file string) (version, error) {
	r, err := f.do(s, http.MethodHead, f.at(file), nil)
	if err != nil {
		return version{}, outage(ctx, err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return version{}, refusal(r)
	}
	if err := checkEncoding(r); err != nil {
		return version{}, err
	}
	v := versionOf(r)
	if v.size < 0 {
		return version{}, errors.New("the server does not say how long the file is")
	}
	return v, nil
}

// Fetch implements FileServer. To go on from an offset, it asks for the version
// first, and for the rest of that version then.
func (f *HTTPS) Fetch(ctx context.Context, file string, offset int64, w io.Writer) (n int64, err error) {
	if offset < 0 {
		return 0, fmt.Errorf("fetch %s: negative offset %d", quote(file), offset)
	}
	err = f.on(ctx, "fetch", file, func(s *httpSession) error {
		if offset == 0 {
			n, err = f.whole(ctx, s, file, w)
			return err
		}
		v, err := f.head(ctx, s, file)
		switch {
		case err != nil:
			return err
		case offset > v.size:
			return fmt.Errorf("%w: it ends before offset %d", ErrNoResume, offset)
		case offset == v.size: // no range: a server would refuse it
			return nil
		}
		n, err = f.rest(ctx, s, file, offset, v, w)
		return err
	})
	return n, err
}

// whole fetches a file from its beginning.
func (f *HTTPS) whole(ctx context.Context, s *httpSession, file string, w io.Writer) (int64, error) {
	r, err := f.do(s, http.MethodGet, f.at(file), nil)
	if err != nil {
		return 0, outage(ctx, err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return 0, refusal(r)
	}
	return f.body(s, r, w)
}

// rest fetches what is missing of a version of a file.
func (f *HTTPS) rest(ctx context.Context, s *httpSession, file string, offset int64, v version, w io.Writer) (int64, error) {
	header := map[string]string{"Range": fmt.Sprintf("bytes=%d-", offset)}
	if known := v.validator(); known != "" {
		header["If-Range"] = known
	}
	r, err := f.do(s, http.MethodGet, f.at(file), header)
	if err != nil {
		return 0, outage(ctx, err)
	}
	defer r.Body.Close()
	now := versionOf(r)
	switch {
	case r.StatusCode == http.StatusPartialContent && now.differs(v), r.StatusCode == http.StatusOK && now.differs(v):
		return 0, fmt.Errorf("%w since it was looked at", ErrChanged)
	case r.StatusCode == http.StatusOK, r.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return 0, fmt.Errorf("%w: asked for the bytes from %d on, it said %s", ErrNoResume, offset, quote(r.Status))
	case r.StatusCode != http.StatusPartialContent:
		return 0, refusal(r)
	}
	first, last, total, err := parseContentRange(r.Header.Get("Content-Range"))
	switch {
	case err != nil || first != offset || last != v.size-1:
		return 0, fmt.Errorf("%w: asked for the bytes from %d to %d, it sends %s",
			ErrNoResume, offset, v.size-1, quote(r.Header.Get("Content-Range")))
	case total >= 0 && total != v.size:
		return 0, fmt.Errorf("%w: of %d bytes, now of %d", ErrChanged, v.size, total)
	}
	n, err := f.body(s, r, w)
	if err == nil && n != v.size-offset {
		err = fmt.Errorf("after %d bytes: %d were announced", n, v.size-offset)
	}
	return n, err
}

// body copies the body of an answer. That it ends early shows in its length, or
// in the form of its pieces; an answer with neither is not taken.
func (f *HTTPS) body(s *httpSession, r *http.Response, w io.Writer) (int64, error) {
	if err := checkEncoding(r); err != nil {
		return 0, err
	}
	if r.ContentLength < 0 && len(r.TransferEncoding) == 0 {
		return 0, errors.New("the server does not say how long the file is: an end could not be told from a cut")
	}
	return s.receive(r.Body.Read, w)
}

// checkEncoding refuses content that is not the file as it is.
func checkEncoding(r *http.Response) error {
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return fmt.Errorf("the server sends the file in the encoding %s, although it was asked not to", quote(e))
	}
	return nil
}

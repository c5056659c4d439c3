package archive

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"longhaul/internal/pipeline"
)

const (
	maxRedirects = 5
	maxHeader    = 64 << 10 // bytes
)

// httpSession is a client with one connection, which it opens when it needs it.
type httpSession struct {
	*link
	client *http.Client
}

func (s *httpSession) line() *link { return s.link }

// alive has nothing to ask: a connection that has ended is opened again.
func (s *httpSession) alive() error { return nil }

// errElsewhere: credentials and trust are those of one server.
var errElsewhere = errors.New("redirection to another server")

// connect makes a session.
func (f *HTTPS) connect(ctx context.Context) (*httpSession, error) {
	s := &httpSession{link: newLink(ctx, f.limits)}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // HTTP/2 would put all transfers into one connection
	s.client = &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return s.sockets.dial(ctx, network, address)
			},
			TLSClientConfig:        &tls.Config{RootCAs: f.opts.RootCAs, MinVersion: tls.VersionTLS12, MaxVersion: f.opts.TLSMax},
			TLSHandshakeTimeout:    f.limits.connect,
			IdleConnTimeout:        keepIdle,
			MaxIdleConns:           1,
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true,
			Protocols:              protocols,
		},
		CheckRedirect: func(next *http.Request, before []*http.Request) error {
			if next.URL.Scheme != f.base.Scheme || next.URL.Host != f.base.Host {
				return fmt.Errorf("%w, %s", errElsewhere, quote(next.URL.Redacted()))
			}
			if len(before) > maxRedirects {
				return fmt.Errorf("more than %d redirections", maxRedirects)
			}
			return nil
		},
	}
	return s, nil
}

// do makes a request and returns when the headers of the answer are there. Its
// errors are about the server, not about the file.
func (f *HTTPS) do(s *httpSession, method string, u *url.URL, header map[string]string) (r *http.Response, err error) {
	request, err := http.NewRequestWithContext(s.ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "longhaul")
	request.Header.Set("Accept-Encoding", "identity")
	for name, value := range header {
		request.Header.Set(name, value)
	}
	switch {
	case f.opts.Token != "":
		request.Header.Set("Authorization", "Bearer "+f.opts.Token)
	case f.opts.Username != "" || f.opts.Password != "":
		request.SetBasicAuth(f.opts.Username, f.opts.Password)
	}
	err = s.call(f.limits.connect+f.limits.idle, maxReply, func() (err error) {
		r, err = s.client.Do(request)
		return err
	})
	if err != nil {
		return nil, f.explain(err)
	}
	return r, nil
}

// explain takes what package http has put around an error away, and says what
// to do about a certificate.
func (f *HTTPS) explain(err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	return explainCertificate(err, f.base.Hostname(), "https_ca", "the host in https_url")
}

// refusal sorts an answer that is not what was asked for.
func refusal(r *http.Response) error {
	said := fmt.Errorf("it said %s", quote(r.Status))
	switch code := r.StatusCode; {
	case code == http.StatusNotFound, code == http.StatusGone:
		return fmt.Errorf("%w: %w", ErrNoFile, said)
	case code == http.StatusUnauthorized:
		return pipeline.Outage(pipeline.FileServer, fmt.Errorf("%w: %w", ErrLogin, said))
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500:
		return pipeline.Outage(pipeline.FileServer, said)
	}
	return said
}

// parseContentRange reads "bytes first-last/total"; a total of "*" is -1.
func parseContentRange(s string) (first, last, total int64, err error) {
	bad := fmt.Errorf("range %s is not understood", quote(s))
	rest, ok := strings.CutPrefix(s, "bytes ")
	span, end, ok2 := strings.Cut(rest, "/")
	from, to, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 {
		return 0, 0, 0, bad
	}
	total = -1
	var errs [3]error
	first, errs[0] = parseSize(from)
	last, errs[1] = parseSize(to)
	if end != "*" {
		total, errs[2] = parseSize(end)
	}
	if errors.Join(errs[:]...) != nil || last < first || total >= 0 && last >= total {
		return 0, 0, 0, bad
	}
	return first, last, total, nil
}

// parseSize reads a number of bytes: digits and nothing else.
func parseSize(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || strings.HasPrefix(s, "+") {
		return 0, errors.New("size is no number of bytes")
	}
	return n, nil
}

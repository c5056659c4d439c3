package archive

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"longhaul/internal/pipeline"
)

// maxAnswer is the longest answer of the restore service that is read, bytes.
const maxAnswer = 64 << 10

// RestoreOptions say where the restore service is and who asks.
type RestoreOptions struct {
	URL      string // of the service, without the name of the call
	Username string
	Password string
	Pipeline string        // the name under which this pipeline is known there
	CAFile   string        // PEM file of trusted authorities; empty: the system's
	Timeout  time.Duration // for one call, 0: one minute
	Client   *http.Client  // nil: one that keeps no connection between calls
}

// RestoreClient asks the restore service. It is safe for concurrent use.
type RestoreClient struct {
	opts RestoreOptions
	http *http.Client
}

var _ Restorer = (*RestoreClient)(nil)

// NewRestorer returns a client; nothing is asked yet.
func NewRestorer(opts RestoreOptions) (*RestoreClient, error) {
	u, err := url.Parse(opts.URL)
	switch {
	case err != nil:
		return nil, errors.New("restore service: URL cannot be read") // err repeats parts of it
	case (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return nil, errors.New("restore service: URL must be http://HOST/PATH or https://HOST/PATH")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("restore service: URL must have neither user, query nor fragment")
	}
	opts.URL = strings.TrimRight(opts.URL, "/")
	if opts.Timeout <= 0 {
		opts.Timeout = time.Minute
	}
	roots, err := trusted(nil, opts.CAFile)
	if err != nil {
		return nil, fmt.Errorf("restore service: %w", err)
	}
	client := http.Client{Transport: &http.Transport{
		Proxy:             http.ProxyFromEnvironment,
		DisableKeepAlives: true, // calls are minutes apart
		TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
	}}
	if opts.Client != nil {
		client = *opts.Client
	}
	// The query holds the password: it goes nowhere but to the service itself.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &RestoreClient{opts: opts, http: &client}, nil
}

// Restore implements Restorer. If the reply is lost, the service may have
// accepted the request under a GUID that nobody here knows.
func (c *RestoreClient) Restore(ctx context.Context, number, bits int, datatype string) (string, error) {
	guid, err := c.ask(ctx, "Restore", c.restoreQuery(number, bits, datatype))
	if err != nil {
		return "", err
	}
	if err := checkGUID(guid); err != nil {
		return "", fmt.Errorf("Restore: %w: it said %s, which is no GUID: %w", ErrRefused, c.quote(guid), err)
	}
	return guid, nil
}

// Location implements Restorer.
func (c *RestoreClient) Location(ctx context.Context, guid string) (done bool, word string, err error) {
	if err := checkGUID(guid); err != nil {
		return false, "", fmt.Errorf("Location: GUID %s: %w", quote(guid), err)
	}
	q := c.login()
	q.Set("guid", guid)
	word, err = c.ask(ctx, "Location", q)
	return err == nil && strings.EqualFold(word, "done"), word, err
}

// Test implements Restorer.
func (c *RestoreClient) Test(ctx context.Context) error {
	if _, err := c.ask(ctx, "RestoreTest", c.restoreQuery(1, 4, "mock")); err != nil {
		return err
	}
	_, err := c.ask(ctx, "LocationTest", c.login())
	return err
}

func (c *RestoreClient) login() url.Values {
	return url.Values{"username": {c.opts.Username}, "pw": {c.opts.Password}}
}

func (c *RestoreClient) restoreQuery(number, bits int, datatype string) url.Values {
	q := c.login()
	q.Set("pipeline", c.opts.Pipeline)
	q.Set("number", strconv.Itoa(number))
	q.Set("bits", strconv.Itoa(bits))
	q.Set("fileType", datatype)
	return q
}

// ask makes one call and returns the word that was answered. Words that begin
// with "fail" are refusals.
func (c *RestoreClient) ask(ctx context.Context, call string, query url.Values) (string, error) {
	word, err := c.get(ctx, c.opts.URL+"/"+call+"?"+query.Encode())
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", fmt.Errorf("%s: %w", call, err)
	case word == "" || strings.HasPrefix(strings.ToLower(word), "fail"):
		return "", fmt.Errorf("%s: %w: it said %s", call, ErrRefused, c.quote(word))
	}
	return word, nil
}

func (c *RestoreClient) get(ctx context.Context, target string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return "", withoutURL(err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return "", pipeline.Outage(pipeline.RestoreService, c.explain(ctx, err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return "", pipeline.Outage(pipeline.RestoreService, fmt.Errorf("read the answer: %w", c.explain(ctx, err)))
	}
	return c.read(resp.StatusCode, body)
}

// read sorts one whole answer. What is no answer of a restore service at all,
// such as the page of a proxy on the way, is an outage and not a refusal.
func (c *RestoreClient) read(status int, body []byte) (string, error) {
	switch {
	case status == http.StatusOK:
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout,
		status < 400, status >= 500:
		return "", pipeline.Outage(pipeline.RestoreService,
			fmt.Errorf("HTTP status %d %s", status, http.StatusText(status)))
	default:
		return "", fmt.Errorf("%w: HTTP status %d %s, it said %s",
			ErrRefused, status, http.StatusText(status), c.quote(string(body)))
	}
	if len(body) > maxAnswer {
		return "", pipeline.Outage(pipeline.RestoreService, fmt.Errorf("answer longer than %d bytes", maxAnswer))
	}
	word, err := parseAnswer(body)
	if err != nil {
		return "", pipeline.Outage(pipeline.RestoreService,
			fmt.Errorf("answer is not of this service: %w, it said %s", err, c.quote(string(body))))
	}
	return word, nil
}

// explain names the time-out when that is what ended the call.
func (c *RestoreClient) explain(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %v", c.opts.Timeout)
	}
	return withoutURL(err)
}

// quote is quote for what the service said, in case it repeats the password.
func (c *RestoreClient) quote(s string) string {
	if c.opts.Password != "" {
		for _, secret := range []string{c.opts.Password, url.QueryEscape(c.opts.Password)} {
			s = strings.ReplaceAll(s, secret, "[secret]")
		}
	}
	return quote(s)
}

// withoutURL takes the URL, which holds the password, out of an error.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

package archive_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"longhaul/internal/archive"
	"longhaul/tests/engines"
)

// httpsAt serves handler and returns a client of it.
func httpsAt(t *testing.T, handler http.HandlerFunc, change func(*archive.HTTPSOptions)) *archive.HTTPS {
	t.Helper()
	s := httptest.NewTLSServer(handler)
	t.Cleanup(s.Close)
	return httpsClient(t, s, change)
}

func httpsClient(t *testing.T, s *httptest.Server, change func(*archive.HTTPSOptions)) *archive.HTTPS {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	opts := archive.HTTPSOptions{
		URL: s.URL + "/data", Username: user, Password: password, RootCAs: roots,
		ConnectTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second,
	}
	if change != nil {
		change(&opts)
	}
	f := must(archive.NewHTTPS(opts))(t)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return f
}

// file is what a well-behaved server answers for a file.
func file(content []byte, etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if etag != "" {
			w.Header().Set("ETag", etag)
		}
		http.ServeContent(w, r, "raw.fits", time.Unix(1_600_000_000, 0), bytes.NewReader(content))
	}
}

// ranged answers HEAD as for content, and GET as get does.
func ranged(content []byte, get http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			file(content, `"one"`)(w, r)
			return
		}
		get(w, r)
	}
}

// partial is a 206 with these headers and body.
func partial(contentRange, etag string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", contentRange)
		w.Header().Set("ETag", etag)
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(body)
	}
}

func TestHTTPSGoesOnOnlyWithTheSameVersion(t *testing.T) {
	t.Parallel()
	content := noise(100_000)
	rest := content[60_000:]
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		kind    string
	}{
		"range given":                            {file(content, `"one"`), "none"},
		"no ETag, only a time":                   {file(content, ""), "none"},
		"weak ETag":                              {file(content, `W/"one"`), "none"},
		"length not known":                       {ranged(content, partial("bytes 60000-99999/*", `"one"`, rest)), "none"},
		"range ignored":                          {ranged(content, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) }), "no resume"},
		"range refused":                          {ranged(content, status(http.StatusRequestedRangeNotSatisfiable)), "no resume"},
		"range from elsewhere":                   {ranged(content, partial("bytes 0-39999/100000", `"one"`, rest)), "no resume"},
		"range that ends early":                  {ranged(content, partial("bytes 60000-69999/100000", `"one"`, rest[:10_000])), "no resume"},
		"range that is none":                     {ranged(content, partial("lines 1-2/3", `"one"`, rest)), "no resume"},
		"range missing":                          {ranged(content, partial("", `"one"`, rest)), "no resume"},
		"less than its range":                    {ranged(content, partial("bytes 60000-99999/100000", `"one"`, rest[:1000])), "failed"},
		"another version, whole":                 {ranged(content, file(noise(100_000), `"two"`)), "changed"},
		"another version, although it was asked": {ranged(content, partial("bytes 60000-99999/100000", `"two"`, rest)), "changed"},
		"another length":                         {ranged(content, partial("bytes 60000-99999/100001", `"one"`, rest)), "changed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got bytes.Buffer
			n, err := httpsAt(t, tt.handler, nil).Fetch(t.Context(), "raw.fits", 60_000, &got)
			if wantKind(t, err, tt.kind); n != int64(got.Len()) {
				t.Errorf("%d bytes, %d were written", n, got.Len())
			}
			wantBytes(t, got.Bytes(), rest[:min(got.Len(), len(rest))])
			if tt.kind == "none" && n != 40_000 {
				t.Errorf("%d bytes", n)
			}
		})
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func TestHTTPSAsksForTheVersionThatItHasSeen(t *testing.T) {
	t.Parallel()
	content := noise(1000)
	for etag, want := range map[string]string{`"one"`: `"one"`, `W/"one"`: "Sun, 13 Sep 2020 12:26:40 GMT", "": "Sun, 13 Sep 2020 12:26:40 GMT"} {
		var got atomic.Value
		_, err := httpsAt(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				got.Store(r.Header.Get("If-Range") + " " + r.Header.Get("Range") + " " + r.Header.Get("Accept-Encoding"))
			}
			file(content, etag)(w, r)
		}, nil).Fetch(t.Context(), "raw.fits", 400, io.Discard)
		if want += " bytes=400- identity"; err != nil || got.Load() != want {
			t.Errorf("ETag %s: asked with %q, want %q, %v", etag, got.Load(), want, err)
		}
	}
}

func TestHTTPSAnswersAreSorted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		kind    string
		list    string // kind of the error of List
	}{
		"401":                    {status(401), "login", "login"},
		"403":                    {status(403), "failed", "outage"},
		"404":                    {status(404), "no file", "no file"},
		"410":                    {status(410), "no file", "no file"},
		"429":                    {status(429), "outage", "outage"},
		"500":                    {status(500), "outage", "outage"},
		"503":                    {status(503), "outage", "outage"},
		"204":                    {status(204), "failed", "outage"},
		"redirection to nowhere": {status(302), "failed", "outage"},
		"compressed": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte("x"))
		}, "failed", "outage"},
		"not told how long": {hijack("HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<a href=x>"), "failed", "none"},
		"cut":               {hijack("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\n\r\n<a href=x>"), "failed", "outage"},
		"cut in pieces": {hijack("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
			"failed", "outage"},
		"not HTTP":         {hijack("220 ready\r\n"), "outage", "outage"},
		"nothing at all":   {hijack(""), "outage", "outage"},
		"headers for ever": {hijack("HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: "+strings.Repeat("a", 1000)+"\r\n", 2000)), "outage", "outage"},
		"no index page":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }, "none", "outage"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := httpsAt(t, tt.handler, nil)
			_, err := f.Fetch(t.Context(), "raw.fits", 0, io.Discard)
			wantKind(t, err, tt.kind)
			_, err = f.List(t.Context(), "GUID")
			if tt.list == "none" { // the page is taken as it is; what it links to is asked for
				return
			}
			wantKind(t, err, tt.list)
		})
	}
}

// hijack says what it is told, and closes the connection.
func hijack(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, text)
		c.Close()
	}
}

func TestHTTPSLeavesItsServerForNobody(t *testing.T) {
	t.Parallel()
	var strangers atomic.Int32
	other := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strangers.Add(1) }))
	t.Cleanup(other.Close)
	var self string
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, given, _ := r.BasicAuth()
		switch path := r.URL.Path; {
		case name != user || given != password:
			w.WriteHeader(401)
		case path == "/data/away":
			http.Redirect(w, r, other.URL+"/x", http.StatusFound)
		case path == "/data/plain":
			http.Redirect(w, r, "http"+strings.TrimPrefix(self, "https")+"/data/file", http.StatusFound)
		case path == "/data/circle":
			http.Redirect(w, r, path, http.StatusFound)
		case path == "/data/here":
			http.Redirect(w, r, "/data/file", http.StatusTemporaryRedirect)
		default:
			_, _ = w.Write([]byte("content"))
		}
	}))
	t.Cleanup(s.Close)
	self = s.URL
	f := httpsClient(t, s, nil)
	for _, name := range []string{"away", "plain", "circle"} {
		_, err := f.Fetch(t.Context(), name, 0, io.Discard)
		wantKind(t, err, "outage")
		wantWords(t, err, "redirection")
	}
	if n := strangers.Load(); n != 0 {
		t.Errorf("the other server was asked %d times", n)
	}
	if n, err := f.Fetch(t.Context(), "here", 0, io.Discard); err != nil || n != 7 {
		t.Errorf("redirection within the server: %d, %v", n, err)
	}
}

func TestHTTPSDoesNotUseTheProxyOfTheEnvironment(t *testing.T) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}
	if _, err := httpsAt(t, file([]byte("x"), ""), nil).Stat(t.Context(), "raw.fits"); err != nil {
		t.Error(err)
	}
}

func TestHTTPSLeastRateEndsASlowTransfer(t *testing.T) {
	t.Parallel()
	f := httpsAt(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-r.Context().Done():
				tick.Stop()
				return
			case <-tick.C:
				_, _ = w.Write(make([]byte, 1000))
				w.(http.Flusher).Flush()
			}
		}
	}, func(o *archive.HTTPSOptions) { o.MinRate, o.MinRateTime = 1_000_000, 300*time.Millisecond })
	n, err := f.Fetch(t.Context(), "raw.fits", 0, io.Discard)
	wantKind(t, err, "failed")
	wantWords(t, err, "least allowed is 1000000")
	if n == 0 {
		t.Error("nothing came")
	}
}

func TestHTTPSOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]archive.HTTPSOptions{
		"no URL":             {},
		"no TLS":             {URL: "http://h/"},
		"no host":            {URL: "https:///data"},
		"secrets in it":      {URL: "https://u:p@h/"},
		"a query":            {URL: "https://h/?a=b"},
		"two ways to login":  {URL: "https://h/", Username: "u", Token: "t"},
		"two-line token":     {URL: "https://h/", Token: "a\r\nHost: b"},
		"manifest elsewhere": {URL: "https://h/", Manifest: "../MANIFEST"},
		"CA file missing":    {URL: "https://h/", CAFile: filepath.Join(t.TempDir(), "none")},
	} {
		_, err := archive.NewHTTPS(opts)
		if err == nil || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNginxInItsOtherWays(t *testing.T) {
	t.Parallel()
	engines.NeedRoot(t)
	engines.Need(t, engines.NginxPrograms()...)
	exact := nginx(t, engines.NginxOptions{})
	rounded := nginx(t, engines.NginxOptions{Rounded: true})
	bare := nginx(t, engines.NginxOptions{NoIndex: true})
	wrong := nginx(t, engines.NginxOptions{Wrong: true})
	for name, tt := range map[string]struct {
		server *engines.NginxServer
		change func(*archive.HTTPSOptions)
		kind   string
		says   string
		want   []string
	}{
		"by token": {exact, func(o *archive.HTTPSOptions) {
			o.URL, o.Username, o.Password, o.Token = strings.Replace(o.URL, "basic", "bearer", 1), "", "", exact.Token
		}, "none", "", nil},
		"by wrong token": {exact, func(o *archive.HTTPSOptions) {
			o.URL, o.Username, o.Password, o.Token = strings.Replace(o.URL, "basic", "bearer", 1), "", "", "wrong"
		}, "login", "401", nil},
		"by nothing": {exact, func(o *archive.HTTPSOptions) {
			o.URL, o.Username, o.Password = strings.Replace(o.URL, "basic", "open", 1), "", ""
		}, "none", "", nil},
		"redirected within": {exact, func(o *archive.HTTPSOptions) { o.URL = strings.Replace(o.URL, "basic", "here", 1) }, "none", "", nil},
		"redirected away": {exact, func(o *archive.HTTPSOptions) { o.URL = strings.Replace(o.URL, "basic", "away", 1) },
			"outage", "redirection to another server", nil},
		"rounded sizes":         {rounded, func(*archive.HTTPSOptions) {}, "none", "", nil},
		"no index":              {bare, func(*archive.HTTPSOptions) {}, "outage", "https_manifest", nil},
		"a manifest":            {bare, func(o *archive.HTTPSOptions) { o.Manifest = "MANIFEST" }, "none", "", []string{"large.fits"}},
		"checksums as manifest": {bare, func(o *archive.HTTPSOptions) { o.Manifest = "SHA256SUMS" }, "none", "", []string{"SHA256SUMS", "large.fits"}},
		"no such manifest":      {bare, func(o *archive.HTTPSOptions) { o.Manifest = "NONE" }, "no file", "", nil},
		"certificate of another host": {wrong, func(o *archive.HTTPSOptions) { o.URL = strings.Replace(o.URL, "127.0.0.1", "localhost", 1) },
			"outage", "valid for wrong.example", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := httpsOptions(tt.server)
			tt.change(&opts)
			f := must(archive.NewHTTPS(opts))(t)
			defer f.Close()
			l, err := f.List(t.Context(), "GUID")
			wantKind(t, err, tt.kind)
			if wantWords(t, err, words(tt.says)...); err != nil {
				return
			}
			if tt.want == nil {
				tt.want = []string{"MANIFEST", "SHA256SUMS", "large.fits", "small.fits"}
			}
			if got := names(l); !slices.Equal(got, tt.want) {
				t.Errorf("listed %q, want %q", got, tt.want)
			}
			for _, e := range l.Entries {
				if now, err := f.Stat(t.Context(), "GUID/"+e.Name); err != nil || now.Size != e.Size {
					t.Errorf("listed as %+v, Stat says %+v, %v", e, now, err)
				}
			}
		})
	}
}

func words(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// nginx starts a server with a directory GUID.
func nginx(t *testing.T, opt engines.NginxOptions) *engines.NginxServer {
	t.Helper()
	s := must(engines.NewNginx(t.Context(), publicDir(t), opt))(t)
	harness(t, &s.FileServer)
	sum := strings.Repeat("0123456789abcdef", 4)
	for name, content := range map[string][]byte{
		"small.fits": noise(100), "large.fits": noise(123_456),
		"MANIFEST": []byte("# size time name\n123456 2026-11-22T01:02:03Z large.fits\n"), "SHA256SUMS": []byte(sum + "  ./large.fits\n"),
	} {
		path := filepath.Join(s.Root, "GUID", name)
		writeFile(t, path, content)
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(s.Root, "GUID"), 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFilesThatAreGoneAreLeftOutOfAListing(t *testing.T) {
	t.Parallel()
	var heads atomic.Int32
	f := httpsAt(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/data/GUID/":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			for i := range 100 {
				fmt.Fprintf(w, `<a href="f%d">f%d</a>`, i, i)
			}
		case "/data/GUID/f17":
			w.WriteHeader(404)
		default:
			heads.Add(1)
			file([]byte("x"), "")(w, r)
		}
	}, nil)
	l, err := f.List(t.Context(), "GUID")
	if err != nil || len(l.Entries) != 99 || heads.Load() != 99 || l.Entries[0].Size != 1 || l.Entries[0].ModTime.IsZero() {
		t.Errorf("%d entries, %d questions, %v", len(l.Entries), heads.Load(), err)
	}
}

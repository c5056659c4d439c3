package archive

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/sync/errgroup"
)

// headsAtOnce is how many files are asked about at the same time for a listing
// that does not give their sizes.
const headsAtOnce = 8

// sizeUnknown marks an entry whose size the server has to be asked for.
const sizeUnknown = -1

// List implements FileServer, by the manifest in the directory if there is to
// be one, and by the server's index page otherwise. Where these do not give the
// exact size of a file, the server is asked for it. Times are known from
// manifests and from such questions only.
func (f *HTTPS) List(ctx context.Context, dir string) (listing Listing, err error) {
	err = f.on(ctx, "list", dir, func(s *httpSession) error {
		listing, err = f.list(ctx, s, dir)
		return err
	})
	if err != nil {
		return Listing{}, err
	}
	if err := f.ask(ctx, dir, &listing); err != nil {
		return Listing{}, describe(ctx, "list", dir, err)
	}
	return listing, nil
}

// list reads the manifest or the index page of a directory.
func (f *HTTPS) list(ctx context.Context, s *httpSession, dir string) (Listing, error) {
	page := f.at(dir)
	if !strings.HasSuffix(page.Path, "/") {
		page.Path += "/"
	}
	if f.opts.Manifest != "" {
		page.Path += f.opts.Manifest
	}
	r, err := f.do(s, http.MethodGet, page, nil)
	if err != nil {
		return Listing{}, outage(ctx, err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return Listing{}, f.noListing(ctx, r)
	}
	text, err := f.page(ctx, s, r)
	switch {
	case err != nil:
		return Listing{}, err
	case f.opts.Manifest != "":
		return manifestListing(f.opts.Manifest, text)
	case !isHTML(r):
		return Listing{}, outage(ctx, fmt.Errorf("no index page: it is of type %s; https_manifest names a file that lists each directory",
			quote(r.Header.Get("Content-Type"))))
	}
	return parseIndex(text, r.Request.URL)
}

// noListing sorts an answer without a listing. One that says nothing about the
// directory says nothing about the files, and is an outage.
func (f *HTTPS) noListing(ctx context.Context, r *http.Response) error {
	err := refusal(r)
	if errors.Is(err, ErrNoFile) {
		return err
	}
	if r.StatusCode == http.StatusForbidden && f.opts.Manifest == "" {
		err = fmt.Errorf("%w: index pages may be switched off there; https_manifest names a file that lists each directory", err)
	}
	return outage(ctx, err)
}

// page reads the whole of an answer.
func (f *HTTPS) page(ctx context.Context, s *httpSession, r *http.Response) (io.Reader, error) {
	if err := checkEncoding(r); err != nil {
		return nil, outage(ctx, err)
	}
	var text bytes.Buffer
	err := s.call(f.limits.long(), maxListing, func() error {
		_, err := text.ReadFrom(r.Body)
		return err
	})
	if err != nil && !isTooMuch(err) {
		err = outage(ctx, err)
	}
	return &text, err
}

func isHTML(r *http.Response) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && (kind == "text/html" || kind == "application/xhtml+xml")
}

// ask asks the server about the files whose size is not known. One that is gone
// is left out.
func (f *HTTPS) ask(ctx context.Context, dir string, l *Listing) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(headsAtOnce)
	for i := range l.Entries {
		e := &l.Entries[i]
		if e.Size != sizeUnknown {
			continue
		}
		group.Go(func() error {
			now, err := f.Stat(groupCtx, path.Join(dir, e.Name))
			if errors.Is(err, ErrNoFile) {
				return nil
			} else if err != nil {
				return outage(groupCtx, err)
			}
			*e = now
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	known := l.Entries[:0]
	for _, e := range l.Entries {
		if e.Size != sizeUnknown {
			known = append(known, e)
		}
	}
	l.Entries = known
	return nil
}

// parseManifest reads a listing that the archive has made for the purpose: one
// line for each file, either
//
//	SIZE TIME NAME
//
// with the size in bytes and the time as in RFC 3339 (2026-11-22T01:02:03Z), or
// "-" if it is not known, or as sha256sum and md5sum write it,
//
//	SUM  NAME
//
// whose size is asked for. A name is what follows, up to the end of the line,
// of a file in the same directory. Empty lines and those that begin with # are
// left out.
func parseManifest(r io.Reader) (Listing, error) {
	var c collector
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		line := strings.TrimSuffix(lines.Text(), "\r")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		e, err := parseManifestLine(line)
		if err != nil {
			c.refuse(line, err)
			continue
		}
		c.add(e)
	}
	if err := lines.Err(); err != nil {
		return Listing{}, fmt.Errorf("read the manifest: %w", err)
	}
	return c.result(), nil
}

func parseManifestLine(line string) (Entry, error) {
	if name, _, err := parseSum(line); err == nil && name != "" {
		return Entry{Name: strings.TrimPrefix(name, "./"), Size: sizeUnknown}, nil
	}
	size, rest, _ := strings.Cut(line, " ")
	at, name, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	e := Entry{Name: strings.TrimPrefix(strings.TrimLeft(name, " "), "./")}
	var err error
	if e.Size, err = parseSize(size); err != nil {
		return Entry{}, errors.New(`neither "size time name" nor "checksum  name"`)
	}
	if at == "-" {
		return e, nil
	}
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return Entry{}, errors.New("time is not understood")
	}
	e.ModTime = t.UTC().Truncate(time.Second)
	return e, nil
}

// manifestListing reads a manifest. One that holds checksums is itself in the
// listing, so that they are found.
func manifestListing(name string, text io.Reader) (Listing, error) {
	l, err := parseManifest(text)
	if err != nil || !IsChecksumFile(name) {
		return l, err
	}
	for _, e := range l.Entries {
		if e.Name == name {
			return l, nil
		}
	}
	l.Entries = append(l.Entries, Entry{Name: name, Size: sizeUnknown})
	return l, nil
}

// parseIndex reads the index page of a directory, as nginx, Apache and others
// make it: what it links to directly beneath its own URL are the files, and
// beneath that with a slash at the end directories. All other links are the
// page's own business. The size is what stands behind a link after a date and a
// time, if it is a number without unit; otherwise it is not known.
func parseIndex(text io.Reader, page *url.URL) (Listing, error) {
	dir := page.EscapedPath()
	dir = dir[:strings.LastIndexByte(dir, '/')+1]
	in := indexReader{page: page, dir: dir, at: make(map[string]int)}
	tokens := html.NewTokenizer(text)
	tokens.SetMaxBuf(1 << 20)
	for {
		switch kind := tokens.Next(); kind {
		case html.ErrorToken:
			if err := tokens.Err(); !errors.Is(err, io.EOF) {
				return Listing{}, fmt.Errorf("read the index page: %w", err)
			}
			return in.finish(), nil
		case html.TextToken:
			in.behind.WriteString(" ")
			in.behind.Write(tokens.Text())
		case html.StartTagToken:
			if tag, more := tokens.TagName(); string(tag) == "a" && more {
				in.begin(href(tokens))
			}
		case html.EndTagToken:
			if tag, _ := tokens.TagName(); string(tag) == "a" {
				in.behind.Reset() // what the link itself says: names, often cut short
			}
		}
	}
}

func href(tokens *html.Tokenizer) string {
	for {
		key, value, more := tokens.TagAttr()
		if string(key) == "href" {
			return string(value)
		}
		if !more {
			return ""
		}
	}
}

// indexReader collects the links of an index page.
type indexReader struct {
	page *url.URL
	dir  string // escaped path of the directory, with the slash

	c       collector
	files   []Entry
	at      map[string]int // where a name is in files
	current string         // name of the file whose link came last; empty: none
	behind  strings.Builder
}

// begin ends the last link and begins the next.
func (in *indexReader) begin(to string) {
	in.end()
	u, err := in.page.Parse(to)
	if err != nil {
		in.c.refuse(to, errors.New("link is not understood"))
		return
	}
	rest, beneath := strings.CutPrefix(u.EscapedPath(), in.dir)
	if u.Scheme != in.page.Scheme || u.Host != in.page.Host || !beneath || rest == "" || strings.Contains(rest, "/") ||
		u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return
	}
	name, err := url.PathUnescape(rest)
	if err != nil {
		in.c.refuse(rest, errors.New("link is not understood"))
		return
	}
	in.current = name
}

// end enters the file whose link came last, with what stood behind it. An icon
// may link to the same.
func (in *indexReader) end() {
	size := sizeBehind(in.behind.String())
	in.behind.Reset()
	if in.current == "" {
		return
	}
	i, seen := in.at[in.current]
	switch {
	case !seen:
		in.at[in.current] = len(in.files)
		in.files = append(in.files, Entry{Name: in.current, Size: size})
	case in.files[i].Size == sizeUnknown:
		in.files[i].Size = size
	}
	in.current = ""
}

func (in *indexReader) finish() Listing {
	in.end()
	for _, e := range in.files {
		in.c.add(e)
	}
	return in.c.result()
}

// sizeBehind reads the size from what stands behind a link. "1.2K" is rounded,
// and a number alone may be anything.
func sizeBehind(text string) int64 {
	fields := strings.Fields(text)
	if len(fields) < 3 || !strings.Contains(fields[0], "-") || !strings.Contains(fields[1], ":") {
		return sizeUnknown
	}
	size, err := parseSize(fields[2])
	if err != nil {
		return sizeUnknown
	}
	return size
}

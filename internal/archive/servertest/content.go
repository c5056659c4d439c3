package servertest

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"longhaul/internal/archive"
)

func names(l archive.Listing) []string {
	var all []string
	for _, e := range l.Entries {
		all = append(all, e.Name)
	}
	slices.Sort(all)
	return all
}

func (s *suite) lists(t *testing.T) {
	dir := s.dir(t)
	s.write(t, dir, "empty.fits", nil)
	s.write(t, dir, "small.fits", noise(1000))
	s.write(t, dir, "large.fits", noise(1_234_567))
	if err := os.Mkdir(filepath.Join(s.Root, dir, "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.write(t, dir, "below/deeper.fits", nil)
	c := s.client(t, Client{})
	for _, name := range []string{dir, "/" + dir, "/" + dir + "/"} {
		l, err := c.List(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := names(l), []string{"empty.fits", "large.fits", "small.fits"}; !slices.Equal(got, want) || len(l.Refused) != 0 {
			t.Fatalf("List(%q): %q, refused %q, want %q", name, got, l.Refused, want)
		}
		for _, e := range l.Entries {
			now, err := c.Stat(t.Context(), path.Join(name, e.Name))
			if err != nil || now.Name != e.Name || now.Size != e.Size {
				t.Errorf("listed as %+v, Stat says %+v, %v", e, now, err)
			}
			if !e.ModTime.IsZero() && !e.ModTime.Equal(now.ModTime) {
				t.Errorf("%s: listed time %v, Stat says %v", e.Name, e.ModTime, now.ModTime)
			}
			if now.ModTime.IsZero() || now.ModTime.Location() != time.UTC || time.Since(now.ModTime).Abs() > time.Hour {
				t.Errorf("%s: time %v", e.Name, now.ModTime)
			}
		}
	}
	l, err := c.List(t.Context(), dir+"/below")
	if err != nil || !slices.Equal(names(l), []string{"deeper.fits"}) {
		t.Errorf("List = %+v, %v", l, err)
	}
	if err := os.Remove(filepath.Join(s.Root, dir, "below/deeper.fits")); err != nil {
		t.Fatal(err)
	}
	if l, err := c.List(t.Context(), dir+"/below"); err != nil || len(l.Entries)+len(l.Refused) != 0 {
		t.Errorf("empty directory: %+v, %v", l, err)
	}
}

func (s *suite) hostileNames(t *testing.T) {
	dir := s.dir(t)
	for _, name := range []string{
		"good.fits", "-rf", ".hidden", "bell\a", "latin-\xe9", "cr\rname", "escape\x1b[31m", "turned \u202e round",
		"new\nline", "spoof\r\n-rw-r--r-- 1 ftp ftp 1 Jan 01 2020 good.fits",
		"spoof2\ntype=file;size=1;modify=20200101000000; good.fits",
	} {
		s.write(t, dir, name, []byte("x"))
	}
	for link, to := range map[string]string{"loop": "loop", "out": "/etc/passwd", "up": "../../../../etc/passwd", "in": "good.fits"} {
		if err := os.Symlink(to, filepath.Join(s.Root, dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	c := s.client(t, Client{})
	l, err := c.List(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range l.Entries {
		switch {
		case e.Name == "good.fits" && e.Size == 1:
		case s.LinksAreFiles && slices.Contains([]string{"in", "out", "up", "loop"}, e.Name):
		// A name with a line end can be two in a listing that has no way to
		// say so: the rest must be harmless, and is found not to exist.
		case archive.CheckName(e.Name) == nil && kind(second(c.Stat(t.Context(), dir+"/"+e.Name))) == "no file":
		default:
			t.Errorf("listed: %+v", e)
		}
	}
	if !slices.Contains(names(l), "good.fits") {
		t.Errorf("good.fits is not listed: %q; refused %q", names(l), l.Refused)
	}
	for _, r := range l.Refused {
		if strings.ContainsFunc(r, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(r) > 1000 {
			t.Errorf("not fit to show: %q", r)
		}
	}
	for _, name := range []string{"../" + dir + "/good.fits", dir + "/../../etc/passwd", "-rf", dir + "/a\r\nDELE good.fits", dir + "/\xff"} {
		if _, err := c.Fetch(t.Context(), name, 0, io.Discard); kind(err) != "failed" {
			t.Errorf("Fetch(%q) = %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func (s *suite) oddNames(t *testing.T) {
	dir := s.dir(t)
	odd := []string{
		"with blank.fits", "two  blanks", "a#b", "a?b=c", "100%", "%41", "a;type=i", "a&b", "a+b", "quote\"s'", "a:b", "{a,b}*[c]~",
		"ünïcödé", "<b>bold", "& entity", "real -> not a link", "12345678 2026-11-22", strings.Repeat("n", 255),
	}
	slices.Sort(odd)
	for _, name := range odd {
		s.write(t, dir, name, []byte(name))
	}
	c := s.client(t, Client{})
	l, err := c.List(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(l); !slices.Equal(got, odd) {
		t.Errorf("listed %q\nwant %q\nrefused %q", got, odd, l.Refused)
	}
	for _, e := range l.Entries {
		var got bytes.Buffer
		if _, err := c.Fetch(t.Context(), dir+"/"+e.Name, 0, &got); err != nil {
			t.Error(err)
		}
		if got.String() != e.Name || e.Size != int64(len(e.Name)) {
			t.Errorf("%q: %d bytes listed, content %q", e.Name, e.Size, got.String())
		}
	}
}

func (s *suite) crowd(t *testing.T) {
	if s.Crowd == nil {
		t.Skip("NOT TESTED: this server is not given a hundred thousand files")
	}
	s.Crowd(t, "CROWD")
	l, err := s.client(t, Client{}).List(t.Context(), "CROWD")
	if err != nil || len(l.Entries) != 100_000 || len(l.Refused) != 0 {
		t.Fatalf("%d entries, %d refused, %v", len(l.Entries), len(l.Refused), err)
	}
	all := names(l)
	if all[0] != "f000000.fits" || all[99_999] != "f099999.fits" {
		t.Errorf("from %q to %q", all[0], all[99_999])
	}
}

func (s *suite) offsets(t *testing.T) {
	dir, content := s.dir(t), noise(2_000_003)
	s.write(t, dir, "raw.fits", content)
	s.write(t, dir, "empty.fits", nil)
	c := s.client(t, Client{})
	for _, offset := range []int64{0, 1, 32 << 10, 1_234_567, 2_000_002, 2_000_003} {
		var got bytes.Buffer
		n, err := c.Fetch(t.Context(), dir+"/raw.fits", offset, &got)
		if err != nil || n != 2_000_003-offset {
			t.Errorf("Fetch from %d = %d, %v", offset, n, err)
		}
		wantBytes(t, got.Bytes(), content[offset:])
	}
	n, err := c.Fetch(t.Context(), dir+"/raw.fits", 2_000_004, io.Discard)
	if wantKind(t, err, "no resume"); n != 0 {
		t.Errorf("%d bytes from beyond the end", n)
	}
	if n, err := c.Fetch(t.Context(), dir+"/empty.fits", 0, io.Discard); n != 0 || err != nil {
		t.Errorf("empty file: %d, %v", n, err)
	}
	if _, err := c.Fetch(t.Context(), dir+"/raw.fits", -1, io.Discard); err == nil {
		t.Error("a negative offset is accepted")
	}
}

func (s *suite) huge(t *testing.T) {
	const size, tail = 10 << 30, 1 << 20
	dir, content := s.dir(t), noise(tail)
	f, err := os.OpenFile(filepath.Join(s.Root, dir, "huge.fits"), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, writeErr := f.WriteAt(content, size-tail)
	_, middleErr := f.WriteAt(content, 1<<32-10)
	if err := errors.Join(writeErr, middleErr, f.Close()); err != nil {
		t.Fatal(err)
	}
	c := s.client(t, Client{})
	l, err := c.List(t.Context(), dir)
	if err != nil || len(l.Entries) != 1 || l.Entries[0].Size != size {
		t.Errorf("List = %+v, %v", l, err)
	}
	if e, err := c.Stat(t.Context(), dir+"/huge.fits"); err != nil || e.Size != size {
		t.Errorf("Stat = %+v, %v", e, err)
	}
	var got bytes.Buffer
	if n, err := c.Fetch(t.Context(), dir+"/huge.fits", size-tail, &got); err != nil || n != tail {
		t.Errorf("Fetch = %d, %v", n, err)
	}
	wantBytes(t, got.Bytes(), content)
	// Where 32 bits end, and no more than is needed.
	enough := errors.New("enough")
	var middle bytes.Buffer
	_, err = c.Fetch(t.Context(), dir+"/huge.fits", 1<<32-10, writerFunc(func(p []byte) (int, error) {
		if middle.Write(p); middle.Len() >= tail {
			return len(p), enough
		}
		return len(p), nil
	}))
	if !errors.Is(err, enough) {
		t.Errorf("Fetch = %v", err)
	}
	wantBytes(t, middle.Bytes()[:min(tail, middle.Len())], content)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func (s *suite) concurrent(t *testing.T) {
	dir, content := s.dir(t), noise(3_000_000)
	for i := range 8 {
		s.write(t, dir, fmt.Sprintf("f%d", i), content[i:])
	}
	c := s.client(t, Client{})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for round := range 2 {
				var got bytes.Buffer
				offset := int64(round * 1_000_000)
				if _, err := c.Fetch(t.Context(), fmt.Sprintf("%s/f%d", dir, i), offset, &got); err != nil {
					t.Error(err)
				}
				wantBytes(t, got.Bytes(), content[i+int(offset):])
			}
		})
	}
	all.Wait()
}

func (s *suite) missing(t *testing.T) {
	dir := s.dir(t)
	c := s.client(t, Client{})
	_, err := c.Stat(t.Context(), dir+"/none.fits")
	wantKind(t, err, "no file")
	for _, offset := range []int64{0, 100} {
		_, err = c.Fetch(t.Context(), dir+"/none.fits", offset, io.Discard)
		wantKind(t, err, "no file")
	}
	_, err = c.List(t.Context(), "NONE")
	wantKind(t, err, "no file")
}

func (s *suite) changed(t *testing.T) {
	dir, content := s.dir(t), noise(200_000)
	s.write(t, dir, "raw.fits", content[:100_000])
	early := time.Now().Add(-2 * time.Hour).Truncate(time.Second)
	if err := os.Chtimes(filepath.Join(s.Root, dir, "raw.fits"), early, early); err != nil {
		t.Fatal(err)
	}
	c := s.client(t, Client{})
	before, err := c.Stat(t.Context(), dir+"/raw.fits")
	if err != nil || !before.ModTime.Equal(early) {
		t.Fatalf("Stat = %+v, %v, want time %v", before, err, early.UTC())
	}
	s.write(t, dir, "raw.fits", content[100_000:])
	after, err := c.Stat(t.Context(), dir+"/raw.fits")
	if err != nil || after.Size != before.Size || after == before {
		t.Errorf("before %+v, after %+v, %v", before, after, err)
	}
	var got bytes.Buffer
	if _, err := c.Fetch(t.Context(), dir+"/raw.fits", 0, &got); err != nil {
		t.Error(err)
	}
	wantBytes(t, got.Bytes(), content[100_000:])
}

func (s *suite) checksums(t *testing.T) {
	dir := s.dir(t)
	a, b := noise(1000), noise(2000)
	sumA, sumB := sha256.Sum256(a), md5.Sum(b)
	s.write(t, dir, "a.fits", a)
	s.write(t, dir, "b.fits", b)
	s.write(t, dir, "SHA256SUMS", []byte(hex.EncodeToString(sumA[:])+"  a.fits\n"))
	s.write(t, dir, "b.fits.md5", []byte(hex.EncodeToString(sumB[:])+"\n"))
	c := s.client(t, Client{})
	l, err := c.List(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	sums, err := archive.Checksums(t.Context(), c, dir, l)
	if err != nil || len(sums) != 2 || sums["a.fits"] != "sha256:"+hex.EncodeToString(sumA[:]) || sums["b.fits"] != "md5:"+hex.EncodeToString(sumB[:]) {
		t.Errorf("Checksums = %v, %v", sums, err)
	}
}

func (s *suite) loginRefused(t *testing.T) {
	if s.NoLogin {
		t.Skip("NOT TESTED: nobody logs in to this server")
	}
	s.write(t, "", "login.fits", []byte("x"))
	c := s.client(t, Client{WrongPassword: true})
	_, err := c.List(t.Context(), "")
	wantKind(t, err, "login")
	_, err = c.Fetch(t.Context(), "login.fits", 0, io.Discard)
	wantKind(t, err, "login")
}

func (s *suite) wrongServer(t *testing.T) {
	c := s.client(t, Client{WrongTrust: true})
	if c == nil {
		t.Skip("NOT TESTED: nothing tells this server from another")
	}
	_, err := c.Stat(t.Context(), "trust.fits")
	wantKind(t, err, "outage")
	t.Logf("it says: %v", err)
}

func (s *suite) interrupted(t *testing.T) {
	dir := s.dir(t)
	s.write(t, dir, "raw.fits", noise(4<<20))
	c := s.client(t, Client{})
	full := errors.New("disk full")
	n, err := c.Fetch(t.Context(), dir+"/raw.fits", 0, writerFunc(func([]byte) (int, error) { return 7, full }))
	if n != 7 || !errors.Is(err, full) {
		t.Errorf("Fetch = %d, %v", n, err)
	}
	wantKind(t, err, "failed")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n, err = c.Fetch(ctx, dir+"/raw.fits", 0, &watching{at: 1 << 20, do: cancel})
	if err != context.Canceled || n < 1<<20 {
		t.Errorf("Fetch = %d, %v, want the context's error itself", n, err)
	}
	if _, err := c.List(ctx, dir); err != context.Canceled {
		t.Errorf("List = %v", err)
	}
	if n, err := c.Fetch(t.Context(), dir+"/raw.fits", 0, io.Discard); err != nil || n != 4<<20 {
		t.Errorf("afterwards: %d, %v", n, err)
	}
}

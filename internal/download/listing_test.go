package download_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"longhaul/internal/archive/archivetest"
	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
)

// listed makes a site with one request that is done.
func listed(t *testing.T, changes ...func(*setup)) *site {
	t.Helper()
	s := newSite(t, changes...)
	id := must(s.store.BeginRequest(t.Context(), 5, 4, "mock"))(t)
	check(t, s.store.NameRequest(t.Context(), id, "GUID2"))
	s.says("GUID2", "done")
	return s
}

// names of all files that are tracked, sorted.
func (s *site) names() []string {
	s.t.Helper()
	names := []string{}
	for _, f := range must(s.store.Files(s.t.Context(), jobtracker.Filter{}))(s.t) {
		names = append(names, f.Filename)
	}
	slices.Sort(names)
	return names
}

const (
	half0 = "4bit-p2030.20141121.G45.b0s0g0.00100.fits"
	half1 = "4bit-p2030.20141121.G45.b0s1g0.00100.fits"
	beam7 = "4bit-p2030.20141121.G45.b7s0g0.00100.fits"
)

func TestAListingEntersWhatAProductRecognises(t *testing.T) {
	t.Parallel()
	hostile := []string{
		"../raw.up", "/etc/raw", "raw\x00nul", "raw\rreturn", "-rraw", ".raw.hidden", "raw\xff", strings.Repeat("raw", 100),
	}
	s := listed(t, func(b *setup) {
		b.ftp.Extra = func(dir string) (lines []string) {
			if dir != "/GUID2" {
				return nil
			}
			for _, name := range append(hostile, half0) { // and one that is listed twice
				lines = append(lines, "type=file;size=10;modify=20260102030405; "+name)
			}
			return append(lines, "type=file;size=9223372036854775807;modify=20260102030405; raw.absurd",
				"type=OS.unix=symlink;size=10; raw.link", "type=dir;size=10; raw.dir", "no facts at all")
		}
	})
	content := noise(1000, 1)
	s.enter("raw.known", content)
	for _, name := range []string{half0, half1, beam7, "README.txt", "raw.known", half0 + ".sha256", "SHA256SUMS"} {
		s.put("GUID2/"+name, content)
	}
	s.put("GUID2/"+half0+".sha256", []byte(sha256Of(content)[7:]+"\n"))
	s.put("GUID2/SHA256SUMS", nil)
	check(t, s.pass())
	if got, want := s.names(), []string{half0, half1, "raw.known"}; !slices.Equal(got, want) {
		t.Errorf("tracked: %q, want %q", got, want)
	}
	s.rounds(1)
	for _, name := range []string{half0, half1} {
		s.wantWhole(name, content)
	}
	f := s.file(half0)
	if f.Product != "mock" || f.GroupKey != "p2030/20141121/G45/0/00100" || f.Metadata["subband"] != "0" ||
		f.RemoteFilename != "/GUID2/"+half0 || f.Checksum != sha256Of(content) || f.RequestID == 0 {
		t.Errorf("file: %+v", f)
	}
	if f := s.file("raw.known"); f.RequestID != 0 || f.RemoteFilename != "/"+guid+"/raw.known" {
		t.Errorf("a known file was taken over: %+v", f)
	}
	r := s.requests()[0]
	for _, want := range []string{"README.txt (no product)", beam7, "not believed", "and "} {
		if r.Status != pipeline.Finished || !strings.Contains(r.Details, want) {
			t.Errorf("request is %s: %q, want %q in it", r.Status, r.Details, want)
		}
	}
	if n := s.ftp.Stats().Commands["MLSD"]; n != 1 {
		t.Errorf("%d listings", n)
	}
}

func TestChecksumsComeFromTheDirectory(t *testing.T) {
	t.Parallel()
	a, b, c := noise(1000, 1), noise(1000, 2), noise(1000, 3)
	s := listed(t, func(b *setup) { b.tls = true })
	s.put("GUID2/raw.a", a)
	s.put("GUID2/raw.b", b)
	s.put("GUID2/raw.c", c)
	s.put("GUID2/raw.d", nil)
	s.put("GUID2/SHA256SUMS", []byte(sha256Of(a)[7:]+"  raw.a\n"+sha256Of(a)[7:]+" *raw.b\n"))
	s.put("GUID2/raw.c.md5", []byte(md5Of(c)[4:]+"  raw.c\n"))
	s.put("GUID2/other.md5", []byte(md5Of(c)[4:]+"  other\n"))
	check(t, s.pass())
	s.rounds(1)
	for name, want := range map[string]string{"raw.a": sha256Of(a), "raw.b": sha256Of(a), "raw.c": md5Of(c), "raw.d": ""} {
		if f := s.file(name); f.Checksum != want {
			t.Errorf("%s: checksum %q, want %q", name, f.Checksum, want)
		}
	}
	s.wantWhole("raw.a", a)
	s.wantWhole("raw.c", c)
	s.wantStatus("raw.b", pipeline.Retrying, 1) // its checksum is another file's
	if got := s.offsets("other.md5"); len(got) != 0 {
		t.Error("a sidecar of no file was fetched")
	}
}

// TestChecksumsThatCannotBeReadAreTriedAgain, and then the files come without.
func TestChecksumsThatCannotBeReadAreTriedAgain(t *testing.T) {
	t.Parallel()
	content := noise(1000, 1)
	good := sha256Of(content)[7:] + "  "
	type sums struct {
		text    string
		cuts    int // retrievals of it that are cut
		passes  int // until the file is entered
		without bool
	}
	cases := map[string]*sums{
		"raw.cut":            {text: good + "raw.cut\n", cuts: 1, passes: 2},
		"raw.always-cut":     {text: good + "raw.always-cut\n", cuts: 99, passes: 3, without: true},
		"raw.nonsense":       {text: "this is no checksum\n", passes: 3, without: true},
		"raw.nonsense-aside": {text: "junk\n" + good + "raw.nonsense-aside\n", passes: 3},
	}
	s := newSite(t, func(b *setup) { b.cfg.NumDownloads = len(cases) })
	ids := make(map[string]pipeline.RequestID)
	for name, c := range cases {
		ids[name] = must(s.store.BeginRequest(t.Context(), 5, 4, "mock"))(t)
		dir := strings.ReplaceAll(name, ".", "-")
		check(t, s.store.NameRequest(t.Context(), ids[name], dir))
		s.says(dir, "done")
		s.put(dir+"/"+name, content)
		s.put(dir+"/SHA256SUMS", []byte(c.text))
	}
	s.ftp.SetFault(func(path string, _ int64) archivetest.Fault {
		dir, file, _ := strings.Cut(path[1:], "/")
		c := cases[strings.Replace(dir, "-", ".", 1)]
		if file != "SHA256SUMS" || c.cuts == 0 {
			return archivetest.Fault{}
		}
		c.cuts--
		return archivetest.Fault{Action: archivetest.Cut, After: 10}
	})
	for pass := range 4 {
		for name, c := range cases {
			if entered := slices.Contains(s.names(), name); entered != (pass >= c.passes) {
				t.Errorf("%s: after %d passes entered is %v", name, pass, entered)
			}
		}
		check(t, s.pass())
		s.clock.Advance(time.Minute)
	}
	for name, c := range cases {
		s.wantWhole(name, content)
		if f := s.file(name); (f.Checksum == "") != c.without {
			t.Errorf("%s: checksum %q", name, f.Checksum)
		}
		r := must(s.store.Request(t.Context(), ids[name]))(t)
		if said := strings.Contains(r.Details, "checksums cannot be read"); said != (c.passes == 3) {
			t.Errorf("%s: %s", name, r.Details)
		}
	}
}

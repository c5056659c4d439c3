package archive_test

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"longhaul/internal/archive"
	"longhaul/internal/archive/archivetest"
)

func sha(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) }
func md(s string) string  { sum := md5.Sum([]byte(s)); return hex.EncodeToString(sum[:]) }

func TestParseSums(t *testing.T) {
	t.Parallel()
	a, b, m := sha("a"), sha("b"), md("a")
	for _, tt := range []struct {
		name string
		text string
		want map[string]string
		bad  string // part of the error
	}{
		{"nothing", "", map[string]string{}, ""},
		{"sha256sum's way", a + "  x.fits\n" + b + " *y z.fits\n", map[string]string{"x.fits": "sha256:" + a, "y z.fits": "sha256:" + b}, ""},
		{"md5sum's way, DOS line ends, capitals", strings.ToUpper(m) + "  x.fits\r\n", map[string]string{"x.fits": "md5:" + m}, ""},
		{"BSD's way", "SHA256 (x (1).fits) = " + a + "\nMD5 (y) = " + m, map[string]string{"x (1).fits": "sha256:" + a, "y": "md5:" + m}, ""},
		{"a bare sum", a + "\n", map[string]string{"": "sha256:" + a}, ""},
		{"comments and empty lines", "# made by hand\n\n" + a + "  x\n", map[string]string{"x": "sha256:" + a}, ""},
		{"SHA-256 is preferred", m + "  x\n" + a + "  x\n" + m + "  x\n", map[string]string{"x": "sha256:" + a}, ""},
		{"an escaped name", "\\" + a + "  new\\nline\n" + b + "  y\n", map[string]string{"y": "sha256:" + b}, "line 1: escaped name"},
		{"two opinions", a + "  x\n" + b + "  x\n", map[string]string{"x": "sha256:" + a}, "different checksum"},
		{"another kind of sum", a[:40] + "  x\n", map[string]string{}, "40 digits"},
		{"a kind that is not so", "SHA256 (x) = " + m, map[string]string{}, "said to be"},
		{"not hexadecimal", "z" + a[1:] + "  x", map[string]string{}, "no checksum"},
		{"one blank", a + " x\n" + a + " ", map[string]string{"": "sha256:" + a}, "no name"},
		{"a page of a proxy", "<html>\n<body>\n", map[string]string{}, "2 bad lines"},
		{"an endless line", strings.Repeat("a", 1<<20), map[string]string{}, "too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := archive.ParseSums(strings.NewReader(tt.text))
			if !maps.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if (err != nil) != (tt.bad != "") || (err != nil && !strings.Contains(err.Error(), tt.bad)) {
				t.Errorf("error %v, want %q", err, tt.bad)
			}
		})
	}
}

func TestChecksumsOfAListing(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, content := range map[string]string{
		"a.fits": "a", "b.fits": "b", "c.fits": "c", "d.fits": "d", "e.fits": "e",
		"SHA256SUMS":    sha("a") + "  ./a.fits\n" + sha("sub") + "  sub/b.fits\n" + sha("no") + "  not-here.fits\n",
		"MD5SUMS":       md("a") + "  a.fits\n" + md("b") + "  b.fits\n",
		"c.fits.sha256": sha("c") + "\n",
		"c.fits.md5":    md("c") + "  /data/out/c.fits\n",
		"d.fits.md5":    md("e") + "  e.fits\n", // is about another
		"gone.md5":      md("gone"),             // belongs to nothing
	} {
		writeFile(t, filepath.Join(root, "GUID", name), []byte(content))
	}
	s := server(t, nil, func(o *archivetest.FileServerOptions) { o.Root = root })
	f := client(t, s, nil)
	l, err := f.List(t.Context(), "GUID")
	if err != nil {
		t.Fatal(err)
	}
	got, err := archive.Checksums(t.Context(), f, "GUID", l)
	want := map[string]string{"a.fits": "sha256:" + sha("a"), "b.fits": "md5:" + md("b"), "c.fits": "sha256:" + sha("c")}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if wantKind(t, err, "failed"); !strings.Contains(err.Error(), `"d.fits.md5": is about another file, "e.fits"`) {
		t.Errorf("error %v", err)
	}
	s.SetDown(true)
	_, err = archive.Checksums(t.Context(), f, "GUID", l)
	wantKind(t, err, "outage")
}

func TestHugeFileOfChecksumsIsNotRead(t *testing.T) {
	t.Parallel()
	s := server(t, nil, nil)
	f := client(t, s, nil)
	l := archive.Listing{Entries: []archive.Entry{{Name: "raw.fits"}, {Name: "raw.fits.md5", Size: 17 << 20}}}
	if got, err := archive.Checksums(t.Context(), f, "GUID", l); err == nil || len(got) != 0 {
		t.Errorf("Checksums = %v, %v", got, err)
	}
	if n := len(s.Stats().Retrievals); n != 0 {
		t.Errorf("%d retrievals", n)
	}
}

func TestIsChecksumFile(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"SHA256SUMS": true, "MD5SUMS": true, "a.fits.sha256": true, "a.fits.md5": true,
		"a.fits": false, ".md5": false, "sha256sums.fits": false,
	} {
		if got := archive.IsChecksumFile(name); got != want {
			t.Errorf("IsChecksumFile(%q) = %v", name, got)
		}
	}
}

func TestNewHash(t *testing.T) {
	t.Parallel()
	for _, checksum := range []string{"sha256:" + strings.ToUpper(sha("x")), "md5:" + md("x")} {
		h, want, err := archive.NewHash(checksum)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(h, "x"); err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != want {
			t.Errorf("%s: got %s, want %s", checksum, got, want)
		}
	}
	for _, checksum := range []string{"", "sha256:", "sha1:" + sha("x")[:40], "sha256:" + md("x"), "md5:zz", sha("x")} {
		if _, _, err := archive.NewHash(checksum); err == nil {
			t.Errorf("%q accepted", checksum)
		}
	}
}

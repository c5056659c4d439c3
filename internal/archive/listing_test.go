package archive_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"longhaul/internal/archive"
	"longhaul/internal/archive/archivetest"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"4bit-p2030.20100810.B1937+21_off.b0s1g0.00100.fits": true,
		"with blank;and (more), ünïcode":                     true,
		strings.Repeat("a", 255):                             true,
		strings.Repeat("a", 256):                             false,
		"":                                                   false,
		".":                                                  false,
		"..":                                                 false,
		".hidden":                                            false,
		"-rf":                                                false,
		"a/b":                                                false,
		"/etc/passwd":                                        false,
		"a\nb":                                               false,
		"a\rb":                                               false,
		"a\x00b":                                             false,
		"a\x1b[31m":                                          false,
		"a\x7f":                                              false,
		"not utf-8 \xff":                                     false,
		"turned \u202e round":                                false,
		"two\u2028lines":                                     false,
	} {
		if err := archive.CheckName(name); (err == nil) != ok {
			t.Errorf("CheckName(%q) = %v", name, err)
		}
	}
}

// hostile fills a directory with what must not come through, and returns how
// many of its names are refused.
func hostile(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"good.fits", "-rf", ".hidden", "bell\a", "latin-\xe9", "cr\rname", "real -> not a link"} {
		writeFile(t, filepath.Join(dir, name), []byte("x"))
	}
	if err := os.Mkdir(filepath.Join(dir, "directory"), 0o750); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"loop": "loop", "out": "/etc/passwd", "in": "good.fits"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
}

func names(l archive.Listing) []string {
	var all []string
	for _, e := range l.Entries {
		all = append(all, e.Name)
	}
	slices.Sort(all)
	return all
}

func TestHostileNamesAreRefusedAndQuoted(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	hostile(t, root)
	extra := []string{
		"type=file;size=1;modify=20200101000000; ../up",
		"type=file;size=1;modify=20200101000000; /etc/passwd",
		"type=file;size=1;modify=20200101000000; good.fits",
		"type=file;size=1;modify=20200101000000; " + strings.Repeat("n", 300),
		"Type=File;SIZE=7;Modify=20200101000000.123; capitals.fits",
		"type=file;size=-1; negative",
		"type=file;size=99999999999999999999; huge",
		"type=file; sizeless",
		"type=file;size=1;modify=yesterday; timeless",
		"size=1; typeless",
		"type=dir;size=1; directory2",
		"type=OS.unix=slink:/etc/passwd;size=1; link",
		"nonsense",
	}
	s := server(t, nil, func(o *archivetest.FileServerOptions) {
		o.Root, o.Extra = root, func(string) []string { return extra }
	})
	l, err := client(t, s, nil).List(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := names(l), []string{"capitals.fits", "good.fits", "real -> not a link"}; !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	if len(l.Refused) != 14 {
		t.Errorf("%d refused, want 14:\n%s", len(l.Refused), strings.Join(l.Refused, "\n"))
	}
	for _, r := range l.Refused {
		if strings.ContainsFunc(r, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(r) > 500 {
			t.Errorf("not fit to show: %q", r)
		}
	}
}

func TestLinksAreNoFilesInListingsForPeople(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	hostile(t, root)
	s := server(t, nil, func(o *archivetest.FileServerOptions) { o.Root, o.NoMLSD = root, true })
	l, err := client(t, s, nil).List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := names(l), []string{"good.fits", "real -> not a link"}; !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q; refused %q", got, want, l.Refused)
	}
}

func TestLongListings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		entries int
		line    string
		noMLSD  bool
	}{
		{"a hundred thousand entries by MLSD", 100_000, "type=file;size=%d;modify=20240229120000; f%06d.fits", false},
		{"ten thousand entries by LIST", 10_000, "-rw-r--r--   1 archive  archive  %12d Feb 29  2024 f%06d.fits", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			lines := make([]string, tt.entries)
			for i := range lines {
				lines[i] = fmt.Sprintf(tt.line, i, i)
			}
			s := server(t, nil, func(o *archivetest.FileServerOptions) {
				o.NoMLSD, o.Extra = tt.noMLSD, func(string) []string { return lines }
			})
			l, err := client(t, s, nil).List(t.Context(), "GUID")
			if err != nil || len(l.Entries) != tt.entries+1 || len(l.Refused) != 0 { // and raw.fits
				t.Fatalf("%d entries, %d refused, %v", len(l.Entries), len(l.Refused), err)
			}
			last := tt.entries - 1
			if e := l.Entries[tt.entries]; e.Name != fmt.Sprintf("f%06d.fits", last) || e.Size != int64(last) {
				t.Errorf("the last is %+v", e)
			}
		})
	}
}

func TestManyRefusedNamesAreCounted(t *testing.T) {
	t.Parallel()
	s := server(t, nil, func(o *archivetest.FileServerOptions) {
		o.Extra = func(string) []string { return slices.Repeat([]string{"nonsense"}, 5000) }
	})
	l, err := client(t, s, nil).List(t.Context(), "GUID")
	if err != nil || len(l.Refused) != 1001 || l.Refused[1000] != "and 4000 more" {
		t.Errorf("%d refused, %v", len(l.Refused), err)
	}
}

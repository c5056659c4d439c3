package archive

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

const nginxIndex = `<html>
<head><title>Index of /data/GUID/</title></head>
<body>
<h1>Index of /data/GUID/</h1><hr><pre><a href="../">../</a>
<a href="below/">below/</a>                                             22-Nov-2026 01:03                   -
<a href="p2030.20100810.B1937%2B21_off.b0s1g0.00100.fits">p2030.20100810.B1937+21_off.b0s1g0.00100.f..&gt;</a> 22-Nov-2026 01:03          5368709120
<a href="empty.fits">empty.fits</a>                                         22-Nov-2026 01:03                   0
<a href="with%20blank%23%3F%25.fits">with blank#?%.fits</a>                                 22-Nov-2026 01:03                  17
<a href="rounded.fits">rounded.fits</a>                                       22-Nov-2026 01:03                 12K
</pre><hr></body>
</html>
`

const apacheTable = `<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">
<html><body><h1>Index of /data/GUID</h1>
<table>
<tr><th valign="top"><img src="/icons/blank.gif" alt="[ICO]"></th><th><a href="?C=N;O=D">Name</a></th><th><a href="?C=M;O=A">Last modified</a></th><th><a href="?C=S;O=A">Size</a></th><th><a href="?C=D;O=A">Description</a></th></tr>
<tr><td valign="top"><img src="/icons/back.gif" alt="[PARENTDIR]"></td><td><a href="/data/">Parent Directory</a></td><td>&nbsp;</td><td align="right">  - </td><td>&nbsp;</td></tr>
<tr><td valign="top"><a href="small.fits"><img src="/icons/unknown.gif" alt="[   ]"></a></td><td><a href="small.fits">small.fits</a></td><td align="right">2026-11-22 01:03  </td><td align="right">123 </td><td>&nbsp;</td></tr>
<tr><td valign="top"><img src="/icons/unknown.gif" alt="[   ]"></td><td><a href="large.fits">large.fits</a></td><td align="right">2026-11-22 01:03  </td><td align="right">1.2G</td><td>99</td></tr>
<tr><td valign="top"><img src="/icons/folder.gif" alt="[DIR]"></td><td><a href="below/">below/</a></td><td align="right">2026-11-22 01:03  </td><td align="right">  - </td><td>&nbsp;</td></tr>
</table>
<address>Apache/2.4.57 (Debian) Server at <a href="mailto:w@h">h</a> Port 443, <a href="https://www.apache.org/x">x</a></address>
</body></html>
`

func TestIndexPages(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, page, url string
		want            map[string]int64
		refused         int
	}{
		{"nginx", nginxIndex, "https://h/data/GUID/", map[string]int64{
			"p2030.20100810.B1937+21_off.b0s1g0.00100.fits": 5368709120, "empty.fits": 0, "with blank#?%.fits": 17, "rounded.fits": sizeUnknown,
		}, 0},
		{"Apache", apacheTable, "https://h/data/GUID/", map[string]int64{"small.fits": 123, "large.fits": sizeUnknown}, 0},
		{"absolute links", `<A HREF='https://h:443/d/a'>a</A> <a href="/d/b">b</a><a href="//h/d/c">c</a>`, "https://h/d/",
			map[string]int64{"b": sizeUnknown, "c": sizeUnknown}, 0},
		{"names that are refused", `<a href="-rf">x</a><a href="%2e%2e">x</a><a href=".h">x</a><a href="a%2fb">x</a><a href="%0d%0a">x</a><a href="%ff">x</a>`,
			"https://h/d/", nil, 6},
		{"links that are none of ours", `<a href="../up">x</a><a href="/etc/passwd">x</a><a href="http://h/d/a">x</a><a href="https://other/d/a">x</a>` +
			`<a href="below/a">x</a><a href="javascript:a()">x</a><a href="a?b">x</a><a href="#a">x</a><a href="">x</a><a>x</a><a name="y">x</a>`, "https://h/d/", nil, 0},
		{"a link that is none", `<a href="%zz">x</a>`, "https://h/d/", nil, 1},
		{"a number in a comment", `<!-- <a href="x">x</a> --><a href="y">2026-01-01 00:00 17</a><script><a href="z"></script>`, "https://h/d/",
			map[string]int64{"y": sizeUnknown}, 0},
		{"a directory with odd letters", `<a href="a%20b">x</a> 1-1 1:1 5`, "https://h/d%20d/%C3%BC/", map[string]int64{"a b": 5}, 0},
		{"nothing", ``, "https://h/d/", nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			at, err := url.Parse(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			l, err := parseIndex(strings.NewReader(tt.page), at)
			if err != nil {
				t.Fatal(err)
			}
			if len(l.Entries) != len(tt.want) || len(l.Refused) != tt.refused {
				t.Errorf("listed %+v, refused %q", l.Entries, l.Refused)
			}
			for _, e := range l.Entries {
				if size, ok := tt.want[e.Name]; !ok || size != e.Size || !e.ModTime.IsZero() {
					t.Errorf("listed %+v", e)
				}
			}
		})
	}
}

func TestManifests(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("0123456789abcdef", 4)
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	l, err := parseManifest(strings.NewReader(strings.Join([]string{
		"# a comment", "", "  ",
		"5368709120 2026-11-22T12:00:00Z a.fits",
		"17   2026-11-22T13:00:00.5+01:00   b  c.fits\r",
		"0 - ./d.fits",
		sum + "  e.fits", sum[:32] + " *./f.fits", "SHA256 (g.fits) = " + sum,
		"17 - a.fits", "-1 - x", "17 yesterday x", "17 -", "17", sum, sum + "  ../x", "17 - ../x", "17 - sub/x", "+5 - x", "nonsense",
	}, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	want := []Entry{
		{"a.fits", 5368709120, noon}, {"b  c.fits", 17, noon}, {"d.fits", 0, time.Time{}},
		{"e.fits", sizeUnknown, time.Time{}}, {"f.fits", sizeUnknown, time.Time{}}, {"g.fits", sizeUnknown, time.Time{}},
	}
	if !slices.Equal(l.Entries, want) || len(l.Refused) != 11 {
		t.Errorf("listed %+v, %d refused: %q", l.Entries, len(l.Refused), l.Refused)
	}
	if _, err := parseManifest(strings.NewReader(strings.Repeat("x", maxLine+1))); err == nil {
		t.Error("a line without end is accepted")
	}
}

func TestContentRanges(t *testing.T) {
	t.Parallel()
	for s, want := range map[string][3]int64{
		"bytes 0-0/1": {0, 0, 1}, "bytes 5-9/10": {5, 9, 10}, "bytes 5368709120-5368709129/*": {5368709120, 5368709129, -1},
	} {
		if first, last, total, err := parseContentRange(s); err != nil || [3]int64{first, last, total} != want {
			t.Errorf("%q: %d, %d, %d, %v", s, first, last, total, err)
		}
	}
	for _, s := range []string{
		"", "bytes", "bytes 1-0/5", "bytes 0-5/5", "bytes 0-/5", "bytes -1-2/5", "bytes 0-1", "bytes */5", "bytes +0-1/5", "items 0-1/5",
		"bytes 0-99999999999999999999/*",
	} {
		if _, _, _, err := parseContentRange(s); err == nil {
			t.Errorf("%q is accepted", s)
		}
	}
}

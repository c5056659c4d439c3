package archive

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`<?xml version="1.0" encoding="utf-8"?><string xmlns="http://x/">0f8fad5b-d9cb</string>`,
		`<string>fail</string>`, `<string/>`, `<string><![CDATA[done]]></string>`,
		`<!DOCTYPE s [<!ENTITY a "b">]><string>&a;</string>`, `<string>&#10;</string>`, `<a>`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		word, err := parseAnswer(body)
		if err != nil {
			return
		}
		if !utf8.ValidString(word) || word != strings.TrimSpace(word) || !bytes.Contains(body, []byte("string")) {
			t.Errorf("word %q from %q", word, body)
		}
		if checkGUID(word) == nil && (strings.ContainsAny(word, "./\\\x00\n ") || len(word) > maxGUID) {
			t.Errorf("GUID %q was believed", word)
		}
	})
}

func FuzzMLSD(f *testing.F) {
	for _, seed := range []string{
		"type=file;size=1;modify=20200101000000; a.fits\r\ntype=dir; b\r\n",
		"Type=file;Size=18446744073709551615; c\n", "type=file;size=1; ../d\r\n", "type=file;size=1;\r\n", "; \n", " x\n",
		"type=OS.unix=slink:/etc;size=1; e\r\n", "type=file;size=1; f\rg\r\n", "type=file;size=1; \xff\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := parseMLSD(bytes.NewReader(text))
		if err != nil {
			return
		}
		seen := make(map[string]bool)
		for _, e := range l.Entries {
			if CheckName(e.Name) != nil || e.Size < 0 || seen[e.Name] || strings.ContainsAny(e.Name, "/\r\n\x00") {
				t.Errorf("entry %+v came through", e)
			}
			seen[e.Name] = true
		}
	})
}

func FuzzParseSums(f *testing.F) {
	sha := strings.Repeat("0123456789abcdef", 4)
	for _, seed := range []string{
		sha + "  a.fits\n", sha[:32] + " *b.fits\r\n", "SHA256 (c) = " + sha, "MD5 (d) = " + sha[:32], sha, `\` + sha + "  e\\n",
		"# comment\n\n", "SHA256 () = ", ") = ", sha + " ",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		sums, _ := ParseSums(bytes.NewReader(text)) // bad lines are errors, the others count
		for name, sum := range sums {
			if _, _, err := NewHash(sum); err != nil || !utf8.ValidString(name) || strings.Contains(name, "\n") {
				t.Errorf("%q: %q, %v", name, sum, err)
			}
		}
	})
}

func FuzzIndex(f *testing.F) {
	for _, seed := range []string{
		nginxIndex, apacheTable, `<a href="a%2fb">x</a> 1-1 1:1 5`, `<a href=x>`, `<a href="/d/%`, "<a\x00href=y>", `<base href="//o/"><a href="z">`,
	} {
		f.Add([]byte(seed))
	}
	page := &url.URL{Scheme: "https", Host: "h", Path: "/d/"}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := parseIndex(bytes.NewReader(text), page)
		if err != nil {
			return
		}
		checkEntries(t, l)
	})
}

func FuzzManifest(f *testing.F) {
	sha := strings.Repeat("0123456789abcdef", 4)
	for _, seed := range []string{
		"17 2026-11-22T12:00:00Z a\n", "17 - ../b", sha + "  c", "99999999999999999999 - d", "1 - a\n1 - a", "\\" + sha + "  e", "1  -  f g ",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := parseManifest(bytes.NewReader(text))
		if err != nil {
			return
		}
		checkEntries(t, l)
	})
}

// checkEntries holds a listing to what callers rely on.
func checkEntries(t *testing.T, l Listing) {
	t.Helper()
	seen := make(map[string]bool)
	for _, e := range l.Entries {
		if CheckName(e.Name) != nil || e.Size < sizeUnknown || seen[e.Name] {
			t.Errorf("entry %+v came through", e)
		}
		seen[e.Name] = true
	}
}

func FuzzContentRange(f *testing.F) {
	for _, seed := range []string{"bytes 0-1/2", "bytes 5-9/*", "bytes */5", "bytes 1-0/9"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, total, err := parseContentRange(s)
		if err == nil && (first < 0 || last < first || total != -1 && total <= last) {
			t.Errorf("%q: %d-%d/%d", s, first, last, total)
		}
	})
}

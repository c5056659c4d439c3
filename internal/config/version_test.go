package config

import (
	"errors"
	"testing"
)

func TestVersionNum(t *testing.T) {
	t.Parallel()
	git := func(path string) (string, error) { return "commit of " + path, nil }
	for text, want := range map[string]string{
		"PIPELINE:{longhaul}": "PIPELINE:r1",
		"1.0":                 "1.0",
		"PRESTO:{git:/opt/presto};PIPELINE:{longhaul};PSRFITS_UTILS:{git:/opt/psrfits utils}": "PRESTO:commit of /opt/presto;PIPELINE:r1;PSRFITS_UTILS:commit of /opt/psrfits utils",
	} {
		if err := CheckVersionNum(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if got, err := ExpandVersionNum(text, "r1", git); err != nil || got != want {
			t.Errorf("%q becomes %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestVersionNumThatCannotBe(t *testing.T) {
	t.Parallel()
	const braces, use = "; placeholders are written {longhaul} or {git:/path/of/checkout}", "; use {longhaul} or {git:/path/of/checkout}"
	for text, want := range map[string]string{
		"":                  `it is empty; give it, as version_num = "PIPELINE:{longhaul}"`,
		" ":                 `it is empty; give it, as version_num = "PIPELINE:{longhaul}"`,
		"{longhaul":         "it has a { without its }" + braces,
		"{long{haul}}":      "it has a { without its }" + braces,
		"longhaul}":         "it has a } without its {" + braces,
		"{git-hash}":        "it has the unknown placeholder {git-hash}" + use,
		"{}":                "it has the unknown placeholder {}" + use,
		"{git:}":            "it has {git:} without an absolute path; write it as {git:/path/of/checkout}",
		"{git:opt/presto}":  "it has {git:opt/presto} without an absolute path; write it as {git:/path/of/checkout}",
		"x {longhaul} {gi}": "it has the unknown placeholder {gi}" + use,
	} {
		if err := CheckVersionNum(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v; want %s", text, err, want)
		}
		if _, err := ExpandVersionNum(text, "", nil); err == nil || err.Error() != want {
			t.Errorf("expanding %q: %v; want %s", text, err, want)
		}
	}
	broken := errors.New("no checkout")
	_, err := ExpandVersionNum("{git:/opt}", "", func(string) (string, error) { return "", broken })
	if !errors.Is(err, broken) || err.Error() != "version of /opt: no checkout" {
		t.Errorf("got %v", err)
	}
}

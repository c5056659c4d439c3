package config

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// FuzzParse: no text makes Parse panic; what it refuses, it refuses with
// mistakes of one line each, in the text; what it takes, it shows and takes again.
func FuzzParse(f *testing.F) {
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text), "")
	f.Add(uncommented(string(text)), "LONGHAUL_EMAIL_RECIPIENT=[1]")
	f.Add(good, "LONGHAUL_DOWNLOAD_REQUEST_SIZES=[")
	for _, seed := range mistakesInSettings() {
		f.Add(strings.Replace(good, seed.line+"\n", seed.becomes, 1), "LONGHAUL_BASIC_X=1")
	}
	for _, seed := range []string{"", "[[product]]\n[[product]]\nname=1", "product=[{}]\nstage=[{},{}]", "basic={}", "[a.b.c]", "\xff", "x=1\r\ny", "[[[", "email.recipient=[[]]"} {
		f.Add(seed, "LONGHAUL_EMAIL_SMTP_PORT=nan")
	}
	f.Fuzz(func(t *testing.T, text, variable string) {
		cfg, err := Parse("c.toml", []byte(text), Env{Environ: []string{variable}})
		if err != nil {
			checkMistakes(t, text, err)
			return
		}
		sameAgain(t, cfg)
	})
}

func checkMistakes(t *testing.T, text string, err error) {
	t.Helper()
	mistakes, ok := errors.AsType[Mistakes](err)
	if !ok || len(mistakes) == 0 {
		t.Fatalf("the error is no mistakes: %v", err)
	}
	for _, m := range mistakes {
		if m.Line < 0 || m.Line > strings.Count(text, "\n")+1 {
			t.Errorf("mistake on line %d of %d: %s", m.Line, strings.Count(text, "\n")+1, m)
		}
		if line := m.String(); !printable(line) {
			t.Errorf("mistake is not one line of text: %q", line)
		}
	}
}

func sameAgain(t *testing.T, cfg *Config) {
	t.Helper()
	for _, secret := range []*Secret{&cfg.Download.APIPassword, &cfg.Download.FTPPassword, &cfg.Email.SMTPPassword} {
		*secret = "" // which are not shown
	}
	again, err := Parse("shown", []byte(show(t, cfg)), Env{})
	if err != nil {
		t.Fatalf("what is shown is refused: %v\n%s", err, show(t, cfg))
	}
	sameSettings(t, cfg, again)
}

package config

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
)

func show(t *testing.T, cfg *Config) string {
	t.Helper()
	var b bytes.Buffer
	if err := cfg.Show(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestShowSaysWhereSettingsComeFrom(t *testing.T) {
	t.Parallel()
	text := strings.Replace(good, `ftp_password = "two"`, "ftp_password_file = '/named'\nftp_port = 2121", 1)
	out := show(t, parseGood(t, text, withFiles(map[string]string{"/named": "hidden", "/cred/download.api_password": "hidden"},
		"CREDENTIALS_DIRECTORY=/cred", "LONGHAUL_EMAIL_SMTP_PASSWORD=hidden", "LONGHAUL_BASIC_SURVEY=ALFA")))
	for _, want := range []string{
		"[basic]\ninstitution = \"McGill\"\npipeline = \"PRESTO\"                                # default\n",
		"\nsurvey = \"ALFA\"                                    # from $LONGHAUL_BASIC_SURVEY\n",
		"\napi_password = \"[secret]\"                          # from /cred/download.api_password\n",
		"\nftp_password = \"[secret]\"                          # from the file that line 14 names\n",
		"\nsmtp_password = \"[secret]\"                         # from $LONGHAUL_EMAIL_SMTP_PASSWORD\n",
		"\nftp_port = 2121\n",
		"\nsleep = \"1m\"                                       # default\n",
		"\nspace_to_use = \"500GB\"\n",
		"\nrequest_sizes = [5, 10, 20, 50, 100, 200]          # default\n",
		"\npattern = '^(?P<mjd>\\d{5})_(?P<source>.*)_(?P<beam>\\d)\\.fits$'\n",
		"\ncomplete = { subband = [\"0\", \"1\"] }\n",
		"\noutput_dir = \"{date}/{obs}/{beam}/{time}\"          # default\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if strings.Contains(out, "hidden") {
		t.Errorf("a secret is in\n%s", out)
	}
}

func TestShowReadsBackAsItWas(t *testing.T) {
	t.Parallel()
	text := strings.NewReplacer("ftp_password = \"two\"\n", "", "api_password = \"one\"\n", "",
		`"McGill"`, `"a \"quoted\" \\ it's"`,
		"command = [", "env = { A = \"x\\ny\\u007f\", B = '' }\ncommand = [", "beam = [\"7\"]", `"beam" = ["a\"b"]`).Replace(good)
	cfg := parseGood(t, text, Env{})
	again := parseGood(t, show(t, cfg), Env{})
	sameSettings(t, cfg, again)
}

// sameSettings compares two configurations whatever their settings come from.
func sameSettings(t *testing.T, a, b *Config) {
	t.Helper()
	from := regexp.MustCompile(`(?m) +# (default|from .*)$`)
	if x, y := from.ReplaceAllString(show(t, a), ""), from.ReplaceAllString(show(t, b), ""); x != y {
		t.Fatalf("the settings were\n%s\nand then\n%s", x, y)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errBroken }

var errBroken = errors.New("broken pipe")

func TestShowReportsWhenItCannotWrite(t *testing.T) {
	t.Parallel()
	if err := Default().Show(brokenPipe{}); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

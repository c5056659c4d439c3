package tests

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// openly runs one of the programs in an environment that hides nothing by
// itself, with an umask of 0, and returns what it prints.
func openly(t *testing.T, name string, args ...string) (output string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-c", `umask 000; exec "$@"`, "sh", program(t, name)}, args...)...)
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// What the programs leave is closed to others by their own doing, whatever the
// umask is, and its passwords stand in no file but those that hold them for use.
func TestNothingIsLeftOpenToOthers(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	if out, err := openly(t, "longhaul", "demo", "--json", "--beams", "1", "--dir", dir); err != nil {
		t.Fatalf("longhaul demo: %v\n%s", err, out)
	}
	conf := filepath.Join(dir, "config.toml")
	secrets := []string{"demo-api-password", "demo-ftp-password"}
	var printed strings.Builder
	for _, args := range [][]string{
		{"backup"}, {"check-config", "--show"}, {"doctor", "--json"}, {"status"}, {"status", "--json"}, {"failures", "--full"},
		{"list", "files", "--json"}, {"preflight", "--json", "restore", "ftp"}, {"migrate"},
	} {
		// Some of them end badly, since the demo's servers are gone: what they
		// say of that is of interest here.
		out, _ := openly(t, "longhaul", append([]string{"--config", conf}, args...)...)
		if out == "" {
			t.Errorf("longhaul %q prints nothing", args)
		}
		printed.WriteString(out)
	}
	if !strings.Contains(printed.String(), "[secret]") || !strings.Contains(printed.String(), `"check": "restore"`) {
		t.Error("neither the configuration nor the preflight was printed: this test cannot fail")
	}
	mayHold := map[string]bool{conf: true}
	checkText := func(where, text string) {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s has the password %s", where, secret)
			}
		}
	}
	checkText("what is printed", printed.String())
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch mode := info.Mode(); {
		case mode.IsDir() && mode.Perm()&^0o750 != 0, mode.IsRegular() && mode.Perm()&^0o640 != 0:
			t.Errorf("%s has mode %v", path, mode)
		case mode.IsRegular() && !mayHold[path]:
			files++
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			checkText(path, string(text))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Errorf("%d files: the demo left less than it does", files)
	}
}

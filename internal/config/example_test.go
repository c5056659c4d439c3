package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

const exampleFile = "../../config.example.toml"

func example(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// settingLine matches a setting in the example, behind # if it shows a default.
func settingLine() *regexp.Regexp { return regexp.MustCompile(`(?m)^(# )?([a-z_]+) += .*$`) }

// uncommented returns the example with its defaults put in force.
func uncommented(text string) string {
	return settingLine().ReplaceAllStringFunc(text, func(line string) string { return strings.TrimPrefix(line, "# ") })
}

func TestExampleHasEverySetting(t *testing.T) {
	t.Parallel()
	var raw map[string]any
	if _, err := toml.Decode(uncommented(example(t)), &raw); err != nil {
		t.Fatal(err)
	}
	for name, field := range settings(reflect.ValueOf(Default()).Elem()) {
		shown := map[string]bool{}
		entry := reflect.New(field.Type()).Elem()
		switch tables := raw[name].(type) {
		case map[string]any:
			for key := range tables {
				shown[key] = true
			}
		case []map[string]any:
			entry = reflect.New(field.Type().Elem()).Elem()
			for _, table := range tables {
				for key := range table {
					shown[key] = true
				}
			}
		}
		for key := range settings(entry) {
			if !shown[key] {
				t.Errorf("%s is not in %s", name+"."+key, exampleFile)
			}
		}
	}
}

func TestExampleShowsTheDefaultsInForce(t *testing.T) {
	t.Parallel()
	text := example(t)
	shown, err := Parse("shown", []byte(uncommented(text)), Env{})
	if err != nil {
		t.Fatal(err)
	}
	inForce, err := Parse("in force", []byte(text), Env{})
	if err != nil {
		t.Fatal(err)
	}
	for name, section := range sections(shown) {
		got, _ := setting(reflect.ValueOf(inForce).Elem(), name)
		for key, value := range settings(section) {
			field, _ := setting(got, key)
			if formatValue(field) != formatValue(value) {
				t.Errorf("the example shows %s.%s = %s, but the default is %s", name, key, formatValue(value), formatValue(field))
			}
		}
	}
	if !reflect.DeepEqual(shown.Products, inForce.Products) {
		t.Error("uncommenting changes the products")
	}
	for i := range shown.Stages {
		shown.Stages[i].Env, shown.Stages[i].QueueArgs = nil, nil // {}, [] and nothing mean the same
	}
	if !reflect.DeepEqual(shown.Stages, inForce.Stages) {
		t.Errorf("the stages' defaults are shown as %+v, but are %+v", shown.Stages, inForce.Stages)
	}
}

// TestExampleRequiresWhatItShows removes each setting that stands without # and
// expects to hear that it is missing.
func TestExampleRequiresWhatItShows(t *testing.T) {
	t.Parallel()
	text := example(t)
	plain, _, _ := strings.Cut(text, "[[product]]")
	env := Env{ReadFile: func(string) ([]byte, os.FileMode, error) { return []byte("hidden\n"), 0o600, nil }}
	count := 0
	for _, at := range settingLine().FindAllStringSubmatchIndex(plain, -1) {
		if at[2] >= 0 {
			continue
		}
		count++
		key := strings.TrimSuffix(plain[at[4]:at[5]], "_file")
		_, err := Parse("config.toml", []byte(text[:at[0]]+text[at[1]:]), env)
		if err == nil || strings.Count(err.Error(), "\n") != 0 || !strings.Contains(err.Error(), "."+key+": is missing; give ") {
			t.Errorf("without %s: %v", key, err)
		}
	}
	if count != 14 {
		t.Errorf("%d settings are required, want 14", count)
	}
}

func TestExampleLoads(t *testing.T) {
	t.Parallel()
	path, root := exampleOnDisk(t)
	cfg, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Download.FTPPassword.Reveal() != "hidden" {
		t.Error("the FTP password was not read from its file")
	}
	if want := root + "/data/longhaul/raw"; cfg.Download.Temp != want {
		t.Errorf("download.temp is %s, want %s", cfg.Download.Temp, want)
	}
	if len(cfg.Products) != 3 || len(cfg.Stages) != 1 {
		t.Errorf("%d products and %d stages, want 3 and 1", len(cfg.Products), len(cfg.Stages))
	}
}

// exampleOnDisk writes the example with all its paths moved beneath a new
// directory, and makes what it needs there.
func exampleOnDisk(t *testing.T) (path, root string) {
	t.Helper()
	root = t.TempDir()
	text := example(t)
	for _, top := range []string{"/var/", "/data/", "/scratch/", "/etc/"} {
		text = strings.ReplaceAll(text, `"`+top, `"`+root+top)
	}
	for _, dir := range []string{"/var/log/longhaul/jobs", "/var/lib/longhaul", "/data/longhaul/raw",
		"/data/longhaul/results", "/scratch/longhaul", "/etc/longhaul"} {
		if err := os.MkdirAll(root+dir, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"ftp_password", "api_password"} {
		write(t, filepath.Join(root, "etc/longhaul", name), "hidden\n", 0o640)
	}
	path = filepath.Join(root, "etc/longhaul/config.toml")
	write(t, path, text, 0o640)
	return path, root
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

func TestExampleRecognisesPALFAsNames(t *testing.T) {
	t.Parallel()
	cfg, err := Parse("config.toml", []byte(example(t)), Env{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"4bit-p2030.20110321.G35.48+00.11.N.b3s1g0.00100.fits": "mock",
		"p2030.20110321.G35.48+00.11.N.b3.00100.fits":          "merged",
		"P2030_53340_54881_0123_G35.48+00.11.N_4.w4bit.fits":   "wapp",
		"4bit-p2030.20110321.G35.48+00.11.N.b3s2g0.00100.fits": "",
		"README.txt":                             "",
		"x4bit-p2030.20110321.G35.b3s1g0.1.fits": "",
	} {
		got := ""
		for _, p := range cfg.Products {
			if regexp.MustCompile(p.Pattern).MatchString(name) {
				got += p.Name
			}
		}
		if got != want {
			t.Errorf("%s is of product %q, want %q", name, got, want)
		}
	}
}

package tests

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"longhaul/internal/config"
	"longhaul/tests/engines"
)

// exposure is the most that systemd-analyze security may find, in tenths.
const exposure = "20"

// unitDir is where the units are.
func unitDir() string { return filepath.Join("..", "deploy", "systemd") }

// service reads the settings of a unit file; a key given several times has
// several values.
func service(t *testing.T, name string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(unitDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string][]string{}
	section := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		key, value, isSetting := strings.Cut(line, "=")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
		case isSetting:
			key = section + "." + key
			settings[key] = append(settings[key], value)
		default:
			t.Errorf("%s: %q is neither a section nor a setting", name, line)
		}
	}
	return settings
}

func daemons() []string { return []string{"downloader", "jobpooler", "uploader"} }

func TestUnitsOfTheDaemonsSayWhatTheyMust(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"Unit.PartOf":                     "longhaul.target",
		"Unit.StartLimitIntervalSec":      "0", // an outage may last longer than any limit
		"Install.WantedBy":                "longhaul.target",
		"Service.Type":                    "notify",
		"Service.Restart":                 "on-failure",
		"Service.User":                    "longhaul",
		"Service.UMask":                   "0027",
		"Service.StateDirectory":          "longhaul",
		"Service.LogsDirectory":           "longhaul",
		"Service.StateDirectoryMode":      "0750",
		"Service.LogsDirectoryMode":       "0750",
		"Service.ConfigurationDirectory":  "longhaul",
		"Service.NoNewPrivileges":         "yes",
		"Service.CapabilityBoundingSet":   "",
		"Service.ProtectSystem":           "strict",
		"Service.SystemCallArchitectures": "native",
		"Service.RemoveIPC":               "no", // the jobs' memory is the same user's
	}
	for _, name := range daemons() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := service(t, "longhaul-"+name+".service")
			for key, value := range want {
				if !slices.Equal(got[key], []string{value}) {
					t.Errorf("%s = %q, want %q", key, got[key], value)
				}
			}
			if want := []string{"/usr/local/bin/" + name + " --config /etc/longhaul/config.toml"}; !slices.Equal(got["Service.ExecStart"], want) {
				t.Errorf("ExecStart = %q, want %q", got["Service.ExecStart"], want)
			}
			if len(got["Service.WatchdogSec"]) != 1 {
				t.Error("no WatchdogSec: a stuck daemon would stay so")
			}
			// A Go program ends with 2 when it panics, too.
			if v := got["Service.RestartPreventExitStatus"]; v != nil {
				t.Errorf("RestartPreventExitStatus = %q would keep a crashed daemon down", v)
			}
		})
	}
}

func TestTheJobPoolersUnitSparesItsJobs(t *testing.T) {
	t.Parallel()
	got := service(t, "longhaul-jobpooler.service")
	for key, value := range map[string]string{
		"Service.KillMode":               "process",  // local jobs outlive a restart
		"Service.OOMPolicy":              "continue", // one job's end is not the daemon's
		"Service.PrivateTmp":             "no",       // emptied at a stop, under running jobs
		"Service.MemoryDenyWriteExecute": "no",       // jobs may compile as they run
	} {
		if !slices.Equal(got[key], []string{value}) {
			t.Errorf("%s = %q, want %q", key, got[key], value)
		}
	}
}

func TestTheTargetWantsAllDaemons(t *testing.T) {
	t.Parallel()
	wants := strings.Fields(strings.Join(service(t, "longhaul.target")["Unit.Wants"], " "))
	for _, name := range daemons() {
		if !slices.Contains(wants, "longhaul-"+name+".service") {
			t.Errorf("the target wants %q, not the %s", wants, name)
		}
	}
}

// copyUnits copies the units to a new directory, with the programs replaced by
// one that exists, because systemd-analyze wants to see it; extra is added to
// each service. It returns the files.
func copyUnits(t *testing.T, extra string) []string {
	t.Helper()
	program, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var files []string
	units, err := filepath.Glob(filepath.Join(unitDir(), "longhaul*.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, unit := range units {
		ext := filepath.Ext(unit)
		if ext != ".service" && ext != ".target" {
			continue
		}
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		s := string(text)
		for _, name := range daemons() {
			s = strings.ReplaceAll(s, "ExecStart=/usr/local/bin/"+name+" ", extra+"ExecStart="+program+" ")
		}
		file := filepath.Join(dir, filepath.Base(unit))
		if err := os.WriteFile(file, []byte(s), 0o640); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	if len(files) != len(daemons())+1 {
		t.Fatalf("units %q, want %d services and a target", files, len(daemons()))
	}
	copyExample(t, "paths.conf.example", filepath.Join(dir, "longhaul-.service.d"))
	for _, name := range daemons() {
		copyExample(t, "credentials.conf.example", filepath.Join(dir, "longhaul-"+name+".service.d"))
	}
	return files
}

// copyExample puts the example of a drop-in where systemd looks for it.
func copyExample(t *testing.T, name, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(unitDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, strings.TrimSuffix(name, ".example")), text, 0o640); err != nil {
		t.Fatal(err)
	}
}

func TestTheExampleOfCredentialsHasAllSecrets(t *testing.T) {
	t.Parallel()
	var want []string
	for section := range reflect.TypeFor[config.Config]().Fields() {
		if section.Type.Kind() != reflect.Struct {
			continue
		}
		for setting := range section.Type.Fields() {
			if setting.Type == reflect.TypeFor[config.Secret]() {
				want = append(want, section.Tag.Get("toml")+"."+setting.Tag.Get("toml"))
			}
		}
	}
	var got []string
	for _, credential := range service(t, "credentials.conf.example")["Service.LoadCredential"] {
		name, _, _ := strings.Cut(credential, ":")
		got = append(got, name)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("credentials %q, want all settings that are secret, %q", got, want)
	}
}

// systemd itself makes the user and the directories from the files that we
// ship, beneath a directory.
func TestSystemdMakesTheUserAndItsDirectories(t *testing.T) {
	t.Parallel()
	engines.NeedRoot(t)
	engines.Need(t, "systemd-sysusers", "systemd-tmpfiles")
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	unit := func(name string) string {
		path, err := filepath.Abs(filepath.Join(unitDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, command := range [][]string{
		{"systemd-sysusers", "--root=" + root, unit("longhaul.sysusers")},
		{"systemd-tmpfiles", "--root=" + root, "--create", unit("longhaul.tmpfiles")},
	} {
		if out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", command, err, out)
		}
	}
	users, err := os.ReadFile(filepath.Join(root, "etc", "passwd"))
	if err != nil || !strings.Contains(string(users), "longhaul:x:") || !strings.Contains(string(users), "/nologin") {
		t.Errorf("users %q (%v), want longhaul, without a shell", users, err)
	}
	for dir, want := range map[string]fs.FileMode{
		"etc/longhaul": 0o750, "etc/longhaul/secrets": 0o700, "var/lib/longhaul": 0o750, "var/log/longhaul": 0o750, "var/log/longhaul/jobs": 0o750,
	} {
		info, err := os.Stat(filepath.Join(root, dir))
		if err != nil {
			t.Error(err)
			continue
		}
		owner := info.Sys().(*syscall.Stat_t).Uid
		if info.Mode().Perm() != want || (owner == 0) != strings.HasPrefix(dir, "etc/") {
			t.Errorf("%s has mode %v and owner %d", dir, info.Mode(), owner)
		}
	}
}

// analyze runs systemd-analyze and returns all that it prints.
func analyze(t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput()
	return string(out), err
}

func TestSystemdAcceptsTheUnits(t *testing.T) {
	t.Parallel()
	engines.Need(t, "systemd-analyze")
	t.Run("verify prints nothing", func(t *testing.T) {
		t.Parallel()
		// An unknown key makes a line of output and no exit status.
		if out, err := analyze(t, append([]string{"verify", "--man=no"}, copyUnits(t, "")...)...); err != nil || out != "" {
			t.Errorf("systemd-analyze verify: %v\n%s", err, out)
		}
	})
	t.Run("verify would print a mistake", func(t *testing.T) {
		t.Parallel()
		if out, _ := analyze(t, append([]string{"verify", "--man=no"}, copyUnits(t, "NoSuchKey=1\n")...)...); out == "" {
			t.Error("a key that does not exist goes unnoticed: this test cannot fail")
		}
	})
	for _, file := range copyUnits(t, "") {
		if filepath.Ext(file) != ".service" {
			continue
		}
		t.Run("exposure of "+filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			if out, err := analyze(t, "security", "--offline=true", "--no-pager", "--threshold="+exposure, file); err != nil {
				t.Errorf("more exposed than %s tenths: %v\n%s", exposure, err, out)
			}
		})
	}
}

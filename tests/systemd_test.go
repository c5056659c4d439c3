package tests

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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
	return files
}

// analyze runs systemd-analyze and returns all that it prints.
func analyze(t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput()
	return string(out), err
}

func TestSystemdAcceptsTheUnits(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); errors.Is(err, exec.ErrNotFound) {
		t.Log("NOT TESTED: there is no systemd-analyze here; the settings were checked by reading them only")
		return
	}
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

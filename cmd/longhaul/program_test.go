package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"longhaul/internal/resultdir"
)

func TestExitStatusTellsAUsageMistakeFromAFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for args, want := range map[string]struct {
		status int
		stderr string
	}{
		"":                                     {exitOK, ""},
		"--help":                               {exitOK, ""},
		"status --help":                        {exitOK, ""},
		"help list":                            {exitOK, ""},
		"version":                              {exitOK, ""},
		"completion bash":                      {exitOK, ""},
		"check-config":                         {exitOK, ""},
		"check-config --node":                  {exitOK, ""},
		"stauts":                               {exitUsage, `unknown command "stauts"`},
		"status --jason":                       {exitUsage, "unknown flag: --jason"},
		"status now":                           {exitUsage, `unknown command "now"`},
		"list":                                 {exitUsage, "accepts 1 arg"},
		"list boats":                           {exitUsage, `there is no "boats"`},
		"list jobs --status lost":              {exitUsage, `no job is ever "lost"; there are new, submitted`},
		"list jobs --limit -1":                 {exitUsage, "must not be negative"},
		"list jobs --limit x":                  {exitUsage, "invalid argument"},
		"failures --since never":               {exitUsage, `--since "never"`},
		"kill-jobs":                            {exitUsage, "name jobs, or files"},
		"kill-jobs twelve":                     {exitUsage, `"twelve" is not the number of a job`},
		"stop-jobs -s x":                       {exitUsage, `"x" is not the number of a submit`},
		"retry-jobs":                           {exitUsage, "name jobs"},
		"remove-files":                         {exitUsage, "requires at least 1 arg"},
		"run cook":                             {exitUsage, `there is no daemon "cook"; there are downloader`},
		"worker":                               {exitUsage, "longhaul worker -- COMMAND"},
		"quicklook":                            {exitUsage, "DATAFILES"},
		"quicklook nosuch.fits -o /nosuch/dir": {exitFailed, "nosuch.fits"},
		"show job 7":                           {exitFailed, "longhaul: job 7: not found\n"},
		"run uploader --once":                  {exitFailed, "longhaul: uploader: "},
		"--config /nosuch status":              {exitUsage, "longhaul: /nosuch: cannot be read"},
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			status, _, stderr := w.longhaul(strings.Fields(args)...)
			if status != want.status || !strings.Contains(stderr, want.stderr) || (want.status == exitOK) != (stderr == "") {
				t.Errorf("exit status %d, want %d: %s", status, want.status, stderr)
			}
		})
	}
}

func TestAllMistakesOfTheConfigurationAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	text, err := os.ReadFile(w.path("config.toml"))
	w.check(err)
	bad := strings.Replace(string(text), "numdownloads = 2", "numdownloads = 0\nnumdownlaods = 2", 1)
	w.write("", "config.toml", bad)
	for _, args := range []string{"check-config", "status", "run", "init"} {
		status, stdout, stderr := w.longhaul(args)
		if status != exitUsage || stdout != "" || !strings.HasPrefix(stderr, "longhaul: the configuration has 2 mistakes:\n  DIR/config.toml:") ||
			!strings.Contains(stderr, "download.numdownloads") || !strings.Contains(stderr, "numdownlaods") {
			t.Errorf("%s: exit status %d\n%s%s", args, status, stdout, stderr)
		}
	}
}

func TestShowingTheConfigurationShowsNoSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	out := w.ok("check-config", "--show")
	if strings.Contains(out, `"secret"`) || !strings.Contains(out, `ftp_password = "[secret]"`) || !strings.Contains(out, "# default") {
		t.Errorf("it shows\n%s", out)
	}
}

func TestRunOnceMakesAPassOfTheDaemonsThatAreNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	t.Cleanup(w.awaitSupervisors)
	w.ok("init")
	w.enter(w.rawFile(1, 0, 5))
	for _, sub := range []int{0, 1} {
		w.write("raw", rawName(2, sub), "data")
		w.ok("add-files", w.path("raw", rawName(2, sub)))
	}
	if status, _, stderr := w.longhaul("run", "--once", "uploader"); status != exitOK {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	if out := w.ok("list", "jobs"); out != "no such jobs\n" {
		t.Errorf("the uploader made a job:\n%s", out)
	}
	if status, _, stderr := w.longhaul("run", "--once", "jobpooler"); status != exitOK {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	if out := w.ok("list", "jobs"); !strings.Contains(out, "p2030.20260301.G34.31+00.02.N.1.00200") {
		t.Errorf("the jobpooler made no job:\n%s", out)
	}
	w.daemonRuns("uploader")
	if status, _, stderr := w.longhaul("run", "--once", "uploader"); status != exitFailed || !strings.Contains(stderr, "longhaul: uploader: locked") {
		t.Errorf("two of a kind: exit status %d: %s", status, stderr)
	}
}

func TestTheWorkerEndsWithTheStatusOfItsCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	self := must(os.Executable())(w)
	input := w.write("raw", "input.fits", "data")
	w.check(resultdir.Mark(w.path("results")))
	for script, want := range map[string]int{
		`cp "$DATAFILES" "$OUTDIR/copy"`: 0,
		`exit 7`:                         7,
		`true`:                           76, // no results
		`exit 75`:                        70, // not as if it were the worker
	} {
		out := w.path("results", strings.ReplaceAll(t.Name()+script, "/", "_"))
		cmd := exec.Command(self, "worker", "--", "/bin/sh", "-c", script)
		cmd.Env = append(os.Environ(), "DATAFILES="+input, "OUTDIR="+out, "LONGHAUL_WORKSPACE="+w.path("scratch"), "LONGHAUL_SUBMIT=s")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		err := cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Errorf("%s: exit status %d (%v), want %d: %s", script, got, err, want, stderr.String())
		}
		if _, err := os.Stat(out); (err == nil) != (want == 0) {
			t.Errorf("%s: results: %v", script, err)
		}
	}
}

func TestVersionIsForProgramsToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var v struct{ Version, Go string }
	if err := json.Unmarshal([]byte(w.ok("version", "--json")), &v); err != nil || v.Version == "" || !strings.HasPrefix(v.Go, "go") {
		t.Errorf("%+v, %v", v, err)
	}
	if out := w.ok("version"); !strings.HasPrefix(out, "longhaul "+v.Version) {
		t.Errorf("it says %s", out)
	}
}

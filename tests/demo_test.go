package tests

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"longhaul/internal/demo"
)

// demoLimit is far more than a demo takes on a busy machine.
const demoLimit = 4 * time.Minute

// runDemo runs 'longhaul demo --json' to its end and returns its report.
func runDemo(t *testing.T, args ...string) demo.Report {
	t.Helper()
	return runDemoIn(t, nil, nil, args...)
}

// runDemoIn is runDemo with variables in its environment, and with somebody who
// hears of each line that it says. The demo goes on when heard returns.
func runDemoIn(t *testing.T, env []string, heard func(line string), args ...string) demo.Report {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, "longhaul"), append([]string{"demo", "--json"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	var stdout bytes.Buffer
	said := &lines{heard: heard}
	cmd.Stdout, cmd.Stderr = &stdout, said
	cmd.WaitDelay = 10 * time.Second
	timer := time.AfterFunc(demoLimit, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer timer.Stop()
	err := cmd.Run()
	var r demo.Report
	if jsonErr := json.Unmarshal(stdout.Bytes(), &r); jsonErr != nil {
		t.Fatalf("longhaul demo: %v, and its output is no JSON (%v):\n%s\n%s", err, jsonErr, stdout.Bytes(), said.all.Bytes())
	}
	if err != nil || !r.OK {
		for _, c := range r.Checks {
			if !c.OK {
				t.Errorf("%s: %s", c.Name, c.Note)
			}
		}
		t.Fatalf("longhaul demo: %v\n%s", err, said.all.Bytes())
	}
	return r
}

// lines keeps what is written to it, and passes whole lines on.
type lines struct {
	all   bytes.Buffer
	last  []byte
	heard func(line string)
}

func (l *lines) Write(p []byte) (int, error) {
	l.all.Write(p)
	l.last = append(l.last, p...)
	for {
		line, rest, ok := bytes.Cut(l.last, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		l.last = rest
		if l.heard != nil {
			l.heard(string(line))
		}
	}
}

func TestDemoProcessesItsSurvey(t *testing.T) {
	t.Parallel()
	const beams = 2
	r := runDemo(t, "--beams", "2")
	const others = 2 // the merged observation and that of the WAPP
	if got := r.CommonDB["headers"]; got != beams+others {
		t.Errorf("%d headers in the common database, want %d", got, beams+others)
	}
	if r.Restarts != 0 {
		t.Errorf("%d daemons died", r.Restarts)
	}
	if len(r.Checks) < 10 || len(r.Mails) == 0 || r.Elapsed <= 0 {
		t.Errorf("the report is thin: %+v", r)
	}
}

// Killing everything at a random moment, and starting it again on the same
// directory, ends as if nothing had happened.
func TestDemoSurvivesKills(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	for range 3 {
		after := time.Duration(rand.Int64N(int64(6 * time.Second)))
		t.Logf("killed after %s", after)
		killDemo(t, dir, after)
	}
	runDemo(t, "--beams", "2", "--dir", dir)
}

// killDemo starts a demo and kills it, and with it its daemons.
func killDemo(t *testing.T, dir string, after time.Duration) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, "longhaul"), "demo", "--json", "--beams", "2", "--dir", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended: // sooner than the kill: that is well too
	case <-time.After(after):
		_ = cmd.Process.Kill()
		<-ended
	}
}

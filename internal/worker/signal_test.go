package worker

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// alive reports whether a process exists and has not ended.
func alive(pid string) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

func (s *site) until(what string, cond func() bool) {
	s.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline:
			s.Errorf("waited in vain for %s", what)
			return
		case <-tick.C:
		}
	}
}

// start runs the job in a worker process.
func (s *site) start() *exec.Cmd {
	s.Helper()
	self, err := os.Executable()
	if err != nil {
		s.Fatal(err)
	}
	cmd := exec.Command(self, append([]string{"worker"}, s.Command...)...)
	cmd.Env = append(s.Environ, "DATAFILES="+strings.Join(s.Inputs, ";"), "OUTDIR="+s.OutDir,
		"LONGHAUL_WORKSPACE="+s.Base, "LONGHAUL_SUBMIT="+s.Submit, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = s.Stderr
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { cmd.Process.Kill() })
	return cmd
}

// awaitFile waits for the command to write a line to a file and returns it.
func (s *site) awaitFile(name string) string {
	s.Helper()
	path := filepath.Join(s.dir, name)
	s.until(path, func() bool { return strings.HasSuffix(s.read(path), "\n") })
	return strings.TrimSpace(s.read(path))
}

// status waits for a worker process and returns its exit status.
func (s *site) status(cmd *exec.Cmd) int {
	s.Helper()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

func TestAWorkerProcessDoesAJob(t *testing.T) {
	t.Parallel()
	s := newSite(t, `echo done > "$OUTDIR/x"`)
	if status := s.status(s.start()); status != 0 || s.read(filepath.Join(s.OutDir, "x")) != "done\n" {
		t.Errorf("exit status %d: %s", status, s.read(s.Stderr.Name()))
	}
	again := newSite(t, `exit 3`)
	if status := again.status(again.start()); status != 3 {
		t.Errorf("exit status %d, want the command's, 3", status)
	}
	if text := again.read(again.Stderr.Name()); !strings.HasPrefix(text, "worker on ") || !strings.Contains(text, "exit status 3") {
		t.Errorf("standard error is %q", text)
	}
}

func TestSignalsReachTheCommandAndNothingIsLeft(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		script string
		signal syscall.Signal
		heeded bool
	}{
		"a command that cleans up": {
			`trap 'echo heeded > "$DIR/heeded"; exit 0' TERM; echo x > "$OUTDIR/x"; echo $$ > "$DIR/pid"; while :; do sleep 0.02; done`, syscall.SIGTERM, true,
		},
		"a command that does so on SIGINT": {
			`trap 'echo heeded > "$DIR/heeded"; exit 0' INT; echo x > "$OUTDIR/x"; echo $$ > "$DIR/pid"; while :; do sleep 0.02; done`, syscall.SIGINT, true,
		},
		"a command that dies of it": {
			`echo x > "$OUTDIR/x"; echo $$ > "$DIR/pid"; sleep 600; :`, syscall.SIGTERM, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, tt.script)
			cmd := s.start()
			pid := s.awaitFile("pid")
			if err := cmd.Process.Signal(tt.signal); err != nil {
				t.Fatal(err)
			}
			if status := s.status(cmd); status != 128+int(tt.signal) {
				t.Errorf("exit status %d, want %d", status, 128+int(tt.signal))
			}
			if heeded := s.read(filepath.Join(s.dir, "heeded")) != ""; heeded != tt.heeded || alive(pid) {
				t.Errorf("the command cleaned up: %v, is alive: %v", heeded, alive(pid))
			}
			if s.names(s.OutDir) != nil {
				t.Error("there are results of a job that was stopped")
			}
			s.wantNothingLeft()
		})
	}
}

func TestACommandThatIgnoresSignalsIsKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t, `trap "" TERM; sleep 600 & echo $! > "$DIR/child"; wait; sleep 600`)
	began := make(chan string, 1)
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	go func() {
		began <- s.awaitFile("child")
		stop(stopped{syscall.SIGINT})
	}()
	s.wantTrouble(Run(ctx, s.Options), 128+2, "told to stop")
	child := <-began
	s.until("the child to be dead", func() bool { return !alive(child) })
}

func TestAfterSIGKILLTheCommandDiesAndTheNextWorkerCleansUp(t *testing.T) {
	t.Parallel()
	s := newSite(t, `echo $$ > "$DIR/pid"; mkdir -p a/b; touch a/b/c; exec sleep 600`)
	cmd := s.start()
	pid := s.awaitFile("pid")
	left := s.names(s.Base)
	next := newSite(t, `ls -A "$LONGHAUL_WORKSPACE" > "$OUTDIR/others"; echo $$ > "$DIR/pid2"`)
	next.Base, next.Submit = s.Base, "search-13"
	next.Environ = append(next.Environ, "LONGHAUL_WORKSPACE="+next.Base)
	foreign := []string{"notes.txt", "search-9.x", "search-9.123"} // no lock, or no workspace's name
	for _, name := range foreign {
		s.write(filepath.Join(s.Base, name, "data", "file"), "precious")
	}
	elsewhere := filepath.Join(s.Base, "search-8.55")
	s.write(filepath.Join(elsewhere, lockName), "another-host")
	if err := Run(t.Context(), next.Options); err != nil {
		t.Fatal(err)
	}
	others := next.read(filepath.Join(next.OutDir, "others"))
	for _, name := range append(left, append(foreign, "search-8.55")...) {
		if !strings.Contains(others, name+"\n") {
			t.Errorf("%s was removed, though it lives or is not ours", name)
		}
	}
	cmd.Process.Kill()
	s.status(cmd)
	s.until("the command to be dead", func() bool { return !alive(pid) })
	next.OutDir += "-again"
	if err := Run(t.Context(), next.Options); err != nil {
		t.Fatal(err)
	}
	others = next.read(filepath.Join(next.OutDir, "others"))
	if strings.Contains(others, left[0]) || !strings.Contains(others, "search-8.55") || !strings.Contains(others, "search-9.123") {
		t.Errorf("after the next worker there are %q, want all but %q", others, left)
	}
}

func TestAWorkspaceIsKeptWhileItsCommandLives(t *testing.T) {
	t.Parallel()
	s := newSite(t, ":")
	if err := os.MkdirAll(s.Base, 0o750); err != nil {
		t.Fatal(err)
	}
	ws, err := newWorkspace(s.Base, "job")
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("/bin/sleep", "600") // inherits the lock from a worker that is dead
	child.ExtraFiles = []*os.File{ws.lock}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Process.Kill()
	ws.lock.Close()
	if err := removeStale(s.Base); err != nil || s.names(s.Base) == nil {
		t.Errorf("the workspace of a living command was removed (%v)", err)
	}
	child.Process.Kill()
	child.Wait()
	if err := removeStale(s.Base); err != nil || s.names(s.Base) != nil {
		t.Errorf("the workspace of a dead command is still there (%v)", err)
	}
}

package local

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"longhaul/internal/queue"
)

// options are for a spool of its own, with little patience. The test does not
// end before the spool's last supervisor.
func options(t *testing.T) Options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	spool := filepath.Join(t.TempDir(), "spool")
	t.Cleanup(func() {
		until(t, "the supervisors to be gone", func() bool { return len(supervisors(t, spool)) == 0 })
	})
	return Options{
		Spool:      spool,
		MaxRunning: 2,
		Supervisor: []string{self, "local-supervise"},
		Grace:      200 * time.Millisecond,
	}
}

func open(t *testing.T, o Options) *Manager {
	t.Helper()
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// supervisors returns the processes with the spool in their command line.
func supervisors(t *testing.T, spool string) []process {
	t.Helper()
	all, err := processes()
	if err != nil {
		t.Fatal(err)
	}
	var found []process
	for _, p := range all {
		line, err := os.ReadFile(filepath.Join("/proc", itoa(p.PID), "cmdline"))
		if err == nil && bytes.Contains(line, []byte("local-supervise\x00"+spool+"/")) {
			found = append(found, p.process)
		}
	}
	return found
}

// shell is a job that runs a script with $DIR a directory of the test's.
func shell(t *testing.T, dir, name, script string) queue.Spec {
	t.Helper()
	return queue.Spec{
		Name:    name,
		Command: []string{"/bin/sh", "-c", script},
		Env:     map[string]string{"DIR": dir},
		Stdout:  filepath.Join(dir, name+".out"),
		Stderr:  filepath.Join(dir, name+".err"),
	}
}

func submit(t *testing.T, m *Manager, spec queue.Spec) queue.Ref {
	t.Helper()
	id, err := m.Submit(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return queue.Ref{ID: id, Name: spec.Name, Submitted: time.Now().Unix()}
}

func poll(t *testing.T, m *Manager, ref queue.Ref) queue.State {
	t.Helper()
	states, err := m.Poll(t.Context(), []queue.Ref{ref})
	if err != nil {
		t.Fatal(err)
	}
	return states[ref]
}

// await polls until a job is in a phase.
func await(t *testing.T, m *Manager, ref queue.Ref, phase queue.Phase) (state queue.State) {
	t.Helper()
	until(t, ref.Name+" to be "+phase.String(), func() bool {
		state = poll(t, m, ref)
		return state.Phase == phase
	})
	return state
}

func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

// text returns what a file holds, "" if it is missing.
func text(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

// awaitProcess waits for a job to write a process's number, and returns it.
func awaitProcess(t *testing.T, path ...string) process {
	t.Helper()
	until(t, "a process number in "+filepath.Join(path...), func() bool { return strings.HasSuffix(text(t, path...), "\n") })
	st, err := statOf(atoi(t, strings.TrimSpace(text(t, path...))))
	if err != nil {
		t.Fatal(err)
	}
	return st.process
}

// killSupervisor kills the supervisor of a job, and waits until it is gone.
func killSupervisor(t *testing.T, m *Manager, name string) {
	t.Helper()
	until(t, "the supervisor to be on record", func() bool {
		there, err := has(m.runningPath(name), startedFile)
		return there && err == nil
	})
	started, err := readRecord[startedRecord](m.runningPath(name), startedFile)
	if err != nil {
		t.Fatal(err)
	}
	started.Supervisor.signal(syscall.SIGKILL)
	until(t, "the supervisor to be dead", func() bool { return !started.Supervisor.alive() })
}

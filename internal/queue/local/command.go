package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"longhaul/internal/disk"
	"longhaul/internal/queue"
)

// The exit statuses of shells for a command that cannot be run.
const (
	statusCannotRun = 126
	statusNotFound  = 127
)

// command is a job's running command, as its supervisor sees it.
type command struct {
	pid    int
	ended  chan syscall.WaitStatus // gets its end
	alone  chan struct{}           // closed when no process is left below us
	status syscall.WaitStatus      // its end, after wait
}

// stopper is what can end a command before its time.
type stopper struct {
	dir   string           // where the cancel mark would be
	stop  <-chan os.Signal // asks the supervisor to end
	grace time.Duration
	limit time.Duration // 0: none
}

// startCommand starts the job's command in a process group of its own. If it
// cannot, the job has ended like a shell's command that cannot be run.
func startCommand(spec specRecord, lock *os.File) (*command, exitRecord) {
	cannot := func(status int, err error) (*command, exitRecord) {
		return nil, exitRecord{Reason: queue.Exited, Code: status, Detail: err.Error()}
	}
	// What the job leaves behind becomes ours, not the init process's.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return cannot(statusCannotRun, fmt.Errorf("become subreaper: %w", err))
	}
	argv, env := plain(spec.Command), lastWins(slices.Concat(os.Environ(), plain(spec.Env)))
	program, err := lookPath(argv[0], env)
	if errors.Is(err, fs.ErrPermission) {
		return cannot(statusCannotRun, err)
	} else if err != nil {
		return cannot(statusNotFound, err)
	}
	files, err := openOutputs(string(spec.Stdout), string(spec.Stderr))
	if err != nil {
		return cannot(statusCannotRun, fmt.Errorf("open its output: %w", err))
	}
	defer closeAll(files)
	pid, err := syscall.ForkExec(program, argv, &syscall.ProcAttr{
		Dir: "/", Env: env, Files: descriptors(files, lock),
		Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return cannot(statusCannotRun, fmt.Errorf("run %s: %w", program, err))
	}
	c := &command{pid: pid, ended: make(chan syscall.WaitStatus, 1), alone: make(chan struct{})}
	go c.reap()
	return c, exitRecord{}
}

// lastWins drops all but the last setting of each variable, because programs
// differ in which of two they see.
func lastWins(env []string) []string {
	cmd := exec.Cmd{Env: env}
	return cmd.Environ()
}

// lookPath finds a program in the PATH of env, which need not be ours.
func lookPath(program string, env []string) (string, error) {
	if strings.Contains(program, "/") {
		return exec.LookPath(program)
	}
	for _, kv := range env {
		list, isPath := strings.CutPrefix(kv, "PATH=")
		if !isPath {
			continue
		}
		for _, dir := range filepath.SplitList(list) {
			if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil && filepath.IsAbs(path) {
				return path, nil
			}
		}
	}
	return "", &exec.Error{Name: program, Err: exec.ErrNotFound}
}

// openOutputs opens standard input, output and error of a command.
func openOutputs(stdout, stderr string) (files []*os.File, err error) {
	for i, path := range []string{os.DevNull, stdout, stderr} {
		var f *os.File
		switch {
		case i == 0:
			f, err = os.Open(path)
		case i == 2 && stderr == stdout:
			f = files[1]
		default:
			// Appending: what an earlier attempt left there is somebody's only trace.
			f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, disk.FileMode)
		}
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// closeAll closes files that others have a copy of.
func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close() // one that is there twice is closed at the first
	}
}

// descriptors lays out a command's descriptors: the files from 0 on, and the
// job's lock at commandFD.
func descriptors(files []*os.File, lock *os.File) []uintptr {
	fds := slices.Repeat([]uintptr{^uintptr(0)}, commandFD+1) // closed
	for i, f := range files {
		fds[i] = f.Fd()
	}
	fds[commandFD] = lock.Fd()
	return fds
}

// reap collects every process that ends below us, the command among them,
// until there is none.
func (c *command) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil: // ECHILD
			close(c.alone)
			return
		case pid == c.pid:
			c.ended <- status
		}
	}
}

// wait returns when the command has ended. The reason is Exited unless it was
// made to end.
func (c *command) wait(s stopper) queue.Reason {
	reason := queue.Exited
	var limit, kill <-chan time.Time
	if s.limit > 0 {
		limit = time.After(s.limit)
	}
	terminate := func(why queue.Reason) {
		if reason == queue.Exited { // the first reason counts
			reason = why
			kill = time.After(s.grace)
		}
		syscall.Kill(-c.pid, syscall.SIGTERM)
	}
	for {
		select {
		case c.status = <-c.ended:
			return reason
		case <-limit:
			terminate(queue.TimedOut)
		case <-s.stop:
			terminate(stopReason(s.dir))
		case <-kill:
			c.killAll()
			kill = time.After(treePoll) // for what was being forked
		}
	}
}

// stopReason tells a Delete from a shutdown.
func stopReason(dir string) queue.Reason {
	if cancelled(dir) {
		return queue.Cancelled
	}
	return queue.NodeFailed
}

// killAll kills every process below us.
func (c *command) killAll() {
	all, err := processes()
	if err != nil {
		fmt.Fprintf(os.Stderr, "read the process table: %v\n", err)
		return
	}
	self := os.Getpid()
	for _, p := range descendants(all, func(pid int) bool { return pid == self }, false) {
		p.signal(syscall.SIGKILL)
	}
}

// killLeftovers kills what the command left running, until nothing is left.
func (c *command) killLeftovers() {
	for {
		select {
		case <-c.alone:
			return
		default:
			c.killAll()
		}
		select {
		case <-c.alone:
			return
		case <-time.After(treePoll):
		}
	}
}

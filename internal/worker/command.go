package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lockFD is where the command holds the workspace's lock: well above the
// descriptors that shell scripts use by number.
const lockFD = 98

// runCommand runs the stage's command in the workspace, to its end.
func runCommand(ctx context.Context, o Options, ws *workspace, inputs []string) error {
	// The command is to die with us, and to the kernel "us" is the thread that
	// started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command(o.Command[0], o.Command[1:]...)
	cmd.Dir = ws.dir
	cmd.Env = slices.Concat(o.Environ, []string{
		"DATAFILES=" + strings.Join(inputs, ";"),
		"OUTDIR=" + ws.results(),
		"TMPDIR=" + ws.tmp(),
	})
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.ExtraFiles = make([]*os.File, lockFD-3+1) // nil: closed
	cmd.ExtraFiles[lockFD-3] = ws.lock
	if o.Stdout != nil { // a nil *os.File in the interface would not be nil
		cmd.Stdout = o.Stdout
	}
	if o.Stderr != nil {
		cmd.Stderr = o.Stderr
	}
	if err := cmd.Start(); err != nil {
		return failed(StatusCommand, err)
	}
	waitForEnd(ctx, cmd.Process.Pid, o.Grace)
	// What it left running must not write to the results while they are
	// copied. Until Wait, its process group cannot be anybody else's.
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	return commandError(ctx, o.Command[0], cmd.Wait())
}

// waitForEnd returns when the process has ended, which it is told to do when
// ctx ends. It stays in the process table.
func waitForEnd(ctx context.Context, pid int, grace time.Duration) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for errors.Is(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
		}
	}()
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	sig := syscall.SIGTERM
	var s stopped
	if errors.As(context.Cause(ctx), &s) {
		sig = s.signal
	}
	syscall.Kill(-pid, sig)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		syscall.Kill(-pid, syscall.SIGKILL)
		<-ended
	}
}

// commandError says how the command ended, if not well.
func commandError(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil { // it may have exited with 0 on being told to stop
		return context.Cause(ctx)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		if err != nil {
			return failed(StatusCommand, err)
		}
		return nil
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return &trouble{128 + int(status.Signal()), fmt.Errorf("%s was killed: %s", name, unix.SignalName(status.Signal()))}
	}
	status := exit.ExitCode()
	if Own(status) || status == 99 || status == 100 { // by which Grid Engine is told to run it again, or to hold it
		status = StatusOther
	}
	return &trouble{status, fmt.Errorf("%s ended with exit status %d", name, exit.ExitCode())}
}

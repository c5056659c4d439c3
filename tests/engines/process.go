package engines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Command is a program with its surroundings.
type Command struct {
	Path string // or a name for Program to find
	Args []string
	Env  []string // added to the environment
	Dir  string
	// As is the user who runs it; "" is the caller. Only root may set it to another.
	As string
	// Log is the file that gets both output streams of a started Process.
	Log string
}

func (c Command) build(ctx context.Context) (*exec.Cmd, error) {
	path, err := Program(c.Path)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, c.Args...)
	cmd.Env = append(append(os.Environ(), "LC_ALL=C.UTF-8"), c.Env...)
	cmd.Dir = c.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.As != "" && os.Getuid() == 0 {
		uid, gid, err := ids(c.As)
		if err != nil {
			return nil, err
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
	return cmd, nil
}

func ids(name string) (uid, gid uint32, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, err
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, 0, err
	}
	g, err := strconv.ParseUint(u.Gid, 10, 32)
	return uint32(n), uint32(g), err
}

// Own gives a path to a user, if the caller is root.
func Own(name, path string) error {
	if os.Getuid() != 0 {
		return nil
	}
	uid, gid, err := ids(name)
	if err != nil {
		return err
	}
	return os.Chown(path, int(uid), int(gid))
}

// Process is a server that runs in the foreground, as our child, in a process
// group of its own. It dies with its parent.
type Process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error // of Wait, once done is closed
	stop sync.Once
}

// Start starts a server.
func Start(c Command) (*Process, error) {
	cmd, err := c.build(context.Background())
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, log: c.Log, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Ready waits until cond returns nil; it fails at once when the process ends,
// with the end of its log.
func (p *Process) Ready(ctx context.Context, cond func() error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-p.done:
			cancel(fmt.Errorf("it ended: %w", p.err))
		case <-ctx.Done():
		}
	}()
	err := Until(ctx, p.cmd.Path, cond)
	if err == nil {
		return nil
	}
	said, _ := os.ReadFile(p.log)
	return fmt.Errorf("%w (%w); its log: %s", err, context.Cause(ctx), lastPart(said))
}

// PID is the process ID of the server.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the server has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal to the server alone.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// Stop asks the server to end with a signal, and ends its whole process group
// when it has not within ten seconds. Called again it does nothing.
func (p *Process) Stop(s syscall.Signal) error {
	var err error
	p.stop.Do(func() {
		if e := p.Signal(s); e != nil && !errors.Is(e, os.ErrProcessDone) {
			err = e
		}
		select {
		case <-p.done:
		case <-time.After(10 * time.Second):
			err = fmt.Errorf("%s did not end on %s", p.cmd.Path, s)
		}
		// What it left of its group.
		_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
		<-p.done
	})
	return err
}

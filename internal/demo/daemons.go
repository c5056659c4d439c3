package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"longhaul/internal/daemon"
	"longhaul/internal/disk"
)

const (
	restartAfter = 300 * time.Millisecond // a daemon that died is started again, as systemd would
	stopTimeout  = 20 * time.Second       // for a daemon to end after SIGTERM
)

// daemons keeps the three daemons running, each a process of its own.
type daemons struct {
	self   string
	at     layout
	say    func(who, what string)
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	restarts int
}

// startDaemons starts the daemons. They end when Stop is called, or with this
// process, however that ends.
func startDaemons(ctx context.Context, self string, at layout, say func(who, what string)) *daemons {
	ctx, cancel := context.WithCancel(ctx)
	d := &daemons{self: self, at: at, say: say, cancel: cancel}
	for _, kind := range daemon.Kinds() {
		d.wg.Go(func() { d.keep(ctx, kind) })
	}
	return d
}

// Stop ends the daemons in good order.
func (d *daemons) Stop() {
	d.cancel()
	d.wg.Wait()
}

// Restarts counts the daemons that died and were started again.
func (d *daemons) Restarts() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.restarts
}

// keep runs one kind of daemon until ctx is done.
func (d *daemons) keep(ctx context.Context, kind string) {
	// The kernel ends the daemon when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for ctx.Err() == nil {
		err := d.runOne(ctx, kind)
		if ctx.Err() != nil {
			return
		}
		d.mu.Lock()
		d.restarts++
		d.mu.Unlock()
		if err := markInterrupted(d.at); err != nil {
			d.say(kind, err.Error())
		}
		d.say(kind, fmt.Sprintf("ended (%v); starting it again", err))
		select {
		case <-ctx.Done():
		case <-time.After(restartAfter):
		}
	}
}

func (d *daemons) runOne(ctx context.Context, kind string) error {
	out, err := os.OpenFile(d.at.path("log", kind+".out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, disk.FileMode)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.CommandContext(ctx, d.self, "run", kind, "--config", d.at.config())
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return err
	}
	return errors.New("exit status 0")
}

package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"longhaul/internal/queue"
)

const (
	// inheritedFD is where a supervisor finds the job's lock.
	inheritedFD = 3
	// commandFD is where the command holds it: well above the descriptors
	// that shell scripts use by number.
	commandFD = 99
	// exitRetry is how long to wait before another try to write exit.json,
	// which fails while the disk is full.
	exitRetry = 5 * time.Second
)

// SuperviseMain is the program that stands by a running job, in a process that
// a Manager started; args is the job's directory. It returns the process's
// exit status: 0 when the job's end is on record, whatever that end was.
func SuperviseMain(args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "local-supervise: it is started by the local queue manager, with a job's directory")
		return 2
	}
	if err := supervise(args[0]); err != nil {
		fmt.Fprintf(os.Stderr, "supervise %s: %v\n", args[0], err)
		return 1
	}
	return 0
}

// supervise runs the job at dir, records its end and lets the queue move on.
func supervise(dir string) error {
	lock, err := inheritedLock(dir)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	// Caught, not ignored, so that the command gets it as it is by default.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	s, err := openSpool(filepath.Dir(filepath.Dir(dir)))
	if err != nil {
		return err
	}
	started, err := recordStart(dir, s.now())
	if err != nil {
		return err // without it the job goes back to the queue
	}
	end := runJob(dir, lock, stop, s.Grace)
	end.Node, end.Started, end.Ended = started.Node, started.At, s.now().UTC()
	if err := recordEnd(context.Background(), dir, end, exitRetry); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	return s.withLock(ctx, s.advance)
}

// inheritedLock checks that we are who holds the job's lock, and keeps the
// descriptor from reaching other processes by itself.
func inheritedLock(dir string) (*os.File, error) {
	unix.CloseOnExec(inheritedFD)
	lock := os.NewFile(inheritedFD, filepath.Join(dir, lockFile))
	have, err1 := lock.Stat()
	want, err2 := os.Stat(lock.Name())
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("the job's lock: %w", err)
	}
	if !os.SameFile(have, want) {
		return nil, errors.New("descriptor 3 is not the job's lock: only a queue manager can start a supervisor")
	}
	return lock, nil
}

// recordStart writes down who runs the job.
func recordStart(dir string, now time.Time) (startedRecord, error) {
	self, err := statOf(os.Getpid())
	if err != nil {
		return startedRecord{}, err
	}
	host, err := os.Hostname()
	if err != nil {
		return startedRecord{}, err
	}
	rec := startedRecord{Supervisor: self.process, Boot: bootID(), Node: host, At: now.UTC()}
	return rec, writeRecord(dir, startedFile, rec)
}

// recordEnd writes exit.json. Until it is on disk the job counts as running,
// which is better than to lose its outcome because the disk is full.
func recordEnd(ctx context.Context, dir string, end exitRecord, retry time.Duration) error {
	for {
		err := writeRecord(dir, exitFile, end)
		if err == nil || errors.Is(err, fs.ErrNotExist) { // somebody removed the spool
			return err
		}
		fmt.Fprintf(os.Stderr, "cannot record the end %+v: %v; next try in %s\n", end, err, retry)
		if err := pause(ctx, retry); err != nil {
			return err
		}
	}
}

// runJob runs the job's command to its end, and returns that.
func runJob(dir string, lock *os.File, stop <-chan os.Signal, grace time.Duration) exitRecord {
	spec, err := readRecord[specRecord](dir, specFile)
	if err != nil {
		return exitRecord{Reason: queue.Lost, Detail: err.Error()}
	}
	if cancelled(dir) {
		return exitRecord{Reason: queue.Cancelled, Detail: "it had not been started"}
	}
	c, end := startCommand(spec, lock)
	if c == nil {
		return end
	}
	reason := c.wait(stopper{dir, stop, grace, spec.Resources.WallTime})
	c.killLeftovers()
	end = exitRecord{Reason: reason, Code: c.status.ExitStatus()}
	if c.status.Signaled() {
		end.Code = 128 + int(c.status.Signal())
		if reason == queue.Exited {
			end.Reason, end.Detail = queue.Signaled, unix.SignalName(c.status.Signal())
		}
	}
	switch reason {
	case queue.TimedOut:
		end.Detail = fmt.Sprintf("it was given %s", spec.Resources.WallTime)
	case queue.NodeFailed:
		end.Detail = "its supervisor was told to end, as when the machine is shut down"
	}
	return end
}

// cancelled reports whether somebody wants the job to end.
func cancelled(dir string) bool {
	marked, err := has(dir, cancelFile)
	return err == nil && marked
}

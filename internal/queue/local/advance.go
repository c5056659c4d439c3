package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"longhaul/internal/crashpoint"
	"longhaul/internal/disk"
	"longhaul/internal/queue"
)

// advance settles what has ended and starts the oldest waiting jobs while
// there is room.
func (s *spool) advance() error {
	running, err := s.settle()
	if err != nil {
		return err
	}
	if running >= s.MaxRunning {
		return nil
	}
	waiting, err := s.queued()
	if err != nil {
		return err
	}
	for _, e := range waiting[:min(len(waiting), s.MaxRunning-running)] {
		if err := s.start(e); err != nil {
			return fmt.Errorf("start %s: %w", e.name, err)
		}
	}
	return nil
}

// settle puts away the jobs that have ended, and returns how many run.
func (s *spool) settle() (running int, err error) {
	names, err := s.running()
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		alive, err := s.settleOne(name)
		if err != nil {
			return 0, fmt.Errorf("settle %s: %w", name, err)
		}
		if alive {
			running++
		}
	}
	return running, nil
}

// settleOne decides what became of a job that was started.
func (s *spool) settleOne(name string) (alive bool, err error) {
	dir := s.runningPath(name)
	if ended, err := has(dir, exitFile); err != nil {
		return false, err
	} else if ended {
		return false, s.putAway(name)
	}
	if alive, err := isHeld(dir); err != nil || alive {
		return alive, err
	}
	// Between the two looks its supervisor may have written the end and gone.
	if ended, err := has(dir, exitFile); err != nil {
		return false, err
	} else if ended {
		return false, s.putAway(name)
	}
	return false, s.settleDead(name)
}

// settleDead is for a job without a process that nobody saw end.
func (s *spool) settleDead(name string) error {
	dir := s.runningPath(name)
	begun, err := has(dir, startedFile)
	if err != nil {
		return err
	}
	cancelled, err := has(dir, cancelFile)
	if err != nil {
		return err
	}
	if !begun && !cancelled {
		s.log.Warn("job was not started after all and goes back to the queue", "job", name)
		return moveJob(dir, s.queuedPath(entry{0, name}))
	}
	end := exitRecord{Reason: queue.Cancelled, Ended: s.now().UTC()}
	if started, err := readRecord[startedRecord](dir, startedFile); err == nil {
		end.Node, end.Started = started.Node, started.At
	}
	if !cancelled {
		end.Reason, end.Detail = queue.Lost, s.whyLost(dir)
	}
	s.log.Warn("job ended unseen", "job", name, "reason", end.Reason, "detail", end.Detail)
	if err := writeRecord(dir, exitFile, end); err != nil {
		return err
	}
	return s.putAway(name)
}

// whyLost says as well as can be known why nobody saw the job's end.
func (s *spool) whyLost(dir string) string {
	started, err := readRecord[startedRecord](dir, startedFile)
	switch {
	case err != nil:
		return err.Error()
	case started.Boot != bootID():
		return "the machine went down while it ran"
	default:
		return fmt.Sprintf("its supervisor, process %d, was killed", started.Supervisor.PID)
	}
}

// putAway moves a job with an exit.json to where it costs nothing.
func (s *spool) putAway(name string) error {
	return moveJob(s.runningPath(name), s.endedPath(name))
}

// moveJob puts the directory of a job where it belongs.
func moveJob(from, to string) error {
	crashpoint.Reach(crashpoint.Spool)
	return disk.Rename(from, to)
}

// isHeld reports whether some process of the job at dir is alive.
func isHeld(dir string) (bool, error) {
	f, err := os.Open(filepath.Join(dir, lockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // it did not come to that
	} else if err != nil {
		return false, err
	}
	defer f.Close()
	free, err := tryLock(f, unix.LOCK_SH)
	return !free, err
}

// start gives a job to a supervisor of its own. The rename is the mark that a
// crash cannot take back; the lock, taken before and inherited, is the proof
// of life. If there is an error between the two, settle finds no life.
func (s *spool) start(e entry) error {
	dir := s.runningPath(e.name)
	if err := moveJob(s.queuedPath(e), dir); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, disk.FileMode)
	if err != nil {
		return err
	}
	defer lock.Close()
	if free, err := tryLock(lock, unix.LOCK_EX); err != nil {
		return err
	} else if !free {
		return fmt.Errorf("somebody holds the lock on %s", dir)
	}
	logs, err := os.OpenFile(filepath.Join(dir, logFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, disk.FileMode)
	if err != nil {
		return err
	}
	defer logs.Close()
	crashpoint.Reach(crashpoint.Start)
	return spawn(append(plain(s.Supervisor), dir), lock, logs)
}

// spawn starts a supervisor as a process that has nothing in common with this
// one but the lock.
func spawn(argv []string, lock, logs *os.File) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/" // so that no file system is kept busy
	cmd.Env = jobEnviron(os.Environ())
	cmd.Stdout, cmd.Stderr = logs, logs
	cmd.ExtraFiles = []*os.File{lock} // becomes descriptor inheritedFD
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	go cmd.Wait() // else its entry stays in the process table while we live
	return nil
}

// jobEnviron returns what jobs may see of a daemon's environment: not its
// settings and secrets, nor its ties to the service manager.
func jobEnviron(environ []string) []string {
	var env []string
	for _, kv := range environ {
		key, _, _ := strings.Cut(kv, "=")
		switch {
		case strings.HasPrefix(key, "LONGHAUL_"):
		case strings.HasPrefix(key, "WATCHDOG_"), strings.HasPrefix(key, "LISTEN_"):
		case key == "NOTIFY_SOCKET", key == "CREDENTIALS_DIRECTORY", key == "INVOCATION_ID", key == "JOURNAL_STREAM":
		default:
			env = append(env, kv)
		}
	}
	return env
}

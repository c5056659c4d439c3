package engines

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// SystemdPrograms are what NewSystemd starts. It takes root to start them.
func SystemdPrograms() []string {
	return []string{"/lib/systemd/systemd", "systemctl", "unshare", "nsenter"}
}

// Systemd is a real service manager of our own, as users have them, beside
// whatever is process 1. Being root's, it applies User=, namespaces and filters
// of system calls to its services, too.
type Systemd struct {
	Units   string // directory from which it takes units first
	dir     string
	cgroup  string
	process *Process
}

//go:embed systemd.sh
var systemdScript string

// NewSystemd starts a service manager that keeps its state in dir, which the
// users of its services must be able to reach.
func NewSystemd(ctx context.Context, dir string) (*Systemd, error) {
	s := &Systemd{Units: filepath.Join(dir, "units"), dir: dir, cgroup: fmt.Sprintf("longhaul-tests-%d.slice", os.Getpid())}
	for _, d := range []string{s.Units, filepath.Join(dir, "home"), filepath.Join(s.runtime(), "credentials")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	path := "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	p, err := Start(Command{
		Path: "unshare",
		Args: []string{
			"--mount", "--propagation", "private", "sh", "-euc", systemdScript, "systemd.sh", s.cgroup,
			"env", "-i", path, "HOME=" + filepath.Join(dir, "home"), "XDG_RUNTIME_DIR=" + s.runtime(),
			"SYSTEMD_UNIT_PATH=" + s.Units + ":/usr/lib/systemd/user", "SYSTEMD_LOG_TARGET=console", "SYSTEMD_LOG_LEVEL=info",
			"/lib/systemd/systemd", "--user", "--unit=basic.target",
		},
		Log: filepath.Join(dir, "systemd.log"),
	})
	if err != nil {
		return nil, fmt.Errorf("systemd: %w", err)
	}
	s.process = p
	if err := p.Ready(ctx, func() error {
		// It says "running" with an exit status of 0, "degraded" with another.
		if out, err := s.Ctl(ctx, "is-system-running"); err != nil && !strings.HasPrefix(out, "degraded") {
			return err
		}
		return nil
	}); err != nil {
		return nil, errors.Join(fmt.Errorf("systemd: %w", err), s.Stop())
	}
	return s, nil
}

// runtime is where its sockets are; credentials are there, too.
func (s *Systemd) runtime() string { return filepath.Join(s.dir, "run") }

// Ctl runs systemctl and returns what it says.
func (s *Systemd) Ctl(ctx context.Context, args ...string) (string, error) {
	return Run(ctx, Command{
		Path: "nsenter",
		Args: append([]string{"--mount", "--target", fmt.Sprint(s.process.PID()), "systemctl", "--user", "--no-pager"}, args...),
		Env:  []string{"XDG_RUNTIME_DIR=" + s.runtime()},
	})
}

// Property returns a property of a unit.
func (s *Systemd) Property(ctx context.Context, unit, name string) (string, error) {
	out, err := s.Ctl(ctx, "show", "--property", name, "--value", unit)
	return strings.TrimSpace(out), err
}

// Log is what the service manager has said.
func (s *Systemd) Log() string {
	text, _ := os.ReadFile(filepath.Join(s.dir, "systemd.log")) // no log is an empty log
	return string(text)
}

// Stop stops all services, then the manager.
func (s *Systemd) Stop() error {
	err := s.process.Stop(syscall.SIGTERM)
	for _, root := range cgroupRoots() {
		err = errors.Join(err, removeCgroup(filepath.Join(root, s.cgroup)))
	}
	return err
}

// cgroupRoots are where process groups of systemd may be: with the older
// kind of control groups, with both, or with the newer.
func cgroupRoots() []string {
	return []string{"/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"}
}

// removeCgroup removes a control group and those in it, which are empty.
func removeCgroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if e.IsDir() {
			errs = append(errs, removeCgroup(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(append(errs, os.Remove(dir))...)
}

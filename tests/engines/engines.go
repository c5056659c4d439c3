// Package engines starts the real servers that Longhaul works with - batch
// systems, databases, file servers, a mail server - each with a directory and
// ports of its own, on loopback, without systemd, and ends them again.
//
// It serves tests, and through tests/engines/with people who want to see a
// survey run on them. It installs nothing: install.sh does, and debian-packages
// is the list. Each server is a file here, with a New function that returns
// when the server answers and a Stop method.
package engines

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// required is set in the environment where a missing server is a failure and
// no reason to leave out a test; make sets it wherever it may install packages.
const required = "LONGHAUL_ENGINES"

// Need leaves a test out, with the reason, where a program is not installed or
// the test's user is not the one it takes. Where servers are required it fails.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := Program(name); err != nil {
			Missing(t, err.Error())
		}
	}
}

// NeedRoot leaves a test out, with the reason, or fails it where servers are
// required, unless it is run by root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		Missing(t, "only root can start this server")
	}
}

// Missing leaves a test out because a server cannot be had, or fails it where
// servers are required.
func Missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv(required) == "required" {
		t.Fatalf("NOT TESTED: %s; %s=required is set: run tests/engines/install.sh as root", why, required)
	}
	t.Skipf("NOT TESTED: %s; tests/engines/install.sh installs it on Debian", why)
}

// Program returns the path of a program; system programs are found although
// their directory is not in the PATH of an ordinary user.
func Program(name string) (string, error) {
	if filepath.IsAbs(name) {
		if _, err := os.Stat(name); err != nil {
			return "", fmt.Errorf("%s is not installed", name)
		}
		return name, nil
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if path := filepath.Join(dir, name); executable(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}

func executable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}

// FreePorts returns n TCP ports on loopback that nobody listens on now.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		// All stay open until all are chosen, so that none is given twice.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// Until calls cond every few milliseconds until it returns nil. When ctx is
// done first, it returns what cond said last.
func Until(ctx context.Context, what string, cond func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w; last: %w", what, ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// Answers returns a condition for Until: that somebody accepts connections at a port.
func Answers(port int) func() error {
	return func() error {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	}
}

// Run runs a command to its end and returns what it wrote, both streams.
func Run(ctx context.Context, c Command) (string, error) {
	cmd, err := c.build(ctx)
	if err != nil {
		return "", err
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", c.Path, err, lastPart(out))
	}
	return string(out), nil
}

func lastPart(b []byte) []byte { return b[max(0, len(b)-1000):] }

// Dir makes a temporary directory that servers of other users can reach, as a
// test's own cannot be. The caller removes it.
func Dir(prefix string) (string, error) {
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

package engines

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// unpacked is where install.sh puts the packages that conflict with others.
const unpacked = "/var/lib/longhaul-engines"

// sessionUser is who reads the files for a client.
const sessionUser = "nobody"

// FileServer is a real file server on loopback that serves a directory.
type FileServer struct {
	Host      string
	Port      int
	DataPorts []int  // of FTP's data connections
	Root      string // the directory; what is laid out in it must be readable by all
	User      string
	Password  string

	Certificates *Certificates // nil where the protocol has none

	process *Process
	command Command
	claim   net.Listener // of the ports, as long as this is in use
}

// FileServerDir makes a directory for a file server's files, which the user who
// reads them for a client can reach, as he can not a test's own. The caller
// removes it.
func FileServerDir() (string, error) {
	dir, err := os.MkdirTemp("", "fileserver-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// newFileServer makes the directory that is served, and chooses ports: one to
// listen on, and n in a row for data connections.
func newFileServer(dir string, dataPorts int) (*FileServer, error) {
	s := &FileServer{Host: "127.0.0.1", Root: filepath.Join(dir, "root"), User: "pipe", Password: "pipe+secret&more"}
	if err := os.MkdirAll(s.Root, 0o755); err != nil {
		return nil, err
	}
	if err := s.choosePorts(1 + dataPorts); err != nil {
		return nil, err
	}
	return s, nil
}

// Where ports are chosen: below those that the kernel gives to whoever asks for
// any, since a proxy of a test has to have the same ports at another address,
// and in strips that nobody else has.
const (
	firstPort = 12000
	strip     = 64
	strips    = 300
)

// choosePorts finds n ports in a row, on which nobody listens now, neither where
// the server will nor where a proxy would.
func (s *FileServer) choosePorts(n int) error {
	var last error
	for range 50 {
		first := firstPort + strip*rand.IntN(strips)
		// Most of the ports are not in use most of the time: what keeps other
		// servers away is a listener at yet another address.
		claim, err := net.Listen("tcp", net.JoinHostPort("127.0.0.3", strconv.Itoa(first)))
		if err != nil {
			last = err
			continue
		}
		ports, err := freeFrom(first, n)
		if err == nil {
			s.claim, s.Port, s.DataPorts = claim, ports[0], ports[1:]
			return nil
		}
		last = errors.Join(err, claim.Close())
	}
	return fmt.Errorf("no %d free ports in a row: %w", n, last)
}

func freeFrom(first, n int) (ports []int, err error) {
	for port := first; port < first+n; port++ {
		for _, host := range []string{"127.0.0.1", "127.0.0.2"} {
			l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
			if err != nil {
				return nil, err
			}
			defer l.Close()
		}
		ports = append(ports, port)
	}
	return ports, nil
}

// start starts the server's program and waits until it answers.
func (s *FileServer) start(ctx context.Context, c Command) error {
	s.command = c
	return s.Start(ctx)
}

// Start starts the server again, on the same ports, after Stop.
func (s *FileServer) Start(ctx context.Context) error {
	process, err := Start(s.command)
	if err != nil {
		return err
	}
	s.process = process
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := process.Ready(ctx, Answers(s.Port)); err != nil {
		return errors.Join(err, s.Stop())
	}
	return nil
}

// Stop ends the server with all its sessions.
func (s *FileServer) Stop() error {
	s.toSessions(syscall.SIGKILL)
	return s.process.Stop(syscall.SIGTERM)
}

// KillSessions ends the processes that serve clients now, as a crash would; the
// server goes on.
func (s *FileServer) KillSessions() { s.toSessions(syscall.SIGKILL) }

// Freeze stops the server and all its sessions in whatever they do, until Thaw.
func (s *FileServer) Freeze() error {
	err := s.process.Signal(syscall.SIGSTOP)
	s.toSessions(syscall.SIGSTOP)
	return err
}

// Thaw lets a frozen server go on.
func (s *FileServer) Thaw() error {
	s.toSessions(syscall.SIGCONT)
	return s.process.Signal(syscall.SIGCONT)
}

// toSessions signals the server's descendants: sessions can have process groups
// of their own.
func (s *FileServer) toSessions(sig syscall.Signal) {
	for _, pid := range descendants(s.process.PID()) {
		_ = syscall.Kill(pid, sig) // it may have ended
	}
}

// descendants returns the children of a process, their children, and so on.
func descendants(pid int) (all []int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil // it has ended
	}
	for _, field := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(field); err == nil {
			all = append(append(all, child), descendants(child)...)
		}
	}
	return all
}

// configure writes a file of a server's configuration beside its root.
func (s *FileServer) configure(name, text string, mode fs.FileMode) (path string, err error) {
	path = filepath.Join(filepath.Dir(s.Root), name)
	return path, os.WriteFile(path, []byte(text), mode)
}

func mkdir(path string) error { return os.MkdirAll(path, 0o755) }

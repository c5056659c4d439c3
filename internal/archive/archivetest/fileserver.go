package archivetest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// FileServerOptions describe a file server.
type FileServerOptions struct {
	Root     string // directory that is served, read only
	Username string
	Password string
	Address  string // to listen on; empty: a free port of 127.0.0.1

	CA           *CA  // nil: plain FTP; else explicit TLS, and no login without it
	RequireReuse bool // data connections must resume the TLS session of their control connection

	NoMLSD         bool  // only LIST
	FalseMLSD      bool  // announce MLSD, but do not know it
	NoEPSV         bool  // only PASV
	NoREST         bool  // no resuming
	MaxClients     int   // logged in at the same time; 0: any number
	BytesPerSecond int64 // of each retrieval; 0: as fast as possible

	Fault FaultFunc // may be nil
	// Extra returns lines to be added to the listing of a directory, as they
	// are, for names that no disk would hold. May be nil.
	Extra func(dir string) []string
}

// Retrieval is one RETR that was accepted.
type Retrieval struct {
	Path   string
	Offset int64
	Sent   int64 // bytes, so far or until its end
}

// FileServerStats count what was asked of a file server.
type FileServerStats struct {
	Connections int
	Logins      int // that succeeded
	Bytes       int64
	Commands    map[string]int // by name
	Retrievals  []Retrieval    // in the order in which they began
}

// FileServer is an FTP server for one directory. It knows what a client needs
// to look and to fetch; nothing can be changed through it.
type FileServer struct {
	opts     FileServerOptions
	listener net.Listener
	root     *os.Root
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	sessions sync.WaitGroup

	mu       sync.Mutex
	open     map[io.Closer]struct{}
	loggedIn int
	down     bool
	fault    FaultFunc
	stats    FileServerStats
}

// NewFileServer starts a file server.
func NewFileServer(opts FileServerOptions) (*FileServer, error) {
	if opts.Address == "" {
		opts.Address = "127.0.0.1:0"
	}
	root, err := os.OpenRoot(opts.Root)
	if err != nil {
		return nil, fmt.Errorf("file server: %w", err)
	}
	listener, err := net.Listen("tcp", opts.Address)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("file server: %w", err), root.Close())
	}
	s := &FileServer{
		opts: opts, listener: listener, root: root, fault: opts.Fault,
		open: make(map[io.Closer]struct{}),
	}
	s.stats.Commands = make(map[string]int)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.sessions.Go(s.accept)
	return s, nil
}

// Host returns the address that it listens on.
func (s *FileServer) Host() string { return s.listener.Addr().(*net.TCPAddr).IP.String() }

// Port returns the port that it listens on.
func (s *FileServer) Port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// Close ends all connections, in whatever they are doing, and returns when
// nothing is left running.
func (s *FileServer) Close() error {
	s.cancel()
	err := s.listener.Close()
	s.closeAll()
	s.sessions.Wait()
	return errors.Join(err, s.root.Close())
}

// SetFault replaces the function that makes retrievals go wrong; nil: none do.
func (s *FileServer) SetFault(f FaultFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// SetDown makes the server greet with 421 from now on and ends the connections
// that are open, or makes it work again.
func (s *FileServer) SetDown(down bool) {
	s.mu.Lock()
	s.down = down
	s.mu.Unlock()
	if down {
		s.closeAll()
	}
}

// Disconnect ends the connections that are open, as a server that restarts.
func (s *FileServer) Disconnect() { s.closeAll() }

// Stats returns the counts so far.
func (s *FileServer) Stats() FileServerStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Commands = maps.Clone(stats.Commands)
	stats.Retrievals = slices.Clone(stats.Retrievals)
	return stats
}

// update changes what the lock guards.
func (s *FileServer) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *FileServer) accept() {
	for {
		raw, err := s.listener.Accept()
		switch {
		case s.ctx.Err() != nil:
			if err == nil {
				raw.Close()
			}
			return
		case err != nil: // out of file descriptors, most likely: they come back
			select {
			case <-s.ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		if !s.track(raw) {
			return
		}
		s.sessions.Go(func() {
			defer s.untrack(raw)
			newSession(s, raw).serve()
		})
	}
}

// track makes Close and SetDown close c. It closes c at once, and says so, if
// the server is closed already.
func (s *FileServer) track(c io.Closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		c.Close()
		return false
	}
	s.open[c] = struct{}{}
	return true
}

func (s *FileServer) untrack(c io.Closer) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

func (s *FileServer) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		c.Close()
	}
}

// login counts one more client, unless there are too many.
func (s *FileServer) login() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opts.MaxClients > 0 && s.loggedIn >= s.opts.MaxClients {
		return false
	}
	s.loggedIn++
	s.stats.Logins++
	return true
}

func (s *FileServer) isDown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

func (s *FileServer) faultFor(path string, offset int64) Fault {
	s.mu.Lock()
	fault := s.fault
	s.mu.Unlock()
	if fault == nil {
		return Fault{}
	}
	return fault(path, offset)
}

// retrieval notes one RETR and returns what counts the bytes that it sends.
func (s *FileServer) retrieval(path string, offset int64) (sent func(n int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := len(s.stats.Retrievals)
	s.stats.Retrievals = append(s.stats.Retrievals, Retrieval{Path: path, Offset: offset})
	return func(n int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stats.Retrievals[i].Sent += int64(n)
		s.stats.Bytes += int64(n)
	}
}

// tlsConfig returns a configuration for one control connection and its data
// connections. Each has ticket keys of its own, so that no session of one can
// be resumed on another: that is how a server sees to whom a data connection
// belongs.
func (s *FileServer) tlsConfig() *tls.Config {
	return s.opts.CA.ServerConfig()
}

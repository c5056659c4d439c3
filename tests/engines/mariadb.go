package engines

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// MariaDBPrograms are what NewMariaDB starts.
func MariaDBPrograms() []string { return []string{"mariadbd", "mariadb-install-db"} }

// MariaDB is a real MariaDB server on loopback.
type MariaDB struct {
	Host     string
	Port     int
	User     string // may do everything, in all databases
	Password string
	Database string // empty at first
	dir      string
	settings []string
	process  *Process
}

// noNativeIO keeps several servers at a time from running into the kernel's
// limit of requests, on which one that is being set up gives up.
const noNativeIO = "--innodb-use-native-aio=0"

// mariaDBSetUp is run at each start, before anybody is let in.
const mariaDBSetUp = `CREATE DATABASE IF NOT EXISTS longhaul;
CREATE USER IF NOT EXISTS 'longhaul'@'%' IDENTIFIED BY 'long-secret';
GRANT ALL ON *.* TO 'longhaul'@'%' WITH GRANT OPTION;
`

// NewMariaDB makes a server's files in dir, which is made if need be, and
// starts it. settings are further ones of the server: "max-allowed-packet=4M".
// It runs as the caller, also as root, so that any directory will do.
func NewMariaDB(ctx context.Context, dir string, settings ...string) (*MariaDB, error) {
	ports, err := FreePorts(1)
	if err != nil {
		return nil, err
	}
	m := &MariaDB{Host: "127.0.0.1", Port: ports[0], User: "longhaul", Password: "long-secret", Database: "longhaul",
		dir: dir, settings: settings}
	if err := m.install(ctx); err != nil {
		return nil, fmt.Errorf("mariadb: %w", err)
	}
	return m, m.Start(ctx)
}

func (m *MariaDB) install(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Join(m.dir, "tmp"), 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(m.dir, "setup.sql"), []byte(mariaDBSetUp), 0o640); err != nil {
		return err
	}
	// root, the database's, has no password; it is let in by no other way than
	// the socket, which lies in the server's own directory.
	_, err := Run(ctx, Command{Path: "mariadb-install-db", Dir: m.dir, Args: append([]string{
		"--no-defaults", "--datadir=" + filepath.Join(m.dir, "data"), "--auth-root-authentication-method=normal", "--skip-test-db",
		noNativeIO,
	}, asCaller()...)})
	return err
}

// asCaller lets root run the server, which it otherwise refuses.
func asCaller() []string {
	if os.Getuid() == 0 {
		return []string{"--user=root"}
	}
	return nil
}

// Start starts the server again, on the same port, after Stop or Crash.
func (m *MariaDB) Start(ctx context.Context) error {
	args := []string{
		"--no-defaults", "--datadir=" + filepath.Join(m.dir, "data"), "--tmpdir=" + filepath.Join(m.dir, "tmp"),
		// A relative name is one in the data directory; a whole path may be too long for a socket.
		"--socket=s.sock", "--pid-file=mariadbd.pid", "--init-file=" + filepath.Join(m.dir, "setup.sql"),
		"--bind-address=127.0.0.1", fmt.Sprintf("--port=%d", m.Port), "--skip-name-resolve",
		"--innodb-buffer-pool-size=128M", "--innodb-log-file-size=96M", "--innodb-lock-wait-timeout=900",
		noNativeIO, "--performance-schema=OFF", "--character-set-server=utf8mb4",
		// The databases of tests need not survive a power cut.
		"--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync", "--innodb-doublewrite=OFF",
	}
	for _, s := range m.settings {
		args = append(args, "--"+s)
	}
	p, err := Start(Command{Path: "mariadbd", Args: append(args, asCaller()...), Dir: m.dir, Log: filepath.Join(m.dir, "log")})
	if err != nil {
		return fmt.Errorf("mariadb: %w", err)
	}
	m.process = p
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := p.Ready(ctx, m.greets); err != nil {
		return errors.Join(fmt.Errorf("mariadb: %w", err), m.Stop())
	}
	return nil
}

// greets is the condition that the server talks, which it does only when all is
// set up; it takes connections before.
func (m *MariaDB) greets() error {
	c, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", m.Host, m.Port), time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 1))
	return err
}

// Stop ends the server as its operator would. Its data stays.
func (m *MariaDB) Stop() error { return m.process.Stop(syscall.SIGTERM) }

// Crash ends the server as a power cut would.
func (m *MariaDB) Crash() error { return m.process.Stop(syscall.SIGKILL) }

// Restart is Stop, then Start.
func (m *MariaDB) Restart(ctx context.Context) error { return errors.Join(m.Stop(), m.Start(ctx)) }

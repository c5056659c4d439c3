package engines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// postgresUser is who the server runs as when root starts it: it refuses root.
const postgresUser = "postgres"

// PostgresPrograms are what NewPostgres starts. Debian keeps them, by version,
// out of the PATH; "postgres" is there where none is installed.
func PostgresPrograms() []string {
	return []string{postgresProgram("postgres"), postgresProgram("initdb"), postgresProgram("pg_isready")}
}

// postgresProgram is a program of the newest PostgreSQL that is installed.
func postgresProgram(name string) string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // the pattern is right
	if len(found) == 0 {
		return name
	}
	return slices.Max(found)
}

// Postgres is a real PostgreSQL server on loopback.
type Postgres struct {
	Host     string
	Port     int
	User     string // may do everything, in all databases
	Password string
	Database string // empty at first
	dir      string
	settings []string
	process  *Process
}

// PostgresDir makes a directory for a server's files, which its user can reach:
// started by root, it can not reach a test's own. The caller removes it.
func PostgresDir() (string, error) {
	dir, err := os.MkdirTemp("", "postgres-")
	if err != nil {
		return "", err
	}
	if err := Own(postgresUser, dir); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

// NewPostgres makes a server's files in dir, which must be there and which the
// user postgres must be able to reach if the caller is root (PostgresDir makes
// such a one), and starts it. settings are further ones of the server:
// "max_connections=5".
func NewPostgres(ctx context.Context, dir string, settings ...string) (*Postgres, error) {
	ports, err := FreePorts(1)
	if err != nil {
		return nil, err
	}
	p := &Postgres{Host: "127.0.0.1", Port: ports[0], User: "longhaul", Password: "long-secret", Database: "postgres",
		dir: dir, settings: settings}
	if err := p.install(ctx); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return p, p.Start(ctx)
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

func (p *Postgres) install(ctx context.Context) error {
	if err := Own(postgresUser, p.dir); err != nil {
		return err
	}
	secret := filepath.Join(p.dir, "password")
	if err := os.WriteFile(secret, []byte(p.Password), 0o600); err != nil {
		return err
	}
	if err := Own(postgresUser, secret); err != nil {
		return err
	}
	_, err := Run(ctx, Command{Path: postgresProgram("initdb"), Dir: p.dir, As: postgresUser, Args: []string{
		"-D", p.data(), "-U", p.User, "--pwfile=" + secret, "--auth=scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
	}})
	if err != nil {
		return fmt.Errorf("is %s within reach of the user %s? %w", p.dir, postgresUser, err)
	}
	return nil
}

// Start starts the server again, on the same port, after Stop or Crash.
func (p *Postgres) Start(ctx context.Context) error {
	args := []string{"-D", p.data(), "-p", fmt.Sprint(p.Port), "-h", p.Host}
	for _, s := range append([]string{
		"unix_socket_directories=", "max_connections=100", "log_line_prefix=%m [%p] %u@%d ",
		// The databases of tests need not survive a power cut.
		"fsync=off", "full_page_writes=off",
	}, p.settings...) {
		args = append(args, "-c", s)
	}
	log := filepath.Join(p.dir, "log")
	process, err := Start(Command{Path: postgresProgram("postgres"), Args: args, Dir: p.dir, As: postgresUser, Log: log})
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	p.process = process
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := process.Ready(ctx, func() error { return p.ready(ctx) }); err != nil {
		return errors.Join(fmt.Errorf("postgres: %w", err), p.Stop())
	}
	return nil
}

// ready is the condition that the server lets clients in.
func (p *Postgres) ready(ctx context.Context) error {
	_, err := Run(ctx, Command{Path: postgresProgram("pg_isready"), Dir: "/", Args: []string{"-q", "-h", p.Host, "-p", fmt.Sprint(p.Port)}})
	return err
}

// Stop ends the server as its operator would, whoever is connected. Its data stays.
func (p *Postgres) Stop() error { return p.process.Stop(syscall.SIGINT) }

// Crash ends the server at once, without a word to its clients' transactions.
func (p *Postgres) Crash() error { return p.process.Stop(syscall.SIGQUIT) }

// Restart is Stop, then Start.
func (p *Postgres) Restart(ctx context.Context) error { return errors.Join(p.Stop(), p.Start(ctx)) }

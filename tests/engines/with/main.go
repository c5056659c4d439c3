// Command with starts real servers, runs a command that finds them in its
// environment, and ends the servers again:
//
//	go run ./tests/engines/with slurm postgres -- go run ./cmd/longhaul demo --queue slurm --commondb postgres
//
// Without a command it prints what to put into the environment, and keeps the
// servers until it is interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"longhaul/tests/engines"
)

// startTimeout bounds the start of one server.
const startTimeout = 2 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(max(exit.ExitCode(), 1))
	case err != nil:
		fmt.Fprintln(os.Stderr, "with:", err)
		os.Exit(1)
	}
}

// engine is a server that this command can start; start returns what a client
// needs in its environment, and how the server is ended.
type engine struct {
	name  string
	start func(ctx context.Context, dir string) (env []string, stop func() error, err error)
}

func all() []engine {
	return []engine{
		{"slurm", startSlurm}, {"gridengine", startGridEngine},
		{"postgres", startPostgres}, {"mariadb", startMariaDB},
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	names, command := args, []string(nil)
	if i := slices.Index(args, "--"); i >= 0 {
		names, command = args[:i], args[i+1:]
	}
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	dir, err := engines.Dir("engines-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var env []string
	for _, e := range chosen {
		at := filepath.Join(dir, e.name)
		if err := os.Mkdir(at, 0o755); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, startTimeout)
		defer cancel()
		more, stop, err := e.start(ctx, at)
		if err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		defer func() {
			if err := stop(); err != nil {
				fmt.Fprintf(stderr, "with: end %s: %v\n", e.name, err)
			}
		}()
		fmt.Fprintf(stderr, "with: %s runs in %s\n", e.name, at)
		env = append(env, more...)
	}
	if len(command) == 0 {
		for _, v := range env {
			fmt.Fprintf(stdout, "export %s\n", v)
		}
		<-ctx.Done()
		return nil
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdout, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = startTimeout
	return cmd.Run()
}

func choose(names []string) ([]engine, error) {
	var chosen []engine
	for _, name := range names {
		i := slices.IndexFunc(all(), func(e engine) bool { return e.name == name })
		if i < 0 {
			return nil, fmt.Errorf("unknown server %q; there are %s", name, strings.Join(known(), ", "))
		}
		chosen = append(chosen, all()[i])
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("name the servers to start: %s", strings.Join(known(), ", "))
	}
	return chosen, nil
}

func known() []string {
	var names []string
	for _, e := range all() {
		names = append(names, e.name)
	}
	return names
}

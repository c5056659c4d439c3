// Command longhaul is the operator's command: it sets the pipeline up, shows
// how things stand and why something does not move, and lets a person step in.
// It also is what runs on the compute nodes, and can run the daemons.
//
// Each subcommand has a file of its own, with its flags and what it prints;
// what it does is in package operator and those below it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/queue/local"
	"longhaul/internal/site"
	"longhaul/internal/worker"
)

// The exit statuses, but for those of worker.
const (
	exitOK     = 0
	exitFailed = 1 // it went wrong
	exitUsage  = 2 // the command line or the configuration is wrong
)

func main() { os.Exit(start(os.Args[1:])) }

// start runs the two parts that are processes of the system at once, without
// what a person's command needs: there is one of each for every job.
func start(args []string) int {
	switch {
	case len(args) > 0 && args[0] == site.Supervise:
		return local.SuperviseMain(args[1:])
	case len(args) > 1 && args[0] == "worker" && args[1] == "--":
		return worker.Main(args[2:])
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	defer stop()
	return run(ctx, args, os.Stdin, os.Stdout, os.Stderr)
}

// program is what all subcommands share.
type program struct {
	configPath string
	stdin      io.Reader
	stdout     io.Writer
	stderr     io.Writer
	now        func() time.Time
	// begun is set when a subcommand is about to run: an error before that is
	// one of the command line.
	begun bool
}

// run is the whole command; it returns the exit status, so tests call it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr, now: time.Now}
	return p.run(ctx, args)
}

func (p *program) run(ctx context.Context, args []string) int {
	root := newRootCommand(p)
	root.SetArgs(args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	p.complain(err)
	var mistakes config.Mistakes
	switch {
	case errors.As(err, &mistakes):
		return exitUsage
	case !p.begun || errors.Is(err, errUsage):
		fmt.Fprintf(p.stderr, "longhaul: '%s --help' says more\n", cmd.CommandPath())
		return exitUsage
	}
	return exitFailed
}

// errUsage marks a command line that makes no sense.
var errUsage = errors.New("usage")

// usageError is an error of the command line, found by a subcommand.
type usageError struct{ text string }

func (e usageError) Error() string        { return e.text }
func (e usageError) Is(target error) bool { return target == errUsage }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// complain prints an error; further lines of it are set below the first.
func (p *program) complain(err error) {
	text := strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "\n  ")
	if strings.Contains(text, "\n") {
		if mistakes := (config.Mistakes)(nil); errors.As(err, &mistakes) {
			text = fmt.Sprintf("the configuration has %d mistakes:\n  %s", len(mistakes), text)
		}
	}
	fmt.Fprintln(p.stderr, "longhaul: "+clean(text))
}

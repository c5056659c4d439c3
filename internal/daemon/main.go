package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"longhaul/internal/config"
	"longhaul/internal/queue/local"
	"longhaul/internal/site"
	"longhaul/internal/version"
)

// The exit statuses of a daemon.
const (
	exitOK     = 0
	exitFailed = 1 // it went wrong
	exitUsage  = 2 // the command line or the configuration is wrong
)

// Main is the whole program of one daemon; it returns the exit status.
func Main(kind string, args []string, stderr io.Writer) int {
	if len(args) > 0 && args[0] == site.Supervise { // as the supervisor of one local job
		return local.SuperviseMain(args[1:])
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	defer stop()
	err := runMain(ctx, kind, args, stderr)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	fmt.Fprintf(stderr, "%s: %v\n", kind, err)
	if mistakes := (config.Mistakes)(nil); errors.As(err, &mistakes) || errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitFailed
}

var errUsage = errors.New("usage")

// runMain returns nil once ctx stops it, so tests call it.
func runMain(ctx context.Context, kind string, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet(kind, flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("config", config.DefaultPath(), "configuration `file`")
	once := flags.Bool("once", false, "make one pass, finish what it started, then exit")
	showVersion := flags.Bool("version", false, "print the version, then exit")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return errUsage // flags has said why
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: unexpected argument %q", errUsage, flags.Arg(0))
	}
	if *showVersion {
		fmt.Fprintln(stderr, kind, version.Program())
		return nil
	}
	c, err := config.Load(*path)
	if err != nil {
		return err
	}
	return Run(ctx, c, Options{Kinds: []string{kind}, Once: *once, Stderr: stderr})
}

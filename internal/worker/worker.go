package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"longhaul/internal/disk"
	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
)

// The exit statuses for the worker's own trouble, as the package comment says.
const (
	StatusOther     = 70
	StatusInput     = 71
	StatusWorkspace = 72
	StatusOutput    = 73
	StatusCommand   = 74
	StatusSpace     = 75
	StatusResults   = 76
	StatusDisk      = 77
	StatusSetup     = 78
	StatusTooSmall  = 79
)

// Own reports whether a status is the worker's own, so that its line in the
// error log tells more than that of the command.
func Own(status int) bool { return status >= StatusInput && status <= StatusTooSmall }

// defaultGrace leaves half of the local queue's grace for cleaning up.
const defaultGrace = 5 * time.Second

// Options is one job for Run.
type Options struct {
	Submit  string   // the submit's unique name
	Base    string   // absolute path of the base working directory
	Inputs  []string // absolute paths
	OutDir  string   // absolute path, must not exist yet
	Command []string
	Environ []string // the command's environment, but for what Run sets
	// Stdout and Stderr become the command's; nil: thrown away.
	Stdout, Stderr *os.File
	// Grace is how long the command may take to end when it is told to; 0: 5 s.
	Grace time.Duration
	// Warn hears of trouble that does not change the outcome; nil: nobody does.
	Warn func(error)
}

// Error is why a job did not go well.
type Error struct {
	Host   string
	Status int // for the process's exit status
	Err    error
}

func (e *Error) Error() string { return fmt.Sprintf("worker on %s: %v", e.Host, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// trouble is an error that knows its exit status, until Run adds the host.
type trouble struct {
	status int
	err    error
}

func (t *trouble) Error() string { return t.err.Error() }
func (t *trouble) Unwrap() error { return t.err }

// stopped is the cause of a context that a signal ended.
type stopped struct{ signal syscall.Signal }

func (s stopped) Error() string { return fmt.Sprintf("told to stop (%v)", s.signal) }

// Main is the whole worker process: args is the command, the rest is in the
// environment. It returns the exit status.
func Main(args []string) int {
	started := time.Now()
	status := mainStatus(args)
	if err := leaveRecord(status, started); err != nil {
		fmt.Fprintln(os.Stderr, err) // the batch system knows it as well
	}
	return status
}

// leaveRecord writes down how this process ends, for batch systems that forget
// or garble it, if one has asked for that.
func leaveRecord(status int, started time.Time) error {
	path := os.Getenv(batch.RecordVar)
	if path == "" {
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	r := batch.Record{Name: os.Getenv(submitVar), ExitCode: status, Node: host, StartedAt: started, EndedAt: time.Now()}
	return r.Write(path)
}

// mainStatus is Main without the record.
func mainStatus(args []string) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for s := range signals { // the first is the cause, the others change nothing
			cancel(stopped{s.(syscall.Signal)})
		}
	}()
	err := run(ctx, args)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, err)
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 1
}

// run is Main with an error.
func run(ctx context.Context, args []string) error {
	o, err := FromEnviron(os.Environ(), args)
	if err != nil {
		return err
	}
	o.Stdout, o.Stderr = os.Stdout, os.Stderr
	o.Warn = func(err error) { fmt.Fprintln(os.Stderr, err) }
	return Run(ctx, o)
}

// FromEnviron returns the job that an environment describes.
func FromEnviron(environ, command []string) (Options, error) {
	vars := make(map[string]string)
	for _, kv := range environ {
		key, value, _ := strings.Cut(kv, "=")
		vars[key] = value
	}
	o := Options{
		Submit:  vars[submitVar],
		Base:    vars[workspaceVar],
		OutDir:  vars[outDirVar],
		Command: command,
		Environ: environ,
	}
	// The record is the worker's own: one that the command started would overwrite it.
	o.Environ = slices.DeleteFunc(slices.Clone(environ), func(kv string) bool { return strings.HasPrefix(kv, batch.RecordVar+"=") })
	for path := range strings.SplitSeq(vars[dataFilesVar], ";") {
		if path != "" {
			o.Inputs = append(o.Inputs, path)
		}
	}
	if err := o.check(); err != nil {
		return Options{}, withHost(failed(StatusSetup, err))
	}
	return o, nil
}

// check reports everything that is wrong with o at once.
func (o Options) check() error {
	var errs []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(len(o.Command) == 0, "no command was given")
	wrong(!queue.ValidName(o.Submit), "LONGHAUL_SUBMIT is %q, want the name of a submit", o.Submit)
	wrong(!filepath.IsAbs(o.Base), "LONGHAUL_WORKSPACE is %q, want an absolute path", o.Base)
	wrong(!filepath.IsAbs(o.OutDir), "OUTDIR is %q, want an absolute path", o.OutDir)
	wrong(len(o.Inputs) == 0, "DATAFILES is empty, want the input files")
	for _, path := range o.Inputs {
		wrong(!filepath.IsAbs(path), "DATAFILES has %q, want absolute paths", path)
	}
	return errors.Join(errs...)
}

// withHost turns what happened into an Error.
func withHost(err error) error {
	if err == nil {
		return nil
	}
	host, hostErr := os.Hostname()
	if hostErr != nil {
		host = "an unknown host"
	}
	e := &Error{Host: host, Status: 1, Err: err}
	var t *trouble
	if errors.As(err, &t) {
		e.Status = t.status
	}
	return e
}

// Run does one job from its input to its results. When ctx ends the command is
// told to stop, and nothing is left behind. Every error is an *Error.
func Run(ctx context.Context, o Options) error {
	if o.Grace <= 0 {
		o.Grace = defaultGrace
	}
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
	if err := o.check(); err != nil {
		return withHost(failed(StatusSetup, err))
	}
	err := o.process(ctx)
	// Whatever else went wrong on the way, being told to stop is the reason.
	if err != nil && ctx.Err() != nil {
		sig := syscall.SIGTERM
		var s stopped
		if errors.As(context.Cause(ctx), &s) {
			sig = s.signal
		}
		err = &trouble{128 + int(sig), context.Cause(ctx)}
	}
	return withHost(err)
}

// process is Run without the reasons.
func (o Options) process(ctx context.Context) (err error) {
	if err := prepareOutput(o.OutDir); err != nil {
		return err
	}
	if err := disk.MakeDir(o.Base); err != nil {
		return failed(StatusWorkspace, err)
	}
	o.warn(removeStale(o.Base))
	ws, err := newWorkspace(o.Base, o.Submit)
	if err != nil {
		return failed(StatusWorkspace, err)
	}
	defer func() { o.warn(ws.remove()) }()
	copies, err := stageIn(ctx, o.Inputs, ws)
	if err != nil {
		return err
	}
	if err := runCommand(ctx, o, ws, copies); err != nil {
		return err
	}
	return stageOut(ctx, ws.results(), o.OutDir)
}

func (o Options) warn(err error) {
	if err != nil {
		o.Warn(withHost(err))
	}
}

package batch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"longhaul/internal/pipeline"
)

// The limits of a Runner that does not set them.
const (
	DefaultTimeout   = time.Minute
	DefaultMaxOutput = 64 << 20 // bytes; a hundred thousand jobs of a few hundred bytes each
)

// drainTime is how long a command's output is waited for after its end, when a
// process that it left behind holds the pipe open.
const drainTime = 2 * time.Second

// Commander runs a command of a batch system: Runner, or a test's wrapper
// around it that loses the answer.
type Commander interface {
	// Run runs argv[0], with stdin as its standard input, to its end. An error
	// wraps pipeline.ErrOutage and means that the end is not known: the command
	// may have done all of its work, or nothing. An exit status is no error.
	Run(ctx context.Context, stdin []byte, argv ...string) (Output, error)
}

// Runner runs commands, never a shell.
type Runner struct {
	// Timeout is how long one command may take; 0: DefaultTimeout.
	Timeout time.Duration
	// MaxOutput is how much a command may write, on each stream, in bytes; 0:
	// DefaultMaxOutput. More is an error, never a part taken for the whole.
	MaxOutput int
	// Drop names variables of our own environment that commands do not get;
	// a '*' at the end stands for anything. Env is added afterwards.
	Drop []string
	Env  []string // KEY=VALUE
	// Log hears of every command, at level debug; nil: nobody does.
	Log *slog.Logger
}

var _ Commander = Runner{}

// Output is what a command that came to its end left.
type Output struct {
	Stdout, Stderr []byte
	ExitCode       int
}

// Run implements Commander. Times and messages are those of the locale C, and
// the command's whole process group is killed when its time is over.
func (r Runner) Run(ctx context.Context, stdin []byte, argv ...string) (Output, error) {
	if len(argv) == 0 || argv[0] == "" {
		return Output{}, outage("run", errors.New("no command"))
	}
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %s", timeout))
	defer cancel()
	name := filepath.Base(argv[0])
	begin := time.Now()
	out, err := r.run(ctx, stdin, argv)
	if r.Log != nil {
		r.Log.Debug("command of the batch system", "argv", argv, "took", time.Since(begin), "exit", out.ExitCode, "err", err)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return Output{}, outage(name, err)
	}
	return out, nil
}

func outage(name string, err error) error {
	return pipeline.Outage(pipeline.QueueManager, fmt.Errorf("%s: %w", name, err))
}

// run is Run without the reasons.
func (r Runner) run(ctx context.Context, stdin []byte, argv []string) (Output, error) {
	limit := r.MaxOutput
	if limit <= 0 {
		limit = DefaultMaxOutput
	}
	stdout, stderr := &bounded{left: limit}, &bounded{left: limit}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = r.environ()
	cmd.Dir = "/"
	if stdin != nil {
		cmd.Stdin = bytes.NewReader(stdin)
	}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = drainTime
	err := cmd.Run()
	if stdout.over || stderr.over { // before the SIGPIPE that it may have died of
		return Output{}, fmt.Errorf("%w: more than %d bytes", errTooMuch, limit)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		err = nil // an exit status is an answer
	}
	if errors.Is(err, syscall.EPIPE) {
		err = nil // it did not read its input, and need not
	}
	return Output{Stdout: stdout.buf.Bytes(), Stderr: stderr.buf.Bytes(), ExitCode: cmd.ProcessState.ExitCode()}, err
}

// ours are variables that are for the daemon alone: secrets, and what systemd
// gave it. Some batch systems hand the environment of their commands on to jobs.
var ours = []string{
	"LONGHAUL_*", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_*", "LISTEN_*", "INVOCATION_ID", "JOURNAL_STREAM",
}

// environ is the commands' environment.
func (r Runner) environ() []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return key == "LC_ALL" || key == "LANGUAGE" || slices.ContainsFunc(slices.Concat(ours, r.Drop), func(pattern string) bool {
			prefix, wild := strings.CutSuffix(pattern, "*")
			return key == pattern || wild && strings.HasPrefix(key, prefix)
		})
	})
	return slices.Concat(env, []string{"LC_ALL=C"}, r.Env)
}

var errTooMuch = errors.New("its answer is too long")

// bounded is a buffer that refuses what is too much, and remembers that. It
// does not embed the buffer, whose ReadFrom io.Copy would prefer to Write.
type bounded struct {
	buf  bytes.Buffer
	left int
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(p) > b.left {
		b.over = true
		return 0, errTooMuch
	}
	b.left -= len(p)
	return b.buf.Write(p)
}

// maxWords is the length of Words, in bytes.
const maxWords = 400

// Words is what a command had to say for itself, on one line for a message:
// its standard error, or its standard output if that is empty.
func (o Output) Words() string {
	text := o.Stderr
	if len(bytes.TrimSpace(text)) == 0 {
		text = o.Stdout
	}
	// Enough for maxWords, whatever is taken away.
	text = text[:min(len(text), 16*maxWords)]
	line := strings.Join(strings.FieldsFunc(strings.ToValidUTF8(string(text), "?"), func(c rune) bool {
		return unicode.IsSpace(c) || !unicode.IsPrint(c)
	}), " ")
	if len(line) > maxWords {
		line = strings.ToValidUTF8(line[:maxWords], "") + "..."
	}
	if line == "" {
		line = fmt.Sprintf("exit status %d without a word", o.ExitCode)
	}
	return line
}

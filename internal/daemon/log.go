package daemon

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"gopkg.in/natefinch/lumberjack.v2"

	"longhaul/internal/config"
	"longhaul/internal/disk"
)

// newLogger logs to log_dir, in a file for each daemon that is rotated, and to
// the terminal or the journal if screen_output is set. A log that cannot be
// written never stops a daemon.
func newLogger(c *config.Config, kind string, stderr io.Writer) (*slog.Logger, func() error, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Background.LogLevel)); err != nil {
		return nil, nil, fmt.Errorf("background.log_level: %w", err)
	}
	path := filepath.Join(c.Basic.LogDir, kind+".log")
	// lumberjack keeps the mode of a file that is there. A path that is wrong is
	// told at once; a disk that is full now is none.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, disk.FileMode)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !disk.IsFull(err) {
		return nil, nil, fmt.Errorf("log: %w", err)
	}
	file := &lumberjack.Logger{
		Filename: path, MaxSize: int(max(c.Background.LogMaxSize>>20, 1)), MaxBackups: c.Background.LogKeep,
	}
	opt := &slog.HandlerOptions{Level: level, ReplaceAttr: inUTC}
	handlers := []slog.Handler{slog.NewTextHandler(&logFile{path: path, file: file, stderr: stderr}, opt)}
	if c.Background.ScreenOutput {
		handlers = append(handlers, slog.NewTextHandler(stderr, opt))
	}
	return slog.New(slog.NewMultiHandler(handlers...)).With("daemon", kind), file.Close, nil
}

// logFile is a log that may fail to be written, as on a full disk: that is told
// once, what happens meanwhile is counted, and it goes on where it can.
type logFile struct {
	path   string
	file   io.Writer
	stderr io.Writer

	mu   sync.Mutex
	lost int  // lines that could not be written
	torn bool // the last line was written in part
}

// Write writes one line and never fails.
func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var text []byte
	if l.torn {
		text = append(text, '\n')
	}
	if l.lost > 0 {
		text = fmt.Appendf(text, "level=WARN msg=\"lines are missing here: the log could not be written\" lines=%d\n", l.lost)
	}
	text = append(text, line...)
	n, err := l.file.Write(text)
	if n > 0 {
		l.torn = text[n-1] != '\n'
	}
	switch {
	case err == nil:
		l.lost = 0
	case l.lost == 0:
		fmt.Fprintf(l.stderr, "the log %s cannot be written; the daemon goes on without: %v\n", l.path, err)
		fallthrough
	default:
		l.lost++
	}
	return len(line), nil
}

// inUTC writes the time of a line in UTC, as everything else here.
func inUTC(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Time(a.Key, a.Value.Time().UTC())
	}
	return a
}

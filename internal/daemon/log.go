package daemon

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

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
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, disk.FileMode)
	if err != nil {
		return nil, nil, fmt.Errorf("log: %w", err)
	}
	if err := f.Close(); err != nil { // lumberjack keeps the mode of a file that is there
		return nil, nil, fmt.Errorf("log: %w", err)
	}
	file := &lumberjack.Logger{
		Filename: path, MaxSize: int(max(c.Background.LogMaxSize>>20, 1)), MaxBackups: c.Background.LogKeep,
	}
	opt := &slog.HandlerOptions{Level: level, ReplaceAttr: inUTC}
	handlers := []slog.Handler{slog.NewTextHandler(file, opt)}
	if c.Background.ScreenOutput {
		handlers = append(handlers, slog.NewTextHandler(stderr, opt))
	}
	return slog.New(slog.NewMultiHandler(handlers...)).With("daemon", kind), file.Close, nil
}

// inUTC writes the time of a line in UTC, as everything else here.
func inUTC(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Time(a.Key, a.Value.Time().UTC())
	}
	return a
}

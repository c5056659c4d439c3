package batch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"longhaul/internal/pipeline"
)

func TestACommandAnswers(t *testing.T) {
	t.Parallel()
	r := Runner{Env: []string{"ADDED=yes"}}
	out, err := r.Run(t.Context(), []byte("in\n"), "/bin/sh", "-c",
		`cat; echo "$LC_ALL $ADDED $1"; echo oh no >&2; exit 3`, "sh", "a;b $c")
	if err != nil {
		t.Fatal(err)
	}
	if string(out.Stdout) != "in\nC yes a;b $c\n" || string(out.Stderr) != "oh no\n" || out.ExitCode != 3 {
		t.Errorf("answer %q, %q, %d", out.Stdout, out.Stderr, out.ExitCode)
	}
}

func TestWhatIsNoAnswerIsAnOutage(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	short := Runner{Timeout: 100 * time.Millisecond}
	for _, tt := range []struct {
		name string
		run  Runner
		ctx  context.Context
		argv []string
		says string
	}{
		{"no command", Runner{}, t.Context(), nil, "no command"},
		{"a program that is not there", Runner{}, t.Context(), []string{"/no/such/sbatch"}, "sbatch: "},
		{"a command that takes too long", short, t.Context(), []string{"sleep", "60"}, "no answer within 100ms"},
		{"one that ignores SIGTERM", short, t.Context(), []string{"sh", "-c", `trap "" TERM; sleep 60; sleep 60`}, "no answer within"},
		{"a caller that gave up", Runner{}, gone, []string{"true"}, "canceled"},
		{"a command that was killed", Runner{}, t.Context(), []string{"sh", "-c", "kill -9 $$"}, "killed"},
		{"an answer without end", Runner{MaxOutput: 1000}, t.Context(), []string{"yes"}, "too long"},
		{"complaints without end", Runner{MaxOutput: 1000}, t.Context(), []string{"sh", "-c", "exec yes >&2"}, "too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			out, err := tt.run.Run(tt.ctx, nil, tt.argv...)
			if !errors.Is(err, pipeline.ErrOutage) || !strings.Contains(err.Error(), tt.says) || len(out.Stdout) > 0 {
				t.Errorf("%q, %v, want an outage that says %q", out.Stdout, err, tt.says)
			}
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestTheTimeOutReachesTheWholeProcessGroup(t *testing.T) {
	t.Parallel()
	pids := filepath.Join(t.TempDir(), "pid")
	r := Runner{Timeout: 500 * time.Millisecond}
	_, err := r.Run(t.Context(), nil, "sh", "-c", `sleep 600 & echo $! > "$1"; wait`, "sh", pids)
	if !errors.Is(err, pipeline.ErrOutage) {
		t.Fatal(err)
	}
	pid, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	stat := filepath.Join("/proc", strings.TrimSpace(string(pid)), "stat")
	for deadline := time.Now().Add(10 * time.Second); ; {
		text, err := os.ReadFile(stat)
		if err != nil || strings.Contains(string(text), ") Z") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("its child lives: %s", text)
		}
	}
}

func TestAnAnswerWhoseEndIsHeldOpenIsAnOutage(t *testing.T) {
	t.Parallel()
	_, err := Runner{}.Run(t.Context(), nil, "sh", "-c", "sleep 6 & echo part")
	if !errors.Is(err, pipeline.ErrOutage) {
		t.Errorf("err = %v, want an outage", err)
	}
}

func TestOurEnvironmentIsPassedOnButForWhatIsDropped(t *testing.T) {
	for _, kv := range []string{"BATCHTEST_A", "BATCHTEST_B", "BATCHTESTS", "LC_ALL"} {
		t.Setenv(kv, "xx")
	}
	r := Runner{Drop: []string{"BATCHTEST_*", "BATCHTES"}, Env: []string{"BATCHTEST_B=b"}}
	out, err := r.Run(t.Context(), nil, "sh", "-c", `echo "${BATCHTEST_A-none} $BATCHTEST_B $BATCHTESTS $LC_ALL"`)
	if err != nil || string(out.Stdout) != "none b xx C\n" {
		t.Errorf("%q, %v", out.Stdout, err)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		out  Output
		want string
	}{
		{"errors go before output", Output{Stdout: []byte("out"), Stderr: []byte("sbatch: error: no\n\tway\n")}, "sbatch: error: no way"},
		{"output if there are none", Output{Stdout: []byte("out\n"), Stderr: []byte(" \n")}, "out"},
		{"silence", Output{ExitCode: 2}, "exit status 2 without a word"},
		{"control characters and no text", Output{Stderr: []byte("\x1b[31mred\x00\xff")}, "[31mred ?"},
		{"too much", Output{Stderr: []byte(strings.Repeat("é", maxWords))}, strings.Repeat("é", maxWords/2) + "..."},
	} {
		if got := tt.out.Words(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

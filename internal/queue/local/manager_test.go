package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
)

func TestAJobSubmittedTwiceRunsOnce(t *testing.T) {
	t.Parallel()
	m, dir := open(t, options(t)), t.TempDir()
	spec := shell(t, dir, "job", `echo ran >> "$DIR/ran"`)
	spec.Env["OTHER"] = "\xff"
	ref := submit(t, m, spec)
	if again := submit(t, m, spec); again.ID != ref.ID {
		t.Errorf("the second ID is %q, the first was %q", again.ID, ref.ID)
	}
	await(t, m, ref, queue.Finished)
	if again := submit(t, m, spec); again.ID != ref.ID {
		t.Errorf("after its end the ID is %q, it was %q", again.ID, ref.ID)
	}
	if got := text(t, dir, "ran"); got != "ran\n" {
		t.Errorf("the job wrote %q, want one line", got)
	}
	spec.Command[2] += " # other"
	if id, err := m.Submit(t.Context(), spec); !errors.Is(err, queue.ErrRejected) {
		t.Errorf("another job of that name: %q, %v, want ErrRejected", id, err)
	}
}

func TestJobsStartInOrderAndNotTooMany(t *testing.T) {
	t.Parallel()
	opts, dir := options(t), t.TempDir()
	opts.MaxRunning = 1
	m := open(t, opts)
	var refs []queue.Ref
	var want strings.Builder
	for i := range 6 {
		// mkdir succeeds for one at a time only.
		script := fmt.Sprintf(`mkdir "$DIR/alone" && echo %d >> "$DIR/order"; rmdir "$DIR/alone"`, i)
		refs = append(refs, submit(t, m, shell(t, dir, fmt.Sprintf("z%d", 9-i), script)))
		fmt.Fprintln(&want, i)
	}
	for _, ref := range refs {
		await(t, m, ref, queue.Finished)
	}
	if got := text(t, dir, "order"); got != want.String() {
		t.Errorf("they ran in the order %q, want %q", got, want.String())
	}
}

func TestATimeLimitEndsAJob(t *testing.T) {
	t.Parallel()
	m, dir := open(t, options(t)), t.TempDir()
	polite := shell(t, dir, "polite", `trap 'echo cleaned > "$DIR/cleaned"; exit 0' TERM; sleep 600 & wait`)
	polite.Resources.WallTime = 300 * time.Millisecond
	rude := shell(t, dir, "rude", `trap "" TERM; sleep 600; sleep 600`)
	rude.Resources.WallTime = 100 * time.Millisecond
	p, r := submit(t, m, polite), submit(t, m, rude)
	if s := await(t, m, p, queue.Finished); s.Reason != queue.TimedOut || s.Succeeded() {
		t.Errorf("a job that heeds SIGTERM ended %+v, want time limit", s)
	}
	if text(t, dir, "cleaned") == "" {
		t.Error("it had no chance to clean up")
	}
	if s := await(t, m, r, queue.Finished); s.Reason != queue.TimedOut || s.ExitCode != 128+9 {
		t.Errorf("a job that ignores SIGTERM ended %+v, want time limit by signal 9", s)
	}
}

func TestCommandsThatCannotRunSayWhy(t *testing.T) {
	t.Parallel()
	m, dir := open(t, options(t)), t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("no program"), 0o640); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(*queue.Spec)
		code   int
		detail string
	}{
		"missing":       {func(s *queue.Spec) { s.Command = []string{"no-such-program-here"} }, 127, "no-such-program-here"},
		"no-permission": {func(s *queue.Spec) { s.Command = []string{plain} }, 126, plain},
		"no-directory":  {func(s *queue.Spec) { s.Stdout = dir + "/missing/out" }, 126, "missing/out"},
		"empty-path":    {func(s *queue.Spec) { s.Command, s.Env = []string{"sh"}, map[string]string{"PATH": dir} }, 127, "sh"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := shell(t, dir, name, ":")
			tt.change(&spec)
			s := await(t, m, submit(t, m, spec), queue.Finished)
			if s.Reason != queue.Exited || s.ExitCode != tt.code || !strings.Contains(s.Detail, tt.detail) {
				t.Errorf("it ended %+v, want exited with %d and a word about %s", s, tt.code, tt.detail)
			}
		})
	}
}

func TestAMissingSupervisorIsAnOutageAndLosesNothing(t *testing.T) {
	t.Parallel()
	opts, dir := options(t), t.TempDir()
	bad := opts
	program := filepath.Join(dir, "supervisor")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o750); err != nil {
		t.Fatal(err)
	}
	bad.Supervisor = []string{program}
	broken := open(t, bad)
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	spec := shell(t, dir, "job", `echo ran >> "$DIR/ran"`)
	if id, err := broken.Submit(t.Context(), spec); !errors.Is(err, pipeline.ErrOutage) {
		t.Errorf("Submit without a supervisor = %q, %v, want an outage", id, err)
	}
	ref := queue.Ref{ID: "job", Name: "job"}
	if _, err := broken.Poll(t.Context(), []queue.Ref{ref}); !errors.Is(err, pipeline.ErrOutage) || !strings.Contains(err.Error(), program) {
		t.Errorf("Poll without a supervisor: %v, want an outage that names it", err)
	}
	m := open(t, opts)
	if s := await(t, m, ref, queue.Finished); !s.Succeeded() || text(t, dir, "ran") != "ran\n" {
		t.Errorf("with a supervisor the job ended %+v and wrote %q", s, text(t, dir, "ran"))
	}
}

func TestPruneForgetsOnlyWhatEndedLongAgo(t *testing.T) {
	t.Parallel()
	opts, dir := options(t), t.TempDir()
	now := time.Now()
	opts.Now = func() time.Time { return now }
	m := open(t, opts)
	old := submit(t, m, shell(t, dir, "old", ":"))
	await(t, m, old, queue.Finished)
	runs := submit(t, m, shell(t, dir, "runs", `while [ ! -e "$DIR/go" ]; do sleep 0.02; done`))
	if n, err := m.Prune(t.Context(), time.Hour); n != 0 || err != nil {
		t.Errorf("Prune at once = %d, %v, want none", n, err)
	}
	now = now.Add(2 * time.Hour)
	if n, err := m.Prune(t.Context(), time.Hour); n != 1 || err != nil {
		t.Errorf("Prune after two hours = %d, %v, want one", n, err)
	}
	if _, err := m.Find(t.Context(), "old"); !errors.Is(err, queue.ErrUnknown) {
		t.Errorf("Find of a pruned job: %v, want ErrUnknown", err)
	}
	if s := poll(t, m, runs); s.Phase != queue.Running {
		t.Errorf("the running job is %s", s.Phase)
	}
	if left, err := os.ReadDir(filepath.Join(opts.Spool, tmpDir)); len(left) != 0 || err != nil {
		t.Errorf("left in tmp: %v, %v", left, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o640); err != nil {
		t.Fatal(err)
	}
	await(t, m, runs, queue.Finished)
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"no supervisor":                  {Spool: t.TempDir()},
		"a supervisor that is not there": {Spool: t.TempDir(), Supervisor: []string{"/no/such/program"}},
		"a spool below a file":           {Spool: file + "/spool", Supervisor: []string{"/bin/sh"}},
	} {
		if m, err := New(o); err == nil {
			t.Errorf("%s: New = %v, want an error", name, m)
		}
	}
}

func TestJobsDoNotSeeTheDaemonsSecrets(t *testing.T) {
	t.Parallel()
	got := jobEnviron([]string{
		"PATH=/bin", "LONGHAUL_EMAIL_SMTP_PASSWORD=x", "NOTIFY_SOCKET=/run/x", "WATCHDOG_USEC=1", "LISTEN_FDS=1",
		"CREDENTIALS_DIRECTORY=/run/c", "HOME=/root", "INVOCATION_ID=1", "JOURNAL_STREAM=1", "WATCHDOG=no",
	})
	if want := []string{"PATH=/bin", "HOME=/root", "WATCHDOG=no"}; strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("jobs see %q, want %q", got, want)
	}
}

package local

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"longhaul/internal/disk"
	"longhaul/internal/queue"
)

func itoa(i int) string { return strconv.Itoa(i) }

func atoi(t *testing.T, s string) int {
	t.Helper()
	i, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestTheQueueMovesOnWithoutAPooler(t *testing.T) {
	t.Parallel()
	opts := options(t)
	dir := filepath.Dir(opts.Spool)
	names := []string{"a", "b", "c", "d", "e", "f", "g"}
	err := exec.Command(opts.Supervisor[0], append([]string{"submit-and-die", dir}, names...)...).Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("the pooler ended %v, want killed", err)
	}
	// Nobody looks at the spool: only the files that the jobs write are watched.
	until(t, "all jobs to have run", func() bool { return strings.Count(text(t, dir, "ran"), "\n") == len(names) })
	m := open(t, opts)
	for _, name := range names {
		if s := await(t, m, queue.Ref{ID: name, Name: name}, queue.Finished); !s.Succeeded() {
			t.Errorf("%s ended %+v", name, s)
		}
	}
}

func TestAPoolerKilledAtAnyMomentRunsEachJobOnce(t *testing.T) {
	t.Parallel()
	opts := options(t)
	dir := filepath.Dir(opts.Spool)
	const rounds, each = 5, 5
	var names []string
	for round := range rounds {
		batch := make([]string, each)
		for i := range batch {
			batch[i] = fmt.Sprintf("r%dj%d", round, i)
		}
		names = append(names, batch...)
		cmd := exec.Command(opts.Supervisor[0], append([]string{"submit-and-die", dir}, batch...)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(time.Duration(rand.IntN(100))*time.Millisecond, func() { cmd.Process.Kill() })
		cmd.Wait()
		kill.Stop()
	}
	m := open(t, opts)
	for _, name := range names { // a second try, as the pooler makes it
		if _, err := m.Find(t.Context(), name); errors.Is(err, queue.ErrUnknown) {
			submit(t, m, appendName(dir, name))
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		if s := await(t, m, queue.Ref{ID: name, Name: name}, queue.Finished); !s.Succeeded() {
			t.Errorf("%s ended %+v", name, s)
		}
	}
	ran := make(map[string]int)
	for _, name := range strings.Fields(text(t, dir, "ran")) {
		ran[name]++
	}
	for _, name := range names {
		if ran[name] != 1 {
			t.Errorf("%s ran %d times", name, ran[name])
		}
	}
}

func TestSupervisorsKilledAtAnyMomentNeverRunAJobTwice(t *testing.T) {
	t.Parallel()
	opts, dir := options(t), t.TempDir()
	opts.MaxRunning = 4
	m := open(t, opts)
	var refs []queue.Ref
	for i := range 24 {
		refs = append(refs, submit(t, m, appendName(dir, fmt.Sprintf("job%d", i))))
		for _, p := range supervisors(t, m.dir) {
			if rand.IntN(3) == 0 {
				p.signal(syscall.SIGKILL)
			}
		}
	}
	lost := 0
	for _, ref := range refs {
		s := await(t, m, ref, queue.Finished)
		ran := strings.Count("\n"+text(t, dir, "ran"), "\n"+ref.Name+"\n")
		switch {
		case s.Succeeded() && ran == 1:
		case s.Reason == queue.Lost && ran <= 1:
			lost++
		default:
			t.Errorf("%s ran %d times and ended %+v", ref.Name, ran, s)
		}
	}
	t.Logf("%d of %d jobs were lost with their supervisors", lost, len(refs))
}

func TestAJobWhoseSupervisorWasKilledRunsToItsEndAndIsLost(t *testing.T) {
	t.Parallel()
	opts, dir := options(t), t.TempDir()
	opts.MaxRunning = 1
	m := open(t, opts)
	ref := submit(t, m, shell(t, dir, "job", `echo $$ > "$DIR/pid"; while [ ! -e "$DIR/go" ]; do sleep 0.02; done; echo done > "$DIR/done"`))
	next := submit(t, m, shell(t, dir, "next", `cat "$DIR/done"`))
	child := awaitProcess(t, dir, "pid")
	killSupervisor(t, m, "job")
	if s := poll(t, m, ref); s.Phase != queue.Running {
		t.Errorf("with its process alive the job is %+v, want running", s)
	}
	if s := poll(t, m, next); s.Phase != queue.Queued {
		t.Errorf("the next job is %s, want queued", s.Phase)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o640); err != nil {
		t.Fatal(err)
	}
	s := await(t, m, ref, queue.Finished)
	if s.Reason != queue.Lost || s.Succeeded() || s.Node == "" || s.StartedAt.IsZero() {
		t.Errorf("the job ended %+v, want lost, with node and start", s)
	}
	if child.alive() || text(t, dir, "done") == "" {
		t.Error("the job was not left in peace to its end")
	}
	if s := await(t, m, next, queue.Finished); !s.Succeeded() {
		t.Errorf("the next job ended %+v", s)
	}
}

func TestAJobWhoseSupervisorWasKilledCanBeDeleted(t *testing.T) {
	t.Parallel()
	m, dir := open(t, options(t)), t.TempDir()
	ref := submit(t, m, shell(t, dir, "job", `trap "" TERM; setsid sh -c 'echo $$ > "$DIR/child"; sleep 600; :' & echo $$ > "$DIR/pid"; wait; sleep 600`))
	shell, child := awaitProcess(t, dir, "pid"), awaitProcess(t, dir, "child")
	killSupervisor(t, m, "job")
	if err := m.Delete(t.Context(), ref.ID); err != nil {
		t.Fatal(err)
	}
	if s := poll(t, m, ref); s.Phase != queue.Finished || s.Reason != queue.Cancelled {
		t.Errorf("the job is %+v, want cancelled", s)
	}
	if shell.alive() || child.alive() {
		t.Errorf("alive after Delete: shell %v, child %v", shell.alive(), child.alive())
	}
}

func TestNothingOfAJobOutlivesIt(t *testing.T) {
	t.Parallel()
	m, dir := open(t, options(t)), t.TempDir()
	// A child that leaves session and process group, and ignores SIGTERM.
	escape := `trap "" TERM; setsid sh -c 'echo $$ > "$DIR/child.$NAME"; sleep 600; :' &
		while [ ! -s "$DIR/child.$NAME" ]; do sleep 0.02; done; `
	ends := shell(t, dir, "ends", escape+"exit 3")
	ends.Env["NAME"] = "ends"
	deleted := shell(t, dir, "deleted", escape+"echo ready; wait")
	deleted.Env["NAME"] = "deleted"
	e, d := submit(t, m, ends), submit(t, m, deleted)
	left, other := awaitProcess(t, dir, "child.ends"), awaitProcess(t, dir, "child.deleted")
	if s := await(t, m, e, queue.Finished); s.Reason != queue.Exited || s.ExitCode != 3 || left.alive() {
		t.Errorf("the job ended %+v, its child is alive: %v", s, left.alive())
	}
	if err := m.Delete(t.Context(), d.ID); err != nil || other.alive() {
		t.Errorf("Delete = %v, the child is alive: %v", err, other.alive())
	}
}

func TestAShutdownIsNotACancellation(t *testing.T) {
	t.Parallel()
	m, dir := open(t, options(t)), t.TempDir()
	ref := submit(t, m, shell(t, dir, "job", `echo $$ > "$DIR/pid"; sleep 600; :`))
	awaitProcess(t, dir, "pid")
	for _, p := range supervisors(t, m.dir) {
		p.signal(syscall.SIGTERM)
	}
	if s := await(t, m, ref, queue.Finished); s.Reason != queue.NodeFailed || s.ExitCode != 128+15 {
		t.Errorf("the job ended %+v, want node failure", s)
	}
}

// The crash is between the mark that a job is started and its supervisor.
func TestAJobMarkedButNotStartedGoesBackToTheQueueAndRunsOnce(t *testing.T) {
	t.Parallel()
	opts, dir := options(t), t.TempDir()
	opts.MaxRunning = 1
	m := open(t, opts)
	blocks := submit(t, m, shell(t, dir, "blocks", `while [ ! -e "$DIR/go" ]; do sleep 0.02; done`))
	ref := submit(t, m, shell(t, dir, "job", `echo ran >> "$DIR/ran"`))
	waiting, err := m.queued()
	if err != nil || len(waiting) != 1 {
		t.Fatalf("queued: %v, %v", waiting, err)
	}
	if err := os.Rename(m.queuedPath(waiting[0]), m.runningPath("job")); err != nil {
		t.Fatal(err)
	}
	if s := poll(t, m, ref); s.Phase != queue.Queued {
		t.Errorf("the job is %+v, want queued", s)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o640); err != nil {
		t.Fatal(err)
	}
	await(t, m, blocks, queue.Finished)
	if s := await(t, m, ref, queue.Finished); !s.Succeeded() || text(t, dir, "ran") != "ran\n" {
		t.Errorf("the job ended %+v and wrote %q", s, text(t, dir, "ran"))
	}
}

func TestAJobThatRanWhenTheMachineWentDownIsLost(t *testing.T) {
	t.Parallel()
	m := open(t, options(t))
	for name, boot := range map[string]string{"before": "another-boot", "same": bootID()} {
		dir := m.runningPath(name)
		if err := disk.MakeDir(dir); err != nil {
			t.Fatal(err)
		}
		spec := newSpecRecord(queue.Spec{Name: name, Command: []string{"true"}}, time.Now())
		// The number is that of a living process, as happens after a reboot.
		started := startedRecord{Supervisor: process{os.Getpid(), 1}, Boot: boot, Node: "n", At: time.Now()}
		for file, rec := range map[string]any{specFile: spec, startedFile: started, lockFile: nil} {
			if err := writeRecord(dir, file, rec); err != nil {
				t.Fatal(err)
			}
		}
		s := poll(t, m, queue.Ref{ID: name, Name: name})
		if s.Phase != queue.Finished || s.Reason != queue.Lost || strings.Contains(s.Detail, "machine") != (name == "before") {
			t.Errorf("a job that ran %s this boot is %+v", name, s)
		}
	}
}

func TestADamagedRecordAffectsItsJobOnly(t *testing.T) {
	t.Parallel()
	opts, dir := options(t), t.TempDir()
	m := open(t, opts)
	good := submit(t, m, shell(t, dir, "good", "exit 2"))
	bad := submit(t, m, shell(t, dir, "bad", "exit 2"))
	await(t, m, good, queue.Finished)
	await(t, m, bad, queue.Finished)
	if err := os.WriteFile(filepath.Join(m.endedPath("bad"), exitFile), []byte(`{"reason":`), 0o640); err != nil {
		t.Fatal(err)
	}
	states, err := m.Poll(t.Context(), []queue.Ref{good, bad})
	if err != nil || states[good].ExitCode != 2 || states[bad].Reason != queue.Lost {
		t.Errorf("Poll = %+v, %v, want exit 2 and lost", states, err)
	}
}

// A full disk delays the record of an end and loses nothing.
func TestAnEndIsRecordedWhenTheDiskHasRoomAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	blocked := filepath.Join(dir, exitFile)
	if err := os.MkdirAll(filepath.Join(blocked, "in the way"), 0o750); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- recordEnd(t.Context(), dir, exitRecord{Reason: queue.Exited}, 10*time.Millisecond) }()
	if err := os.RemoveAll(blocked); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if end, err := readRecord[exitRecord](dir, exitFile); err != nil || end.Reason != queue.Exited {
		t.Errorf("the record is %+v, %v", end, err)
	}
}

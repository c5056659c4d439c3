package slurm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
)

// recorded is what a real Slurm 22.05 wrote.
func recorded(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// says what a state comes to, for tables.
func brief(s queue.State) string {
	text := s.Phase.String()
	if s.Phase == queue.Finished {
		text += fmt.Sprintf(", %s, %d", s.Reason, s.ExitCode)
	}
	if s.Detail != "" {
		text += ": " + s.Detail
	}
	return text
}

func TestARecordedQueueIsRead(t *testing.T) {
	t.Parallel()
	jobs, err := parseQueue(recorded(t, "squeue.txt"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"survey-1-exit0":      "finished, exited, 0",
		"survey-2-exit7":      "finished, exited, 7",
		"survey-3-exit130":    "finished, exited, 130",
		"survey-4-killed":     "finished, signal, 137",
		"survey-5-memory":     "finished, exited, 0",
		"survey-6-limit":      "finished, time limit, 0: TIMEOUT, TimeLimit",
		"survey-7-nooutput":   "finished, node failure, 0: could not be started: error 4021, JobLaunchFailure",
		"survey-8-cancelled":  "finished, cancelled, 143: CANCELLED",
		"survey-9-node":       "finished, node failure, 0: NODE_FAIL, NodeDown",
		"survey-10-config":    "queued: will not start by itself: the partition has no such nodes (PartitionConfig)",
		"survey-11-plimit":    "queued: will not start by itself: its time limit is above the partition's (PartitionTimeLimit)",
		"survey-12-held":      "queued: will not start by itself: it is held by its user (JobHeldUser)",
		"survey-13-dep":       "queued: will not start by itself: what it depends on failed (DependencyNeverSatisfied)",
		"survey-14-closed":    "queued: will not start by itself: the partition is down (PartitionDown)",
		"survey-15-suspended": "running: suspended",
		"survey-16-running":   "finished, preempted, 143: PREEMPTED",
		"survey-17-preempted": "finished, preempted, 143: PREEMPTED",
		"survey-18-urgent":    "finished, exited, 0",
		"survey-19-oom":       "finished, out of memory, 0: OUT_OF_MEMORY, OutOfMemory",
		"survey-20-running":   "running",
	}
	for _, j := range jobs {
		if j.Name == "array" { // somebody else's
			continue
		}
		if got := brief(j.state()); got != want[j.Name] {
			t.Errorf("%s is %q, want %q", j.Name, got, want[j.Name])
		}
		if j.Comment != j.Name || j.Stderr != "/tmp/logs/"+j.Name+".err" && j.Name != "survey-7-nooutput" {
			t.Errorf("%s has the comment %q and the standard error %q", j.Name, j.Comment, j.Stderr)
		}
		delete(want, j.Name)
	}
	if len(want) > 0 {
		t.Errorf("not found: %v", want)
	}
}

func TestTimesAndNodesOfARecordedQueue(t *testing.T) {
	t.Parallel()
	jobs, err := parseQueue(recorded(t, "squeue.txt"))
	if err != nil {
		t.Fatal(err)
	}
	at := func(n int64) time.Time { return time.Unix(n, 0).UTC() }
	for name, want := range map[string]queue.State{
		"survey-1-exit0":    {Node: "n1", StartedAt: at(1795311910), EndedAt: at(1795311911)},
		"survey-20-running": {Node: "n1", StartedAt: at(1795311996)}, // what squeue calls its end is its limit
		"survey-10-config":  {},
	} {
		s := named(jobs, name)[0].state()
		if s.Node != want.Node || !s.StartedAt.Equal(want.StartedAt) || !s.EndedAt.Equal(want.EndedAt) {
			t.Errorf("%s is %+v, want %+v", name, s, want)
		}
	}
}

func TestARecordedAccountIsRead(t *testing.T) {
	t.Parallel()
	jobs, err := parseAccounts(batch.Output{Stdout: recorded(t, "sacct.txt")})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"survey-1-exit0":     "finished, exited, 0",
		"survey-3-exit130":   "finished, exited, 2", // Slurm's doing; Poll says so
		"survey-4-killed":    "finished, signal, 137",
		"survey-6-limit":     "finished, time limit, 0: TIMEOUT",
		"survey-7-nooutput":  "finished, node failure, 0: could not be started: error 53",
		"survey-8-cancelled": "finished, cancelled, 0: CANCELLED",
		"survey-9-node":      "finished, node failure, 0: NODE_FAIL",
		"survey-10-config":   "queued",
		"survey-16-running":  "finished, preempted, 0: PREEMPTED",
		"survey-19-oom":      "finished, out of memory, 0: OUT_OF_MEMORY",
		"survey-20-running":  "running",
	} {
		found := named(jobs, name)
		if len(found) != 1 || brief(found[0].state()) != want {
			t.Errorf("%s is %+v, want %q", name, found, want)
		}
	}
}

func TestAnAnswerThatIsCutOffIsNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "\n", "JOBID|STATE", "1|COMPLETED|\n", "slurm_load_jobs error: no\n"} {
		if jobs, err := parseQueue([]byte(text)); !errors.Is(err, errNoAnswer) {
			t.Errorf("squeue %q: %v, %v", text, jobs, err)
		}
		if jobs, err := parseAccounts(batch.Output{Stdout: []byte(text)}); !errors.Is(err, errNoAnswer) {
			t.Errorf("sacct %q: %v, %v", text, jobs, err)
		}
	}
	if jobs, err := parseQueue([]byte("JOBID|STATE|\n")); err != nil || len(jobs) != 0 {
		t.Errorf("an empty queue: %v, %v", jobs, err)
	}
}

// One word of Slurm's after the other, those too that it takes more than a
// test's cluster to see.
func TestEveryWordOfSlurmMeansSomething(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ state, reason, exit, want string }{
		{"COMPLETING", "None", "0", "running: completing"},
		{"SIGNALING", "None", "0", "running: signaling"},
		{"STAGE_OUT", "None", "0", "running: stage_out"},
		{"CONFIGURING", "None", "0", "queued: CONFIGURING"},
		{"REQUEUED", "None", "0", "queued: REQUEUED"},
		{"REQUEUE_HOLD", "JobHeldAdmin", "0", "queued: will not start by itself: it is held by an administrator (JobHeldAdmin)"},
		{"SPECIAL_EXIT", "None", "0", "queued: SPECIAL_EXIT"},
		{"PENDING", "Priority", "0", "queued: Priority"},
		{"PENDING", "None", "0", "queued"},
		{"BOOT_FAIL", "None", "0", "finished, node failure, 0: BOOT_FAIL"},
		{"DEADLINE", "None", "0", "finished, time limit, 0: DEADLINE"},
		{"REVOKED", "None", "0", "finished, cancelled, 0: REVOKED"},
		{"CANCELLED by 1000", "", "0:9", "finished, cancelled, 137: CANCELLED"},
		{"TIMEOUT", "TimeLimit", "0:15", "finished, time limit, 143: TIMEOUT, TimeLimit"},
		{"FAILED", "SystemFailure", "0", "finished, lost, 0: FAILED, SystemFailure"},
		{"FAILED", "NonZeroExitCode", "256", "finished, exited, 1"},
		{"FAILED", "JobLaunchFailure", "139", "finished, signal, 139"}, // 11 and the bit for a core file
		{"FAILED", "OutOfMemory", "0:125", "finished, out of memory, 0"},
		{"FAILED", "JobLaunchFailure", "0:53", "finished, node failure, 0: could not be started: error 53, JobLaunchFailure"},
		{"DISSOLVED", "None", "0", "running: unknown state DISSOLVED"},
		{"", "", "0", "running: unknown state "},
	} {
		status, ok := parseExit(tt.exit)
		if got := brief(job{State: tt.state, Reason: tt.reason, Exit: status}.state()); !ok || got != tt.want {
			t.Errorf("%s %s %s is %q, want %q", tt.state, tt.reason, tt.exit, got, tt.want)
		}
	}
}

func TestHeldForGood(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		state, reason string
		want          bool
	}{
		{"PENDING", "launch_failed_requeued_held", true},
		{"PENDING", "launch failed requeued held", true},
		{"PENDING", "user_env_retrieval_failed_requeued_held", true},
		{"REQUEUE_HOLD", "JobHoldMaxRequeue", true},
		{"PENDING", "JobHeldUser", false},
		{"PENDING", "JobHeldAdmin", false},
		{"RUNNING", "launch_failed_requeued_held", false},
		{"COMPLETED", "launch_failed_requeued_held", false},
	} {
		if got := (job{State: tt.state, Reason: tt.reason}).heldForGood(); got != tt.want {
			t.Errorf("%s %s: %v, want %v", tt.state, tt.reason, got, tt.want)
		}
	}
}

func TestConfigValue(t *testing.T) {
	t.Parallel()
	text := recorded(t, "config.txt")
	if got, ok := configValue(text, "AccountingStorageType"); !ok || got != "accounting_storage/slurmdbd" {
		t.Errorf("%q, %v", got, ok)
	}
	if got, ok := configValue(text, "AccountingStorage"); ok {
		t.Errorf("the beginning of a key has the value %q", got)
	}
}

func TestEscape(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/a/b": "/a/b", "/a%j": "/a%%j", `/a\b%j`: `/a\\b%j`, "/%%": "/%%%%",
	} {
		if got := escape(path); got != want || unescape(got) != path {
			t.Errorf("%q became %q and %q again, want %q", path, got, unescape(got), want)
		}
	}
}

func FuzzQueue(f *testing.F) {
	f.Add(recorded(f, "squeue.txt"))
	for line := range strings.Lines(string(recorded(f, "squeue.txt"))) {
		f.Add([]byte(heading + "\n" + line))
	}
	f.Add([]byte("JOBID|\n1|COMPLETED|None|0|1|2|3|n1|a\n2|COMPLETED|None|0|1|2|3|n1|b|b|/x|\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		jobs, err := parseQueue(text)
		if err != nil {
			return
		}
		for _, j := range jobs {
			checkJob(t, j)
		}
	})
}

func FuzzAccounts(f *testing.F) {
	f.Add(recorded(f, "sacct.txt"))
	f.Add([]byte(accountHeading + "\n1|CANCELLED by 0|0:15|1|2|Unknown|n[1-2]|a\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		jobs, err := parseAccounts(batch.Output{Stdout: text})
		if err != nil {
			return
		}
		for _, j := range jobs {
			checkJob(t, j)
		}
	})
}

// checkJob holds for every job, whatever Slurm wrote.
func checkJob(t *testing.T, j job) {
	t.Helper()
	s := j.state()
	word, _, _ := strings.Cut(j.State, " ")
	_, end := ends[word]
	switch {
	case !validID(j.ID), !queue.ValidName(j.Name), j.Node != "" && !validNode(j.Node):
		t.Errorf("%+v was let in", j)
	case s.Phase == queue.Unknown, (s.Phase == queue.Finished) != end:
		t.Errorf("%+v is %+v", j, s)
	case s.Succeeded() && word != "COMPLETED":
		t.Errorf("%+v succeeded", j)
	case s.ExitCode < 0 || s.ExitCode > 255:
		t.Errorf("%+v has the exit status %d", j, s.ExitCode)
	}
}

func FuzzSubmitAnswer(f *testing.F) {
	for _, s := range []string{"12\n", "12;cluster\n", "", "Submitted batch job 12", "0", "-1", "4294967296", "+5", "012"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if id, err := parseID(batch.Output{Stdout: text}); err == nil && !validID(id) {
			t.Errorf("%q is the ID %q", text, id)
		}
	})
}

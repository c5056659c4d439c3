package gridengine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"longhaul/internal/queue"
	"longhaul/internal/queue/cluster"
)

// sample returns an answer of a Son of Grid Engine 8.1.9.
func sample(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestQstat(t *testing.T) {
	t.Parallel()
	jobs, err := parseQstat(sample(t, "qstat.xml"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]struct {
		phase  queue.Phase
		detail string
		stuck  bool
	}{
		"one":   {queue.Running, "", false},
		"two":   {queue.Running, "suspended", false},
		"held":  {queue.Queued, "held", false},
		"a&b":   {queue.Queued, "held", false},
		"waits": {queue.Queued, "", false},
		"again": {queue.Queued, "", false},
		"error": {queue.Queued, stateWords("Eqw"), true},
	}
	if len(jobs) != len(want) {
		t.Fatalf("%d jobs, want %d: %+v", len(jobs), len(want), jobs)
	}
	for _, j := range jobs {
		if w := want[j.Name]; j.State.Phase != w.phase || j.State.Detail != w.detail || j.Stuck != w.stuck {
			t.Errorf("%s is %+v, want %+v", j.Name, j, w)
		}
		if running := j.State.Phase == queue.Running; running != (j.State.Node == "vm") || running == j.State.StartedAt.IsZero() || running != j.Submitted.IsZero() {
			t.Errorf("%s: node and times of %+v", j.Name, j)
		}
	}
}

func TestAnAnswerThatIsNotWholeIsNoList(t *testing.T) {
	t.Parallel()
	whole := strings.TrimSpace(string(sample(t, "qstat.xml")))
	for _, n := range []int{0, 1, 50, len(whole) / 2, len(whole) - 1} {
		if jobs, err := parseQstat([]byte(whole[:n])); err == nil {
			t.Errorf("the first %d bytes are %d jobs, want an error", n, len(jobs))
		}
	}
	if jobs, err := parseQstat([]byte(whole + "error: lost connection")); err == nil {
		t.Errorf("with something after it it is %d jobs, want an error", len(jobs))
	}
	if jobs, err := parseQstat([]byte("<job_info><queue_info></queue_info><job_info></job_info></job_info>")); err != nil || len(jobs) != 0 {
		t.Errorf("no jobs are %v, %v", jobs, err)
	}
	if _, err := parseQacct(nil); err == nil {
		t.Error("no record is an answer of qacct")
	}
}

func TestQacct(t *testing.T) {
	t.Parallel()
	jobs, err := parseQacct(sample(t, "qacct.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		name   string
		reason queue.Reason
		code   int
	}{
		{"exited", queue.Exited, 7},
		{"killed", queue.Signaled, 137},
		{"limit", queue.TimedOut, 137},
		{"memory", queue.OutOfMemory, 137},
		{"again", queue.Preempted, 99},
	} {
		i := slices.IndexFunc(jobs, func(j cluster.Job) bool { return j.Name == want.name })
		if i < 0 {
			t.Errorf("no job %s", want.name)
			continue
		}
		s := jobs[i].State
		if s.Phase != queue.Finished || s.Reason != want.reason || s.ExitCode != want.code || s.Node != "vm" {
			t.Errorf("%s ended %+v, want %s, %d", want.name, s, want.reason, want.code)
		}
		if s.StartedAt.IsZero() || s.EndedAt.Before(s.StartedAt) || jobs[i].Submitted.Sub(s.StartedAt) > 0 {
			t.Errorf("%s was submitted %s and ran from %s to %s", want.name, jobs[i].Submitted, s.StartedAt, s.EndedAt)
		}
	}
	if len(jobs) != 5 {
		t.Errorf("%d jobs, want the last record of each of 5", len(jobs))
	}
}

func TestFailuresBeforeTheJob(t *testing.T) {
	t.Parallel()
	record := func(failed, status string) record {
		return record{"jobnumber": "7", "jobname": "j", "failed": failed, "exit_status": status, "qsub_time": "Thu Jan  1 00:00:00 1970"}
	}
	for _, tt := range []struct {
		failed, status string
		want           queue.Reason
	}{
		{"19  : before writing exit_status", "0", queue.NodeFailed},
		{"26  : opening input/output file", "0", queue.NodeFailed},
		{"30  : application error returned", "100", queue.Exited},
		{"100 : assumedly after job", "143", queue.Signaled},
		{"100 : assumedly after job", "0", queue.NodeFailed},
		{"0", "137", queue.Exited}, // it said so itself
	} {
		j, err := record(tt.failed, tt.status).job()
		if err != nil || j.State.Reason != tt.want || !j.Submitted.IsZero() {
			t.Errorf("failed %s with %s is %+v, %v, want %s", tt.failed, tt.status, j, err, tt.want)
		}
	}
	if j, err := record("yes", "0").job(); err == nil {
		t.Errorf("a record without sense is %+v", j)
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	spec := queue.Spec{Name: "n", Resources: queue.Resources{CPUs: 4, Memory: 4<<30 + 1, WallTime: time.Hour + time.Millisecond}}
	for want, o := range map[string]Options{
		"-pe smp 4 -l h_vmem=1073741825 -l h_rt=3601 f": {},
		"-q all.q -P p -A a -pe mp 4 -l bigmem -l mem_free=1073741825 -m n f": {
			Queue: "all.q", Project: "p", Account: "a", ParallelEnvironment: "mp", MemoryResource: "mem_free", TimeResource: "none",
			Resources: []string{"bigmem"}, Args: []string{"-m", "n"}},
	} {
		s, err := newSystem(o)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(s.arguments(spec, "f"), " "); !strings.HasSuffix(got, " -j y "+want) {
			t.Errorf("arguments\n%s\nwant at their end\n%s", got, want)
		}
		for _, id := range []string{"", "*", "-u", "+1", "1 2", "1.1", "99999999999"} {
			if s.ValidID(id) {
				t.Errorf("%q is an ID", id)
			}
		}
	}
}

func FuzzQstat(f *testing.F) {
	f.Add(sample(f, "qstat.xml"))
	f.Fuzz(func(t *testing.T, text []byte) {
		jobs, err := parseQstat(text)
		if err == nil && len(strings.TrimSpace(string(text))) == 0 {
			t.Error("nothing was taken for an empty list")
		}
		for _, j := range jobs {
			if j.State.Phase != queue.Queued && j.State.Phase != queue.Running {
				t.Errorf("job %+v", j)
			}
		}
	})
}

func FuzzQacct(f *testing.F) {
	f.Add(sample(f, "qacct.txt"))
	f.Fuzz(func(t *testing.T, text []byte) {
		jobs, _ := parseQacct(text)
		for _, j := range jobs {
			if j.State.Phase != queue.Finished || j.State.Reason == "" || j.ID == "" || j.Name == "" {
				t.Errorf("job %+v", j)
			}
		}
	})
}

package htcondor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
	"longhaul/internal/queue/cluster"
	"longhaul/internal/queue/cluster/clustertest"
	"longhaul/internal/queue/queuetest"
)

func TestMain(m *testing.M) {
	clustertest.Main(m, map[string]func(*clustertest.Toy, []string) error{
		"condor_submit": condorSubmit, "condor_q": condorQ, "condor_history": condorHistory, "condor_rm": condorRm,
	})
}

// condorSubmit is the toy's.
func condorSubmit(toy *clustertest.Toy, _ []string) error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	d := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, "=")
		d[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	if st, err := os.Stat(d["executable"]); err != nil || st.Mode()&0o100 == 0 {
		return fmt.Errorf("ERROR: executable %s: %v", d["executable"], err)
	}
	script, err := os.ReadFile(d["executable"])
	if err != nil {
		return err
	}
	n, err := toy.Submit(d["batch_name"], script, queue.Resources{})
	fmt.Printf("%d.0 - %d.0\n", n, n)
	return err
}

// condorRm is the toy's.
func condorRm(toy *clustertest.Toy, args []string) error {
	n, err := strconv.Atoi(strings.TrimSuffix(args[0], ".0"))
	if err != nil {
		return err
	}
	ended, err := toy.Delete(n)
	if err == nil && !ended {
		err = errors.New("Couldn't find/remove all jobs in cluster " + args[0])
	}
	return err
}

func condorQ(toy *clustertest.Toy, args []string) error {
	return answer(toy, args, func(j clustertest.Job) bool { return j.State.Phase != queue.Finished })
}

var wanted = regexp.MustCompile(`ClusterId == (\d+) |JobBatchName == "([^"]*)"`)

func condorHistory(toy *clustertest.Toy, args []string) error {
	which := wanted.FindAllStringSubmatch(args[len(args)-1], -1)
	return answer(toy, args, func(j clustertest.Job) bool {
		return j.State.Phase == queue.Finished && slices.ContainsFunc(which, func(m []string) bool {
			return m[1] == strconv.Itoa(j.N) || m[2] == j.Name
		})
	})
}

// answer writes the jobs that are wanted, nothing if there are none.
func answer(toy *clustertest.Toy, args []string, want func(clustertest.Job) bool) error {
	jobs, err := toy.Jobs()
	if err != nil {
		return err
	}
	var ads []map[string]any
	for _, j := range jobs {
		if want(j) {
			ads = append(ads, classAd(j))
		}
	}
	if len(ads) == 0 {
		return nil
	}
	return json.NewEncoder(os.Stdout).Encode(ads)
}

func classAd(j clustertest.Job) map[string]any {
	a := map[string]any{"ClusterId": j.N, "ProcId": 0, "JobBatchName": j.Name, "QDate": j.Submitted.Unix(), "NumJobStarts": 0}
	a["JobStatus"] = map[queue.Phase]int{queue.Queued: idle, queue.Running: running, queue.Finished: completed}[j.State.Phase]
	if !j.State.StartedAt.IsZero() {
		a["JobCurrentStartDate"], a["RemoteHost"], a["NumJobStarts"] = j.State.StartedAt.Unix(), "slot1@node7", 1
	}
	if j.State.Phase == queue.Finished {
		a["CompletionDate"] = j.State.EndedAt.Unix()
	}
	switch j.State.Reason {
	case queue.Exited:
		a["ExitBySignal"], a["ExitCode"] = false, j.State.ExitCode
	case queue.Signaled:
		a["ExitBySignal"], a["ExitSignal"] = true, j.State.ExitCode-128
	case queue.Cancelled:
		a["JobStatus"], a["LastJobStatus"], a["RemoveReason"] = removed, running, "via condor_rm (by user palfa)"
	}
	return a
}

func open(t *testing.T, o Options) *cluster.Manager {
	t.Helper()
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestManagerMeetsTheSpecification(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, func(t *testing.T) queuetest.Harness {
		bin, env := clustertest.New(t, "condor_submit", "condor_q", "condor_history", "condor_rm")
		faulty := &queuetest.Faulty{
			Commander: batch.Runner{Env: env}, Submit: []string{"condor_submit"}, Ask: []string{"condor_q"},
			Refusal: batch.Output{ExitCode: 1, Stderr: []byte("ERROR: Failed to commit job submission into the queue.\nERROR: Failed SUBMIT_REQUIREMENT MaxTime\n")},
		}
		o := Options{Options: cluster.Options{
			Dir: filepath.Join(t.TempDir(), "jobs"), Bin: bin, Commands: faulty,
			HistoryEvery: 50 * time.Millisecond, Settle: 300 * time.Millisecond, DeleteWait: 20 * time.Second,
		}}
		return queuetest.Harness{
			Manager:   open(t, o),
			Reopen:    func(t *testing.T) queue.Manager { return open(t, o) },
			Slots:     clustertest.Slots(),
			UnknownID: "99999.0",
			Every:     100 * time.Millisecond,
			Parallel:  true,
			Fault:     faulty.Arm,
			Ends: map[queue.Reason]func(*testing.T, queue.Ref){
				queue.Cancelled: func(t *testing.T, ref queue.Ref) {
					if out, err := o.Run(t.Context(), nil, "condor_rm", ref.ID); err != nil || out.ExitCode != 0 {
						t.Errorf("condor_rm: %s, %v", out.Words(), err)
					}
				},
			},
		}
	})
}

func TestStatesFromTheDocumentation(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]map[string]queue.State{
		"condor_q.json": {
			"idle":          {Phase: queue.Queued},
			"running":       {Phase: queue.Running, Node: "node7.example.org"},
			"held":          {Phase: queue.Queued},
			"being-removed": {Phase: queue.Running},
		},
		"condor_history.json": {
			"exited":  {Phase: queue.Finished, Reason: queue.Exited, ExitCode: 7, Node: "node7.example.org"},
			"signal":  {Phase: queue.Finished, Reason: queue.Signaled, ExitCode: 137},
			"removed": {Phase: queue.Finished, Reason: queue.Cancelled},
			"limit":   {Phase: queue.Finished, Reason: queue.TimedOut},
			"memory":  {Phase: queue.Finished, Reason: queue.OutOfMemory},
			"evicted": {Phase: queue.Finished, Reason: queue.Preempted, Node: "node7.example.org"},
			"odd":     {Phase: queue.Finished, Reason: queue.Lost},
		},
	} {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		jobs, err := parse(text, file == "condor_history.json")
		if err != nil || len(jobs) != len(want) {
			t.Fatalf("%s: %d jobs, %v, want %d", file, len(jobs), err, len(want))
		}
		for _, j := range jobs {
			got := j.State
			if j.Stuck != (j.Name == "held") || j.Stuck && !strings.Contains(got.Detail, "Permission denied") {
				t.Errorf("%s: %s is stuck: %v, %q", file, j.Name, j.Stuck, got.Detail)
			}
			if j.Name == "exited" && (got.EndedAt.Unix() != 1795310020 || got.StartedAt.Unix() != 1795310010 || j.Submitted.Unix() != 1795310000) {
				t.Errorf("%s: submitted %s, ran from %s to %s", file, j.Submitted, got.StartedAt, got.EndedAt)
			}
			got.Detail, got.StartedAt, got.EndedAt = "", time.Time{}, time.Time{}
			if got != want[j.Name] {
				t.Errorf("%s: %s is %+v, want %+v", file, j.Name, got, want[j.Name])
			}
		}
	}
}

func TestDescription(t *testing.T) {
	t.Parallel()
	s := &system{Options{AccountingGroup: "group_survey.palfa", Requirements: "HasAVX2 || Bogus", Submit: []string{"+Big = true"}}}
	spec := queue.Spec{Name: "n", Resources: queue.Resources{CPUs: 2, Memory: 1<<30 + 1, WallTime: 90 * time.Second}}
	text, err := s.description(spec, "/jobs/n.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"executable = /jobs/n.sh", "batch_name = n", "request_cpus = 2", "request_memory = 1025",
		"requirements = NumJobStarts == 0 && (HasAVX2 || Bogus)", "accounting_group = group_survey.palfa", "+Big = true",
	} {
		if !bytes.Contains(text, []byte("\n"+line+"\n")) {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
	if !bytes.Contains(text, []byte("time() - JobCurrentStartDate > 90)\n")) || !bytes.HasSuffix(text, []byte("\nqueue 1\n")) {
		t.Errorf("no time limit, or no end, in\n%s", text)
	}
	if _, err := s.description(spec, "/jobs/$(x)"); !errors.Is(err, queue.ErrRejected) {
		t.Errorf("a macro in a path: %v", err)
	}
	for _, line := range []string{"a\nb", "queue 100", " Queue"} {
		if _, err := New(Options{Options: cluster.Options{Dir: t.TempDir()}, Submit: []string{line}}); err == nil {
			t.Errorf("New took the line %q", line)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	for _, file := range []string{"condor_q.json", "condor_history.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, history := range []bool{false, true} {
			jobs, err := parse(text, history)
			if err == nil && len(bytes.TrimSpace(text)) == 0 {
				t.Error("nothing was taken for an empty list")
			}
			s := &system{}
			for _, j := range jobs {
				if !s.ValidID(j.ID) || j.State.Phase == queue.Unknown || j.State.Phase == queue.Finished && j.State.Reason == "" {
					t.Errorf("job %+v", j)
				}
			}
		}
	})
}

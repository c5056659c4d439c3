package exec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
		"toy-submit": toySubmit, "toy-poll": toyPoll, "toy-find": toyFind, "toy-delete": toyDelete, "toy-history": toyHistory,
	})
}

func toySubmit(toy *clustertest.Toy, args []string) error {
	script, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	n, err := toy.Submit(args[0], script, queue.Resources{})
	fmt.Printf("\nToy.%d\n", n)
	return err
}

func number(id string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(id, "Toy."))
	return n
}

// tell writes the jobs that are wanted: words for odd ones, JSON for the others.
func tell(toy *clustertest.Toy, want func(clustertest.Job) bool) error {
	jobs, err := toy.Jobs()
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if !want(j) {
			continue
		}
		seconds := func(key string, at time.Time, format string) string {
			if at.IsZero() {
				return ""
			}
			return fmt.Sprintf(format, key, at.Unix())
		}
		if j.N%2 == 1 {
			fmt.Printf("Toy.%d %s", j.N, j.State.Phase)
			if j.State.Phase == queue.Finished {
				fmt.Printf(" %d reason=%s%s", j.State.ExitCode, word(j.State.Reason), seconds("ended", j.State.EndedAt, " %s=%d"))
			}
			fmt.Printf(" name=%s node=%s%s%s\n", j.Name, "node7",
				seconds("started", j.State.StartedAt, " %s=%d"), seconds("submitted", j.Submitted, " %s=%d"))
			continue
		}
		fmt.Printf(`{"id":"Toy.%d","state":%q,"name":%q,"node":"node7"`, j.N, j.State.Phase, j.Name)
		if j.State.Phase == queue.Finished {
			fmt.Printf(`,"exit":%d,"reason":%q%s`, j.State.ExitCode, word(j.State.Reason), seconds("ended", j.State.EndedAt, `,%q:%d`))
		}
		fmt.Printf("%s%s}\n", seconds("started", j.State.StartedAt, `,%q:%d`), seconds("submitted", j.Submitted, `,%q:%d`))
	}
	return nil
}

func word(r queue.Reason) string { return strings.ReplaceAll(string(r), " ", "-") }

func toyPoll(toy *clustertest.Toy, _ []string) error {
	return tell(toy, func(j clustertest.Job) bool { return j.State.Phase != queue.Finished })
}

func toyFind(toy *clustertest.Toy, args []string) error {
	return tell(toy, func(j clustertest.Job) bool { return j.Name == args[0] })
}

func toyHistory(toy *clustertest.Toy, args []string) error {
	return tell(toy, func(j clustertest.Job) bool { return j.N == number(args[0]) && j.State.Phase == queue.Finished })
}

func toyDelete(toy *clustertest.Toy, args []string) error {
	ended, err := toy.Delete(number(args[0]))
	if err == nil && !ended {
		return &clustertest.ExitError{Status: statusNone, Err: errors.New("no such job")}
	}
	return err
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
		bin, env := clustertest.New(t, "toy-submit", "toy-poll", "toy-find", "toy-delete", "toy-history")
		faulty := &queuetest.Faulty{
			Commander: batch.Runner{Env: env}, Submit: []string{"toy-submit"}, Ask: []string{"toy-poll"},
			Refusal: batch.Output{ExitCode: statusRejected, Stderr: []byte("more than the largest node has\n")},
		}
		o := Options{
			Options: cluster.Options{
				Dir: filepath.Join(t.TempDir(), "jobs"), Bin: bin, Commands: faulty,
				HistoryEvery: 50 * time.Millisecond, Settle: 300 * time.Millisecond, DeleteWait: 20 * time.Second,
			},
			Submit: []string{"toy-submit", "{name}", "{script}", "-lmem={memory}"},
			Poll:   []string{"toy-poll"}, Find: []string{"toy-find", "{name}"},
			Delete: []string{"toy-delete", "{id}"}, History: []string{"toy-history", "{id}"},
		}
		return queuetest.Harness{
			Manager:   open(t, o),
			Reopen:    func(t *testing.T) queue.Manager { return open(t, o) },
			Slots:     clustertest.Slots(),
			UnknownID: "Toy.99999",
			Every:     100 * time.Millisecond,
			Parallel:  true,
			Fault:     faulty.Arm,
			Ends: map[queue.Reason]func(*testing.T, queue.Ref){
				queue.Cancelled: func(t *testing.T, ref queue.Ref) {
					if out, err := o.Run(t.Context(), nil, "toy-delete", ref.ID); err != nil || out.ExitCode != 0 {
						t.Errorf("toy-delete: %s, %v", out.Words(), err)
					}
				},
			},
		}
	})
}

func TestEachPlaceholderStaysInItsArgument(t *testing.T) {
	t.Parallel()
	spec := queue.Spec{Name: "n", Stdout: "/a b/{id} $x;'", Stderr: "/e", Resources: queue.Resources{CPUs: 2, WallTime: 25*time.Hour + time.Millisecond}}
	values := resources(spec)
	values["script"] = "/s p/n.sh"
	got := fill([]string{"sub", "-o{stdout}", "{script}", "-lmem={memory}", "-lt={walltime}:{walltime_hms}", "-n{cpus}", "{", "{NO}"}, values)
	want := []string{"sub", "-o/a b/{id} $x;'", "/s p/n.sh", "-lt=90001:25:00:01", "-n2", "{", "{NO}"}
	if !slices.Equal(got, want) {
		t.Errorf("fill = %q, want %q", got, want)
	}
}

func TestMistakesInTheCommandsAreAllTold(t *testing.T) {
	t.Parallel()
	good := Options{Submit: []string{"s", "{script}"}, Poll: []string{"p"}, Find: []string{"f", "{name}"}, Delete: []string{"d", "{id}"}}
	good.Dir = t.TempDir()
	if _, err := New(good); err != nil {
		t.Error(err)
	}
	_, err := New(Options{Submit: []string{"s", "{nam}"}, Find: []string{"{name}"}, Delete: []string{"d", "{script}"}, History: []string{"h"}})
	for _, want := range []string{
		"submit: {nam} has no meaning", "it has no {script}", "poll is missing", "program must not have", "delete: {script} has no meaning",
		"history: it has no {id}",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want it to say %q", err, want)
		}
	}
}

func TestProtocol(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]cluster.Job{
		"17 queued":       {ID: "17", State: queue.State{Phase: queue.Queued}},
		" 17.a running\r": {ID: "17.a", State: queue.State{Phase: queue.Running}},
		"17 held name=x":  {ID: "17", Name: "x", Stuck: true, State: queue.State{Phase: queue.Queued, Detail: "held"}},
		"17 finished 3":   {ID: "17", State: queue.State{Phase: queue.Finished, Reason: queue.Exited, ExitCode: 3}},
		"17 finished":     {ID: "17", State: queue.State{Phase: queue.Finished, Reason: queue.Lost}},
		"17 finished signal=9 node=n7 ended=1795310000": {ID: "17", State: queue.State{
			Phase: queue.Finished, Reason: queue.Signaled, ExitCode: 137, Node: "n7", EndedAt: time.Unix(1795310000, 0).UTC()}},
		`{"id":"17","state":"finished","reason":"time-limit","detail":"two words"}`: {ID: "17", State: queue.State{
			Phase: queue.Finished, Reason: queue.TimedOut, Detail: "two words"}},
	} {
		jobs, err := parse([]byte("# head\n\n" + line + "\n"))
		if err != nil || len(jobs) != 1 || jobs[0] != want {
			t.Errorf("%q is %+v, %v, want %+v", line, jobs, err, want)
		}
	}
	for _, line := range []string{
		"17", "17 done", "17 finished three", "17 finished 3 4", "17 finished 256", "17 finished exit=-1", "17 finished reason=bad",
		"17 finished reason=exited", "17 running colour=red", `{"id":"17","state":"running"} x`, `{"id":17,"state":"running"}`,
		`{"id":"17","state":"running","colour":"red"}`, "17 running \xff",
	} {
		if jobs, err := parse([]byte("1 running\n" + line + "\n")); err == nil {
			t.Errorf("%q is %+v, want an error", line, jobs)
		}
	}
}

func FuzzProtocol(f *testing.F) {
	f.Add([]byte("# head\n17 finished 3 name=x\n{\"id\":\"17\",\"state\":\"finished\",\"exit\":3}\n"))
	f.Add([]byte("17 held\n18 running node=n started=1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		jobs, err := parse(text)
		if err != nil && jobs != nil {
			t.Error("jobs beside an error")
		}
		for _, j := range jobs {
			s := j.State
			if s.Phase == queue.Unknown || s.Phase == queue.Finished && (s.Reason == "" || s.ExitCode < 0 || s.ExitCode > 255) {
				t.Errorf("job %+v", j)
			}
		}
	})
}

func TestWhatCanBeAnID(t *testing.T) {
	t.Parallel()
	s := &system{}
	for id, want := range map[string]bool{
		"17": true, "Moab.17": true, "17[3].head": true, "Job/3": true, "": false, "-u": false, "--all": false, "*": false,
		"a b": false, "a\n": false, "größer": false, "{}": false, "#": false, strings.Repeat("9", 81): false,
	} {
		if got := s.ValidID(id); got != want {
			t.Errorf("ValidID(%q) = %v, want %v", id, got, want)
		}
	}
}

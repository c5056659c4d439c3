package pbs

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/user"
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
	clustertest.Main(m, map[string]func(*clustertest.Toy, []string) error{"qsub": qsub, "qstat": qstat, "qdel": qdel})
}

const server = "toy"

// torqueVar makes the toy answer like Torque.
const torqueVar = "TOY_TORQUE"

// qsub is the toy's.
func qsub(toy *clustertest.Toy, args []string) error {
	fs := flag.NewFlagSet("qsub", flag.ContinueOnError)
	name := fs.String("N", "", "")
	for _, o := range []string{"S", "r", "j", "o", "q", "A", "P", "d"} {
		fs.String(o, "", "")
	}
	var r queue.Resources
	fs.Func("l", "", func(l string) error {
		key, value, _ := strings.Cut(l, "=")
		if key == "walltime" {
			s, err := strconv.Atoi(value)
			r.WallTime = time.Duration(s) * time.Second
			return err
		}
		return nil
	})
	if err := fs.Parse(args); err != nil {
		return err
	}
	script, err := os.ReadFile(fs.Arg(0))
	if err != nil {
		return err
	}
	n, err := toy.Submit(*name, script, r)
	fmt.Printf("%d.%s\n", n, server)
	return err
}

// qdel is the toy's.
func qdel(toy *clustertest.Toy, args []string) error {
	n, _ := strconv.Atoi(strings.TrimSuffix(args[0], "."+server))
	ended, err := toy.Delete(n)
	if err == nil && !ended {
		return &clustertest.ExitError{Status: statusUnknown, Err: errors.New("qdel: Unknown Job Id " + args[0])}
	}
	return err
}

// qstat is the toy's.
func qstat(toy *clustertest.Toy, args []string) error {
	jobs, err := toy.Jobs()
	if err != nil {
		return err
	}
	if os.Getenv(torqueVar) != "" {
		return torqueAnswer(jobs)
	}
	return openAnswer(jobs, args)
}

type object = map[string]any

// openAnswer answers like OpenPBS: -x adds those that have ended.
func openAnswer(jobs []clustertest.Job, args []string) error {
	all := object{}
	for _, j := range jobs {
		id := fmt.Sprintf("%d.%s", j.N, server)
		wanted := len(args) <= 4 || slices.Contains(args, id)
		if wanted && (slices.Contains(args, "-x") || j.State.Phase != queue.Finished) {
			all[id] = openJob(j)
		}
	}
	root := object{"timestamp": time.Now().Unix(), "pbs_version": "22.05.11", "pbs_server": server}
	if len(all) > 0 {
		root["Jobs"] = all
	}
	return json.NewEncoder(os.Stdout).Encode(root)
}

func openJob(j clustertest.Job) object {
	o := object{"Job_Name": j.Name, "Job_Owner": owner(), "job_state": letter(j, "F"), "substate": 42}
	stamp := func(key string, at time.Time) {
		if !at.IsZero() {
			o[key] = at.UTC().Format(time.ANSIC)
		}
	}
	stamp("ctime", j.Submitted)
	stamp("stime", j.State.StartedAt)
	stamp("mtime", j.State.EndedAt)
	if !j.State.StartedAt.IsZero() {
		o["exec_host"], o["run_count"] = "node7/0", 1
	}
	if j.State.Phase == queue.Finished {
		o["substate"] = 92
		o["Exit_status"] = status(j, -29)
		if j.State.Reason == queue.Cancelled {
			o["substate"] = 91
			if j.State.StartedAt.IsZero() {
				delete(o, "Exit_status")
			}
		}
	}
	return o
}

// torqueAnswer answers like Torque, which keeps those that have ended.
func torqueAnswer(jobs []clustertest.Job) error {
	type element struct {
		XMLName xml.Name `xml:"Job"`
		ID      string   `xml:"Job_Id"`
		Name    string   `xml:"Job_Name"`
		Owner   string   `xml:"Job_Owner"`
		State   string   `xml:"job_state"`
		Exit    *int     `xml:"exit_status"`
		Hosts   string   `xml:"exec_host,omitempty"`
		Ctime   int64    `xml:"ctime"`
		Start   int64    `xml:"start_time,omitempty"`
		Comp    int64    `xml:"comp_time,omitempty"`
		Runs    int      `xml:"start_count,omitempty"`
	}
	if len(jobs) == 0 {
		return nil
	}
	fmt.Print("<Data>")
	for _, j := range jobs {
		e := element{
			ID: fmt.Sprintf("%d.%s", j.N, server), Name: j.Name, Owner: owner(), State: letter(j, "C"), Ctime: j.Submitted.Unix(),
		}
		if !j.State.StartedAt.IsZero() {
			e.Start, e.Hosts, e.Runs = j.State.StartedAt.Unix(), "node7/0", 1
		}
		if j.State.Phase == queue.Finished {
			n := status(j, -11)
			e.Comp, e.Exit = j.State.EndedAt.Unix(), &n
		}
		if err := xml.NewEncoder(os.Stdout).Encode(e); err != nil {
			return err
		}
	}
	fmt.Println("</Data>")
	return nil
}

func letter(j clustertest.Job, ended string) string {
	return map[queue.Phase]string{queue.Queued: "Q", queue.Running: "R", queue.Finished: ended}[j.State.Phase]
}

func status(j clustertest.Job, limit int) int {
	switch j.State.Reason {
	case queue.TimedOut:
		return limit
	case queue.Cancelled:
		return 256 + 15
	case queue.Signaled:
		return 256 + j.State.ExitCode - 128
	}
	return j.State.ExitCode
}

func owner() string {
	me, err := user.Current()
	if err != nil {
		panic(err)
	}
	return me.Username + "@login"
}

// options returns those of a toy of its own.
func options(t *testing.T, torque bool) Options {
	bin, env := clustertest.New(t, "qsub", "qstat", "qdel")
	if torque {
		env = append(env, torqueVar+"=1")
	}
	return Options{Torque: torque, Options: cluster.Options{
		Dir: filepath.Join(t.TempDir(), "jobs"), Bin: bin, Env: env,
		HistoryEvery: 50 * time.Millisecond, Settle: 300 * time.Millisecond, DeleteWait: 20 * time.Second,
	}}
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
	for _, torque := range []bool{false, true} {
		t.Run(fmt.Sprintf("torque %v", torque), func(t *testing.T) {
			queuetest.Run(t, func(t *testing.T) queuetest.Harness {
				o := options(t, torque)
				faulty := &queuetest.Faulty{
					Commander: batch.Runner{Env: append([]string{"TZ=UTC"}, o.Env...)},
					Submit:    []string{"qsub"}, Ask: []string{"qstat"},
					Refusal: batch.Output{ExitCode: 188, Stderr: []byte("qsub: Job exceeds queue and/or server resource limits\n")},
				}
				o.Commands = faulty
				ends := map[queue.Reason]func(*testing.T, queue.Ref){
					queue.Cancelled: func(t *testing.T, ref queue.Ref) {
						if out, err := o.Run(t.Context(), nil, "qdel", ref.ID); err != nil || out.ExitCode != 0 {
							t.Errorf("qdel: %s, %v", out.Words(), err)
						}
					},
				}
				if torque {
					ends[queue.Signaled] = ends[queue.Cancelled] // it does not tell the two apart
					delete(ends, queue.Cancelled)
				}
				return queuetest.Harness{
					Ends:      ends,
					Manager:   open(t, o),
					Reopen:    func(t *testing.T) queue.Manager { return open(t, o) },
					Slots:     clustertest.Slots(),
					UnknownID: "99999." + server,
					Every:     100 * time.Millisecond,
					Parallel:  true,
					Fault:     faulty.Arm,
				}
			})
		})
	}
}

func TestEndsFromTheDocumentation(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]map[string]queue.State{
		"openpbs-history.json": {
			"exited":        {Phase: queue.Finished, Reason: queue.Exited, ExitCode: 7, Node: "node7"},
			"signal":        {Phase: queue.Finished, Reason: queue.Signaled, ExitCode: 137},
			"deleted":       {Phase: queue.Finished, Reason: queue.Cancelled, ExitCode: 143},
			"limit":         {Phase: queue.Finished, Reason: queue.TimedOut},
			"limit-of-old":  {Phase: queue.Finished, Reason: queue.TimedOut, ExitCode: 143},
			"memory":        {Phase: queue.Finished, Reason: queue.OutOfMemory},
			"never-started": {Phase: queue.Finished, Reason: queue.Cancelled},
			"node":          {Phase: queue.Finished, Reason: queue.NodeFailed},
			"moved":         {Phase: queue.Finished, Reason: queue.Lost},
		},
		"openpbs.json": {
			"longhaul-1-aaaaaaaa": {Phase: queue.Queued},
			"longhaul-2-aaaaaaaa": {Phase: queue.Running, Node: "node7"},
			"longhaul-3-aaaaaaaa": {Phase: queue.Queued},
		},
		"torque.xml": {
			"queued":  {Phase: queue.Queued},
			"running": {Phase: queue.Running, Node: "node7"},
			"exited":  {Phase: queue.Finished, Reason: queue.Exited, ExitCode: 7, Node: "node7"},
			"limit":   {Phase: queue.Finished, Reason: queue.TimedOut},
			"deleted": {Phase: queue.Finished, Reason: queue.Signaled, ExitCode: 143}, // it cannot tell whose
			"memory":  {Phase: queue.Finished, Reason: queue.OutOfMemory},
			"held":    {Phase: queue.Queued},
		},
	} {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		s := &system{Options{User: "palfa", Torque: strings.HasSuffix(file, ".xml")}}
		jobs, err := s.parse(text)
		if err != nil || len(jobs) != len(want) {
			t.Fatalf("%s: %d jobs, %v, want %d", file, len(jobs), err, len(want))
		}
		for _, j := range jobs {
			got := j.State
			if j.Name == "exited" && (got.StartedAt.IsZero() || !got.EndedAt.After(got.StartedAt) || j.Submitted.After(got.StartedAt)) {
				t.Errorf("%s: submitted %s, ran from %s to %s", file, j.Submitted, got.StartedAt, got.EndedAt)
			}
			if strings.Contains(j.Name, "held") && got.Detail == "" || strings.HasSuffix(j.Name, "-3-aaaaaaaa") && !strings.HasPrefix(got.Detail, "held: ") {
				t.Errorf("%s: %s says %q, want a word about the hold", file, j.Name, got.Detail)
			}
			got.Detail, got.StartedAt, got.EndedAt = "", time.Time{}, time.Time{}
			if got != want[j.Name] {
				t.Errorf("%s: %s is %+v, want %+v", file, j.Name, got, want[j.Name])
			}
		}
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	spec := queue.Spec{Name: "n", Resources: queue.Resources{CPUs: 2, Memory: 4 << 30, WallTime: 90*time.Minute + time.Millisecond}}
	open := &system{Options{Queue: "workq", Project: "survey", Account: "palfa", Property: "big=true", Args: []string{"-m", "n"}}}
	torque := &system{Options{Torque: true, Property: "big"}}
	for want, s := range map[string]*system{
		"-N n -S /bin/sh -r n -j oe -o /dev/null -q workq -A palfa -P survey -l select=1:ncpus=2:mem=4294967296b:big=true -l walltime=5401 -m n f": open,
		"-N n -S /bin/sh -r n -j oe -o /dev/null -d / -l nodes=1:ppn=2:big -l mem=4294967296b -l walltime=5401 f":                                  torque,
	} {
		if got := strings.Join(s.arguments(spec, "f"), " "); got != want {
			t.Errorf("arguments\n%s\nwant\n%s", got, want)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	for _, file := range []string{"openpbs.json", "openpbs-history.json", "torque.xml"} {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, torque := range []bool{false, true} {
			s := &system{Options{User: "palfa", Torque: torque}}
			jobs, err := s.parse(text)
			if err == nil && len(jobs) == 0 && len(bytes.TrimSpace(text)) == 0 && !torque {
				t.Error("nothing was taken for an empty list")
			}
			for _, j := range jobs {
				if j.State.Phase == queue.Finished && j.State.Reason == "" || j.State.Phase == queue.Unknown {
					t.Errorf("job %+v", j)
				}
			}
		}
	})
}

package slurm

import (
	"os"
	"strings"
	"testing"
	"time"

	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
)

func TestNodesOnWhichJobsDieAtOnceAreLeftOut(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	ended := func(node string, reason queue.Reason, code int, ran time.Duration) queue.State {
		return queue.State{Phase: queue.Finished, Reason: reason, ExitCode: code, Node: node, StartedAt: now, EndedAt: now.Add(ran)}
	}
	bad := ended("n1", queue.NodeFailed, 0, time.Second)
	for _, tt := range []struct {
		name string
		ends []queue.State
		want string
	}{
		{"one is chance", []queue.State{bad}, ""},
		{"two are not", []queue.State{bad, bad}, "n1"},
		{"the worker says so", []queue.State{ended("n1", queue.Exited, 75, time.Second), ended("n1", queue.Exited, 72, 0)}, "n1"},
		{"the command fails", []queue.State{ended("n1", queue.Exited, 1, 0), ended("n1", queue.Exited, 1, 0)}, ""},
		{"they ran for long", []queue.State{ended("n1", queue.NodeFailed, 0, time.Hour), ended("n1", queue.NodeFailed, 0, time.Hour)}, ""},
		{"one went well in between", []queue.State{bad, ended("n1", queue.Exited, 0, 0), bad}, ""},
		{"two nodes", []queue.State{bad, ended("n2", queue.NodeFailed, 0, 0), ended("n2", queue.NodeFailed, 0, 0), bad}, "n1,n2"},
		{"no node", []queue.State{ended("", queue.NodeFailed, 0, 0), ended("n[1-2]", queue.NodeFailed, 0, 0), ended("", queue.NodeFailed, 0, 0)}, ""},
		{"they run", []queue.State{{Phase: queue.Running, Node: "n1"}, {Phase: queue.Running, Node: "n1"}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := Options{Dir: t.TempDir(), ExcludeFor: time.Hour, NodeTrouble: []int{72, 75}, Commands: scripted((&fake{}).run)}
			m := open(t, o)
			m.nodes.now = func() time.Time { return now }
			for i, s := range tt.ends {
				for range 3 { // each end is polled more than once
					m.nodes.observe("job-"+strings.Repeat("x", i), s)
				}
			}
			if got := m.nodes.avoid(); got != tt.want {
				t.Errorf("left out: %q, want %q", got, tt.want)
			}
			other := open(t, o)
			other.nodes.now = m.nodes.now
			if got := other.nodes.avoid(); got != tt.want {
				t.Errorf("another job pooler leaves out %q, want %q", got, tt.want)
			}
			m.nodes.now = func() time.Time { return now.Add(time.Hour) }
			if got := m.Excluded(); len(got) != 0 {
				t.Errorf("an hour later: %v", got)
			}
		})
	}
}

func TestWithoutTheLeftOutNodesIfThereAreNoOthers(t *testing.T) {
	t.Parallel()
	var asked []string
	m := open(t, Options{Dir: t.TempDir(), ExcludeFor: time.Hour, Commands: scripted(func(argv []string) (batch.Output, error) {
		line := strings.Join(argv, " ")
		asked = append(asked, line)
		if strings.Contains(line, "--exclude=n1") {
			return batch.Output{ExitCode: 1, Stderr: []byte("sbatch: error: Batch job submission failed: Requested node configuration is not available\n")}, nil
		}
		return batch.Output{Stdout: []byte("5\n")}, nil
	})})
	m.nodes.exclude(ExcludedNode{"n1", time.Now().Add(time.Minute), "test"})
	if id, err := m.Submit(t.Context(), aSpec(t, "job-1")); id != "5" || err != nil || len(asked) != 2 {
		t.Errorf("Submit = %q, %v after %q", id, err, asked)
	}
}

func TestADamagedListOfNodesExcludesNone(t *testing.T) {
	t.Parallel()
	m := open(t, Options{Dir: t.TempDir(), ExcludeFor: time.Hour, Commands: scripted((&fake{}).run)})
	for _, text := range []string{"", "{", `[{"node":"n1,n2","until":"2999-01-01T00:00:00Z"}]`, `[{"node":"n1","until":"2999-01-01T00:00:00Z"}]`} {
		if err := os.WriteFile(m.nodes.path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		if got := m.Excluded(); len(got) != 0 {
			t.Errorf("%q excludes %v", text, got)
		}
	}
}

func FuzzExcluded(f *testing.F) {
	f.Add([]byte(`[{"node":"n1","until":"2026-01-01T00:00:00Z","why":"x"}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parseExcluded(text)
		if err != nil {
			return
		}
		for _, e := range list {
			if !validNode(e.Node) {
				t.Errorf("%q excludes %q", text, e.Node)
			}
		}
	})
}

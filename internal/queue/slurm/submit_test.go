package slurm

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
)

// aSpec is a submission that asks for nothing.
func aSpec(t testing.TB, name string) queue.Spec {
	dir := t.TempDir()
	return queue.Spec{Name: name, Command: []string{"/bin/true"}, Stdout: filepath.Join(dir, "o"), Stderr: filepath.Join(dir, "e")}
}

func TestWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	var asked []string
	m := open(t, Options{
		Dir: t.TempDir(), Partition: "long", Account: "survey", QOS: "low", Constraint: "a&b", Args: []string{"--export=ALL"},
		Commands: scripted(func(argv []string) (batch.Output, error) {
			asked = argv
			return batch.Output{Stdout: []byte("42;here\n")}, nil
		}),
	})
	spec := aSpec(t, "job-1")
	spec.Resources = queue.Resources{CPUs: 4, Memory: 3<<30 + 1, WallTime: 90 * time.Second}
	spec.Stdout = "/logs/50%j"
	id, err := m.Submit(t.Context(), spec)
	if id != "42" || err != nil {
		t.Fatalf("Submit = %q, %v", id, err)
	}
	want := []string{
		"sbatch", "--parsable", "--export=NONE", "--chdir=/", "--nodes=1", "--ntasks=1",
		"--partition=long", "--account=survey", "--qos=low", "--constraint=a&b", "--cpus-per-task=4", "--mem=3073M", "--time=2",
		"--export=ALL", "--no-requeue", "--job-name=job-1", "--comment=job-1",
		"--output=/logs/50%%j", "--error=" + spec.Stderr, batch.ScriptPath(m.opt.Dir, "job-1"),
	}
	if !slices.Equal(asked, want) {
		t.Errorf("asked\n%q, want\n%q", asked, want)
	}
	spec.Resources = queue.Resources{}
	if _, err := m.Submit(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	for _, arg := range asked { // of these 0 means all, and without end
		if strings.HasPrefix(arg, "--mem") || strings.HasPrefix(arg, "--time") {
			t.Errorf("who asks for nothing asks for %s", arg)
		}
	}
}

// What a real sbatch said, but for what is marked; and who is to blame.
func TestRefusals(t *testing.T) {
	t.Parallel()
	const job, config, open = "the job", "the configuration", "left open"
	for _, tt := range []struct {
		exit  int
		says  string
		blame string
	}{
		{1, "sbatch: error: Batch job submission failed: Requested node configuration is not available\n", job},
		{1, "sbatch: error: Memory specification can not be satisfied\n" +
			"sbatch: error: Batch job submission failed: Requested node configuration is not available\n", job},
		{1, "sbatch: error: Batch job submission failed: Pathname of a file, directory or other parameter too long\n", job},
		{1, "sbatch: error: invalid partition specified: nosuch\nsbatch: error: Batch job submission failed: Invalid partition name specified\n", config},
		{1, "sbatch: error: Batch job submission failed: Invalid feature specification\n", config},
		{1, "sbatch: error: Batch job submission failed: Invalid node name specified\n", config},
		{1, "sbatch: error: Batch job submission failed: Requested reservation is invalid\n", config},
		{1, "sbatch: error: Invalid generic resource (gres) specification\n", config},
		{1, "sbatch: error: Batch job submission failed: Invalid license specification\n", config},
		{1, "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified\n", config}, // from the manual
		{1, "sbatch: error: Batch job submission failed: Invalid qos specification\n", config},                                  // from the manual
		{255, "sbatch: unrecognized option '--frob'\nTry \"sbatch --help\" for more information\n", config},
		{255, "sbatch: error: Invalid --time specification\n", config},
		{1, "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n", open},
		{1, "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n", open},                                               // from reports
		{1, "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)\n", open}, // from the manual
		{1, "sbatch: error: Unable to open file /logs/job-1.sh\n", open},
		{1, "", open},
	} {
		m := scriptedManager(t, func([]string) (batch.Output, error) {
			return batch.Output{ExitCode: tt.exit, Stderr: []byte(tt.says)}, nil
		})
		_, err := m.Submit(t.Context(), aSpec(t, "job-1"))
		got := "nobody"
		switch {
		case errors.Is(err, queue.ErrRejected) && !errors.Is(err, pipeline.ErrOutage):
			got = job
		case errors.Is(err, ErrConfiguration) && errors.Is(err, pipeline.ErrOutage):
			got = config
		case errors.Is(err, pipeline.ErrOutage):
			got = open
		}
		if got != tt.blame {
			t.Errorf("%q blames %s (%v), want %s", tt.says, got, err, tt.blame)
		}
	}
}

func TestAnAnswerWithoutAnIDLeavesItOpen(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "Submitted batch job 7\n", "0\n", "1 2\n"} {
		m := scriptedManager(t, func([]string) (batch.Output, error) { return batch.Output{Stdout: []byte(text)}, nil })
		if id, err := m.Submit(t.Context(), aSpec(t, "job-1")); !errors.Is(err, pipeline.ErrOutage) {
			t.Errorf("%q: %q, %v, want an outage", text, id, err)
		}
	}
}

func TestOptionsThatBreakPromisesAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		arg string
		ok  bool
	}{
		{"--export=ALL", true}, {"--gres=gpu:1", true}, {"--exclusive", true}, {"--mail-type=none", true},
		{"-p", false}, {"long", false}, {"--", false}, {"", false}, {"--array=1-9", false}, {"--arr=1-9", false},
		{"--wrap=true", false}, {"--job-name=x", false}, {"--wait", false}, {"--requeue", false}, {"--a\n=b", false},
	} {
		_, err := New(Options{Dir: "/x", Args: []string{tt.arg}})
		if (err == nil) != tt.ok {
			t.Errorf("%q: %v, want it taken: %v", tt.arg, err, tt.ok)
		}
	}
	if _, err := New(Options{Dir: "x"}); err == nil {
		t.Error("a relative directory was taken")
	}
}

func TestSubmissionsKeepTheirPace(t *testing.T) {
	t.Parallel()
	m := open(t, Options{Dir: t.TempDir(), SubmitsPerSecond: 20, Commands: scripted(func([]string) (batch.Output, error) {
		return batch.Output{Stdout: []byte("1\n")}, nil
	})})
	begin := time.Now()
	for range 5 {
		if _, err := m.Submit(t.Context(), aSpec(t, "job-1")); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begin); took < 200*time.Millisecond {
		t.Errorf("five submissions at 20 a second took %s", took)
	}
}

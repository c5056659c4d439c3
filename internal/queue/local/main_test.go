package local

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"testing"

	"longhaul/internal/queue"
	"longhaul/internal/queue/queuetest"
)

// TestMain makes this program its own supervisor, and a job pooler to be killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "local-supervise":
			os.Exit(SuperviseMain(os.Args[2:]))
		case "submit-and-die":
			submitAndDie(os.Args[2], os.Args[3:])
		}
	}
	// A supervisor with the race detector would wait a second at its end.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	os.Exit(m.Run())
}

// submitAndDie is a pooler that submits jobs, each of which appends its name
// to a file "ran" in dir, and then kills itself.
func submitAndDie(dir string, names []string) {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	m, err := New(Options{Spool: dir + "/spool", MaxRunning: 2, Supervisor: []string{self, "local-supervise"}})
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		if _, err := m.Submit(context.Background(), appendName(dir, name)); err != nil {
			panic(err)
		}
		fmt.Println(name)
	}
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

func appendName(dir, name string) queue.Spec {
	return queue.Spec{
		Name:    name,
		Command: []string{"/bin/sh", "-c", `echo "$1" >> "$2/ran"`, "sh", name, dir},
		Stdout:  dir + "/" + name + ".out",
		Stderr:  dir + "/" + name + ".err",
	}
}

func TestManagerMeetsTheSpecification(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, func(t *testing.T) queuetest.Harness {
		opts := options(t)
		return queuetest.Harness{
			Manager:   open(t, opts),
			Reopen:    func(t *testing.T) queue.Manager { return open(t, opts) },
			Slots:     opts.MaxRunning,
			UnknownID: "job-that-never-was",
			Parallel:  true,
		}
	})
}

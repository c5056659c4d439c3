// Package clustertest is a batch system in a directory, for the tests of queue
// managers whose real batch systems cannot be had: Toy really runs jobs, some
// at a time, and a manager's test dresses it as the commands of its batch
// system. The commands are the test's own program under other names, so that
// what is tested goes through real command lines and real processes.
//
// It is package local under numbers. What it cannot be is a witness for how the
// real batch system behaves.
package clustertest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"longhaul/internal/queue"
	"longhaul/internal/queue/local"
)

// slots is how many jobs a Toy runs at a time.
const slots = 2

// Variables of the commands' environment.
const (
	dirVar  = "TOY_DIR"
	nameVar = "TOY_NAME"
)

// supervise is the name under which the test's program is a job's supervisor.
const supervise = "toy-supervise"

// Toy is a batch system in a directory.
type Toy struct {
	dir string
	m   *local.Manager
}

// Job is a job of a Toy.
type Job struct {
	N         int // from 1
	Name      string
	Submitted time.Time
	State     queue.State
}

// Main is for a TestMain: called under the name of one of the commands the
// program is that command on the Toy of its environment, and ends.
func Main(m *testing.M, commands map[string]func(t *Toy, args []string) error) {
	name := filepath.Base(os.Args[0])
	if name == supervise {
		os.Exit(local.SuperviseMain(os.Args[1:]))
	}
	if command, ok := commands[name]; ok {
		os.Exit(run(command))
	}
	// A command with the race detector would wait a second at its end.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	os.Exit(m.Run())
}

// ExitError is an error of a command that ends with a status of its own.
type ExitError struct {
	Status int
	Err    error
}

func (e *ExitError) Error() string { return e.Err.Error() }

func run(command func(*Toy, []string) error) int {
	toy, err := open(os.Getenv(dirVar))
	if err == nil {
		err = command(toy, os.Args[1:])
	}
	var exit *ExitError
	switch {
	case errors.As(err, &exit):
		fmt.Fprintln(os.Stderr, err)
		return exit.Status
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// New makes a Toy in a directory of its own. It returns the directory with its
// commands and what their environment needs.
func New(t *testing.T, commands ...string) (bin string, env []string) {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin = filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(commands, supervise) {
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := open(dir); err != nil {
		t.Fatal(err)
	}
	return bin, []string{dirVar + "=" + dir}
}

// Slots is how many jobs run at a time.
func Slots() int { return slots }

func open(dir string) (*Toy, error) {
	m, err := local.New(local.Options{
		Spool: filepath.Join(dir, "spool"), MaxRunning: slots, Supervisor: []string{filepath.Join(dir, "bin", supervise)},
		Grace: time.Second,
	})
	if err != nil {
		return nil, err
	}
	return &Toy{dir, m}, nil
}

// Submit takes a script as a job, by a copy, as batch systems do.
func (t *Toy) Submit(name string, script []byte, r queue.Resources) (n int, err error) {
	for n = 1; ; n++ {
		err := os.Mkdir(t.file(n, "taken"), 0o750)
		if err == nil {
			break
		} else if !errors.Is(err, fs.ErrExist) {
			return 0, err
		}
	}
	if err := os.WriteFile(t.file(n, "script"), script, 0o640); err != nil {
		return 0, err
	}
	_, err = t.m.Submit(context.Background(), queue.Spec{
		Name: spoolName(n), Command: []string{"/bin/sh", t.file(n, "script")}, Env: map[string]string{nameVar: name},
		Stdout: os.DevNull, Stderr: os.DevNull, Resources: r,
	})
	return n, err
}

func (t *Toy) file(n int, what string) string {
	return filepath.Join(t.dir, fmt.Sprintf("%d.%s", n, what))
}

// spoolName is the name that package local knows a job by.
func spoolName(n int) string { return "j" + strconv.Itoa(n) }

// Jobs returns all jobs, in the order of their numbers.
func (t *Toy) Jobs() ([]Job, error) {
	listed, err := t.m.List(context.Background(), func(string) bool { return false })
	if err != nil {
		return nil, err
	}
	var jobs []Job
	for _, l := range listed {
		n, err := strconv.Atoi(l.Name[1:])
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, Job{N: n, Name: l.Env[nameVar], Submitted: l.Submitted, State: l.State})
	}
	slices.SortFunc(jobs, func(a, b Job) int { return a.N - b.N })
	return jobs, nil
}

// Delete ends a job, and reports whether there was one to end.
func (t *Toy) Delete(n int) (bool, error) {
	jobs, err := t.Jobs()
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(jobs, func(j Job) bool { return j.N == n && j.State.Phase != queue.Finished })
	if i < 0 {
		return false, nil
	}
	return true, t.m.Delete(context.Background(), spoolName(n))
}

package engines

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// SlurmPrograms are what NewSlurm starts; accounting needs slurmdbd and
// MariaDBPrograms besides.
func SlurmPrograms() []string {
	return []string{"munged", "slurmctld", "slurmd", "sbatch", "squeue", "sacct", "scancel", "scontrol"}
}

// SlurmOptions says what kind of cluster to start.
type SlurmOptions struct {
	Nodes int // 0: 1; called n1, n2, ...
	CPUs  int // of each node, however many this host has; 0: 2
	// Accounting starts slurmdbd and a MariaDB too, so that sacct knows things.
	Accounting bool
	// MinJobAge is how long the controller remembers a job that has ended; 0: five minutes.
	MinJobAge time.Duration
	// NodeTimeout is how long a node may be silent before its jobs are failed; 0: a minute.
	NodeTimeout time.Duration
	// Settings are further lines of slurm.conf.
	Settings []string
}

// Slurm is a real Slurm on this host: munged, slurmctld, a slurmd for each
// node, and slurmdbd if wanted. It has the partitions main (the default, all
// nodes), short (a limit of one minute) and closed (down). Started by root it
// runs the jobs of every user, else its owner's.
type Slurm struct {
	dir        string
	opt        SlurmOptions
	owner      string
	host       string
	controller int
	dbdPort    int
	nodePorts  []int
	munge      *Process
	mariadb    *MariaDB
	dbd        *Process
	ctld       *Process
	nodes      []*Process
}

// NewSlurm starts a cluster in dir, which is made if need be, and returns when
// it takes jobs. The path of dir must be short enough for a socket in it.
func NewSlurm(ctx context.Context, dir string, opt SlurmOptions) (*Slurm, error) {
	s, err := newSlurm(dir, opt)
	if err != nil {
		return nil, fmt.Errorf("slurm: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := s.startAll(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("slurm: %w", err), s.Stop())
	}
	return s, nil
}

func newSlurm(dir string, opt SlurmOptions) (*Slurm, error) {
	opt.Nodes, opt.CPUs = cmp.Or(opt.Nodes, 1), cmp.Or(opt.CPUs, 2)
	opt.MinJobAge = cmp.Or(opt.MinJobAge, 5*time.Minute)
	opt.NodeTimeout = cmp.Or(opt.NodeTimeout, time.Minute)
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	owner, err := user.Current()
	if err != nil {
		return nil, err
	}
	ports, err := FreePorts(2 + opt.Nodes)
	if err != nil {
		return nil, err
	}
	short, _, _ := strings.Cut(host, ".")
	s := &Slurm{
		dir: dir, opt: opt, owner: owner.Username, host: short,
		controller: ports[0], dbdPort: ports[1], nodePorts: ports[2:], nodes: make([]*Process, opt.Nodes),
	}
	const longest = 107 // bytes, of the path of a socket; munged adds some for its lock
	if sock := s.socket(); len(sock)+len(".lock") > longest {
		return nil, fmt.Errorf("%s is too long for a socket", sock)
	}
	return s, nil
}

func (s *Slurm) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}
func (s *Slurm) socket() string { return s.path("munge", "s") }

// Env is what the commands of Slurm need in their environment.
func (s *Slurm) Env() []string { return []string{"SLURM_CONF=" + s.path("slurm.conf")} }

// Dir is a directory of the cluster's, with its logs.
func (s *Slurm) Dir() string { return s.dir }

func (s *Slurm) startAll(ctx context.Context) error {
	if err := s.configure(); err != nil {
		return err
	}
	if err := s.StartMunge(ctx); err != nil {
		return err
	}
	if s.opt.Accounting {
		if err := s.startAccounting(ctx); err != nil {
			return err
		}
	}
	if err := s.StartController(ctx); err != nil {
		return err
	}
	for i := range s.nodes {
		if err := s.StartNode(i + 1); err != nil {
			return err
		}
	}
	return Until(ctx, "the nodes", func() error { return s.NodesAre(ctx, "idle") })
}

// start starts one of the servers.
func (s *Slurm) start(name string, args ...string) (*Process, error) {
	return Start(Command{Path: name, Args: args, Env: s.Env(), Dir: s.dir, Log: s.path(name + ".log")})
}

// StartMunge starts the authentication service, without which no command can
// ask and no server answer.
func (s *Slurm) StartMunge(ctx context.Context) error {
	// --force: the directories above may be open to others.
	p, err := s.start("munged", "--foreground", "--force", "--num-threads=2", "--key-file="+s.path("munge", "key"),
		"--socket="+s.socket(), "--pid-file="+s.path("munge", "pid"), "--seed-file="+s.path("munge", "seed"))
	if err != nil {
		return err
	}
	s.munge = p
	return p.Ready(ctx, func() error { _, err := os.Stat(s.socket()); return err })
}

// StopMunge takes it away.
func (s *Slurm) StopMunge() error { return s.munge.Stop(syscall.SIGTERM) }

// startAccounting starts the database, slurmdbd before it, and makes the
// cluster known to it.
func (s *Slurm) startAccounting(ctx context.Context) (err error) {
	if s.mariadb, err = NewMariaDB(ctx, s.path("mariadb")); err != nil {
		return err
	}
	if err := s.configureAccounting(); err != nil {
		return err
	}
	if err := s.StartAccounting(ctx); err != nil {
		return err
	}
	_, err = s.Ask(ctx, "sacctmgr", "-iQ", "add", "cluster", clusterName)
	return err
}

// StartAccounting starts slurmdbd again after StopAccounting.
func (s *Slurm) StartAccounting(ctx context.Context) error {
	p, err := s.start("slurmdbd", "-D")
	if err != nil {
		return err
	}
	s.dbd = p
	return p.Ready(ctx, func() error { _, err := s.Ask(ctx, "sacctmgr", "-n", "list", "cluster"); return err })
}

// StopAccounting ends slurmdbd. The controller keeps what it misses.
func (s *Slurm) StopAccounting() error { return s.dbd.Stop(syscall.SIGTERM) }

// StartController starts slurmctld again after StopController or KillController.
func (s *Slurm) StartController(ctx context.Context) error {
	p, err := s.start("slurmctld", "-D")
	if err != nil {
		return err
	}
	s.ctld = p
	return p.Ready(ctx, Answers(s.controller))
}

// StopController ends slurmctld as its operator would.
func (s *Slurm) StopController() error { return s.ctld.Stop(syscall.SIGTERM) }

// KillController ends slurmctld as a power cut would: it forgets the last seconds.
func (s *Slurm) KillController() error { return s.ctld.Stop(syscall.SIGKILL) }

// StartNode starts the slurmd of node i, from 1, again after KillNode.
func (s *Slurm) StartNode(i int) error {
	name := fmt.Sprintf("n%d", i)
	p, err := Start(Command{Path: "slurmd", Args: []string{"-D", "-N", name}, Env: s.Env(), Dir: s.dir, Log: s.path("slurmd." + name + ".log")})
	s.nodes[i-1] = p
	return err
}

// KillNode ends the slurmd of node i, from 1. What ran there runs on, as the
// controller cannot know.
func (s *Slurm) KillNode(i int) error { return s.nodes[i-1].Stop(syscall.SIGKILL) }

// NodesAre returns nil when all nodes are in that state.
func (s *Slurm) NodesAre(ctx context.Context, state string) error {
	out, err := s.Ask(ctx, "sinfo", "-h", "-N", "-p", "main", "-o", "%T")
	if err != nil {
		return err
	}
	if out != strings.Repeat(state+"\n", len(s.nodes)) {
		return fmt.Errorf("they are %q", out)
	}
	return nil
}

// Ask runs one of Slurm's commands and returns what it wrote.
func (s *Slurm) Ask(ctx context.Context, name string, args ...string) (string, error) {
	return Run(ctx, Command{Path: name, Args: args, Env: s.Env(), Dir: s.dir})
}

// Stop ends all jobs and the cluster.
func (s *Slurm) Stop() error {
	s.endJobs()
	var errs []error
	stop := func(p *Process, sig syscall.Signal) {
		if p != nil {
			errs = append(errs, p.Stop(sig))
		}
	}
	for _, node := range s.nodes {
		stop(node, syscall.SIGTERM)
	}
	stop(s.ctld, syscall.SIGTERM)
	stop(s.dbd, syscall.SIGTERM)
	if s.mariadb != nil {
		errs = append(errs, s.mariadb.Stop())
	}
	stop(s.munge, syscall.SIGTERM)
	s.endSteps()
	return errors.Join(errs...)
}

// endSteps ends what the servers could not: a job whose slurmd was killed, or
// that the controller has forgotten, runs on below a slurmstepd, which has our
// directory as its own.
func (s *Slurm) endSteps() {
	dir, err := filepath.EvalSymlinks(s.dir)
	if err != nil {
		return
	}
	found, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range found {
		cwd, err1 := os.Readlink(filepath.Join(proc, "cwd"))
		exe, err2 := os.Readlink(filepath.Join(proc, "exe"))
		pid, err3 := strconv.Atoi(filepath.Base(proc))
		if err := errors.Join(err1, err2, err3); err != nil || cwd != dir || !strings.HasPrefix(filepath.Base(exe), "slurmstepd") {
			continue
		}
		children, _ := os.ReadFile(filepath.Join(proc, "task", filepath.Base(proc), "children"))
		for _, child := range strings.Fields(string(children)) {
			if n, err := strconv.Atoi(child); err == nil && n > 1 {
				_ = syscall.Kill(-n, syscall.SIGKILL) // a job has a process group of its own
			}
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// endJobs does what it can: the jobs' processes outlive the servers.
func (s *Slurm) endJobs() {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	if s.ctld == nil || Answers(s.controller)() != nil {
		return
	}
	_, _ = s.Ask(ctx, "scancel", "--full", "--user="+s.owner)
	_ = Until(ctx, "the jobs to end", func() error {
		if out, err := s.Ask(ctx, "squeue", "-h"); err != nil || out != "" {
			return fmt.Errorf("left: %s (%w)", out, err)
		}
		return nil
	})
}

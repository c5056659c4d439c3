package engines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The places of Debian's Grid Engine.
const (
	geLib   = "/usr/lib/gridengine"
	geShare = "/usr/share/gridengine"
	geQueue = "main.q"
)

// GridEnginePrograms are what NewGridEngine starts.
func GridEnginePrograms() []string {
	return []string{filepath.Join(geLib, "sge_qmaster"), filepath.Join(geLib, "sge_execd")}
}

// GridEngineOptions says what kind of Grid Engine to start.
type GridEngineOptions struct {
	// Slots is how many jobs of one CPU run at a time; 0: 2.
	Slots int
}

// GridEngine is a Grid Engine of one host: a qmaster and an execd, the queue
// main.q with the parallel environment smp, accounting within a second. It
// belongs to the user who starts it; started by root it serves every user.
type GridEngine struct {
	dir, root, host string
	slots           int
	ports           []int
	master, execd   *Process
}

// NewGridEngine starts a Grid Engine below dir, which other users must be able
// to reach if they are to use it, and returns when it takes jobs.
func NewGridEngine(ctx context.Context, dir string, opt GridEngineOptions) (*GridEngine, error) {
	g, err := newGridEngine(dir, opt)
	if err != nil {
		return nil, fmt.Errorf("grid engine in %s: %w", dir, err)
	}
	if err := g.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("grid engine in %s: %w", dir, err), g.Stop())
	}
	return g, nil
}

func newGridEngine(dir string, opt GridEngineOptions) (*GridEngine, error) {
	if opt.Slots <= 0 {
		opt.Slots = 2
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	ports, err := FreePorts(2)
	if err != nil {
		return nil, err
	}
	short, _, _ := strings.Cut(host, ".")
	return &GridEngine{dir: dir, root: filepath.Join(dir, "root"), host: short, slots: opt.Slots, ports: ports}, nil
}

// start is NewGridEngine without the clean-up.
func (g *GridEngine) start(ctx context.Context) error {
	if err := g.makeTree(); err != nil {
		return err
	}
	if err := g.spool(ctx); err != nil {
		return err
	}
	if err := g.StartMaster(ctx); err != nil {
		return err
	}
	if err := g.configure(ctx); err != nil {
		return err
	}
	return g.StartExec(ctx)
}

// Env is what a client needs in its environment.
func (g *GridEngine) Env() []string {
	return []string{
		"SGE_ROOT=" + g.root,
		"SGE_CELL=default",
		"SGE_CLUSTER_NAME=longhaul",
		"SGE_QMASTER_PORT=" + strconv.Itoa(g.ports[0]),
		"SGE_EXECD_PORT=" + strconv.Itoa(g.ports[1]),
	}
}

// Queue is the name of its only queue.
func (g *GridEngine) Queue() string { return geQueue }

// command returns a program of Grid Engine with its surroundings.
func (g *GridEngine) command(program string, args ...string) Command {
	env := append(g.Env(), "LD_LIBRARY_PATH="+geLib, "SGE_ND=1") // SGE_ND: daemons stay in the foreground
	return Command{Path: filepath.Join(geLib, program), Args: args, Env: env, Dir: g.dir}
}

func (g *GridEngine) run(ctx context.Context, program string, args ...string) (string, error) {
	return Run(ctx, g.command(program, args...))
}

// makeTree makes SGE_ROOT and the spool directories.
func (g *GridEngine) makeTree() error {
	admin := "none" // root: jobs run as whoever submits them
	if os.Getuid() != 0 {
		me, err := user.Current()
		if err != nil {
			return err
		}
		admin = me.Username
	}
	common := filepath.Join(g.root, "default", "common")
	for _, dir := range []string{common, g.path("qmaster", "job_scripts"), g.path("execd")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.Symlink(filepath.Join(geShare, "util"), filepath.Join(g.root, "util")); err != nil {
		return err
	}
	for _, part := range []string{"bin", "lib", "utilbin"} {
		if err := os.Mkdir(filepath.Join(g.root, part), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(geLib, filepath.Join(g.root, part, "lx-amd64")); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"bootstrap":    g.bootstrap(admin),
		"act_qmaster":  g.host + "\n",
		"host_aliases": g.aliases(),
	} {
		if err := os.WriteFile(filepath.Join(common, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (g *GridEngine) path(parts ...string) string {
	return filepath.Join(append([]string{g.dir}, parts...)...)
}

// spooling is the argument by which Grid Engine's tools find its spool.
func (g *GridEngine) spooling() string {
	return filepath.Join(g.root, "default", "common") + ";" + g.path("qmaster")
}

func (g *GridEngine) bootstrap(admin string) string {
	return strings.Join([]string{
		"admin_user " + admin,
		"default_domain none",
		"ignore_fqdn true",
		"spooling_method classic",
		"spooling_lib libspoolc",
		"spooling_params " + g.spooling(),
		"binary_path " + geLib,
		"qmaster_spool_dir " + g.path("qmaster"),
		"security_mode none",
		"listener_threads 2",
		"worker_threads 2",
		"scheduler_threads 1",
	}, "\n") + "\n"
}

// aliases makes all names of the loopback address one host: Grid Engine
// compares the name it has with the name its address has.
func (g *GridEngine) aliases() string {
	names := []string{g.host, "localhost"}
	hosts, _ := os.ReadFile("/etc/hosts") // without it the two above must do
	for line := range strings.Lines(string(hosts)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 || !strings.HasPrefix(fields[0], "127.") {
			continue
		}
		for _, name := range fields[1:] {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return strings.Join(names, " ") + "\n"
}

// spool fills the qmaster's spool before its first start.
func (g *GridEngine) spool(ctx context.Context) error {
	conf, err := os.ReadFile(filepath.Join(geShare, "default-configuration"))
	if err != nil {
		return err
	}
	conf = settings(conf, map[string]string{
		"execd_spool_dir":  g.path("execd"),
		"mailer":           "/bin/true",
		"shell_start_mode": "unix_behavior",
		"min_uid":          "0", // let root run jobs
		"min_gid":          "0",
		"load_report_time": "00:00:02",
		"max_unheard":      "00:00:20",
		"execd_params":     "ENABLE_ADDGRP_KILL=true", // a job's end is the end of all its processes
		"reporting_params": "accounting=true reporting=false flush_time=00:00:01 joblog=false sharelog=00:00:00",
	})
	me, err := user.Current()
	if err != nil {
		return err
	}
	// A relative file name would do nothing and say nothing.
	if err := os.WriteFile(g.path("configuration"), conf, 0o644); err != nil {
		return err
	}
	if _, err := g.run(ctx, "spoolinit", "classic", "libspoolc", g.spooling(), "init"); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"configuration", g.path("configuration")},
		{"complexes", filepath.Join(geShare, "util/resources/centry")},
		{"usersets", filepath.Join(geShare, "util/resources/usersets")},
		{"managers", me.Username},
	} {
		if _, err := g.run(ctx, "spooldefaults", args...); err != nil {
			return err
		}
	}
	return nil
}

// settings changes "key value" lines.
func settings(text []byte, changes map[string]string) []byte {
	for key, value := range changes {
		line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(key) + `[ \t].*$`)
		text = line.ReplaceAllLiteral(text, []byte(key+" "+value))
	}
	return text
}

// configure tells a running qmaster of its host, scheduler and queue.
func (g *GridEngine) configure(ctx context.Context) error {
	if _, err := g.run(ctx, "qconf", "-as", g.host); err != nil {
		return err
	}
	host := "hostname " + g.host + "\nload_scaling NONE\ncomplex_values NONE\nuser_lists NONE\nxuser_lists NONE\n" +
		"projects NONE\nxprojects NONE\nusage_scaling NONE\nreport_variables NONE\n"
	pe := "pe_name smp\nslots 999\nuser_lists NONE\nxuser_lists NONE\nstart_proc_args NONE\nstop_proc_args NONE\n" +
		"allocation_rule $pe_slots\ncontrol_slaves FALSE\njob_is_first_task TRUE\nurgency_slots min\naccounting_summary FALSE\nqsort_args NONE\n"
	project := "name survey\noticket 0\nfshare 0\nacl NONE\nxacl NONE\n"
	for option, text := range map[string]string{"-Ae": host, "-Ap": pe, "-Aprj": project} {
		if err := g.apply(ctx, option, []byte(text)); err != nil {
			return err
		}
	}
	if err := g.modify(ctx, "-ssconf", "-Msconf", map[string]string{
		"schedule_interval":          "0:0:1",
		"flush_submit_sec":           "1",
		"flush_finish_sec":           "1",
		"load_adjustment_decay_time": "0:0:0",
		"job_load_adjustments":       "NONE",
	}); err != nil {
		return err
	}
	return g.modify(ctx, "-sq", "-Aq", map[string]string{
		"qname":            geQueue,
		"hostlist":         g.host,
		"slots":            strconv.Itoa(g.slots),
		"load_thresholds":  "NONE",
		"pe_list":          "smp",
		"shell_start_mode": "unix_behavior",
		"shell":            "/bin/sh",
		"notify":           "00:00:02",
	})
}

// modify puts one of qconf's objects back, or in, with changes.
func (g *GridEngine) modify(ctx context.Context, show, put string, changes map[string]string) error {
	text, err := g.run(ctx, "qconf", show)
	if err != nil {
		return err
	}
	return g.apply(ctx, put, settings([]byte(text), changes))
}

// apply gives qconf one of its objects in a file.
func (g *GridEngine) apply(ctx context.Context, option string, text []byte) error {
	path := g.path("qconf" + option)
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return err
	}
	_, err := g.run(ctx, "qconf", option, path)
	return err
}

// StartMaster starts the qmaster, again after StopMaster, and returns when it
// answers.
func (g *GridEngine) StartMaster(ctx context.Context) (err error) {
	c := g.command("sge_qmaster")
	c.Log = g.path("qmaster.log")
	if g.master, err = Start(c); err != nil {
		return err
	}
	return g.master.Ready(ctx, func() error {
		_, err := g.run(ctx, "qconf", "-sm")
		return err
	})
}

// StopMaster kills the qmaster, as a crash does: clients get no answer, jobs go on.
func (g *GridEngine) StopMaster() error {
	if g.master == nil {
		return nil
	}
	return g.master.Stop(syscall.SIGKILL)
}

// StartExec starts the execd, again after StopExec, and returns when its queue
// takes jobs.
func (g *GridEngine) StartExec(ctx context.Context) (err error) {
	c := g.command("sge_execd")
	c.Log = g.path("execd.log")
	if g.execd, err = Start(c); err != nil {
		return err
	}
	return g.execd.Ready(ctx, func() error { return g.ready(ctx) })
}

// StopExec kills the execd, as a crash does; its jobs go on.
func (g *GridEngine) StopExec() error {
	if g.execd == nil {
		return nil
	}
	return g.execd.Stop(syscall.SIGKILL)
}

// FailNode kills the execd and everything it runs, as a power failure does.
func (g *GridEngine) FailNode() error {
	err := g.StopExec()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	killed := make(map[int]bool)
	return errors.Join(err, Until(ctx, "the end of all jobs", func() error { return g.killJobs(killed) }))
}

// Command returns one of its commands, such as qmod, to be run by hand.
func (g *GridEngine) Command(program string, args ...string) Command {
	return g.command(program, args...)
}

// ready reports whether the queue is on, by the sixth column of its line.
func (g *GridEngine) ready(ctx context.Context) error {
	text, err := g.run(ctx, "qstat", "-f")
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 5 && strings.HasPrefix(f[0], geQueue+"@") && f[3] != "-NA-" {
			return nil
		}
	}
	return fmt.Errorf("the queue takes no jobs: %s", text)
}

// Stop ends the daemons and every job.
func (g *GridEngine) Stop() error {
	// Jobs are in sessions of their own, and live on without the daemons.
	return errors.Join(g.StopMaster(), g.FailNode())
}

// killJobs kills the shepherds and jobs of this Grid Engine, and returns an
// error as long as there are any. Those that it killed must also have left the
// process table, because a new execd takes a dead shepherd there for a living one.
func (g *GridEngine) killJobs(killed map[int]bool) error {
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return err
	}
	left := 0
	for _, path := range environs {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil || pid == os.Getpid() || !killed[pid] && !g.owns(path) {
			continue
		}
		left++
		if !killed[pid] {
			killed[pid] = true
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
		}
	}
	if left > 0 {
		return fmt.Errorf("%d processes are left", left)
	}
	return nil
}

// owns reports whether a process, known by its /proc/PID/environ, was started
// by this Grid Engine. Its clients have SGE_ROOT in their environment too, so
// that is not enough.
func (g *GridEngine) owns(environ string) bool {
	env, err := os.ReadFile(environ)
	if err != nil || !bytes.Contains(env, []byte("SGE_ROOT="+g.root+"\x00")) {
		return false // gone, somebody else's, or none of ours
	}
	name, err := os.ReadFile(filepath.Join(filepath.Dir(environ), "comm"))
	return err == nil && (strings.HasPrefix(string(name), "sge_shepherd") || bytes.Contains(env, []byte("\x00JOB_SCRIPT=")))
}

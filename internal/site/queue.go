package site

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/queue"
	"longhaul/internal/queue/cluster"
	"longhaul/internal/queue/exec"
	"longhaul/internal/queue/gridengine"
	"longhaul/internal/queue/htcondor"
	"longhaul/internal/queue/local"
	"longhaul/internal/queue/pbs"
	"longhaul/internal/queue/slurm"
	"longhaul/internal/worker"
)

// Supervise is the first argument by which a program that hosts the local queue
// manager starts itself again as the supervisor of one job.
const Supervise = "local-supervise"

// QueueManager returns the queue manager of the configuration, for the jobpooler.
func QueueManager(c *config.Config, log *slog.Logger) (queue.Manager, error) {
	return queueManager(c, log, false)
}

// QueueGuest returns the queue manager of the configuration for a person's
// command, which leaves no trace of itself there.
func QueueGuest(c *config.Config, log *slog.Logger) (queue.Manager, error) {
	return queueManager(c, log, true)
}

func queueManager(c *config.Config, log *slog.Logger, guest bool) (queue.Manager, error) {
	switch c.JobPooler.QueueManager {
	case "slurm":
		return newSlurm(c, log)
	case "gridengine":
		g := c.GridEngine
		return gridengine.New(gridengine.Options{
			Options: clusterOptions(c, log), Queue: g.Queue, Project: g.Project, Account: g.Account, Resources: g.Resources,
			ParallelEnvironment: g.ParallelEnvironment, MemoryResource: g.MemoryResource, TimeResource: g.TimeResource,
			Args: g.Args, NoAccounting: !g.Accounting,
		})
	case "pbs":
		p := c.PBS
		return pbs.New(pbs.Options{
			Options: clusterOptions(c, log), Torque: p.Torque, Queue: p.Queue, Account: p.Account, Project: p.Project,
			Property: p.Property, Args: p.Args,
		})
	case "htcondor":
		h := c.HTCondor
		return htcondor.New(htcondor.Options{
			Options: clusterOptions(c, log), Schedd: h.Schedd, Pool: h.Pool, AccountingGroup: h.AccountingGroup,
			Requirements: h.Requirements, Submit: h.Submit,
		})
	case "exec":
		e := c.Exec
		return exec.New(exec.Options{
			Options: clusterOptions(c, log), Submit: e.Submit, Poll: e.Poll, Find: e.Find, Delete: e.Delete, History: e.History,
		})
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return local.New(local.Options{
		Spool: LocalSpool(c), MaxRunning: c.JobPooler.MaxJobsRunning,
		Supervisor: []string{self, Supervise}, Guest: guest, Log: log,
	})
}

func newSlurm(c *config.Config, log *slog.Logger) (queue.Manager, error) {
	p, s := c.JobPooler, c.Slurm
	return slurm.New(slurm.Options{
		Dir: c.Basic.QsublogDir, Partition: s.Partition, Account: s.Account, QOS: s.QOS, Constraint: s.Constraint,
		Args: s.Args, Prefix: p.JobBasename + "-", Timeout: p.QueueTimeout.Std(), PollEvery: p.QueuePollEvery.Std(),
		SubmitsPerSecond: float64(p.SubmitRate), ExcludeFor: s.ExcludeFor.Std(), NodeTrouble: worker.NodeTrouble(),
		Env: variables(p.QueueEnv), Log: log,
	})
}

// clusterOptions are those that most batch systems have in common. Scripts and
// records are kept beside the jobs' logs, which the nodes reach as well.
func clusterOptions(c *config.Config, log *slog.Logger) cluster.Options {
	p := c.JobPooler
	return cluster.Options{
		Dir: c.Basic.QsublogDir, Prefix: p.JobBasename + "-", Env: variables(p.QueueEnv), Timeout: p.QueueTimeout.Std(),
		PollEvery: p.QueuePollEvery.Std(), SubmitsPerSecond: float64(p.SubmitRate),
		CPUsPerNode: p.CPUsPerNode, JobsPerNode: p.JobsPerNode, Log: log,
	}
}

func variables(env map[string]string) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		all = append(all, fmt.Sprintf("%s=%s", name, env[name]))
	}
	return all
}

// SettleAfter is how long a submission whose reply was lost may still turn up
// in the queue. The others wait in their Find.
func SettleAfter(c *config.Config) time.Duration {
	if c.JobPooler.QueueManager == "slurm" {
		return slurm.SettleAfter
	}
	return 0
}

// LocalSpool is where the local queue manager keeps its records.
func LocalSpool(c *config.Config) string {
	if c.JobPooler.LocalSpool != "" {
		return c.JobPooler.LocalSpool
	}
	return filepath.Join(filepath.Dir(c.Background.JobtrackerDB), "queue")
}

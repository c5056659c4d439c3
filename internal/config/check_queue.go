package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// queueManagers are the values of jobpooler.queue_manager.
func queueManagers() []string {
	return []string{"local", "slurm", "gridengine", "pbs", "htcondor", "exec"}
}

// checkQueue checks how the batch system is spoken to. What its commands accept
// only they know; "longhaul preflight queue" asks them.
func (r *reader) checkQueue() {
	p := r.cfg.JobPooler
	r.atLeastDuration("jobpooler.queue_timeout", p.QueueTimeout, time.Second)
	r.atLeastDuration("jobpooler.queue_poll_every", p.QueuePollEvery, 0)
	r.atLeast("jobpooler.submit_rate", p.SubmitRate, 0)
	r.atLeast("jobpooler.cpus_per_node", p.CPUsPerNode, 0)
	r.atLeast("jobpooler.jobs_per_node", p.JobsPerNode, 0)
	switch {
	case p.JobsPerNode > 0 && p.CPUsPerNode == 0:
		r.add("jobpooler.cpus_per_node", "is missing, though jobs_per_node is set",
			"say how many processors a node has, so that each job can ask for its part of them")
	case p.JobsPerNode > p.CPUsPerNode:
		r.add("jobpooler.jobs_per_node", fmt.Sprintf("is %d", p.JobsPerNode),
			fmt.Sprintf("it must be at most cpus_per_node, which is %d", p.CPUsPerNode))
	}
	r.checkVariables("jobpooler.queue_env", p.QueueEnv)
	r.atLeastDuration("slurm.exclude_for", r.cfg.Slurm.ExcludeFor, 0)
	if p.QueueManager == "exec" {
		r.checkExec()
	}
}

// checkExec asks for the commands that no batch system can do without.
func (r *reader) checkExec() {
	e := r.cfg.Exec
	for _, c := range []struct {
		key  string
		argv []string
		want string
	}{
		{"submit", e.Submit, `["msub", "{script}"]`},
		{"poll", e.Poll, `["/usr/local/bin/poll-jobs", "{user}"]`},
		{"find", e.Find, `["/usr/local/bin/find-job", "{name}"]`},
		{"delete", e.Delete, `["canceljob", "{id}"]`},
	} {
		if len(c.argv) == 0 || c.argv[0] == "" {
			r.add("exec."+c.key, `is missing; give a program and its arguments, as `+c.want,
				`without it queue_manager = "exec" cannot work`)
		}
	}
}

// checkVariables checks the names of variables of an environment.
func (r *report) checkVariables(path string, env map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !spelled(name, letters+"_", letters+digits+"_") {
			r.add(path, fmt.Sprintf("has %q, which is no name of a variable", name), "use letters, digits and _")
		}
	}
}

// checkResources checks what the jobs of a stage ask for.
func (r *report) checkResources(path string, s Stage) {
	r.atLeast(path+".cpus", s.CPUs, 0)
	if s.MemoryMax > 0 && s.MemoryMax < s.Memory {
		r.add(path+".memory_max", "is "+s.MemoryMax.String(), "it must not be less than memory, which is "+s.Memory.String())
	}
	if s.WallTimeMax > 0 && s.WallTimeMax < s.WallTime {
		r.add(path+".walltime_max", "is "+s.WallTimeMax.String(), "it must not be shorter than walltime, which is "+s.WallTime.String())
	}
	if s.RetryFactor < 1 || s.RetryFactor > 10 {
		r.add(path+".retry_factor", fmt.Sprintf("is %g", s.RetryFactor), "it must be from 1, for no more than before, to 10")
	}
	for _, a := range s.QueueArgs {
		if a == "" || strings.ContainsAny(a, "\n\x00") {
			r.add(path+".queue_args", fmt.Sprintf("has %q", a), "each must be one argument, without line ends")
		}
	}
}

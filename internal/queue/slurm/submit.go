package slurm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
)

// ErrConfiguration: Slurm does not take what the configuration asks for, for
// any job. It comes as an outage, so that no job is failed for it.
var ErrConfiguration = errors.New("slurm does not accept the configuration")

// Submit implements queue.Manager.
func (m *Manager) Submit(ctx context.Context, spec queue.Spec) (string, error) {
	if err := spec.Check(); err != nil {
		return "", err
	}
	if err := checkArgs(spec.Args); err != nil {
		return "", pipeline.Outage(pipeline.QueueManager, fmt.Errorf("%w: a stage's queue_args: %w", ErrConfiguration, err))
	}
	if strings.ContainsAny(spec.Stdout+spec.Stderr, "\n") {
		return "", fmt.Errorf("%w: %s: a path of its output has a line end", queue.ErrRejected, spec.Name)
	}
	if err := m.pace.Wait(ctx); err != nil {
		return "", pipeline.Outage(pipeline.QueueManager, err)
	}
	script, err := batch.WriteScript(m.opt.Dir, forSteps(spec), nil, 0)
	if errors.Is(err, queue.ErrRejected) {
		return "", err
	} else if err != nil {
		return "", pipeline.Outage(pipeline.LocalDisk, err)
	}
	defer m.touch()
	avoid := m.nodes.avoid()
	out, err := m.sbatch(ctx, spec, avoid, script)
	if avoid != "" && err == nil && out.ExitCode != 0 && says(out, noSuchNodes) {
		// Nothing is left without those nodes, or one of them is gone.
		m.log.Warn("submitting without leaving out nodes", "submit", spec.Name, "nodes", avoid, "slurm", out.Words())
		out, err = m.sbatch(ctx, spec, "", script)
	}
	if err != nil {
		return "", err
	}
	if out.ExitCode != 0 {
		return "", refusal(spec.Name, out)
	}
	return parseID(out)
}

// forSteps undoes what --export=NONE also does: that steps, started by srun in
// a job, get no environment either.
func forSteps(spec queue.Spec) queue.Spec {
	env := map[string]string{"SLURM_EXPORT_ENV": "ALL"}
	maps.Copy(env, spec.Env)
	spec.Env = env
	return spec
}

func (m *Manager) sbatch(ctx context.Context, spec queue.Spec, avoid, script string) (batch.Output, error) {
	argv := append([]string{"sbatch", "--parsable"}, m.request(spec.Resources, spec.Args, avoid)...)
	argv = append(argv, "--no-requeue", "--job-name="+spec.Name, "--comment="+spec.Name,
		"--output="+escape(spec.Stdout), "--error="+escape(spec.Stderr), script)
	return m.run.Run(ctx, nil, argv...)
}

// request is what a job asks for, as arguments of sbatch.
func (m *Manager) request(r queue.Resources, args []string, avoid string) []string {
	argv := []string{"--export=NONE", "--chdir=/", "--nodes=1", "--ntasks=1"}
	add := func(option, value string) {
		if value != "" {
			argv = append(argv, "--"+option+"="+value)
		}
	}
	add("partition", m.opt.Partition)
	add("account", m.opt.Account)
	add("qos", m.opt.QOS)
	add("constraint", m.opt.Constraint)
	add("exclude", avoid)
	if r.CPUs > 0 {
		add("cpus-per-task", strconv.Itoa(r.CPUs))
	}
	if r.Memory > 0 { // --mem=0 would be all that a node has
		add("mem", fmt.Sprintf("%dM", roundUp(r.Memory, 1<<20)))
	}
	if r.WallTime > 0 { // --time=0 would be without limit
		add("time", strconv.FormatInt(roundUp(int64(r.WallTime), int64(time.Minute)), 10))
	}
	return slices.Concat(argv, m.opt.Args, args)
}

func roundUp(n, unit int64) int64 { return (n-1)/unit + 1 }

// escape keeps Slurm from replacing something in a file name: %j would be the
// job's ID. A path with a backslash has nothing replaced, but loses one of them.
func escape(path string) string {
	if strings.Contains(path, `\`) {
		return strings.ReplaceAll(path, `\`, `\\`)
	}
	return strings.ReplaceAll(path, "%", "%%")
}

// unescape is the inverse of escape.
func unescape(pattern string) string {
	if strings.Contains(pattern, `\`) {
		return strings.ReplaceAll(pattern, `\\`, `\`)
	}
	return strings.ReplaceAll(pattern, "%%", "%")
}

// parseID reads the answer of sbatch --parsable, ID or ID;CLUSTER.
func parseID(out batch.Output) (string, error) {
	id, _, _ := bytes.Cut(bytes.TrimSpace(out.Stdout), []byte(";"))
	if !validID(string(id)) {
		return "", pipeline.Outage(pipeline.QueueManager, fmt.Errorf("sbatch: no job ID in its answer %q", out.Words()))
	}
	return string(id), nil
}

// validID reports whether id is one of a job that is no part of an array.
func validID(id string) bool {
	n, err := strconv.ParseUint(id, 10, 32)
	return err == nil && n > 0 && id[0] != '+' && id[0] != '0'
}

// noSuchNodes is what Slurm says when it has no node for a job.
var noSuchNodes = []string{"requested node configuration is not available", "invalid node name"}

// aboutTheJob is what Slurm says when a job asks for more than there is.
var aboutTheJob = []string{
	"requested node configuration is not available", "memory specification can not be satisfied",
	"requested time limit is invalid", "directory or other parameter too long", "batch script contains",
}

// aboutUs is what Slurm says when it would say it of any job.
var aboutUs = []string{
	"invalid partition", "invalid account", "invalid qos", "invalid feature", "invalid generic resource",
	"invalid license", "invalid wckey", "reservation is invalid", "not permitted", "permission denied",
	"unrecognized option", "invalid option", "ambiguous", "requires an argument", "specification",
	"invalid node name", "user id is invalid", "invalid user",
}

func says(out batch.Output, phrases []string) bool {
	text := strings.ToLower(string(out.Stderr))
	for _, p := range phrases {
		if strings.Contains(text, p) {
			return true
		}
	}
	return false
}

// refusal is the error for an sbatch that failed. Only what surely concerns
// this job alone rejects it; what concerns all of them must not fail them one
// by one. The rest may have been accepted in spite of the message ("Socket
// timed out"), or be the trouble of a moment.
func refusal(name string, out batch.Output) error {
	err := fmt.Errorf("sbatch: %s", out.Words())
	switch {
	case says(out, aboutTheJob):
		return fmt.Errorf("%w: %s: %w", queue.ErrRejected, name, err)
	case says(out, aboutUs):
		err = fmt.Errorf("%w: check partition, account, qos, constraint and arguments: %w", ErrConfiguration, err)
	}
	return pipeline.Outage(pipeline.QueueManager, err)
}

// Check asks Slurm whether it would take a job with these resources, without
// submitting any. The error wraps ErrConfiguration or queue.ErrRejected if not.
func (m *Manager) Check(ctx context.Context, r queue.Resources) error {
	argv := append([]string{"sbatch", "--test-only"}, m.request(r, nil, "")...)
	out, err := m.run.Run(ctx, []byte("#!/bin/sh\n"), argv...)
	if err == nil && out.ExitCode != 0 {
		err = refusal("a job like this", out)
	}
	return err
}

package pool

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"longhaul/internal/config"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/worker"
)

// settle finds the submissions whose outcome was not recorded, and asks the
// queue manager whether it has them.
func (p *Pooler) settle(ctx context.Context) error {
	open, err := p.Store.SubmitsIn(ctx, pipeline.Submitting)
	if err != nil {
		return err
	}
	for _, sub := range open {
		if err := p.settleOne(ctx, sub); err != nil {
			return fmt.Errorf("settle submit %d %s: %w", sub.ID, sub.Name, err)
		}
	}
	return nil
}

func (p *Pooler) settleOne(ctx context.Context, sub pipeline.Submit) error {
	id, err := p.Manager.Find(ctx, sub.Name)
	switch {
	case err == nil:
		p.Log.Info("submission found again", "submit", sub.ID, "name", sub.Name, "queue_id", id)
		return p.Store.SubmitAccepted(ctx, sub.ID, id)
	case !errors.Is(err, queue.ErrUnknown):
		return err
	case resultsExist(sub):
		// It ran to its end and the queue manager has forgotten it.
		return p.Store.SubmitAccepted(ctx, sub.ID, "")
	}
	p.Log.Warn("submission never reached the queue manager; the job is submitted again", "submit", sub.ID, "name", sub.Name)
	return p.Store.SubmitNeverArrived(ctx, sub, "the queue manager does not know "+sub.Name)
}

// submit hands over jobs while the limits allow: retries first, then new ones.
func (p *Pooler) submit(ctx context.Context) error {
	for ctx.Err() == nil {
		room, err := p.roomInQueue(ctx)
		if err != nil || room <= 0 {
			return err
		}
		jobs, err := p.Store.DueJobs(ctx, room)
		if err != nil || len(jobs) == 0 {
			return err
		}
		for _, j := range jobs {
			p.Progress()
			if err := p.submitJob(ctx, j); err != nil {
				return fmt.Errorf("submit job %d %s: %w", j.ID, j.Name, err)
			}
		}
	}
	return ctx.Err()
}

// roomInQueue is the original's can_submit, as a number.
func (p *Pooler) roomInQueue(ctx context.Context) (int, error) {
	running, queued, err := p.Manager.Status(ctx)
	if err != nil {
		return 0, err
	}
	c := p.Config.JobPooler
	return min(c.MaxJobsRunning-running-queued, c.MaxJobsQueued-queued), nil
}

// submitJob writes the intent down, asks the queue manager, and writes down
// what it said. If it did not answer, the next pass settles the submission.
func (p *Pooler) submitJob(ctx context.Context, j pipeline.Job) error {
	stage, spec, outputDir, err := p.prepare(ctx, j)
	if err != nil {
		if errors.Is(err, errCannotRun) {
			p.Log.Error("job cannot be submitted", "job", j.ID, "name", j.Name, "err", err)
			return p.Store.FailJob(ctx, j, err.Error())
		}
		return err
	}
	sub, err := p.Store.BeginSubmit(ctx, j, spec.Name, p.Manager.Kind(), outputDir)
	if errors.Is(err, pipeline.ErrStale) {
		return nil // killed or taken meanwhile
	} else if err != nil {
		return err
	}
	id, err := p.Manager.Submit(ctx, spec)
	switch {
	case errors.Is(err, queue.ErrRejected):
		p.Log.Error("submission refused", "job", j.ID, "submit", sub.ID, "err", err)
		return p.Store.SubmitRefused(ctx, sub, err.Error())
	case err != nil:
		return err
	}
	p.Log.Info("job submitted", "job", j.ID, "name", j.Name, "stage", stage.Name, "submit", sub.ID,
		"attempt", j.Attempts+1, "queue_id", id)
	return p.Store.SubmitAccepted(ctx, sub.ID, id)
}

// errCannotRun marks what is wrong with the job itself, before the queue
// manager is asked.
var errCannotRun = errors.New("the job cannot run")

// prepare makes the submission of a job: its inputs are looked at, its output
// directory and its unique name are chosen.
func (p *Pooler) prepare(ctx context.Context, j pipeline.Job) (config.Stage, queue.Spec, string, error) {
	stage, ok := p.Config.Stage(j.Stage)
	if !ok {
		return stage, queue.Spec{}, "", fmt.Errorf("%w: the configuration has no stage %q", errCannotRun, j.Stage)
	}
	inputs, err := p.inputs(ctx, j)
	if err != nil {
		return stage, queue.Spec{}, "", err
	}
	dir, err := p.outputDir(ctx, stage, j)
	if err != nil {
		return stage, queue.Spec{}, "", err
	}
	name := fmt.Sprintf("%s-%d-%s", p.Config.JobPooler.JobBasename, j.ID, strings.ToLower(rand.Text()[:8]))
	spec := queue.Spec{
		Name:    name,
		Command: p.command(stage),
		Env:     worker.Environment(inputs, dir, p.Config.Processing.BaseWorkingDirectory, name),
		Stdout:  StdoutPath(p.Config, name),
		Stderr:  StderrPath(p.Config, name),
		Resources: queue.Resources{
			CPUs: stage.CPUs, Memory: int64(stage.Memory), WallTime: stage.WallTime.Std(),
		},
	}
	for k, v := range stage.Env {
		spec.Env[k] = v
	}
	return stage, spec, dir, nil
}

// inputs returns the paths of a job's raw data, all of them there and whole.
func (p *Pooler) inputs(ctx context.Context, j pipeline.Job) ([]string, error) {
	files, err := p.Store.JobFiles(ctx, j.ID)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, f := range files {
		st, err := os.Stat(f.Path)
		switch {
		case f.DeleteWanted || f.Status == pipeline.Deleted:
			return nil, fmt.Errorf("%w: its input %s is deleted", errCannotRun, f.Filename)
		case errors.Is(err, os.ErrNotExist):
			return nil, fmt.Errorf("%w: its input %s is not there", errCannotRun, f.Path)
		case err != nil:
			return nil, pipeline.Outage(pipeline.LocalDisk, err)
		case strings.Contains(f.Path, ";"):
			return nil, fmt.Errorf("%w: a ';' separates the paths in DATAFILES, and %s has one in it", errCannotRun, f.Path)
		case st.Size() != f.Size:
			return nil, fmt.Errorf("%w: its input %s has %d bytes, not %d", errCannotRun, f.Path, st.Size(), f.Size)
		}
		paths = append(paths, f.Path)
	}
	return paths, nil
}

// outputDir expands the stage's template into a directory that no submit ever
// had; two submits of a job within a second get different ones.
func (p *Pooler) outputDir(ctx context.Context, stage config.Stage, j pipeline.Job) (string, error) {
	relative, err := stage.ExpandOutputDir(j.Metadata, int64(j.ID), p.Now())
	if err != nil {
		return "", fmt.Errorf("%w: %w", errCannotRun, err)
	}
	base := filepath.Join(p.Config.JobPooler.BaseResultsDirectory, relative)
	for n, dir := 1, base; ; n++ {
		taken, err := p.Store.OutputDirTaken(ctx, dir)
		if err != nil {
			return "", err
		}
		if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) && !taken {
			return dir, nil
		}
		dir = fmt.Sprintf("%s.%d", base, n+1)
	}
}

// command is the worker around the stage's command. A stage whose command is
// "longhaul" runs the same program as the worker.
func (p *Pooler) command(stage config.Stage) []string {
	program := p.Config.Processing.Longhaul
	command := append([]string{program, "worker", "--"}, stage.Command...)
	if stage.Command[0] == "longhaul" {
		command[3] = program
	}
	return command
}

// StdoutPath is where the standard output of a submit is kept.
func StdoutPath(c *config.Config, name string) string {
	return filepath.Join(c.Basic.QsublogDir, name+".out")
}

// StderrPath is where the standard error of a submit, its error log, is kept.
func StderrPath(c *config.Config, name string) string {
	return filepath.Join(c.Basic.QsublogDir, name+".err")
}

// resultsExist reports whether a submit's results are in place. The worker
// makes them appear at once, as its last act.
func resultsExist(sub pipeline.Submit) bool {
	st, err := os.Stat(sub.OutputDir)
	return err == nil && st.IsDir()
}

package pool

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"longhaul/internal/config"
	"longhaul/internal/crashpoint"
	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/resultdir"
	"longhaul/internal/worker"
)

// submit hands over jobs while the limits allow: retries first, then new ones.
// A job that is held up does not hold up the others. While submissions are
// paused there are at most the breaker's probes.
func (p *Pooler) submit(ctx context.Context) error {
	pause, held, err := p.Store.Paused(ctx, pipeline.PauseSubmissions)
	switch {
	case err != nil:
		return err
	case held && pause.Breaker:
		return p.probe(ctx, pause)
	case held:
		return nil
	}
	var errs []error
	heldUp := make(map[pipeline.JobID]bool)
	for submitted := -1; submitted != 0 && ctx.Err() == nil; {
		due, room, err := p.next(ctx, heldUp)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		submitted = 0
		for _, j := range due {
			if submitted == room {
				break
			}
			p.Progress()
			err := p.submitJob(ctx, j, nil)
			if err == nil {
				submitted++
				continue
			} else if errors.Is(err, pipeline.ErrPaused) { // just now
				return errors.Join(errs...)
			}
			errs = append(errs, fmt.Errorf("submit job %d %s: %w", j.ID, j.Name, err))
			if !errors.Is(err, errHeld) {
				return errors.Join(errs...)
			}
			heldUp[j.ID] = true
		}
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// next returns jobs to be submitted now, and how many of them there is room
// for. If none is due, nobody is asked for anything.
func (p *Pooler) next(ctx context.Context, heldUp map[pipeline.JobID]bool) (due []pipeline.Job, room int, err error) {
	c := p.Config.JobPooler
	due, err = p.Store.DueJobs(ctx, min(c.MaxJobsRunning, c.MaxJobsQueued)+mostHeld)
	due = slices.DeleteFunc(due, func(j pipeline.Job) bool { return heldUp[j.ID] })
	if err != nil || len(due) == 0 {
		return nil, 0, err
	}
	if err := p.disks(ctx); err != nil {
		return nil, 0, err
	}
	room, err = p.roomInQueue(ctx)
	return due, max(room, 0), err
}

// disks makes sure that jobs can leave their results and logs, and marks the
// results disk before the first one does.
func (p *Pooler) disks(ctx context.Context) error {
	if _, err := os.Stat(p.Config.Basic.QsublogDir); err != nil {
		return pipeline.Outage(pipeline.LocalDisk, fmt.Errorf("directory of the jobs' logs: %w", err))
	}
	base := p.Config.JobPooler.BaseResultsDirectory
	missing := resultdir.Check(base)
	if !errors.Is(missing, resultdir.ErrNoMarker) {
		return missing
	}
	used, err := p.Store.OutputDirsBeneath(ctx, base)
	switch {
	case err != nil:
		return err
	case used:
		return missing
	}
	return resultdir.Mark(base)
}

// roomInQueue is the original's can_submit, as a number. A submission that the
// queue manager does not count, because it was just made or has been lost sight
// of, takes its place all the same: a batch system that reports an empty queue
// by mistake is not given the whole survey.
func (p *Pooler) roomInQueue(ctx context.Context) (int, error) {
	running, queued, err := p.Manager.Status(ctx)
	if err != nil {
		return 0, unanswered(err)
	}
	live, err := p.Store.LiveSubmits(ctx)
	if err != nil {
		return 0, err
	}
	c := p.Config.JobPooler
	return min(c.MaxJobsRunning-max(running+queued, live), c.MaxJobsQueued-queued), nil
}

// submitJob writes the intent down, asks the queue manager, and writes down
// what it said. If it did not answer, the next pass settles the submission. In a
// pause by the breaker the job is its probe.
func (p *Pooler) submitJob(ctx context.Context, j pipeline.Job, pause *pipeline.Pause) error {
	spec, outputDir, err := p.prepare(ctx, j)
	if errors.Is(err, errCannotRun) {
		p.Log.Error("job cannot be submitted", "job", j.ID, "name", j.Name, "err", err)
		return unlessStale(p.Store.FailJob(ctx, j, err.Error()))
	} else if err != nil {
		return err
	}
	var sub pipeline.Submit
	if pause == nil {
		sub, err = p.Store.BeginSubmit(ctx, j, spec.Name, p.Manager.Kind(), outputDir)
	} else {
		sub, err = p.Store.BeginProbe(ctx, j, spec.Name, p.Manager.Kind(), outputDir, p.Now().Add(p.probeWait(pause.Probes+1)))
	}
	if err != nil {
		return unlessStale(err)
	}
	crashpoint.Reach(crashpoint.Submit)
	id, err := p.Manager.Submit(ctx, spec)
	ctx, cancel := recording(ctx)
	defer cancel()
	switch {
	case errors.Is(err, queue.ErrRejected):
		p.Log.Error("submission refused", "job", j.ID, "submit", sub.ID, "err", err)
		return p.refused(ctx, sub, oneLine(err.Error()), pause != nil)
	case err != nil:
		return unanswered(err)
	}
	p.Log.Info("job submitted", "job", j.ID, "name", j.Name, "stage", j.Stage, "submit", sub.ID,
		"attempt", j.Attempts+1, "queue_id", id)
	return p.Store.SubmitAccepted(ctx, sub.ID, id)
}

// refused records that the queue manager will not have a job. A queue that has
// none at all would go through the whole survey in one pass.
func (p *Pooler) refused(ctx context.Context, sub pipeline.Submit, why string, probe bool) error {
	if probe {
		return p.takeBack(ctx, sub, jobtracker.End{Details: why, EndedAt: p.Now()}, pauseFault)
	}
	if err := p.Store.SubmitRefused(ctx, sub, why); err != nil {
		return err
	}
	return p.tripIfDue(ctx)
}

// unlessStale drops an error which says that an operator was quicker.
func unlessStale(err error) error {
	if errors.Is(err, pipeline.ErrStale) {
		return nil
	}
	return err
}

// errCannotRun marks what is wrong with the job itself, before the queue
// manager is asked.
var errCannotRun = errors.New("the job cannot run")

// prepare makes the submission of a job: its inputs are looked at, its output
// directory and its unique name are chosen.
func (p *Pooler) prepare(ctx context.Context, j pipeline.Job) (spec queue.Spec, outputDir string, err error) {
	stage, ok := p.Config.Stage(j.Stage)
	if !ok {
		return spec, "", fmt.Errorf("%w: the configuration has no stage %q", errCannotRun, j.Stage)
	}
	inputs, err := p.inputs(ctx, j)
	if err != nil {
		return spec, "", err
	}
	if outputDir, err = p.outputDir(ctx, stage, j); err != nil {
		return spec, "", err
	}
	before, err := p.Store.RanOut(ctx, j.ID)
	if err != nil {
		return spec, "", err
	}
	name := fmt.Sprintf("%s-%d-%s", p.Config.JobPooler.JobBasename, j.ID, strings.ToLower(rand.Text()[:8]))
	env := make(map[string]string)
	maps.Copy(env, stage.Env)
	maps.Copy(env, worker.Environment(inputs, outputDir, p.Config.Processing.BaseWorkingDirectory, name))
	return queue.Spec{
		Name:      name,
		Command:   p.command(stage),
		Env:       env,
		Stdout:    StdoutPath(p.Config, name),
		Stderr:    StderrPath(p.Config, name),
		Resources: request(stage, j, before),
		Args:      stage.QueueArgs,
	}, outputDir, nil
}

// inputs returns the paths of a job's raw data, all of them there and whole.
func (p *Pooler) inputs(ctx context.Context, j pipeline.Job) ([]string, error) {
	files, err := p.Store.JobFiles(ctx, j.ID)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, f := range files {
		if err := checkInput(f); err != nil {
			return nil, err
		}
		paths = append(paths, f.Path)
	}
	return paths, nil
}

func checkInput(f pipeline.File) error {
	switch {
	case f.DeleteWanted || f.Status == pipeline.Deleted:
		return fmt.Errorf("%w: its input %s is deleted", errCannotRun, f.Filename)
	case strings.Contains(f.Path, ";"):
		return fmt.Errorf("%w: a ';' separates the paths in DATAFILES, and %s has one in it", errCannotRun, f.Path)
	}
	st, err := os.Stat(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := aloneMissing(f.Path); err != nil {
			return held(err)
		}
		return fmt.Errorf("%w: its input %s is not there", errCannotRun, f.Path)
	case err != nil:
		return held(fmt.Errorf("its input: %w", err))
	case !st.Mode().IsRegular():
		return fmt.Errorf("%w: its input %s is no regular file", errCannotRun, f.Path)
	case st.Size() != f.Size:
		return fmt.Errorf("%w: its input %s has %d bytes, not %d", errCannotRun, f.Path, st.Size(), f.Size)
	}
	return nil
}

// aloneMissing returns nil if a file is missing from a directory that has
// others. A directory that is missing or empty may be a disk that is not mounted.
func aloneMissing(path string) error {
	const hint = "is its disk mounted? If the file is gone for good, kill the job"
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("its input %s is not there, nor is its directory (%w): %s", path, err, hint)
	}
	defer dir.Close()
	if _, err := dir.Readdirnames(1); err != nil {
		return fmt.Errorf("its input %s is not there, and its directory is empty (%w): %s", path, err, hint)
	}
	return nil
}

// outputDir expands the stage's template into a directory that no submit ever
// had; two submits of a job within a second get different ones.
func (p *Pooler) outputDir(ctx context.Context, stage config.Stage, j pipeline.Job) (string, error) {
	relative, err := stage.ExpandOutputDir(j.Metadata, int64(j.ID), p.Now())
	if err != nil {
		return "", fmt.Errorf("%w: %w", errCannotRun, err)
	}
	base := filepath.Join(p.Config.JobPooler.BaseResultsDirectory, relative)
	for n, dir := 1, base; ; n, dir = n+1, fmt.Sprintf("%s.%d", base, n+1) {
		taken, err := p.Store.OutputDirTaken(ctx, dir)
		if err != nil {
			return "", err
		} else if taken {
			continue
		}
		switch _, err := os.Lstat(dir); {
		case errors.Is(err, fs.ErrNotExist):
			return dir, nil
		case errors.Is(err, syscall.ENAMETOOLONG):
			return "", fmt.Errorf("%w: its output directory: %w", errCannotRun, err)
		case err != nil:
			return "", held(fmt.Errorf("its output directory: %w", err))
		}
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

package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"longhaul/internal/commondb"
	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/results"
	"longhaul/internal/site"
)

func endOf(details string) jobtracker.End { return jobtracker.End{Details: details} }

// queueWorld is a world of today, as the queue manager lives in it.
func queueWorld(t *testing.T, change settings) (*world, queue.Manager) {
	t.Helper()
	w := newWorld(t, change)
	w.clock = time.Now()
	m, err := site.QueueManager(w.cfg, slog.New(slog.DiscardHandler))
	w.check(err)
	t.Cleanup(func() { w.awaitSupervisors() })
	t.Cleanup(func() { // no test leaves processes behind
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, sub := range must(w.store.Submits(ctx, jobtracker.Filter{}))(w) {
			if err := m.Delete(ctx, sub.QueueID); err != nil && !errors.Is(err, queue.ErrUnknown) {
				t.Error(err)
			}
		}
	})
	return w, m
}

// awaitSupervisors returns when no job of this world has a process.
func (w *world) awaitSupervisors() {
	w.t.Helper()
	spool := site.LocalSpool(w.cfg)
	until(w.t, "the supervisors to be gone", func() bool {
		lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
		w.check(err)
		return !slices.ContainsFunc(lines, func(path string) bool {
			line, err := os.ReadFile(path)
			return err == nil && strings.Contains(string(line), site.Supervise+"\x00"+spool)
		})
	})
}

// sleeper really submits a job, which sleeps.
func (w *world) sleeper(m queue.Manager, j pipeline.Job) pipeline.Submit {
	w.t.Helper()
	ctx := w.t.Context()
	pooler := w.as("jobpooler")
	j = must(pooler.Job(ctx, j.ID))(w)
	name := "sleeper-" + string(rune('a'+len(must(pooler.Submits(ctx, jobtracker.Filter{}))(w))))
	sub := must(pooler.BeginSubmit(ctx, j, name, "local", w.path("results", name)))(w)
	id := must(m.Submit(ctx, queue.Spec{Name: name, Command: []string{"/bin/sleep", "600"},
		Stdout: w.path("qsub", name+".out"), Stderr: w.path("qsub", name+".err")}))(w)
	w.check(pooler.SubmitAccepted(ctx, sub.ID, id))
	return must(pooler.Submit(ctx, sub.ID))(w)
}

func (w *world) phase(m queue.Manager, sub pipeline.Submit) queue.Phase {
	w.t.Helper()
	r := queue.Ref{ID: sub.QueueID, Name: sub.Name, Submitted: sub.SubmittedAt.Unix()}
	return must(m.Poll(w.t.Context(), []queue.Ref{r}))(w)[r].Phase
}

func TestStopJobsTakesAJobOutOfTheQueue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args     string
		submit   pipeline.Status
		job      pipeline.Status
		attempts int
		says     string
	}{
		"by queue ID":   {"sleeper-a", pipeline.RemovedByOperator, pipeline.Retrying, 0, "will be submitted again, and this attempt does not count"},
		"by submit":     {"-s 1", pipeline.RemovedByOperator, pipeline.Retrying, 0, "submit 1 sleeper-a: was running, out of the queue; job 1"},
		"as failed":     {"-q sleeper-a --fail", pipeline.Stopped, pipeline.Failed, 1, "job 1 failed, and this counts as an attempt"},
		"with a reason": {"sleeper-a --reason hangs", pipeline.RemovedByOperator, pipeline.Retrying, 0, "out of the queue"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, m := queueWorld(t, nil)
			sub := w.sleeper(m, w.job(1))
			until(t, "the job to run", func() bool { return w.phase(m, sub) == queue.Running })
			if out := w.ok("explain", "job", "1"); !strings.Contains(out, "is running") || !strings.Contains(out, "longhaul stop-jobs sleeper-a") {
				t.Errorf("explained as\n%s", out)
			}
			out := w.ok(append([]string{"stop-jobs"}, strings.Fields(c.args)...)...)
			if !strings.Contains(out, c.says) {
				t.Errorf("it says %s", out)
			}
			if got := w.phase(m, sub); got != queue.Finished {
				t.Errorf("in the queue it is %s", got)
			}
			job := must(w.store.Job(t.Context(), 1))(w)
			if got, _ := w.submitAndJob(1); got != c.submit || job.Status != c.job || job.Attempts != c.attempts {
				t.Errorf("submit %s, job %s, %d attempts; want %+v", got, job.Status, job.Attempts, c)
			}
			mine := w.history(pipeline.EntitySubmit, 1)
			if len(mine) != 1 || strings.Contains(c.args, "hangs") != strings.HasSuffix(mine[0].Note, ": hangs") {
				t.Errorf("history: %+v", mine)
			}
			if status, _, stderr := w.longhaul("stop-jobs", "sleeper-a"); status != exitFailed || !strings.Contains(stderr, "there is nothing to stop") {
				t.Errorf("stopped twice: exit status %d: %s", status, stderr)
			}
		})
	}
}

func TestKillJobsStopsAJobInTheQueueFirst(t *testing.T) {
	t.Parallel()
	w, m := queueWorld(t, nil)
	sub := w.sleeper(m, w.job(1))
	until(t, "the job to run", func() bool { return w.phase(m, sub) == queue.Running })
	out := w.ok("kill-jobs", "1", "--delete-rawdata", "--reason", "pulsar is known")
	if !strings.Contains(out, "was running, out of the queue, given up; 2 files of raw data to be deleted") {
		t.Errorf("it says %s", out)
	}
	if s, j := w.submitAndJob(1); w.phase(m, sub) != queue.Finished || j != pipeline.TerminalFailure || s != pipeline.Stopped {
		t.Errorf("queue %s, job %s, submit %s", w.phase(m, sub), j, s)
	}
}

func TestExplainSaysThatTheQueueIsFull(t *testing.T) {
	t.Parallel()
	w, m := queueWorld(t, settings{"max_jobs_running": "1", "max_jobs_queued": "1"})
	w.sleeper(m, w.job(1))
	w.job(2)
	w.job(3)
	w.daemonRuns("jobpooler")
	until(t, "the job to run", func() bool {
		running, _, err := m.Status(t.Context())
		return err == nil && running == 1
	})
	out := w.ok("explain", "job", "3")
	for _, want := range []string{"the queue is full: 1 running and 0 waiting of ours, 1 that have not been seen to end (max_jobs_running 1, max_jobs_queued 1)", "1 job is due before it", "Next: it is submitted by itself"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("not told %q:\n%s", want, out)
		}
	}
}

func TestAQueueManagerThatDoesNotAnswerChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for i := range 3 {
		w.runSubmit(w.job(i+1), "node1")
	}
	w.check(os.RemoveAll(w.path("state", "queue")))
	w.write("state", "queue", "in the way")
	for _, args := range []string{"stop-jobs -s 1 -s 2 -s 3", "kill-jobs 1 2 3"} {
		status, stdout, stderr := w.longhaul(strings.Fields(args)...)
		if status != exitFailed || stdout != "" || !strings.Contains(stderr, "queue manager") || !strings.HasSuffix(stderr, "longhaul: 1 of 3 could not be done, 2 were not tried\n") {
			t.Errorf("%s: exit status %d\n%s%s", args, status, stdout, stderr)
		}
	}
	for _, id := range []pipeline.SubmitID{1, 2, 3} {
		if s, j := w.submitAndJob(id); s != pipeline.Running || j != pipeline.Submitted {
			t.Errorf("submit %d is %s, its job %s", id, s, j)
		}
	}
	if out := w.ok("explain", "job", "1"); !strings.Contains(out, "the queue manager cannot be asked") || !strings.Contains(out, "longhaul preflight queue") {
		t.Errorf("explained as\n%s", out)
	}
}

func TestResultsAreTakenBackOnlyWhenTheyAreSurelyNotUploaded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ctx := t.Context()
	w.ok("init")
	for i := range 2 {
		sub := w.runSubmit(w.job(i+1), "node1")
		w.check(w.as("jobpooler").SubmitProcessed(ctx, sub, endOf("results are there")))
	}
	refused := func(why string, args ...string) {
		t.Helper()
		status, _, stderr := w.longhaul(append([]string{"stop-jobs"}, args...)...)
		if status != exitFailed || !strings.Contains(stderr, why) {
			t.Errorf("%v: exit status %d: %s; want %q", args, status, stderr, why)
		}
	}
	refused("--also-processed takes that back as well", "-s", "1")

	db := must(site.CommonDB(ctx, w.cfg))(w)
	must(db.Upload(ctx, commondb.Meta{Submit: "longhaul-2-aaaaaaaa", Job: "j", Stage: "quicklook"}, []results.Record{{Table: "headers",
		Values: map[string]any{"original_file": "a.fits"},
		Refs:   map[string]results.Record{"observation_id": {Table: "observations", Values: map[string]any{"obs_name": "a"}}}}}))(w)
	w.check(db.Close())
	refused("its results are in the common database", "-s", "2", "--also-processed")

	out := w.ok("stop-jobs", "-s", "1", "--also-processed")
	if !strings.Contains(out, "its results are not uploaded and stay in DIR/results/longhaul-1-aaaaaaaa") {
		t.Errorf("it says %s", out)
	}
	if s, j := w.submitAndJob(1); s != pipeline.RemovedByOperator || j != pipeline.Retrying {
		t.Errorf("submit %s, job %s", s, j)
	}
	w.daemonRuns("uploader")
	refused("stop the uploader first", "-s", "2", "--also-processed")
}

package jobtrackertest

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
)

// MakeJob makes a job of the wanted status for the stage "search", with two
// downloaded files. A submitted job is running.
func MakeJob(t testing.TB, store *jobtracker.Store, status pipeline.Status) pipeline.Job {
	t.Helper()
	ctx, j := t.Context(), MakeJobs(t, store, "search")[0]
	switch status {
	case pipeline.New:
	case pipeline.Submitted:
		submit(t, store, j, pipeline.Running)
	case pipeline.Processed, pipeline.Uploaded:
		submit(t, store, j, status)
	default:
		submit(t, store, j, pipeline.ProcessingFailed)
	}
	switch status {
	case pipeline.Retrying:
		must(t, store.RetryJob(ctx, j.ID, time.Time{}, "again", pipeline.Notice{}))
	case pipeline.TerminalFailure:
		must(t, store.GiveUpJob(ctx, j.ID, "given up", false, pipeline.Notice{}))
	}
	return wanted(t, got[pipeline.Job](t)(store.Job(ctx, j.ID)), func(j pipeline.Job) pipeline.Status { return j.Status }, status)
}

// MakeJobs makes one new job for each of the stages, all with the same two
// downloaded files.
func MakeJobs(t testing.TB, store *jobtracker.Store, stages ...string) []pipeline.Job {
	t.Helper()
	first := MakeFile(t, store, pipeline.Downloaded)
	second := MakeFile(t, store, pipeline.Downloaded, func(f *pipeline.File) { f.GroupKey = first.GroupKey })
	ids := got[[]pipeline.JobID](t)(store.CreateJobs(t.Context(), jobtracker.NewJob{
		Name: first.GroupKey, Product: first.Product, GroupKey: first.GroupKey, Metadata: first.Metadata,
		Stages: stages, Files: []pipeline.File{first, second},
	}))
	var jobs []pipeline.Job
	for _, id := range ids {
		jobs = append(jobs, got[pipeline.Job](t)(store.Job(t.Context(), id)))
	}
	return jobs
}

// MakeSubmit makes a job with one submit of the wanted status.
func MakeSubmit(t testing.TB, store *jobtracker.Store, status pipeline.Status) pipeline.Submit {
	t.Helper()
	return submit(t, store, MakeJob(t, store, pipeline.New), status)
}

// submit submits a job and takes the submit to the wanted status.
func submit(t testing.TB, store *jobtracker.Store, j pipeline.Job, status pipeline.Status) pipeline.Submit {
	t.Helper()
	ctx := t.Context()
	name := fmt.Sprintf("longhaul-%d-%d", j.ID, got[int64](t)(store.LastEvent(ctx)))
	sub := got[pipeline.Submit](t)(store.BeginSubmit(ctx, j, name, "local", filepath.Join(Dir(t, store), "results", name)))
	end := jobtracker.End{Details: "exit status 0", Node: "node1", StartedAt: sub.SubmittedAt, EndedAt: sub.SubmittedAt.Add(time.Minute)}
	switch status {
	case pipeline.Submitting:
	case pipeline.SubmissionFailed:
		must(t, store.SubmitRefused(ctx, sub, "no such queue"))
	default:
		must(t, store.SubmitAccepted(ctx, sub.ID, fmt.Sprintf("%d", 1000+sub.ID)))
		sub.Status = pipeline.Running
	}
	switch status {
	case pipeline.Processed, pipeline.Uploaded, pipeline.UploadFailed:
		must(t, store.SubmitProcessed(ctx, sub, end))
		sub.Status = pipeline.Processed
	case pipeline.ProcessingFailed:
		end.Details = "exit status 1"
		must(t, store.SubmitFailed(ctx, sub, end))
	case pipeline.Stopped, pipeline.RemovedByOperator:
		must(t, store.StopSubmit(ctx, sub, status == pipeline.Stopped, "test"))
	}
	switch status {
	case pipeline.Uploaded:
		must(t, store.SubmitUploaded(ctx, sub, "1.0", "committed", false))
	case pipeline.UploadFailed:
		must(t, store.UploadFailed(ctx, sub, "no results"))
	}
	return wanted(t, got[pipeline.Submit](t)(store.Submit(ctx, sub.ID)), func(s pipeline.Submit) pipeline.Status { return s.Status }, status)
}

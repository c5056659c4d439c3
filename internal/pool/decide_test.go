package pool_test

import (
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue/queuefake"
	"longhaul/internal/rawdata"
)

// notices returns the subjects and bodies of the notices of one kind.
func (r *rig) notices(kind pipeline.NoticeKind) (all []pipeline.Notice) {
	r.Helper()
	pending, err := r.store.PendingNotices(r.Context())
	r.must(err)
	for _, p := range pending {
		if p.Kind == kind {
			all = append(all, p.First...)
		}
	}
	return all
}

func TestRetriesWaitLongerEachTime(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *config.Config) {
		c.JobPooler.MaxAttempts = 6
		c.JobPooler.RetryWait, c.JobPooler.RetryWaitMax = config.Duration(time.Minute), config.Duration(5*time.Minute)
	})
	r.submitted(1)
	for i, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
		r.fake.End(r.last().Spec.Name, 1, "")
		r.pass()
		j := r.want(1, pipeline.Retrying, i+1)
		wait := j.NextTry.Sub(r.clock.Now())
		if wait < want*9/10 || wait > want*11/10 {
			t.Errorf("after failure %d it waits %v, want %v give or take a tenth", i+1, wait, want)
		}
		r.clock.Advance(wait - time.Millisecond)
		r.pass()
		r.want(1, pipeline.Retrying, i+1)
		r.clock.Advance(time.Millisecond)
		r.pass()
		r.want(1, pipeline.Submitted, i+1)
	}
}

func TestAJobIsGivenUpAfterMaxAttempts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		deleteRaw bool
	}{{"and its raw data is kept", false}, {"and its raw data is deleted if so configured", true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *config.Config) {
				c.JobPooler.MaxAttempts = 2
				c.Basic.DeleteRawdataOnTerminalFailure = tt.deleteRaw
			})
			file := r.one(1)
			for range 2 {
				r.retryTime()
				r.pass()
				r.fake.End(r.last().Spec.Name, 7, "line 1\nno zaplist for this day\n")
				r.pass()
			}
			r.wantDetails(1, pipeline.TerminalFailure, 2, "exit status 7: no zaplist for this day")
			r.wantSubmits(1, pipeline.ProcessingFailed, pipeline.ProcessingFailed)
			if n := len(r.notices(pipeline.NoticeFailure)); n != 1 {
				t.Errorf("%d notices of failures that are tried again, want 1", n)
			}
			given := r.notices(pipeline.NoticeTerminalFailure)
			if len(given) != 1 {
				t.Fatalf("%d notices of a job given up, want 1", len(given))
			}
			for _, words := range []string{"after 2 attempts", "no zaplist for this day", "line 1", "longhaul retry-jobs 1", file.Path, r.last().Spec.Name, r.last().Spec.Stderr} {
				if !strings.Contains(given[0].Body, words) {
					t.Errorf("the notice lacks %q:\n%s", words, given[0].Body)
				}
			}
			r.must(rawdata.Sweep(t.Context(), r.store, slog.New(slog.DiscardHandler)))
			if _, err := os.Stat(file.Path); os.IsNotExist(err) != tt.deleteRaw {
				t.Errorf("the raw data: %v; deleted should be %v", err, tt.deleteRaw)
			}
			r.retryTime()
			r.pass()
			if n := len(r.fake.Jobs()); n != 2 {
				t.Errorf("%d submissions, want max_attempts = 2", n)
			}
		})
	}
}

func TestAJobThatCannotBeSubmittedIsReportedWithoutAnOlderSubmitsLog(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *config.Config) { c.JobPooler.MaxAttempts = 2 })
	file := r.one(1)
	r.one(2) // keeps the directory from being empty
	r.pass()
	r.fake.End(r.fake.Jobs()[0].Spec.Name, 1, "an old story")
	r.pass()
	r.must(os.Remove(file.Path))
	r.retryTime()
	r.pass()
	r.pass()
	r.wantDetails(1, pipeline.TerminalFailure, 2, "is not there")
	body := r.notices(pipeline.NoticeTerminalFailure)[0].Body
	if strings.Contains(body, "an old story") || !strings.Contains(body, "is not there") {
		t.Errorf("the notice is about something else:\n%s", body)
	}
}

func TestAFailureIsReportedThoughTheQueueManagerIsDown(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *config.Config) { c.JobPooler.MaxAttempts = 1 })
	j := r.submitted(1)
	r.must(os.WriteFile(j.Spec.Stderr, []byte("from the disk\n"), 0o640))
	r.must(r.store.StopSubmit(t.Context(), r.submits(1)[0], true, "stuck"))
	r.fake.Down()
	r.pass() // has nothing to ask but the error log
	r.want(1, pipeline.TerminalFailure, 1)
	if body := r.notices(pipeline.NoticeTerminalFailure)[0].Body; !strings.Contains(body, "from the disk") {
		t.Errorf("the notice has no log:\n%s", body)
	}
}

func TestAFailedJobThatAnOperatorKillsIsLeftAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first, second := r.submitted(1), r.submitted(2)
	r.fake.End(first.Spec.Name, 1, "boom")
	r.fake.End(second.Spec.Name, 1, "boom")
	operator := jobtrackertest.Another(t, r.store, jobtracker.Options{Actor: "alice", Now: r.clock.Now})
	killed := false
	r.fake.Before(func(c queuefake.Call) error {
		if j := r.jobs()[0]; c.Op == queuefake.Errors && c.Name == first.Spec.Name && j.Status == pipeline.Failed && !killed {
			killed = true // the list of failed jobs is read, and its decision is not written
			return operator.KillJob(t.Context(), j, false, "hopeless")
		}
		return nil
	})
	r.pass()
	r.want(1, pipeline.TerminalFailure, 1)
	r.want(2, pipeline.Retrying, 1)
	if !killed {
		t.Error("the operator did not come to act")
	}
}

package jobtracker_test

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
)

func TestAGroupBecomesAJobOfEachStage(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		ctx := t.Context()
		a := jobtrackertest.MakeFile(t, s, pipeline.Downloaded, sized(10))
		b := jobtrackertest.MakeFile(t, s, pipeline.Added, sized(20))
		ungrouped, err := s.UngroupedFiles(ctx)
		if err != nil || len(ungrouped) != 2 {
			t.Fatalf("%d files to group, %v, want 2", len(ungrouped), err)
		}
		g := jobtracker.NewJob{
			Name: "G33", Product: "mock", GroupKey: "key", Metadata: map[string]string{"beam": "3"},
			Stages: []string{"search", "quicklook"}, Files: []pipeline.File{b, a},
		}
		ids, err := s.CreateJobs(ctx, g)
		if err != nil || len(ids) != 2 {
			t.Fatal(ids, err)
		}
		for i, id := range ids {
			j, err := s.Job(ctx, id)
			if err != nil || j.Stage != g.Stages[i] || j.Name != g.Name || j.Product != g.Product || j.GroupKey != g.GroupKey ||
				!maps.Equal(j.Metadata, g.Metadata) || j.Size != 30 || j.Status != pipeline.New {
				t.Errorf("job %d is %+v, %v", i, j, err)
			}
			files, err := s.JobFiles(ctx, id)
			if err != nil || len(files) != 2 || files[0].ID != a.ID || files[1].ID != b.ID {
				t.Errorf("its files are %+v, %v, want both, by name", files, err)
			}
		}
		if jobs, err := s.JobsOfFile(ctx, a.ID); err != nil || len(jobs) != 2 || jobs[0].ID != ids[0] {
			t.Errorf("the file's jobs are %+v, %v", jobs, err)
		}
		if ungrouped, _ := s.UngroupedFiles(ctx); len(ungrouped) != 0 {
			t.Errorf("%d files still to group", len(ungrouped))
		}

		// A file that has a job takes its whole group down.
		c := jobtrackertest.MakeFile(t, s, pipeline.Downloaded)
		g.Files = []pipeline.File{c, a}
		if _, err := s.CreateJobs(ctx, g); !errors.Is(err, pipeline.ErrStale) {
			t.Errorf("a group with a file that has a job: %v, want %v", err, pipeline.ErrStale)
		}
		if left, _ := s.UngroupedFiles(ctx); len(left) != 1 || left[0].ID != c.ID {
			t.Errorf("to group are %+v, want the file that was refused", left)
		}
		jobtrackertest.AssertInvariants(t, s)
	})
}

func TestDueJobsAreThoseWhoseTimeHasComeRetriesFirst(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		clock := jobtrackertest.NewClock()
		s := on.openWith(t, jobtracker.Options{Actor: "test", Now: clock.Now})
		ctx := t.Context()
		due := func(limit int) []pipeline.JobID {
			t.Helper()
			jobs, err := s.DueJobs(ctx, limit)
			if err != nil {
				t.Fatal(err)
			}
			var ids []pipeline.JobID
			for _, j := range jobs {
				ids = append(ids, j.ID)
			}
			return ids
		}
		first := jobtrackertest.MakeJob(t, s, pipeline.New).ID
		second := jobtrackertest.MakeJob(t, s, pipeline.New).ID
		failed := jobtrackertest.MakeJob(t, s, pipeline.Failed).ID
		if err := s.RetryJob(ctx, failed, clock.Now().Add(time.Hour), "later", pipeline.Notice{}); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name  string
			wait  time.Duration
			limit int
			want  []pipeline.JobID
		}{
			{"before its time", 59 * time.Minute, 10, []pipeline.JobID{first, second}},
			{"at its time", time.Minute, 10, []pipeline.JobID{failed, first, second}},
			{"two of them", 0, 2, []pipeline.JobID{failed, first}},
			{"one of them", 0, 1, []pipeline.JobID{failed}},
			{"none of them", 0, 0, nil},
		} {
			clock.Advance(tt.wait)
			if got := due(tt.limit); !slices.Equal(got, tt.want) {
				t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
			}
		}
	})
}

func TestAttemptsOfAJobCount(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		ctx := t.Context()
		for _, tt := range []struct {
			name string
			from pipeline.Status
			act  func(pipeline.Submit) error
			want int
		}{
			{"refused by the queue manager", pipeline.Submitting, func(sub pipeline.Submit) error { return s.SubmitRefused(ctx, sub, "") }, 1},
			{"never arrived", pipeline.Submitting, func(sub pipeline.Submit) error { return s.SubmitNeverArrived(ctx, sub, "") }, 0},
			{"ended badly", pipeline.Running, func(sub pipeline.Submit) error { return s.SubmitFailed(ctx, sub, jobtracker.End{}) }, 1},
			{"not uploaded", pipeline.Processed, func(sub pipeline.Submit) error { return s.UploadFailed(ctx, sub, "") }, 1},
			{"taken back", pipeline.Running, func(sub pipeline.Submit) error { return s.StopSubmit(ctx, sub, false, "") }, 0},
			{"taken back as failed", pipeline.Running, func(sub pipeline.Submit) error { return s.StopSubmit(ctx, sub, true, "") }, 1},
			{"taken back when processed", pipeline.Processed, func(sub pipeline.Submit) error { return s.StopSubmit(ctx, sub, false, "") }, 0},
		} {
			sub := jobtrackertest.MakeSubmit(t, s, tt.from)
			if err := tt.act(sub); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			if j, err := s.Job(ctx, sub.JobID); err != nil || j.Attempts != tt.want {
				t.Errorf("%s: the job has %d attempts, %v, want %d", tt.name, j.Attempts, err, tt.want)
			}
		}
		j := jobtrackertest.MakeJob(t, s, pipeline.TerminalFailure)
		if err := s.RetryGivenUpJob(ctx, j.ID, ""); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Job(ctx, j.ID); err != nil || j.Attempts != 1 || got.Attempts != 0 {
			t.Errorf("retried by hand, the attempts went from %d to %d, %v, want from 1 to 0", j.Attempts, got.Attempts, err)
		}
		jobtrackertest.AssertInvariants(t, s)
	})
}

func TestASubmitKeepsWhatIsKnownOfIt(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		clock := jobtrackertest.NewClock()
		s := on.openWith(t, jobtracker.Options{Actor: "test", Now: clock.Now})
		ctx := t.Context()
		began := clock.Now()
		sub, err := s.BeginSubmit(ctx, jobtrackertest.MakeJob(t, s, pipeline.New), "longhaul-1-1", "slurm", "/results/1")
		if err != nil || !sub.SubmittedAt.Equal(began) || sub.Status != pipeline.Submitting {
			t.Fatalf("%+v, %v", sub, err)
		}
		if kept, err := s.Submit(ctx, sub.ID); err != nil || kept != sub {
			t.Errorf("BeginSubmit returned %+v, the tracker has %+v, %v", sub, kept, err)
		}
		if taken, err := s.OutputDirTaken(ctx, "/results/1"); err != nil || !taken {
			t.Errorf("its output directory is taken: %v, %v", taken, err)
		}
		if taken, err := s.OutputDirTaken(ctx, "/results/2"); err != nil || taken {
			t.Errorf("another one is taken: %v, %v", taken, err)
		}
		for dir, want := range map[string]bool{"/results": true, "/results/1": false, "/result": false, "/results0": false, "": true} {
			if found, err := s.OutputDirsBeneath(ctx, dir); err != nil || found != want {
				t.Errorf("one beneath %q: %v, %v, want %v", dir, found, err, want)
			}
		}
		if n, err := s.LiveSubmits(ctx); err != nil || n != 1 {
			t.Errorf("%d submits are live, %v, want 1", n, err)
		}
		steps := []func() error{
			func() error { return s.SubmitAccepted(ctx, sub.ID, "4711") },
			func() error { return s.SubmitSeen(ctx, sub.ID, "node7", began.Add(time.Minute)) },
			func() error { return s.SubmitSeen(ctx, sub.ID, "", time.Time{}) }, // knows no more, forgets nothing
			func() error {
				return s.SubmitProcessed(ctx, sub, jobtracker.End{Details: "exit status 0", EndedAt: began.Add(time.Hour)})
			},
		}
		for _, step := range steps {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		sub, err = s.Submit(ctx, sub.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SubmitUploaded(ctx, sub, "v1", "committed", false); err != nil {
			t.Fatal(err)
		}
		got, err := s.SubmitsByQueueID(ctx, "4711")
		if err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		want := pipeline.Submit{
			ID: sub.ID, JobID: sub.JobID, Name: "longhaul-1-1", Manager: "slurm", QueueID: "4711", OutputDir: "/results/1",
			Status: pipeline.Uploaded, Details: "committed", Node: "node7", Version: "v1",
			SubmittedAt: began, StartedAt: began.Add(time.Minute), EndedAt: began.Add(time.Hour), CreatedAt: began, UpdatedAt: began,
		}
		if got[0] != want {
			t.Errorf("the submit is %+v, want %+v", got[0], want)
		}
		if all, err := s.SubmitsOf(ctx, sub.JobID); err != nil || len(all) != 1 || all[0] != want {
			t.Errorf("the job's submits are %+v, %v", all, err)
		}
		jobtrackertest.AssertInvariants(t, s)
	})
}

func TestTheRateOfRecentDownloads(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		clock := jobtrackertest.NewClock()
		s := on.openWith(t, jobtracker.Options{Actor: "test", Now: clock.Now})
		ctx := t.Context()
		if r, err := s.RecentRate(ctx, 10); err != nil || r != (jobtracker.RateSample{}) {
			t.Errorf("of no downloads: %+v, %v", r, err)
		}
		fetch := func(size, offset int64, took time.Duration) {
			t.Helper()
			f := jobtrackertest.MakeFile(t, s, pipeline.New, sized(size))
			a, err := s.StartAttempt(ctx, f, offset)
			if err != nil {
				t.Fatal(err)
			}
			clock.Advance(took)
			if err := s.EndTransfer(ctx, a, pipeline.Complete, size-offset, ""); err != nil {
				t.Fatal(err)
			}
			a.Status = pipeline.Complete
			if err := s.FileVerified(ctx, a, "sha256:00"); err != nil {
				t.Fatal(err)
			}
		}
		fetch(1e9, 0, time.Second) // too old to count
		fetch(1000, 0, 10*time.Second)
		fetch(3000, 2000, 10*time.Second) // resumed: 1000 bytes came
		want := jobtracker.RateSample{Downloads: 2, MeanSize: 2000, Rate: 100}
		if r, err := s.RecentRate(ctx, 2); err != nil || r != want {
			t.Errorf("%+v, %v, want %+v", r, err, want)
		}
	})
}

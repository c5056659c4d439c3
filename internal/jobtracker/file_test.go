package jobtracker_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
)

func sized(size int64) func(*pipeline.File) { return func(f *pipeline.File) { f.Size = size } }

func TestSpaceAddsUp(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		ctx := t.Context()
		expect := func(when string, want jobtracker.Space) {
			t.Helper()
			if got, err := s.Space(ctx); err != nil || got != want {
				t.Errorf("%s: %+v, %v, want %+v", when, got, err, want)
			}
		}
		expect("an empty tracker", jobtracker.Space{})
		f := jobtrackertest.MakeFile(t, s, pipeline.New, sized(100))
		expect("a new file", jobtracker.Space{Waiting: 100, Files: 1})
		a, err := s.StartAttempt(ctx, f, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Progress(ctx, a, 30); err != nil {
			t.Fatal(err)
		}
		expect("30 bytes of it", jobtracker.Space{OnDisk: 30, ToCome: 70, Files: 1})
		if err := s.FailTransfer(ctx, a, pipeline.DownloadFailed, 40, "cut", true); err != nil {
			t.Fatal(err)
		}
		expect("cut at 40", jobtracker.Space{OnDisk: 40, Waiting: 60, Files: 1})

		jobtrackertest.MakeFile(t, s, pipeline.Downloaded, sized(1000))
		jobtrackertest.MakeFile(t, s, pipeline.Unverified, sized(5000))
		for _, status := range []pipeline.Status{pipeline.Added, pipeline.TerminalFailure, pipeline.Deleted} {
			jobtrackertest.MakeFile(t, s, status, sized(1e6)) // none of the downloader's space
		}
		expect("with others", jobtracker.Space{OnDisk: 6040, Waiting: 60, Files: 2})
		if err := s.RetryFile(ctx, f.ID, time.Time{}, ""); err != nil {
			t.Fatal(err)
		}
		f, _ = s.File(ctx, f.ID)
		f.Size = 90
		if err := s.RelistFile(ctx, f); err != nil {
			t.Fatal(err)
		}
		expect("it shrank on the server", jobtracker.Space{OnDisk: 6000, Waiting: 90, Files: 2})
	})
}

func TestSpaceIsNeverNegative(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		f := jobtrackertest.MakeFile(t, s, pipeline.New, sized(100))
		a, err := s.StartAttempt(t.Context(), f, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Progress(t.Context(), a, 150); err != nil { // a server that sends more than it listed
			t.Fatal(err)
		}
		if got, _ := s.Space(t.Context()); got.ToCome != 0 || got.OnDisk != 150 {
			t.Errorf("%+v, want 150 bytes here and none to come", got)
		}
	})
}

func TestDueFilesAreThoseWhoseTimeHasCome(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		clock := jobtrackertest.NewClock()
		s := on.openWith(t, jobtracker.Options{Actor: "test", Now: clock.Now})
		ctx := t.Context()
		due := func(limit int) []pipeline.FileID {
			t.Helper()
			files, err := s.DueFiles(ctx, limit)
			if err != nil {
				t.Fatal(err)
			}
			var ids []pipeline.FileID
			for _, f := range files {
				ids = append(ids, f.ID)
			}
			return ids
		}
		first := jobtrackertest.MakeFile(t, s, pipeline.New).ID
		second := jobtrackertest.MakeFile(t, s, pipeline.New).ID
		failed := jobtrackertest.MakeFile(t, s, pipeline.Failed).ID
		if err := s.RetryFile(ctx, failed, clock.Now().Add(time.Hour), "later"); err != nil {
			t.Fatal(err)
		}
		if got := due(10); !slices.Equal(got, []pipeline.FileID{first, second}) {
			t.Errorf("before its time: %v, want %v", got, []pipeline.FileID{first, second})
		}
		clock.Advance(time.Hour)
		if got := due(10); !slices.Equal(got, []pipeline.FileID{failed, first, second}) {
			t.Errorf("at its time: %v, want %v", got, []pipeline.FileID{failed, first, second})
		}
		if got := due(2); !slices.Equal(got, []pipeline.FileID{failed, first}) {
			t.Errorf("two of them: %v, want %v", got, []pipeline.FileID{failed, first})
		}
		if got := due(1); !slices.Equal(got, []pipeline.FileID{failed}) {
			t.Errorf("one of them: %v, want %v", got, []pipeline.FileID{failed})
		}
	})
}

func TestAFileIsEnteredOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		ctx := t.Context()
		gone := jobtrackertest.MakeFile(t, s, pipeline.Deleted)
		here := jobtrackertest.MakeFile(t, s, pipeline.Downloaded)
		fresh := jobtrackertest.NewFile(t, s)
		again := []pipeline.File{fresh, fresh, here, gone}
		for want := 1; want >= 0; want-- {
			if n, err := s.EnterFiles(ctx, again, "found"); err != nil || n != want {
				t.Errorf("%d files entered, %v, want %d", n, err, want)
			}
		}
		names := []string{gone.Filename, here.Filename, fresh.Filename, "other", `quote"d`}
		known, err := s.KnownFilenames(ctx, names)
		if got := slices.Sorted(maps.Keys(known)); err != nil || !slices.Equal(got, slices.Sorted(slices.Values(names[:3]))) {
			t.Errorf("known are %q, %v, want %q", got, err, names[:3])
		}
		if known, err := s.KnownFilenames(ctx, nil); err != nil || len(known) != 0 {
			t.Errorf("of no names %v are known, %v", known, err)
		}

		// An operator may bring back what was deleted, but nothing that is in hand,
		// and then nothing at all is added.
		if err := s.AddFiles(ctx, []pipeline.File{gone, here}, ""); err == nil || !strings.Contains(err.Error(), here.Filename) {
			t.Errorf("adding a file that is in hand gave %v", err)
		}
		if err := s.AddFiles(ctx, []pipeline.File{gone}, "to be done again"); err != nil {
			t.Error(err)
		}
		back, err := s.FileByName(ctx, gone.Filename)
		if err != nil || back.ID == gone.ID || back.Status != pipeline.Added {
			t.Errorf("the file that came back is %d, %s, %v", back.ID, back.Status, err)
		}
		jobtrackertest.AssertInvariants(t, s)
	})
}

func TestAFileKeepsWhatItWasEnteredWith(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		want := jobtrackertest.NewFile(t, s, func(f *pipeline.File) {
			f.Checksum = "md5:ff"
			f.Filename = "name with 'quotes' and \xff bytes"
			f.Metadata["source"] = "G33.12+00.34.N\n\x00"
		})
		if _, err := s.EnterFiles(t.Context(), []pipeline.File{want}, ""); err != nil {
			t.Fatal(err)
		}
		got, err := s.FileByName(t.Context(), want.Filename)
		if err != nil {
			t.Fatal(err)
		}
		if got.RemoteFilename != want.RemoteFilename || got.Path != want.Path || got.Size != want.Size ||
			!got.ModTime.Equal(want.ModTime) || got.Checksum != want.Checksum || got.Product != want.Product ||
			got.GroupKey != want.GroupKey || !maps.Equal(got.Metadata, want.Metadata) || got.RequestID != 0 {
			t.Errorf("entered %+v, got %+v", want, got)
		}
		if got.CreatedAt.IsZero() || got.CreatedAt.Location() != time.UTC {
			t.Errorf("created at %v, want a time in UTC", got.CreatedAt)
		}
	})
}

func TestOperatorsDeleteOnlyWhatNoJobNeeds(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		ctx := t.Context()
		ofJob := func(status pipeline.Status) pipeline.FileID {
			files, err := s.JobFiles(ctx, jobtrackertest.MakeJob(t, s, status).ID)
			if err != nil || len(files) != 2 {
				t.Fatal(files, err)
			}
			return files[0].ID
		}
		for _, tt := range []struct {
			name string
			id   pipeline.FileID
			want error
		}{
			{"new", jobtrackertest.MakeFile(t, s, pipeline.New).ID, pipeline.ErrForbidden},
			{"being downloaded", jobtrackertest.MakeFile(t, s, pipeline.Downloading).ID, pipeline.ErrForbidden},
			{"deleted already", jobtrackertest.MakeFile(t, s, pipeline.Deleted).ID, pipeline.ErrForbidden},
			{"not there", 999, pipeline.ErrNotFound},
			{"without a job", jobtrackertest.MakeFile(t, s, pipeline.Downloaded).ID, nil},
			{"given up", jobtrackertest.MakeFile(t, s, pipeline.TerminalFailure).ID, nil},
			{"of a new job", ofJob(pipeline.New), pipeline.ErrForbidden},
			{"of a running job", ofJob(pipeline.Submitted), pipeline.ErrForbidden},
			{"of a job to upload", ofJob(pipeline.Processed), pipeline.ErrForbidden},
			{"of a failed job", ofJob(pipeline.Failed), pipeline.ErrForbidden},
			{"of a job to retry", ofJob(pipeline.Retrying), pipeline.ErrForbidden},
			{"of an uploaded job", ofJob(pipeline.Uploaded), nil},
			{"of a job that was given up", ofJob(pipeline.TerminalFailure), nil},
		} {
			if err := s.WantFileDeleted(ctx, tt.id, "no room"); !errors.Is(err, tt.want) {
				t.Errorf("a file %s: %v, want %v", tt.name, err, tt.want)
			}
		}
		todo, err := s.FilesToDelete(ctx)
		if err != nil || len(todo) != 4 {
			t.Fatalf("%d files to delete, %v, want 4", len(todo), err)
		}
		for _, f := range todo {
			if err := s.FileDeleted(ctx, f); err != nil {
				t.Error(err)
			}
		}
		if todo, _ := s.FilesToDelete(ctx); len(todo) != 0 {
			t.Errorf("%d files still to delete", len(todo))
		}
		jobtrackertest.AssertInvariants(t, s)
	})
}

func TestWhatIsToBeDeletedIsNotUsedAgain(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		ctx := t.Context()
		ungrouped := jobtrackertest.MakeFile(t, s, pipeline.Downloaded)
		given := jobtrackertest.MakeFile(t, s, pipeline.TerminalFailure)
		job := jobtrackertest.MakeJob(t, s, pipeline.TerminalFailure)
		input, err := s.JobFiles(ctx, job.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []pipeline.FileID{ungrouped.ID, given.ID, input[0].ID} {
			if err := s.WantFileDeleted(ctx, id, ""); err != nil {
				t.Fatal(err)
			}
		}
		g := jobtracker.NewJob{Name: "x", Stages: []string{"search"}, Files: []pipeline.File{ungrouped}}
		if _, err := s.CreateJobs(ctx, g); !errors.Is(err, pipeline.ErrStale) {
			t.Errorf("a job of it: %v, want %v", err, pipeline.ErrStale)
		}
		if left, err := s.UngroupedFiles(ctx); err != nil || len(left) != 0 {
			t.Errorf("%d files are to be grouped, %v", len(left), err)
		}
		if err := s.RetryFailedFile(ctx, given.ID, ""); !errors.Is(err, pipeline.ErrForbidden) {
			t.Errorf("another download of it: %v, want %v", err, pipeline.ErrForbidden)
		}
		if err := s.RetryGivenUpJob(ctx, job.ID, ""); !errors.Is(err, jobtracker.ErrRawDataGone) {
			t.Errorf("another try of its job: %v, want %v", err, jobtracker.ErrRawDataGone)
		}
		jobtrackertest.AssertInvariants(t, s)
	})
}

package jobtracker_test

import (
	"errors"
	"testing"

	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
)

func TestARequestGetsOneName(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		ctx := t.Context()
		id, err := s.BeginRequest(ctx, 5, 4, "mock")
		if err != nil {
			t.Fatal(err)
		}
		second, err := s.BeginRequest(ctx, 5, 4, "mock") // two can wait without a name
		if err != nil {
			t.Fatal(err)
		}
		if r, err := s.Request(ctx, id); err != nil || r.GUID != "" || r.Status != pipeline.Waiting || r.Number != 5 {
			t.Errorf("an intent is %+v, %v", r, err)
		}
		for _, tt := range []struct {
			name string
			id   pipeline.RequestID
			guid string
			want error
		}{
			{"the first name", id, "abc", nil},
			{"another name", id, "def", pipeline.ErrStale},
			{"the same name again", id, "abc", pipeline.ErrStale},
			{"another request's name", second, "abc", pipeline.ErrForbidden},
			{"a request that does not exist", 99, "xyz", pipeline.ErrNotFound},
			{"a failed request", jobtrackertest.MakeRequest(t, s, pipeline.Failed).ID, "xyz", pipeline.ErrStale},
		} {
			if err := s.NameRequest(ctx, tt.id, tt.guid); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
		}
		if r, err := s.Request(ctx, id); err != nil || r.GUID != "abc" {
			t.Errorf("the request is %+v, %v, want its first name", r, err)
		}
		if w, err := s.WaitingRequests(ctx); err != nil || len(w) != 2 || w[0].ID != id {
			t.Errorf("waiting are %+v, %v, want two, oldest first", w, err)
		}
		jobtrackertest.AssertInvariants(t, s)
	})
}

func TestAFinishedRequestEntersItsFilesOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		ctx := t.Context()
		known := jobtrackertest.MakeFile(t, s, pipeline.Deleted)
		fresh := jobtrackertest.NewFile(t, s, sized(300))
		r := jobtrackertest.MakeRequest(t, s, pipeline.Waiting)
		listed := []pipeline.File{known, fresh, fresh}
		if n, err := s.FinishRequest(ctx, r.ID, listed, "listed"); err != nil || n != 1 {
			t.Errorf("%d files entered, %v, want the one that is new", n, err)
		}
		r, err := s.Request(ctx, r.ID)
		if err != nil || r.Status != pipeline.Finished || r.Size != 300 || r.Details != "listed" {
			t.Errorf("the request is %+v, %v", r, err)
		}
		files, err := s.FilesOfRequest(ctx, r.ID)
		if err != nil || len(files) != 1 || files[0].Filename != fresh.Filename || files[0].RequestID != r.ID || files[0].Status != pipeline.New {
			t.Errorf("its files are %+v, %v", files, err)
		}

		// Too late: nothing is entered.
		other := jobtrackertest.NewFile(t, s)
		if _, err := s.FinishRequest(ctx, r.ID, []pipeline.File{other}, "again"); !errors.Is(err, pipeline.ErrStale) {
			t.Errorf("finished again: %v, want %v", err, pipeline.ErrStale)
		}
		if _, err := s.FileByName(ctx, other.Filename); !errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("a file of a refused listing: %v, want %v", err, pipeline.ErrNotFound)
		}
		jobtrackertest.AssertInvariants(t, s)
	})
}

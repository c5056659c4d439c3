package jobtracker_test

import (
	"testing"

	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
)

// A file that was given up and that the archive restores again, in another
// request's directory, must be found there when an operator retries it.
func TestAGivenUpFileLearnsWhereItIsNow(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		f := jobtrackertest.MakeFile(t, s, pipeline.TerminalFailure)
		again := f
		again.RemoteFilename, again.Size = "/another-guid/"+f.Filename, f.Size+1
		for range 2 { // the second time there is nothing to learn
			if n, err := s.EnterFiles(t.Context(), []pipeline.File{again}, "listed"); n != 0 || err != nil {
				t.Fatalf("EnterFiles = %d, %v, want none entered", n, err)
			}
		}
		got, err := s.File(t.Context(), f.ID)
		if err != nil || got.Status != pipeline.TerminalFailure || got.RemoteFilename != again.RemoteFilename || got.Size != again.Size {
			t.Errorf("the file is %s at %s with %d bytes, %v", got.Status, got.RemoteFilename, got.Size, err)
		}
		notes := 0
		events, err := s.Events(t.Context(), pipeline.EntityFile, int64(f.ID))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Became == "" {
				notes++
			}
		}
		if notes != 1 {
			t.Errorf("%d notes in its history, want one", notes)
		}
		jobtrackertest.AssertInvariants(t, s)
	})
}

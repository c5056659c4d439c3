package jobtracker_test

import (
	"testing"
	"time"

	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
)

// BenchmarkLook is one of the reads that daemons make all the time.
func BenchmarkLook(b *testing.B) {
	s := jobtrackertest.Open(b)
	jobtrackertest.MakeJob(b, s, pipeline.Submitted)
	for b.Loop() {
		if _, err := s.DueFiles(b.Context(), 10); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkChange is one change of a few rows, and its commit.
func BenchmarkChange(b *testing.B) {
	s := jobtrackertest.Open(b)
	sub := jobtrackertest.MakeSubmit(b, s, pipeline.Running)
	for b.Loop() {
		if err := s.SubmitSeen(b.Context(), sub.ID, "node1", time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkJob is a job of two files from the listing to its upload.
func BenchmarkJob(b *testing.B) {
	s := jobtrackertest.Open(b)
	for b.Loop() {
		jobtrackertest.MakeJob(b, s, pipeline.Uploaded)
	}
}

package pipeline_test

import (
	"slices"
	"testing"

	"longhaul/internal/pipeline"
)

func TestMachinesHangTogether(t *testing.T) {
	t.Parallel()
	for _, m := range pipeline.Machines() {
		reached := map[pipeline.Status]bool{pipeline.Created: true}
		for range m.Transitions {
			for _, tr := range m.Transitions {
				reached[tr.To] = reached[tr.To] || reached[tr.From]
			}
		}
		for _, s := range m.Statuses() {
			if !reached[s] {
				t.Errorf("%s: no way leads to %s", m.Entity, s)
			}
		}
		type way struct {
			from, to pipeline.Status
			actor    string
		}
		seen := map[way]bool{}
		for _, tr := range m.Transitions {
			step := way{tr.From, tr.To, tr.Actor}
			if seen[step] || tr.From == tr.To || tr.To == pipeline.Created {
				t.Errorf("%s: %q to %q is there twice, or goes nowhere", m.Entity, tr.From, tr.To)
			}
			seen[step] = true
			if tr.When == "" || !slices.Contains([]string{"downloader", "jobpooler", "uploader", "operator"}, tr.Actor) {
				t.Errorf("%s: %q to %q is made by %q, when %q", m.Entity, tr.From, tr.To, tr.Actor, tr.When)
			}
		}
		if len(m.Final()) == 0 {
			t.Errorf("%s: no end", m.Entity)
		}
	}
}

func TestWhatAMachineAllows(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		entity   pipeline.Entity
		from, to pipeline.Status
		want     bool
	}{
		{pipeline.EntityJob, pipeline.Created, pipeline.New, true},
		{pipeline.EntityJob, pipeline.New, pipeline.Submitted, true},
		{pipeline.EntityJob, pipeline.New, pipeline.Uploaded, false},
		{pipeline.EntityJob, pipeline.Uploaded, pipeline.Retrying, false},
		{pipeline.EntityFile, pipeline.Downloading, pipeline.Downloaded, false},
		{pipeline.EntityFile, pipeline.Deleted, pipeline.New, false},
		{pipeline.EntitySubmit, pipeline.Submitting, pipeline.Processed, false},
		{pipeline.EntitySystem, pipeline.Created, pipeline.New, false},
		{"nonsense", pipeline.Created, pipeline.New, false},
	} {
		if got := pipeline.MachineOf(tt.entity).Allows(tt.from, tt.to); got != tt.want {
			t.Errorf("%s from %q to %q: %v, want %v", tt.entity, tt.from, tt.to, got, tt.want)
		}
	}
}

func TestWhatNothingLeaves(t *testing.T) {
	t.Parallel()
	for entity, want := range map[pipeline.Entity][]pipeline.Status{
		pipeline.EntityRequest: {pipeline.Finished, pipeline.Failed},
		pipeline.EntityFile:    {pipeline.Deleted},
		pipeline.EntityAttempt: {pipeline.DownloadFailed, pipeline.NoRemoteFile, pipeline.Downloaded, pipeline.VerificationFailed},
		pipeline.EntityJob:     {pipeline.Uploaded},
		pipeline.EntitySubmit:  {pipeline.Stopped, pipeline.RemovedByOperator, pipeline.Uploaded, pipeline.UploadFailed},
	} {
		if got := pipeline.MachineOf(entity).Final(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", entity, got, want)
		}
	}
}

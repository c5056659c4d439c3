package upload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"longhaul/internal/pipeline"
)

// workKey names a job's work such that it is the same for all its submits, and
// also for the submits of a job-tracker that was restored from an old backup
// and does not know that the work was done: the survey, the stage, the very
// input files, the software, and how often an operator had them processed.
func (u *Uploader) workKey(ctx context.Context, job pipeline.Job, version string) (string, error) {
	inputs, err := u.Store.JobFiles(ctx, job.ID)
	if err != nil {
		return "", err
	}
	generation, err := u.Store.JobGeneration(ctx, job)
	if err != nil {
		return "", err
	}
	type input struct {
		Name string
		Size int64
	}
	work := struct {
		Institution, Survey, Stage, Product, Group, Version string
		Generation                                          int
		Inputs                                              []input
	}{u.Config.Basic.Institution, u.Config.Basic.Survey, job.Stage, job.Product, job.GroupKey, version, generation, nil}
	for _, f := range inputs {
		work.Inputs = append(work.Inputs, input{f.Filename, f.Size})
	}
	slices.SortFunc(work.Inputs, func(a, b input) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	text, err := json.Marshal(work)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

package builtin

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"longhaul/internal/search/accelcands"
	"longhaul/internal/search/draw"
	"longhaul/internal/search/fold"
	"longhaul/internal/search/plan"
	"longhaul/internal/search/sift"
	"longhaul/internal/search/stream"
)

// Folded is a candidate that was folded.
type Folded struct {
	accelcands.Candidate
	Fold *fold.Result
	Plot string // file name
}

// siftCandidates chooses, and writes the list if anything is left.
func (j *job) siftCandidates(f *findings) error {
	list, out := sift.Sift(slices.Concat(f.low...), slices.Concat(f.high...), j.plan.DMs(), j.set.Sifting())
	j.sum.Sifted = list
	j.opt.Log.Info("candidates sifted", "left", len(list), "sifted_out", fmt.Sprintf("%+v", out))
	if len(list) == 0 {
		return nil
	}
	j.files.list = j.base + ".accelcands"
	return j.write(j.files.list, []byte(accelcands.Format(list, accelcands.PALFA)))
}

// foldCandidates folds the candidates at or above the threshold, the first of
// the list, while the observation is read once, and draws them.
func (j *job) foldCandidates(ctx context.Context) error {
	for _, c := range j.sum.Sifted {
		if c.Sigma >= j.set.ToPrepfoldSigma && len(j.sum.Folded) < j.set.MaxCandsToFold {
			j.sum.Folded = append(j.sum.Folded, Folded{Candidate: c, Plot: strings.TrimSuffix(c.PFD(), ".pfd") + ".png"})
		}
	}
	var targets []fold.Target
	for _, c := range j.sum.Folded {
		targets = append(targets, j.target(c.Candidate))
	}
	archives, err := fold.Fold(ctx, j.src, targets, j.opt.Workers)
	if err != nil {
		return err
	}
	errs := make([]error, len(archives))
	stream.Parallel(j.opt.Workers, len(archives), func(_, i int) {
		if errs[i] = ctx.Err(); errs[i] == nil {
			j.sum.Folded[i].Fold = fold.Refine(archives[i])
			errs[i] = j.drawCandidate(j.sum.Folded[i])
		}
	})
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("candidate %d: %w", i+1, err)
		}
	}
	return nil
}

// target says how a candidate is folded. Its frequency is that of the middle of
// the padded series, and there it drifts by Z bins.
func (j *job) target(c accelcands.Candidate) fold.Target {
	seconds := c.R * c.Period / 1000
	f1 := c.Z / (seconds * seconds)
	t := fold.Target{
		F0: (c.R - c.Z/2) / seconds, F1: f1, DM: c.DM, Rules: fold.RulesFor(c.Period / 1000), Subbands: 64,
	}
	if strings.EqualFold(strings.TrimSpace(j.about.Backend), "pdev") {
		t.Subbands = 96
	}
	if j.set.FoldRawdata {
		return t
	}
	pass := j.passOf(c.DM)
	t.Downsample = pass.Downsample
	if j.set.UseSubbands {
		t.SubDM, t.SubSubbands = pass.SubDM, pass.Subbands
	}
	return t
}

// passOf is the pass in which a DM was searched.
func (j *job) passOf(dm float64) plan.Pass {
	best := plan.Pass{Downsample: 1}
	off := math.Inf(1)
	for _, p := range j.plan.Passes() {
		for _, x := range p.DMs {
			if d := math.Abs(x - dm); d < off {
				best, off = p, d
			}
		}
	}
	return best
}

func (j *job) drawCandidate(c Folded) error {
	png, err := draw.Candidate(j.about, draw.Found{
		Name: fmt.Sprintf("ACCEL_Cand_%d", c.Number), Sigma: c.Sigma, SNR: c.SNR, Harmonics: c.Harmonics, Hits: len(c.Hits), Doppler: j.doppler,
	}, c.Fold)
	if err != nil {
		return err
	}
	return j.write(c.Plot, png)
}

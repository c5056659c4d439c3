package presto

import (
	"slices"

	"longhaul/internal/results"
	"longhaul/internal/search/accelcands"
	"longhaul/internal/search/catalog"
)

// candidates returns a row for each candidate that is uploaded, with its plot
// and its .pfd file.
func (d directory) candidates(f findings) ([]results.Record, error) {
	if len(f.folded) == 0 {
		return nil, nil
	}
	tarball, err := d.one("_pfd.tgz", "the .pfd files of the folded candidates")
	if err != nil {
		return nil, err
	}
	wanted := make(map[string]bool)
	for _, c := range f.folded {
		if wanted[c.PFD()] {
			return nil, d.invalid(f.list, "the candidate %s:%d is listed twice", c.AccelFile, c.Number)
		}
		wanted[c.PFD()] = true
	}
	pfds, err := d.unpack(tarball, wanted)
	if err != nil {
		return nil, err
	}
	var rows []results.Record
	for i, c := range f.folded {
		pfd, ok := pfds[c.PFD()]
		if !ok {
			return nil, d.invalid(tarball, "%s is not in it; the candidate is above to_prepfold_sigma and should have been folded", c.PFD())
		}
		row, err := d.candidate(i+1, c, pfd, tarball)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// candidate makes the row of one candidate: what folding found, and what
// sifting said of it. The DM is that of the fold.
func (d directory) candidate(num int, c accelcands.Candidate, pfd results.Blob, tarball string) (results.Record, error) {
	r, err := pfd.Open()
	if err != nil {
		return results.Record{}, err
	}
	defer r.Close()
	fold, err := ReadFold(r, pfd.Size)
	if err != nil {
		return results.Record{}, d.invalid(tarball, "%s: %w", pfd.Name, err)
	}
	png, err := d.blob(c.PFD() + ".png")
	if err != nil {
		return results.Record{}, err
	}
	topo, topoDot := Frequency(fold.TopoP, fold.TopoPdot)
	bary, baryDot := Frequency(fold.BaryP, fold.BaryPdot)
	row := results.Record{Table: "pdm_candidates", Values: map[string]any{
		"cand_num":  int64(num),
		"frequency": topo, "bary_frequency": bary,
		"period": 1 / topo, "bary_period": 1 / bary,
		"f_dot": topoDot, "bary_f_dot": baryDot,
		"dm": fold.BestDM, "snr": c.SNR,
		"coherent_power": c.CPow, "incoherent_power": c.IPow,
		"num_hits": int64(len(c.Hits)), "num_harmonics": int64(c.Harmonics),
		"presto_sigma": c.Sigma,
	}}
	row.Children = []results.Record{
		file("pdm_candidate_plots", "pdm_plot_types", catalog.PlotType, png),
		file("pdm_candidate_plots", "pdm_plot_types", catalog.PFDType, pfd),
	}
	return row, nil
}

// file is a row that holds a file and its type.
func file(table, types, kind string, b results.Blob) results.Record {
	return results.Record{
		Table:  table,
		Values: map[string]any{"filename": b.Name},
		Blobs:  map[string]results.Blob{"filedata": b},
		Refs:   map[string]results.Record{"type_id": {Table: types, Values: map[string]any{"name": kind}}},
	}
}

// minSigmaFolded is the least significance of a candidate that has a plot, 0 if
// none has one. Each plot must be of a candidate.
func (d directory) minSigmaFolded(f findings) (float64, error) {
	plots := slices.Clone(f.plots)
	least := 0.0
	for _, c := range f.sifted {
		i := slices.Index(plots, c.PFD()+".png")
		if i < 0 {
			continue
		}
		if len(plots) == len(f.plots) || c.Sigma < least {
			least = c.Sigma
		}
		plots = slices.Delete(plots, i, i+1)
	}
	if len(plots) > 0 {
		return 0, d.invalid(plots[0], "it is the plot of no candidate in %s", f.list)
	}
	return least, nil
}

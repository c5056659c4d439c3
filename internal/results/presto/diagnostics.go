package presto

import (
	"errors"
	"regexp"

	"longhaul/internal/results"
)

// The diagnostics' names are those of the common database.

// diagnostics returns the rows of all diagnostics that there are: all fourteen,
// or two fewer for a search that found nothing or folded nothing.
func (d directory) diagnostics(f findings) ([]results.Record, error) {
	masked, err := d.maskedPercent()
	if err != nil {
		return nil, err
	}
	least, folded, err := d.minSigmaFolded(f)
	if err != nil {
		return nil, err
	}
	above := 0
	for _, c := range f.sifted {
		if c.Sigma >= f.params.ToPrepfoldSigma {
			above++
		}
	}
	longest, highest := 1/f.params.SiftingLongPeriod, 1/f.params.SiftingShortPeriod
	rows := []results.Record{
		numeric("RFI mask percentage", "Percentage of the data that is masked for interference.", masked),
		numeric("Num cands folded", "Number of candidates that were folded.", float64(len(f.plots))),
		numeric("Num cands produced", "Number of candidates that were left after sifting.", float64(len(f.sifted))),
		numeric("Num cands above threshold", "Number of candidates at or above the threshold for folding.", float64(above)),
		numeric("Sigma threshold", "Significance from which on candidates are folded.", f.params.ToPrepfoldSigma),
		numeric("Max cands allowed to fold", "Largest number of candidates that are folded.", float64(f.params.MaxCandsToFold)),
		numeric("Percent zapped total", "Percentage of the searched frequencies that is zapped.",
			percentZapped(f.zaps, longest, highest, highest-longest)),
		numeric("Percent zapped below 10 Hz", "Width that is zapped below 10 Hz, in percent of the searched frequencies above.",
			percentZapped(f.zaps, longest, 10, highest-10)),
		numeric("Percent zapped below 1 Hz", "Width that is zapped below 1 Hz, in percent of the searched frequencies above.",
			percentZapped(f.zaps, longest, 1, highest-1)),
	}
	if folded {
		rows = append(rows, numeric("Min sigma folded", "Least significance of a candidate that was folded.", least))
	}
	return d.binaries(rows, f)
}

// binaries adds the diagnostics that are files.
func (d directory) binaries(rows []results.Record, f findings) ([]results.Record, error) {
	png, err := d.one("rfifind.png", "the plot of the interference")
	if err != nil {
		return nil, err
	}
	for _, b := range []struct{ name, description, file string }{
		{"RFIfind png", "Plot of the interference that was found.", png},
		{"Accelcands list", "List of the candidates that were left after sifting.", f.list},
		{"Zaplist used", "Frequencies that were zapped.", f.zaplst},
		{"Search parameters", "Settings of the search.", paramsFile},
	} {
		if b.file == "" {
			continue
		}
		blob, err := d.blob(b.file)
		if err != nil {
			return nil, err
		}
		rows = append(rows, results.Record{
			Table:  "diagnostic_plots",
			Values: map[string]any{"filename": b.file},
			Blobs:  map[string]results.Blob{"filedata": blob},
			Refs:   diagnosticType(b.name, b.description, "binary"),
		})
	}
	return rows, nil
}

func numeric(name, description string, value float64) results.Record {
	return results.Record{
		Table:  "diagnostics",
		Values: map[string]any{"value": value},
		Refs:   diagnosticType(name, description, "numeric"),
	}
}

func diagnosticType(name, description, kind string) map[string]results.Record {
	return map[string]results.Record{"type_id": {Table: "diagnostic_types", Values: map[string]any{
		"name": name, "description": description, "kind": kind,
	}}}
}

// maskedPercent reads what rfifind said it masks. The file is its standard
// output, which the job keeps.
func (d directory) maskedPercent() (float64, error) {
	name, err := d.one("rfifind.out", "what rfifind said")
	if err != nil {
		return 0, err
	}
	text, err := d.text(name)
	if err != nil {
		return 0, err
	}
	percent, err := parseMasked(text)
	if err != nil {
		return 0, d.invalid(name, "%w", err)
	}
	return percent, nil
}

func parseMasked(text string) (float64, error) {
	m := regexp.MustCompile(`Number of  bad   intervals:.*\(\s*(\S+)%\)`).FindStringSubmatch(text)
	if m == nil {
		return 0, errors.New(`it has no line "Number of  bad   intervals: ... ( ...%)"`)
	}
	percent, err := finite(m[1])
	if err == nil && (percent < 0 || percent > 100) {
		err = errors.New("the percentage of bad intervals is not from 0 to 100")
	}
	return percent, err
}

package presto

import (
	"errors"
	"regexp"

	"longhaul/internal/results"
	"longhaul/internal/search/catalog"
)

// The diagnostics' names are those of the common database.

// diagnostics returns the rows of all diagnostics that there are: all fourteen,
// or two fewer for a search that found nothing or folded nothing.
func (d directory) diagnostics(f findings) ([]results.Record, error) {
	masked, err := d.maskedPercent()
	if err != nil {
		return nil, err
	}
	least, err := d.minSigmaFolded(f)
	if err != nil {
		return nil, err
	}
	var rows []results.Record
	for _, n := range catalog.Numbers(catalog.Facts{
		Masked: masked, Sifted: f.sifted, Zaps: f.zaps,
		Folded: len(f.plots), LeastFolded: least,
		ToPrepfoldSigma: f.params.ToPrepfoldSigma, MaxCandsToFold: f.params.MaxCandsToFold,
		ShortPeriod: f.params.SiftingShortPeriod, LongPeriod: f.params.SiftingLongPeriod,
	}) {
		rows = append(rows, results.Record{
			Table:  "diagnostics",
			Values: map[string]any{"value": n.Value},
			Refs:   diagnosticType(n.Diagnostic, "numeric"),
		})
	}
	return d.binaries(rows, f)
}

// binaries adds the diagnostics that are files.
func (d directory) binaries(rows []results.Record, f findings) ([]results.Record, error) {
	png, err := d.one("rfifind.png", "the plot of the interference")
	if err != nil {
		return nil, err
	}
	names := catalog.FileDiagnostics()
	for _, b := range []struct {
		catalog.Diagnostic
		file string
	}{
		{names.MaskPlot, png},
		{names.List, f.list},
		{names.Zaplist, f.zaplst},
		{names.Params, paramsFile},
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
			Refs:   diagnosticType(b.Diagnostic, "binary"),
		})
	}
	return rows, nil
}

func diagnosticType(d catalog.Diagnostic, kind string) map[string]results.Record {
	return map[string]results.Record{"type_id": {Table: "diagnostic_types", Values: map[string]any{
		"name": d.Name, "description": d.Description, "kind": kind,
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

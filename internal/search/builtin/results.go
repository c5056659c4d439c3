package builtin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"longhaul/internal/search/bary"
	"longhaul/internal/search/catalog"
	"longhaul/internal/search/fold"
)

// The files with fixed names.
const (
	resultsFile = "results.json"
	paramsFile  = "search_params.txt"
)

// files are the names of those that were written.
type files struct {
	mask, list   string
	infs, events string
	pulses       []pulsePlot
}

type pulsePlot struct{ file, kind string }

// record is a row of the common database, as results.json has it.
type record struct {
	Table    string            `json:"table"`
	Values   map[string]any    `json:"values"`
	Blobs    map[string]string `json:"blobs,omitempty"`
	Refs     map[string]record `json:"refs,omitempty"`
	Children []record          `json:"children,omitempty"`
}

// real is a float that stays one in JSON: 500 becomes 500.0, because a number
// without point and exponent is read as an integer.
type real float64

// MarshalJSON writes the shortest number that reads back as the same.
func (r real) MarshalJSON() ([]byte, error) {
	if x := float64(r); math.IsNaN(x) || math.IsInf(x, 0) {
		return nil, fmt.Errorf("%v is not a number", x)
	}
	b := strconv.AppendFloat(nil, float64(r), 'g', -1, 64)
	if !bytes.ContainsAny(b, ".e") {
		b = append(b, ".0"...)
	}
	return b, nil
}

// reals makes the floats of a row's values real.
func reals(values map[string]any) map[string]any {
	for name, v := range values {
		if x, ok := v.(float64); ok {
			values[name] = real(x)
		}
	}
	return values
}

// writeResults writes the settings, the zaplist, the report, and last the
// manifest.
func (j *job) writeResults() error {
	for name, text := range map[string]string{
		paramsFile:         j.set.Params(Engine),
		j.zaps.Name:        j.zaps.Text,
		j.base + ".report": j.report(),
	} {
		if err := j.write(name, []byte(text)); err != nil {
			return err
		}
	}
	observation, header := j.obs.Header.Columns()
	top := record{
		Table: "headers", Values: reals(header),
		Refs: map[string]record{"observation_id": {Table: "observations", Values: reals(observation)}},
	}
	top.Children = slices.Concat(j.candidateRows(), j.pulseRows(), j.diagnosticRows())
	return j.writeManifest(top)
}

// writeManifest writes results.json under another name and renames it.
func (j *job) writeManifest(top record) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(map[string]any{"format": "longhaul-results-1", "records": []record{top}}); err != nil {
		return err
	}
	if err := j.write(resultsFile+".part", b.Bytes()); err != nil {
		return err
	}
	return os.Rename(filepath.Join(j.opt.OutDir, resultsFile+".part"), filepath.Join(j.opt.OutDir, resultsFile))
}

// candidateRows are the folded candidates, the most significant first.
func (j *job) candidateRows() []record {
	all := slices.Clone(j.sum.Folded)
	slices.SortStableFunc(all, func(a, b Folded) int { return cmp.Compare(b.Sigma, a.Sigma) })
	var rows []record
	for i, c := range all {
		r := c.Fold
		values := map[string]any{
			"cand_num": i + 1, "frequency": r.F0, "period": 1 / r.F0, "f_dot": r.F1, "dm": r.BestDM, "snr": c.SNR,
			"coherent_power": c.CPow, "incoherent_power": c.IPow, "num_hits": len(c.Hits), "num_harmonics": c.Harmonics,
			"presto_sigma": c.Sigma,
		}
		if f0, f1, ok := j.barycentric(r); ok {
			values["bary_frequency"], values["bary_period"], values["bary_f_dot"] = f0, 1/f0, f1
		}
		rows = append(rows, record{
			Table: "pdm_candidates", Values: reals(values),
			Children: []record{fileRow("pdm_candidate_plots", "pdm_plot_types", catalog.PlotType, c.Plot)},
		})
	}
	return rows
}

// barycentric is the frequency at the barycentre, Hz, and its derivative, of
// which that of the telescope's motion is taken out.
func (j *job) barycentric(r *fold.Result) (f0, f1 float64, ok bool) {
	site, ok := bary.SiteOf(j.about.Telescope)
	if !ok {
		return 0, 0, false
	}
	h := j.obs.Header
	begin := site.Doppler(h.RADeg, h.DecDeg, h.TimestampMJD)
	end := site.Doppler(h.RADeg, h.DecDeg, h.TimestampMJD+r.Seconds/86400)
	f0 = r.F0 / begin
	return f0, (r.F1 - f0*(end-begin)/r.Seconds) / (begin * begin), true
}

// fileRow is a row that holds a file and its type.
func fileRow(table, types, kind, name string) record {
	return record{
		Table: table, Values: map[string]any{"filename": name}, Blobs: map[string]string{"filedata": name},
		Refs: map[string]record{"type_id": {Table: types, Values: map[string]any{"name": kind}}},
	}
}

func (j *job) pulseRows() []record {
	var rows []record
	for _, p := range j.files.pulses {
		rows = append(rows, fileRow("sp_plots", "sp_plot_types", p.kind, p.file))
	}
	return append(rows,
		fileRow("sp_files", "sp_file_types", catalog.InfType, j.files.infs),
		fileRow("sp_files", "sp_file_types", catalog.PulsesType, j.files.events))
}

func (j *job) diagnosticRows() []record {
	least := 0.0
	for i, c := range j.sum.Folded {
		if i == 0 || c.Sigma < least {
			least = c.Sigma
		}
	}
	kind := func(d catalog.Diagnostic, word string) map[string]record {
		return map[string]record{"type_id": {Table: "diagnostic_types", Values: map[string]any{
			"name": d.Name, "description": d.Description, "kind": word,
		}}}
	}
	var rows []record
	for _, n := range catalog.Numbers(catalog.Facts{
		Masked: j.sum.Masked, Sifted: j.sum.Sifted, Zaps: j.zaps.Zaps, Folded: len(j.sum.Folded), LeastFolded: least,
		ToPrepfoldSigma: j.set.ToPrepfoldSigma, MaxCandsToFold: j.set.MaxCandsToFold,
		ShortPeriod: j.set.SiftingShortPeriod, LongPeriod: j.set.SiftingLongPeriod,
	}) {
		rows = append(rows, record{Table: "diagnostics", Values: map[string]any{"value": real(n.Value)}, Refs: kind(n.Diagnostic, "numeric")})
	}
	names := catalog.FileDiagnostics()
	for _, f := range []struct {
		catalog.Diagnostic
		file string
	}{{names.MaskPlot, j.files.mask}, {names.List, j.files.list}, {names.Zaplist, j.zaps.Name}, {names.Params, paramsFile}} {
		if f.file != "" {
			rows = append(rows, record{
				Table: "diagnostic_plots", Values: map[string]any{"filename": f.file},
				Blobs: map[string]string{"filedata": f.file}, Refs: kind(f.Diagnostic, "binary"),
			})
		}
	}
	return rows
}

// report says how long the steps took.
func (j *job) report() string {
	var b strings.Builder
	total := 0.0
	for _, s := range j.sum.Steps {
		total += s.Took.Seconds()
	}
	fmt.Fprintf(&b, "%s was searched by the %s engine\n", j.base, Engine)
	fmt.Fprintf(&b, "Fraction of data masked: %.3f%%\n", j.sum.Masked)
	fmt.Fprintf(&b, "DMs searched: %d\n", len(j.plan.DMs()))
	fmt.Fprintf(&b, "Candidates sifted: %d, folded: %d\n", len(j.sum.Sifted), len(j.sum.Folded))
	fmt.Fprintf(&b, "Single pulses: %d\n", j.sum.Pulses)
	for _, s := range j.sum.Steps {
		fmt.Fprintf(&b, "%20s time = %7.1f s (%5.2f%%)\n", s.Name, s.Took.Seconds(), 100*s.Took.Seconds()/max(total, 1e-9))
	}
	return b.String()
}

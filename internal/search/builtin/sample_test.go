package builtin

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"longhaul/internal/results"
	"longhaul/internal/search"
	"longhaul/internal/search/accelcands"
	"longhaul/internal/search/plan"
	"longhaul/internal/search/zap"
)

const (
	sampleFile = "../testdata/p2030.20141121.G45.00+00.00.N.b3.00100.fits"
	sampleBase = "p2030.20141121.G45.00+00.00.N.b3.00100"
)

// samplePlan is a part of the DMs at which PRESTO searched the sample observation.
func samplePlan() plan.Plan {
	return plan.Plan{{LoDM: 40, DMStep: 1, DMsPerPass: 11, Passes: 1, Subbands: 96, Downsample: 1}}
}

// sampleSettings are those with which PRESTO searched it.
func sampleSettings() search.Settings {
	s := search.Defaults()
	s.RfifindChunkTime = 2
	s.LoAccel.Numharm = 8
	return s
}

// TestTheSamplesPulsarIsTheBestCandidate: PRESTO found it at DM 45 with 22.22
// sigma. It was put there with 89.7000 ms. The search with acceleration goes
// less far here than in PRESTO's run, to save time.
func TestTheSamplesPulsarIsTheBestCandidate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := sampleSettings()
	s.HiAccel.Zmax = 2
	sum, err := Run(t.Context(), Options{
		DataFiles: []string{sampleFile}, OutDir: dir, Settings: s, Plan: samplePlan(),
		Zaplists: zap.Place{Dir: "../testdata"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(sum.Folded) == 0 {
		t.Fatal("nothing was folded")
	}
	best := sum.Folded[0]
	p, _ := best.Fold.Period()
	perr, _ := best.Fold.PeriodErrors()
	if math.Abs(best.Sigma/22.22-1) > 0.05 || math.Abs(best.DM-45) > 1 || math.Abs(p-0.0897) > 4*perr || perr > 1e-6 {
		t.Errorf("the best candidate is %+v with a period of %v ± %v", best.Candidate, p, perr)
	}
	if best.Fold.Sigma < 20 || len(best.Hits) != 11 || best.Harmonics != 8 || math.Abs(best.CPow/2188-1) > 0.1 {
		t.Errorf("the best candidate is %+v, folded with %v sigma", best.Candidate, best.Fold.Sigma)
	}
	// rfifind masked 1.237 %: the channel with mains, and a quarter of the burst.
	if sum.Masked < 1.2 || sum.Masked > 2.5 {
		t.Errorf("%v %% are masked", sum.Masked)
	}
	text, err := os.ReadFile(filepath.Join(dir, sampleBase+".accelcands"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := accelcands.Parse(string(text))
	if err != nil || len(list) != len(sum.Sifted) || list[0].AccelFile != best.AccelFile {
		t.Errorf("the list has %d candidates, %v", len(list), err)
	}
	// PRESTO's list has these as well, 7.5 to 9.2 sigma: multiples of the pulsar's
	// frequency over small numbers.
	for _, want := range []float64{25.6285, 33.636} {
		if !slices.ContainsFunc(list, func(c accelcands.Candidate) bool { return math.Abs(c.Period/want-1) < 1e-4 && c.Sigma > 7 }) {
			t.Errorf("there is no candidate of %v ms", want)
		}
	}
	checkManifest(t, dir, sum)
}

// checkManifest reads the results the way an upload does.
func checkManifest(t *testing.T, dir string, sum *Summary) results.Record {
	t.Helper()
	reader, err := results.NewManifest(0)
	if err != nil {
		t.Fatal(err)
	}
	records, err := reader.Read(t.Context(), results.Source{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != 1 || records[0].Table != "headers" {
		t.Fatalf("the manifest has %d records", len(records))
	}
	count := make(map[string]int)
	num := int64(0)
	sigma := math.Inf(1)
	for _, r := range records[0].Children {
		count[r.Table]++
		if r.Table != "pdm_candidates" {
			continue
		}
		num++
		if r.Values["cand_num"] != num || r.Values["presto_sigma"].(float64) > sigma || len(r.Children) != 1 ||
			r.Children[0].Refs["type_id"].Values["name"] != "prepfold plot" || r.Children[0].Blobs["filedata"].Size < 10_000 {
			t.Errorf("candidate %d is %+v", num, r)
		}
		sigma = r.Values["presto_sigma"].(float64)
		f, p := r.Values["frequency"].(float64), r.Values["period"].(float64)
		if math.Abs(f*p-1) > 1e-12 {
			t.Errorf("candidate %d has %v Hz and %v s", num, f, p)
		}
		if b, ok := r.Values["bary_frequency"].(float64); !ok || math.Abs(b/f-1.0000666) > 1e-6 {
			t.Errorf("candidate %d has %v Hz at the barycentre, %v at the telescope", num, b, f)
		}
	}
	numbers, binaries := 9, 3
	if len(sum.Folded) > 0 {
		numbers++
	}
	if len(sum.Sifted) > 0 {
		binaries++
	}
	if count["pdm_candidates"] != len(sum.Folded) || count["sp_files"] != 2 || count["diagnostics"] != numbers || count["diagnostic_plots"] != binaries {
		t.Errorf("the rows are %v, of %d candidates folded", count, len(sum.Folded))
	}
	if sum.Pulses > 0 && count["sp_plots"] == 0 {
		t.Error("there are pulses, and no plot of them")
	}
	return records[0]
}

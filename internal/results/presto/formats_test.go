package presto

import (
	"bytes"
	"os"
	"slices"
	"testing"

	"longhaul/internal/search/accelcands"
)

func TestCandidatesAreChosenAsTheOriginalDoes(t *testing.T) {
	t.Parallel()
	c := func(sigma float64, n int) accelcands.Candidate {
		return accelcands.Candidate{AccelFile: "a_ACCEL_0", Number: n, Sigma: sigma}
	}
	all := []accelcands.Candidate{c(7, 1), c(9, 2), c(6, 3), c(7, 4), c(8, 5)}
	numbers := func(most int) (got []int) {
		for _, x := range choose(all, Params{ToPrepfoldSigma: 6, MaxCandsToFold: most}) {
			got = append(got, x.Number)
		}
		return got
	}
	if got := numbers(10); !slices.Equal(got, []int{2, 5, 1, 4}) {
		t.Errorf("chosen are %v, want 2 5 1 4: by sigma, equal ones in the order of the list, none at the threshold", got)
	}
	if got := numbers(2); !slices.Equal(got, []int{2, 1}) {
		t.Errorf("of two, chosen are %v, want 2 1: the first of the list, not the best", got)
	}
}

func TestAPfdOfAnotherLengthIsRefused(t *testing.T) {
	t.Parallel()
	head := pfdHead(t)
	if _, err := ReadFold(bytes.NewReader(head), 1_317_759); err != nil {
		t.Error(err)
	}
	for _, size := range []int64{1_317_758, 1_317_760, 48} {
		if _, err := ReadFold(bytes.NewReader(head), size); err == nil {
			t.Errorf("%d bytes were taken", size)
		}
	}
	if _, err := ReadFold(bytes.NewReader(head[:100]), 1_317_759); err == nil {
		t.Error("a head that is cut was taken")
	}
}

func TestAPfdWithoutAPositionIsRead(t *testing.T) {
	t.Parallel()
	head := pfdHead(t)
	i := bytes.Index(head, []byte("19:13:42"))
	older := slices.Concat(head[:i], head[i+32:])
	want, err := ReadFold(bytes.NewReader(head), 1_317_759)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadFold(bytes.NewReader(older), 1_317_759-32)
	if err != nil || got != want {
		t.Errorf("it is read as %+v, %v; want %+v", got, err, want)
	}
}

// pfdHead returns the first bytes of one of the sample's .pfd files.
func pfdHead(t testing.TB) []byte {
	t.Helper()
	name := beam + "_DM42.00_Z0_ACCEL_Cand_4.pfd"
	d := directory{ctx: t.Context(), path: "testdata/beam3", maxBlob: 1 << 30}
	blobs, err := d.unpack(beam+"_pfd.tgz", map[string]bool{name: true})
	if err != nil {
		t.Fatal(err)
	}
	data, err := blobs[name].ReadAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return data[:2000]
}

func FuzzReadFold(f *testing.F) {
	f.Add(pfdHead(f), int64(1_317_759))
	f.Fuzz(func(t *testing.T, head []byte, size int64) {
		fold, err := ReadFold(bytes.NewReader(head), size)
		if err != nil {
			return
		}
		if freq, _ := Frequency(fold.TopoP, fold.TopoPdot); !(freq > 0) {
			t.Errorf("a frequency of %v", freq)
		}
	})
}

func FuzzParseParams(f *testing.F) {
	text, err := os.ReadFile("testdata/beam3/search_params.txt")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := ParseParams(text); err == nil && (p.MaxCandsToFold < 0 || !(p.SiftingShortPeriod > 0)) {
			t.Errorf("settings without sense: %+v", p)
		}
	})
}

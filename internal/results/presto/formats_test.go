package presto

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

func parseFile(t *testing.T, path string) []Candidate {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all, err := ParseAccelcands(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestBothFormsOfTheListSayTheSame(t *testing.T) {
	t.Parallel()
	palfa := parseFile(t, "testdata/beam3/"+beam+".accelcands")
	later := parseFile(t, "testdata/presto6.accelcands")
	hits := 0
	for i := range later {
		for h := range later[i].Hits {
			if later[i].Hits[h].Sigma == 0 {
				t.Errorf("candidate %d, hit %d has no sigma", i, h)
			}
			later[i].Hits[h].Sigma = 0
			hits++
		}
	}
	if len(palfa) != 5 || hits != 58 {
		t.Errorf("%d candidates and %d hits, want 5 and 58", len(palfa), hits)
	}
	if !slices.EqualFunc(palfa, later, func(a, b Candidate) bool {
		same := slices.Equal(a.Hits, b.Hits)
		a.Hits, b.Hits = nil, nil
		return same && a.AccelFile == b.AccelFile && a.Number == b.Number && a.Sigma == b.Sigma &&
			a.DM == b.DM && a.SNR == b.SNR && a.IPow == b.IPow && a.CPow == b.CPow &&
			a.Period == b.Period && a.R == b.R && a.Z == b.Z && a.Harmonics == b.Harmonics
	}) {
		t.Errorf("they differ:\n%v\n%v", palfa, later)
	}
}

func TestAListThatIsNoneIsRefusedWithItsLine(t *testing.T) {
	t.Parallel()
	good := "x_DM45.00_ACCEL_0:1   45.00   46.37   22.22     8       281.8   2188.2     89.698546      730.62      0.00  (31)\n"
	for name, c := range map[string]struct{ text, says string }{
		"a hit first":      {"  DM= 30.00 SNR=18.62   ****\n", "line 1: a DM hit stands before"},
		"another line":     {good + "hello\n", "line 2: it is neither"},
		"a missing number": {strings.Replace(good, "22.22", "", 1), "line 1"},
		"not a number":     {strings.Replace(good, "22.22", "nan", 1), "line 1: nan is not a number"},
		"infinite":         {good + "  DM= inf SNR=18.62\n", "line 2: inf is not a number"},
		"a directory":      {"../" + good, "has a directory"},
		"a huge number":    {strings.Replace(good, ":1 ", ":99999999999999999999 ", 1), "out of range"},
	} {
		if _, err := ParseAccelcands(c.text); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: the error is %v, want it to say %q", name, err, c.says)
		}
	}
}

func TestCandidatesAreChosenAsTheOriginalDoes(t *testing.T) {
	t.Parallel()
	c := func(sigma float64, n int) Candidate {
		return Candidate{AccelFile: "a_ACCEL_0", Number: n, Sigma: sigma}
	}
	all := []Candidate{c(7, 1), c(9, 2), c(6, 3), c(7, 4), c(8, 5)}
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

func TestZapsAreClippedToTheRange(t *testing.T) {
	t.Parallel()
	zaps, err := ParseZaplist("# freq width\n 60 2\nB 8.5 1\n\n0.5 2 # low\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := percentZapped(zaps, 0.1, 100.1, 100); got != 2+1+1.4 {
		t.Errorf("%v %% are zapped, want 4.4", got)
	}
	if got := percentZapped(zaps, 0.1, 10, 90); got != (1+1.4)/90*100 {
		t.Errorf("%v %% are zapped below 10 Hz, want %v", got, (1+1.4)/90*100)
	}
	for _, bad := range []string{"60\n", "60 x\n", "60 -1\n", "nan 1\n", "60 1 2\n"} {
		if _, err := ParseZaplist("1 1\n" + bad); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: the error is %v", bad, err)
		}
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

func FuzzParseAccelcands(f *testing.F) {
	for _, path := range []string{"testdata/presto6.accelcands", "testdata/beam3/" + beam + ".accelcands"} {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseAccelcands(text)
		if err != nil {
			return
		}
		for _, c := range all {
			if strings.ContainsAny(c.PFD(), "/\n ") {
				t.Errorf("the file of a candidate is %q", c.PFD())
			}
		}
	})
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

func FuzzParseZaplist(f *testing.F) {
	f.Add("# freq width\n60.0 0.1\nB 11.1 0.01\n")
	f.Fuzz(func(t *testing.T, text string) {
		zaps, err := ParseZaplist(text)
		if err == nil && len(zaps) > strings.Count(text, "\n")+1 {
			t.Errorf("%d zaps in %q", len(zaps), text)
		}
	})
}

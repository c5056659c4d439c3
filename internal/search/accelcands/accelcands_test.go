package accelcands

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func mustRead(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func mustParse(t testing.TB, path string) []Candidate {
	t.Helper()
	all, err := Parse(mustRead(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

const (
	palfaList  = "testdata/palfa.accelcands"
	prestoList = "testdata/presto6.accelcands"
)

func TestBothDialectsSayTheSame(t *testing.T) {
	t.Parallel()
	palfa := mustParse(t, palfaList)
	later := mustParse(t, prestoList)
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

func TestAListIsWrittenByteForByteInBothDialects(t *testing.T) {
	t.Parallel()
	all := mustParse(t, prestoList)
	slices.Reverse(all[0].Hits) // it sorts them
	for path, d := range map[string]Dialect{prestoList: Presto, palfaList: PALFA} {
		got, want := strings.Split(Format(all, d), "\n"), strings.Split(mustRead(t, path), "\n")
		if len(got) != len(want) {
			t.Errorf("dialect %d has %d lines, want %d", d, len(got), len(want))
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("dialect %d, line %d is\n%q, want\n%q", d, i+1, got[i], want[i])
			}
		}
	}
}

func TestStarsOfAHitWithoutSignificanceAreThoseOfItsRatio(t *testing.T) {
	t.Parallel()
	c := Candidate{AccelFile: "x_ACCEL_0", Number: 1, Hits: []Hit{{DM: 30, SNR: 18.62}, {DM: 31, SNR: 19.39}}}
	if got := Format([]Candidate{c}, PALFA); !strings.Contains(got, "\n  DM= 30.00 SNR=18.62   ******\n  DM= 31.00 SNR=19.39   ******\n") {
		t.Errorf("the hits are\n%s", got)
	}
	c.Hits = c.Hits[:1]
	if got := Format([]Candidate{c}, PALFA); strings.Contains(got, "SNR=") || !strings.HasSuffix(got, "(1)\n") {
		t.Errorf("a single hit is listed:\n%s", got)
	}
}

func TestTextIsCentredAsPythonDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{{"ab", 4, " ab "}, {"ab", 5, "  ab "}, {"a", 4, " a  "}, {"a", 1, "a"}, {"abc", 2, "abc"}} {
		if got := center(c.text, c.width); got != c.want {
			t.Errorf("%q in %d is %q, want %q", c.text, c.width, got, c.want)
		}
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
		if _, err := Parse(c.text); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: the error is %v, want it to say %q", name, err, c.says)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, path := range []string{prestoList, palfaList} {
		f.Add(mustRead(f, path))
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := Parse(text)
		if err != nil {
			return
		}
		for _, c := range all {
			if strings.ContainsAny(c.PFD(), "/\n ") {
				t.Errorf("the file of a candidate is %q", c.PFD())
			}
		}
		Format(all, PALFA)
	})
}

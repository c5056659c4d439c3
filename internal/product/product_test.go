package product_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/pipeline"
	"longhaul/internal/product"
)

func palfa(t testing.TB) *product.Set {
	s, err := product.New([]config.Product{
		{
			Name:     "mock",
			Pattern:  `^4bit-(?P<projid>[Pp]\d{4})\.(?P<date>\d{8})\.(?P<source>.*)\.b(?P<beam>[0-7])s(?P<subband>[01])g0\.(?P<scan>\d{5})\.fits$`,
			GroupBy:  []string{"projid", "date", "source", "beam", "scan"},
			Complete: map[string][]string{"subband": {"0", "1"}},
			Ignore:   map[string][]string{"beam": {"7"}},
		},
		{
			Name:    "merged",
			Pattern: `^(?P<projid>[Pp]\d{4})\.(?P<date>\d{8})\.(?P<source>.*)\.b(?P<beam>[0-7])\.(?P<scan>\d{5})\.fits$`,
			GroupBy: []string{"projid", "date", "source", "beam", "scan"},
			Ignore:  map[string][]string{"beam": {"7"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRecognise(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, filename, product, key string
		ignored, ok                  bool
	}{
		{"half of a Mock pair", "4bit-p2030.20141121.G45.00+00.00.N.b3s0g0.00100.fits", "mock", "p2030/20141121/G45.00+00.00.N/3/00100", false, true},
		{"merged Mock", "p2030.20141121.G45.00+00.00.N.b3.00100.fits", "merged", "p2030/20141121/G45.00+00.00.N/3/00100", false, true},
		{"beam 7 is recognised and ignored", "p2030.20141121.G45.00+00.00.N.b7.00100.fits", "merged", "p2030/20141121/G45.00+00.00.N/7/00100", true, true},
		{"a stray file", "README.txt", "", "", false, false},
		{"a longer name does not pass for a shorter one", "p2030.20141121.G45.b3.00100.fits.part", "", "", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, ok := palfa(t).Recognise(tt.filename)
			if ok != tt.ok || m.Product != tt.product || m.GroupKey != tt.key || (m.Ignored != "") != tt.ignored {
				t.Errorf("Recognise(%s) = %+v, %v", tt.filename, m, ok)
			}
		})
	}
}

func file(t testing.TB, s *product.Set, name string) pipeline.File {
	m, ok := s.Recognise(name)
	if !ok {
		t.Fatalf("%s is not recognised", name)
	}
	return pipeline.File{Filename: name, Product: m.Product, GroupKey: m.GroupKey, Metadata: m.Metadata}
}

func TestGroup(t *testing.T) {
	t.Parallel()
	s := palfa(t)
	s0 := file(t, s, "4bit-p2030.20141121.A.b3s0g0.00100.fits")
	s1 := file(t, s, "4bit-p2030.20141121.A.b3s1g0.00100.fits")
	other := file(t, s, "4bit-p2030.20141121.A.b4s0g0.00100.fits")
	merged := file(t, s, "p2030.20141121.A.b3.00100.fits")
	capital := file(t, s, "4bit-P2030.20141121.A.b3s0g0.00100.fits")
	twice := s0
	twice.Filename = "4bit-p2030.20141121.A.b3s0g0.00100-copy.fits"
	foreign := pipeline.File{Filename: "x", Product: "gone", GroupKey: "x"}

	groups := s.Group([]pipeline.File{s0, other, merged, s1, capital})
	if len(groups) != 4 {
		t.Fatalf("%d groups, want 4: %+v", len(groups), groups)
	}
	if g := groups[0]; !g.Complete() || len(g.Files) != 2 || g.Name != "p2030.20141121.A.3.00100" {
		t.Errorf("the pair is %+v", g)
	}
	if _, has := groups[0].Metadata["subband"]; has || groups[0].Metadata["beam"] != "3" {
		t.Errorf("the pair's metadata is %v, want what both halves agree in", groups[0].Metadata)
	}
	if g := groups[1]; g.Complete() || !slices.Equal(g.Missing, []string{"subband=1"}) {
		t.Errorf("half a pair is %+v, want subband=1 missing", g)
	}
	if g := groups[2]; !g.Complete() || len(g.Files) != 1 {
		t.Errorf("the merged file is %+v", g)
	}
	if g := groups[3]; g.Complete() {
		t.Errorf("another project's half joined: %+v", g)
	}
	if g := s.Group([]pipeline.File{s0, twice, s1})[0]; g.Complete() || g.Wrong == "" {
		t.Errorf("a group with a part twice is %+v, want wrong", g)
	}
	if g := s.Group([]pipeline.File{foreign})[0]; g.Complete() || g.Wrong == "" {
		t.Errorf("a file of a product that is gone is %+v, want wrong", g)
	}
}

// Grouping twice as many files takes about twice as long; comparing all pairs
// would take four times as long. The benchmark shows the figures.
func BenchmarkGroup(b *testing.B) {
	s := palfa(b)
	for _, n := range []int{1_000, 1_000_000} {
		files := make([]pipeline.File, 0, n)
		for i := range n / 2 {
			for sub := range 2 {
				files = append(files, file(b, s, fmt.Sprintf("4bit-p2030.20141121.A.b3s%dg0.%05d.fits", sub, i%100000)))
				files[len(files)-1].GroupKey = fmt.Sprint(i)
			}
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				start := time.Now()
				if got := len(s.Group(files)); got != n/2 {
					b.Fatalf("%d groups", got)
				}
				b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(n), "ns/file")
			}
		})
	}
}

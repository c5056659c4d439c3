package product_test

import (
	"strings"
	"testing"

	"longhaul/internal/pipeline"
)

// FuzzRecognise: a name from a listing, whatever it is, makes a sound group of
// its own or is not recognised.
func FuzzRecognise(f *testing.F) {
	f.Add("4bit-p2030.20141121.G45.00+00.00.N.b3s0g0.00100.fits")
	f.Add("p2030.20141121.G45.b7.00100.fits")
	f.Add("p2030.20141121.a/../b.b3.00100.fits")
	f.Add("p2030.20141121.\xff.b3.00100.fits\n")
	f.Fuzz(func(t *testing.T, name string) {
		s := palfa(t)
		m, ok := s.Recognise(name)
		if !ok {
			return
		}
		if m.Product == "" || m.GroupKey == "" || m.Metadata["beam"] == "" {
			t.Errorf("%q is %+v", name, m)
		}
		if !strings.Contains(name, "/") && strings.Count(m.GroupKey, "/") != 4 {
			t.Errorf("%q has the group key %q, want five values", name, m.GroupKey)
		}
		file := pipeline.File{Filename: name, Product: m.Product, GroupKey: m.GroupKey, Metadata: m.Metadata}
		if groups := s.Group([]pipeline.File{file}); len(groups) != 1 || groups[0].Wrong != "" || len(groups[0].Files) != 1 {
			t.Errorf("%q makes %+v", name, groups)
		}
	})
}

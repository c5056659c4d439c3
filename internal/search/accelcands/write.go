package accelcands

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Dialect is a form of the list.
type Dialect int

// The dialects.
const (
	PALFA  Dialect = iota // hits without significance, as PALFA's reader wants them
	Presto                // hits with it, as PRESTO writes them since August 2013
)

// Format writes a list, in the order in which the candidates are given. Hits
// are sorted by DM, and not listed where there is but one.
//
// Each hit has a bar of stars, one for every 3 of its significance, or of its
// signal-to-noise ratio where the significance is not known, as in PRESTO
// before August 2013.
func Format(all []Candidate, d Dialect) string {
	var b strings.Builder
	b.WriteString("#")
	for _, title := range []struct {
		text  string
		width int
	}{
		{"file:candnum", 66}, {"DM", 9}, {"SNR", 8}, {"sigma", 8}, {"numharm", 9}, {"ipow", 9},
		{"cpow", 9}, {"P(ms)", 14}, {"r", 12}, {"z", 8}, {"numhits", 9},
	} {
		b.WriteString(center(title.text, title.width))
	}
	b.WriteString("\n")
	for _, c := range all {
		fmt.Fprintf(&b, "%-65s   %7.2f  %6.2f  %6.2f    %2d     %7.1f  %7.1f  %12.6f  %10.2f  %8.2f  (%d)\n",
			fmt.Sprintf("%s:%d", c.AccelFile, c.Number), c.DM, c.SNR, c.Sigma,
			c.Harmonics, c.IPow, c.CPow, c.Period, c.R, c.Z, len(c.Hits))
		if len(c.Hits) > 1 {
			formatHits(&b, c.Hits, d)
		}
	}
	return b.String()
}

func formatHits(b *strings.Builder, hits []Hit, d Dialect) {
	hits = slices.Clone(hits)
	slices.SortStableFunc(hits, func(x, y Hit) int { return cmp.Compare(x.DM, y.DM) })
	for _, h := range hits {
		bar := h.Sigma
		if bar == 0 {
			bar = h.SNR
		}
		fmt.Fprintf(b, "  DM=%6.2f SNR=%5.2f ", h.DM, h.SNR)
		if d == Presto {
			fmt.Fprintf(b, "Sigma=%5.2f ", h.Sigma)
		}
		b.WriteString("  " + strings.Repeat("*", int(min(max(bar/3, 0), 1000))) + "\n")
	}
}

// center puts a text into the middle of a field the way Python's str.center
// does: an odd blank goes to the left in an odd field, to the right in an even one.
func center(s string, width int) string {
	pad := max(width-len(s), 0)
	left := pad/2 + pad&width&1
	return strings.Repeat(" ", left) + s + strings.Repeat(" ", pad-left)
}

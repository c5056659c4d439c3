package presto

import (
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"longhaul/internal/results"
)

// pulseRange is a range of DMs that has a plot of its own.
type pulseRange struct {
	suffix   string
	from, to float64 // pc/cm^3
	kind     string  // in the common database
}

// pulseRanges are those of the survey. They overlap, so that a pulse at an edge
// is seen whole in one of them.
func pulseRanges() []pulseRange {
	return []pulseRange{
		{"DMs0-110_singlepulse.png", 0, 110, "PRESTO singlepulse per-beam plot (DMs 0 to 110)"},
		{"DMs100-310_singlepulse.png", 100, 310, "PRESTO singlepulse per-beam plot (DMs 100 to 310)"},
		{"DMs300-1000+_singlepulse.png", 300, math.Inf(1), "PRESTO singlepulse per-beam plot (DMs 300 and up)"},
	}
}

// singlePulses returns the rows of the plots and of the two tarballs. A range
// in which there is no single pulse has no plot; the original's uploader failed
// for such a beam.
func (d directory) singlePulses(findings) ([]results.Record, error) {
	infs, err := d.one("_inf.tgz", "the descriptions of the dedispersed time series")
	if err != nil {
		return nil, err
	}
	pulses, err := d.one("_singlepulse.tgz", "the single pulses of each DM")
	if err != nil {
		return nil, err
	}
	dms, err := d.dmsWithPulses(pulses)
	if err != nil {
		return nil, err
	}
	var rows []results.Record
	for _, r := range pulseRanges() {
		name, err := d.atMostOne(r.suffix, "single pulses against time and DM")
		if err != nil {
			return nil, err
		}
		if name == "" {
			if dm, found := within(dms, r); found {
				return nil, d.invalid("*"+r.suffix, "is missing, though %s has single pulses at a DM of %g", pulses, dm)
			}
			continue
		}
		b, err := d.blob(name)
		if err != nil {
			return nil, err
		}
		rows = append(rows, file("sp_plots", "sp_plot_types", r.kind, b))
	}
	for _, f := range []struct{ name, kind string }{
		{infs, "PRESTO singlepulse inf tarball"},
		{pulses, "PRESTO singlepulse candidate tarball"},
	} {
		b, err := d.blob(f.name)
		if err != nil {
			return nil, err
		}
		rows = append(rows, file("sp_files", "sp_file_types", f.kind, b))
	}
	return rows, nil
}

// dmsWithPulses returns the DMs whose file in the tarball is not empty.
func (d directory) dmsWithPulses(tarball string) (dms []float64, err error) {
	form := regexp.MustCompile(`_DM(\d+(?:\.\d+)?)\.singlepulse$`)
	err = d.walk(tarball, func(name string, size int64, _ io.Reader) error {
		m := form.FindStringSubmatch(name)
		if m == nil {
			if strings.HasSuffix(name, ".singlepulse") {
				return fmt.Errorf("the name %q in it has no DM", name)
			}
			return nil
		}
		dm, err := strconv.ParseFloat(m[1], 64)
		if err == nil && size > 0 {
			dms = append(dms, dm)
		}
		return err
	})
	return dms, err
}

// within returns one of the DMs that only this range can show: what lies in the
// overlap of two is shown by the other.
func within(dms []float64, r pulseRange) (float64, bool) {
	for _, dm := range dms {
		alone := dm >= r.from && dm <= r.to
		for _, other := range pulseRanges() {
			if other.suffix != r.suffix && dm >= other.from && dm <= other.to {
				alone = false
			}
		}
		if alone {
			return dm, true
		}
	}
	return 0, false
}

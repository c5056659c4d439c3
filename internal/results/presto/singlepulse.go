package presto

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"longhaul/internal/results"
	"longhaul/internal/search/catalog"
)

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
	for _, r := range catalog.PulseRanges() {
		name, err := d.atMostOne(r.Suffix, "single pulses against time and DM")
		if err != nil {
			return nil, err
		}
		if name == "" {
			if dm, found := within(dms, r); found {
				return nil, d.invalid("*"+r.Suffix, "is missing, though %s has single pulses at a DM of %g", pulses, dm)
			}
			continue
		}
		b, err := d.blob(name)
		if err != nil {
			return nil, err
		}
		rows = append(rows, file("sp_plots", "sp_plot_types", r.Kind, b))
	}
	for _, f := range []struct{ name, kind string }{
		{infs, catalog.InfType},
		{pulses, catalog.PulsesType},
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
func within(dms []float64, r catalog.PulseRange) (float64, bool) {
	for _, dm := range dms {
		alone := dm >= r.From && dm <= r.To
		for _, other := range catalog.PulseRanges() {
			if other.Suffix != r.Suffix && dm >= other.From && dm <= other.To {
				alone = false
			}
		}
		if alone {
			return dm, true
		}
	}
	return 0, false
}

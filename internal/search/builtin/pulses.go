package builtin

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"time"

	"longhaul/internal/search/catalog"
	"longhaul/internal/search/draw"
	"longhaul/internal/search/pulses"
)

// writePulses draws the single pulses of each range of DMs in which there are
// any, and writes the tarballs of the pulses and of what the series were.
func (j *job) writePulses(f *findings) error {
	for _, r := range catalog.PulseRanges() {
		var dms []float64
		var shown []pulses.Event
		found := 0
		for i, s := range f.series {
			if s.dm < r.From || s.dm > r.To {
				continue
			}
			dms = append(dms, s.dm)
			found += len(f.pulses[i])
			for _, e := range f.pulses[i] {
				if e.Sigma >= j.set.SinglepulsePlotSNR {
					shown = append(shown, e)
				}
			}
		}
		if found == 0 {
			continue
		}
		png, err := draw.Pulses(j.about, shown, dms, j.set.SinglepulsePlotSNR, j.src.Seconds())
		if err != nil {
			return err
		}
		name := j.base + "_" + r.Suffix
		if err := j.write(name, png); err != nil {
			return err
		}
		j.files.pulses = append(j.files.pulses, pulsePlot{name, r.Kind})
	}
	return j.writeTarballs(f)
}

func (j *job) writeTarballs(f *findings) error {
	var infs, events []member
	for i, s := range f.series {
		name := fmt.Sprintf("%s_DM%.2f", j.base, s.dm)
		infs = append(infs, member{name + ".inf", j.describe(name, s)})
		events = append(events, member{name + ".singlepulse", pulses.Format(f.pulses[i])})
		j.sum.Pulses += len(f.pulses[i])
	}
	j.files.infs, j.files.events = j.base+"_inf.tgz", j.base+"_singlepulse.tgz"
	for name, members := range map[string][]member{j.files.infs: infs, j.files.events: events} {
		content, err := tarball(members)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := j.write(name, content); err != nil {
			return err
		}
	}
	return nil
}

// describe writes what a time series was, in the form of PRESTO's .inf files.
func (j *job) describe(name string, s series) string {
	var b bytes.Buffer
	line := func(label string, value any) { fmt.Fprintf(&b, " %-38s =  %v\n", label, value) }
	freqs := j.src.Freqs
	width := 0.0
	if len(freqs) > 1 {
		width = (freqs[len(freqs)-1] - freqs[0]) / float64(len(freqs)-1)
	}
	line("Data file name without suffix", name)
	line("Telescope used", j.about.Telescope)
	line("Instrument used", j.about.Backend)
	line("Object being observed", j.about.Source)
	line("J2000 Right Ascension (hh:mm:ss.ssss)", j.about.RA)
	line("J2000 Declination     (dd:mm:ss.ssss)", j.about.Dec)
	line("Data observed by", j.obs.Header.Observers)
	line("Epoch of observation (MJD)", fmt.Sprintf("%.15f", j.about.MJD))
	line("Barycentered?           (1 yes, 0 no)", 0)
	line("Number of bins in the time series", s.samples)
	line("Width of each time series bin (sec)", s.sample)
	if s.valid < s.samples {
		line("Any breaks in the data? (1 yes, 0 no)", 1)
		line("On/Off bin pair #  1", fmt.Sprintf("%-11d, %-11d", 0, s.valid-1))
		line("On/Off bin pair #  2", fmt.Sprintf("%-11d, %-11d", s.samples-1, s.samples-1))
	} else {
		line("Any breaks in the data? (1 yes, 0 no)", 0)
	}
	line("Type of observation (EM band)", "Radio")
	line("Beam diameter (arcsec)", j.obs.Files[0].Header.BeamWidth*3600)
	line("Dispersion measure (cm-3 pc)", s.dm)
	line("Central freq of low channel (MHz)", fmt.Sprintf("%.12g", freqs[0]))
	line("Total bandwidth (MHz)", fmt.Sprintf("%.12g", width*float64(len(freqs))))
	line("Number of channels", len(freqs))
	line("Channel bandwidth (MHz)", fmt.Sprintf("%.12g", width))
	line("Data analyzed by", Engine)
	b.WriteString(" Any additional notes:\n    Dedispersed without PRESTO.\n")
	return b.String()
}

// member is a file of a tarball.
type member struct{ name, text string }

// tarball packs files. It has the same bytes for the same files.
func tarball(members []member) ([]byte, error) {
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	out := tar.NewWriter(zip)
	for _, m := range members {
		if err := out.WriteHeader(&tar.Header{Name: m.name, Mode: 0o640, Size: int64(len(m.text)), Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0)}); err != nil {
			return nil, err
		}
		if _, err := out.Write([]byte(m.text)); err != nil {
			return nil, err
		}
	}
	if err := out.Close(); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Package quicklook looks at one observation as it was recorded, and says
// whether it is worth a search: the bandpass, channels that do not behave like
// their neighbours, the total power against time, and how many samples hit the
// limits of their bits. It leaves plots, a table of channels, and a
// results.json that holds the observation's header and these diagnostics.
//
// It reads an observation once, a row at a time, and keeps a few numbers for
// each channel and a picture's worth of sums, so that its memory does not grow
// with the length of the observation.
//
// How the files are made and which belong together is known to package
// psrfits; what becomes of results.json is the business of packages results
// and commondb. Nothing here searches for pulsars.
package quicklook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"longhaul/internal/psrfits"
)

// Options say what is looked at.
type Options struct {
	DataFiles []string     // of one observation, in any order
	OutDir    string       // where all files go; made if it is not there
	Log       *slog.Logger // nil for silence
}

// Run looks at an observation and writes its results. results.json appears
// last and at once: where it is, all that it names is, too.
func Run(ctx context.Context, opt Options) (err error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	began := time.Now()
	obs, err := psrfits.OpenObservation(opt.DataFiles)
	if err != nil {
		return fmt.Errorf("open observation: %w", err)
	}
	defer func() { err = errors.Join(err, obs.Close()) }()
	for _, note := range obs.Notes {
		opt.Log.Warn(note, "observation", obs.Header.ObsName)
	}
	look, err := read(ctx, obs)
	if err != nil {
		return fmt.Errorf("read observation: %w", err)
	}
	if err := os.MkdirAll(opt.OutDir, 0o750); err != nil {
		return err
	}
	if err := writeAll(opt.OutDir, look); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	took := time.Since(began)
	opt.Log.Info("looked at observation", "observation", obs.Header.ObsName, "beam", obs.Header.BeamID,
		"channels", len(look.channels), "outlying", look.count(outlying), "dead", look.count(dead),
		"took", took.Round(time.Millisecond), "mb_per_s", float64(obs.Header.FileSize)/1e6/took.Seconds())
	return nil
}

// read goes through the whole observation once.
func read(ctx context.Context, obs *psrfits.Observation) (*look, error) {
	freqs := obs.Channels()
	sums := newSums(len(freqs), obs.Header.NumSamples)
	spectrum := make([]float32, len(freqs))
	var block psrfits.Block
	for i := range obs.Rows() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := obs.ReadBlock(i, &block); err != nil {
			return nil, err
		}
		sums.countClipped(block.Clipped())
		for s := range obs.Header.RowSamples {
			block.Spectrum(s, spectrum)
			sums.add(spectrum)
		}
	}
	return newLook(obs.Header, freqs, sums), nil
}

// writeAll writes the plots and the table, then results.json.
func writeAll(dir string, l *look) error {
	for name, content := range map[string]func(*look) ([]byte, error){
		bandpassFile: bandpassPlot,
		powerFile:    powerPlot,
		spectrumFile: spectrumPlot,
		channelsFile: channelTable,
	} {
		b, err := content(l)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o640)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return writeResults(dir, l)
}

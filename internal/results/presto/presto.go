package presto

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"longhaul/internal/pipeline"
	"longhaul/internal/psrfits"
	"longhaul/internal/results"
	"longhaul/internal/search/accelcands"
	"longhaul/internal/search/zap"
)

// Reader reads the output directories of PRESTO-based jobs. It is safe for
// concurrent use.
type Reader struct{ maxBlob int64 }

var _ results.Reader = Reader{}

// New returns a reader that takes files of at most maxBlob bytes each; 0 means
// results.DefaultMaxBlob.
func New(maxBlob int64) Reader {
	if maxBlob <= 0 {
		maxBlob = results.DefaultMaxBlob
	}
	return Reader{maxBlob}
}

// Read returns one record of the table headers with everything else beneath it.
func (r Reader) Read(ctx context.Context, src results.Source) ([]results.Record, error) {
	d, err := r.list(ctx, src.Dir)
	if err != nil {
		return nil, err
	}
	found, err := d.findings()
	if err != nil {
		return nil, err
	}
	header, err := d.header()
	if err != nil {
		return nil, err
	}
	for _, part := range []func(findings) ([]results.Record, error){d.candidates, d.singlePulses, d.diagnostics} {
		rows, err := part(found)
		if err != nil {
			return nil, err
		}
		header.Children = append(header.Children, rows...)
	}
	return []results.Record{header}, nil
}

// directory is the output directory that is being read.
type directory struct {
	ctx     context.Context
	path    string
	names   []string // of all that is in it, sorted
	maxBlob int64
}

func (r Reader) list(ctx context.Context, path string) (directory, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return directory{}, pipeline.Outage(pipeline.LocalDisk, fmt.Errorf("output directory: %w", err))
	}
	d := directory{ctx: ctx, path: path, maxBlob: r.maxBlob}
	for _, e := range entries {
		d.names = append(d.names, e.Name())
	}
	return d, nil
}

// invalid says what is wrong with a file of the directory.
func (d directory) invalid(name, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %w", results.ErrInvalid, filepath.Join(d.path, name), fmt.Errorf(format, args...))
}

// matching returns the files whose names end like this.
func (d directory) matching(suffix string) []string {
	var all []string
	for _, name := range d.names {
		if strings.HasSuffix(name, suffix) {
			all = append(all, name)
		}
	}
	return all
}

// one returns the only file whose name ends like this. what says what it is.
func (d directory) one(suffix, what string) (string, error) {
	name, err := d.atMostOne(suffix, what)
	if err == nil && name == "" {
		err = d.invalid("*"+suffix, "is missing (%s); every job that comes to its end leaves it", what)
	}
	return name, err
}

// atMostOne is one, but returns "" where there is none.
func (d directory) atMostOne(suffix, what string) (string, error) {
	switch all := d.matching(suffix); len(all) {
	case 0:
		return "", nil
	case 1:
		return all[0], nil
	default:
		return "", d.invalid("*"+suffix, "there are %d (%s, %s, ...), of which only one can be right (%s)", len(all), all[0], all[1], what)
	}
}

// text returns the content of a text file.
func (d directory) text(name string) (string, error) {
	const limit = 64 << 20
	data, err := results.ReadFile(d.ctx, d.path, name, limit)
	return string(data), err
}

func (d directory) blob(name string) (results.Blob, error) {
	return results.FileBlob(d.ctx, d.path, name, d.maxBlob)
}

// header reads the stripped PSRFITS file.
func (d directory) header() (results.Record, error) {
	name, err := d.one(".fits", "the observation without its samples")
	if err != nil {
		return results.Record{}, err
	}
	// Reading it as a blob first makes sure that it is a plain file.
	if _, err := d.blob(name); err != nil {
		return results.Record{}, err
	}
	obs, err := psrfits.OpenObservation([]string{filepath.Join(d.path, name)})
	if err != nil {
		return results.Record{}, fmt.Errorf("%w: %w", results.ErrInvalid, err)
	}
	observation, header := obs.Header.Columns()
	if err := obs.Close(); err != nil {
		return results.Record{}, err
	}
	return results.Record{
		Table: "headers", Values: header,
		Refs: map[string]results.Record{"observation_id": {Table: "observations", Values: observation}},
	}, nil
}

// findings is what several parts of the results are told by.
type findings struct {
	params Params
	list   string                 // name of the list of candidates; "" if the search found none
	sifted []accelcands.Candidate // as they stand in the list
	folded []accelcands.Candidate // those that are uploaded, in the order of their numbers
	plots  []string               // files *.pfd.png
	zaps   []zap.Zap              //
	zaplst string                 // name of the zaplist
}

func (d directory) findings() (f findings, err error) {
	text, err := d.text(paramsFile)
	if err != nil {
		return f, err
	}
	if f.params, err = ParseParams(text); err != nil {
		return f, d.invalid(paramsFile, "%w", err)
	}
	if f.zaplst, err = d.one(".zaplist", "the frequencies that were zapped"); err != nil {
		return f, err
	}
	if text, err = d.text(f.zaplst); err != nil {
		return f, err
	}
	if f.zaps, err = zap.Parse(text); err != nil {
		return f, d.invalid(f.zaplst, "%w", err)
	}
	f.plots = d.matching(".pfd.png")
	if f.list, err = d.atMostOne(".accelcands", "the sifted candidates"); err != nil || f.list == "" {
		if err == nil && len(f.plots) > 0 {
			err = d.invalid("*.accelcands", "is missing, though candidates were folded (%s)", f.plots[0])
		}
		return f, err
	}
	if text, err = d.text(f.list); err != nil {
		return f, err
	}
	if f.sifted, err = accelcands.Parse(text); err != nil {
		return f, d.invalid(f.list, "%w", err)
	}
	f.folded = choose(f.sifted, f.params)
	return f, nil
}

// choose returns the candidates that are uploaded: those above the threshold,
// in the order of the list, as many as were allowed to be folded; then the most
// significant first. The search folds one exactly at the threshold as well; it
// is counted among the diagnostics, and not uploaded.
func choose(all []accelcands.Candidate, p Params) []accelcands.Candidate {
	var chosen []accelcands.Candidate
	for _, c := range all {
		if c.Sigma > p.ToPrepfoldSigma && len(chosen) < p.MaxCandsToFold {
			chosen = append(chosen, c)
		}
	}
	slices.SortStableFunc(chosen, func(a, b accelcands.Candidate) int {
		switch {
		case a.Sigma > b.Sigma:
			return -1
		case a.Sigma < b.Sigma:
			return 1
		}
		return 0
	})
	return chosen
}

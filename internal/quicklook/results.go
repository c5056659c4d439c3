package quicklook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
)

// The files that a look leaves.
const (
	resultsFile  = "results.json"
	bandpassFile = "bandpass.png"
	powerFile    = "total_power.png"
	spectrumFile = "dynamic_spectrum.png"
	channelsFile = "channels.txt"
)

// manifest is the form of results.json.
type manifest struct {
	Format  string   `json:"format"`
	Records []record `json:"records"`
}

// record is a row of the common database; see results.Record.
type record struct {
	Table    string            `json:"table"`
	Values   map[string]any    `json:"values"`
	Blobs    map[string]string `json:"blobs,omitempty"`
	Refs     map[string]record `json:"refs,omitempty"`
	Children []record          `json:"children,omitempty"`
}

// real is a float that stays one in JSON: 500 becomes 500.0, because a number
// without point and exponent is read as an integer.
type real float64

// MarshalJSON writes the shortest number that reads back as the same.
func (r real) MarshalJSON() ([]byte, error) {
	if x := float64(r); math.IsNaN(x) || math.IsInf(x, 0) {
		return nil, fmt.Errorf("%v is not a number: the data has values that cannot be calculated with", x)
	}
	b := strconv.AppendFloat(nil, float64(r), 'g', -1, 64)
	if !bytes.ContainsAny(b, ".e") {
		b = append(b, ".0"...)
	}
	return b, nil
}

// reals makes the floats of a row's values real.
func reals(values map[string]any) map[string]any {
	for name, v := range values {
		if x, ok := v.(float64); ok {
			values[name] = real(x)
		}
	}
	return values
}

// diagnostic is one thing that was found: a number, or a file.
type diagnostic struct {
	name, description string
	value             float64
	file              string // empty for a number
}

// diagnostics returns all that goes into the common database.
func (l *look) diagnostics() []diagnostic {
	s := l.sums
	percent := func(part, all int64) float64 { return 100 * float64(part) / float64(max(all, 1)) }
	channels := int64(len(l.channels))
	numbers := []diagnostic{
		{"Outlying channels", fmt.Sprintf("Percentage of channels whose mean or RMS is more than %d robust standard deviations from the median of their neighbours.", threshold), percent(int64(l.count(outlying)), channels), ""},
		{"Dead channels", "Percentage of channels that never change or have no weight.", percent(int64(l.count(dead)), channels), ""},
		{"Median channel mean", "Median over all channels that are not dead of their mean intensity, in the units of the data.", median(l.values(channelMean)), ""},
		{"Median channel RMS", "Median over all channels that are not dead of the RMS of their intensity about its mean, in the units of the data.", median(l.values(channelRMS)), ""},
		{"Total power mean", "Mean of the total power (the mean of all channels of a spectrum), in the units of the data.", s.power.mean, ""},
		{"Total power RMS", "RMS of the total power about its mean, in the units of the data.", s.power.rms(), ""},
		{"Total power skewness", "Skewness of the total power; 0 for Gaussian noise.", s.power.skewness(), ""},
		{"Total power kurtosis", "Excess kurtosis of the total power; 0 for Gaussian noise.", s.power.kurtosis(), ""},
		{"Total power excursion", "Largest distance of the total power from its mean, in units of its RMS.", s.power.excursion(), ""},
		{"Samples clipped low", "Percentage of samples that have the lowest value their bits can hold.", percent(s.low, s.samples), ""},
		{"Samples clipped high", "Percentage of samples that have the highest value their bits can hold.", percent(s.high, s.samples), ""},
	}
	return append(numbers,
		diagnostic{"Bandpass plot", "Mean and RMS of each channel against frequency (PNG).", 0, bandpassFile},
		diagnostic{"Total power plot", "Total power against time (PNG).", 0, powerFile},
		diagnostic{"Dynamic spectrum plot", "Intensity against time and frequency, without the bandpass (PNG).", 0, spectrumFile},
		diagnostic{"Channel table", "Frequency, mean, RMS and state of each channel (text).", 0, channelsFile},
	)
}

// record makes a row of a diagnostic.
func (d diagnostic) record() record {
	kind := func(word string) map[string]record {
		return map[string]record{"type_id": {Table: "diagnostic_types", Values: map[string]any{
			"name": d.name, "description": d.description, "kind": word,
		}}}
	}
	if d.file == "" {
		return record{Table: "diagnostics", Values: map[string]any{"value": real(d.value)}, Refs: kind("numeric")}
	}
	return record{
		Table:  "diagnostic_plots",
		Values: map[string]any{"filename": d.file},
		Blobs:  map[string]string{"filedata": d.file},
		Refs:   kind("binary"),
	}
}

// results puts the whole manifest together.
func (l *look) results() manifest {
	observation, header := l.header.Columns()
	top := record{
		Table:  "headers",
		Values: reals(header),
		Refs:   map[string]record{"observation_id": {Table: "observations", Values: reals(observation)}},
	}
	for _, d := range l.diagnostics() {
		top.Children = append(top.Children, d.record())
	}
	return manifest{Format: "longhaul-results-1", Records: []record{top}}
}

// writeResults writes results.json under another name and renames it.
func writeResults(dir string, l *look) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(l.results()); err != nil {
		return err
	}
	part := filepath.Join(dir, resultsFile+".part")
	if err := os.WriteFile(part, b.Bytes(), 0o640); err != nil {
		return err
	}
	return os.Rename(part, filepath.Join(dir, resultsFile))
}

package psrfits

import (
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
)

// Header is what the common database holds of an observation: five columns of
// the table observations, which the beams of a pointing share, and those of
// the table headers. The JSON names are the columns' names.
type Header struct {
	ObsName      string  `json:"obs_name"`      // project.source.MJD.scan
	ProjectID    string  `json:"project_id"`    // such as p2030
	SourceName   string  `json:"source_name"`   // of the pointing
	TimestampMJD float64 `json:"timestamp_mjd"` // start, MJD, UTC
	ScanNum      string  `json:"scan_num"`      // with its leading zeros

	BeamID       int    `json:"beam_id"`       // of ALFA, 0 to 7
	Observers    string `json:"observers"`     //
	Type         string `json:"obstype"`       // Mock or WAPP
	OriginalFile string `json:"original_file"` // the first by name
	// FileSize is the size of the files as they were given, in bytes, the sum
	// for a pair. The original pipeline put the size of the file that it had
	// stripped of its samples here; given such a file, this is the same.
	FileSize int64 `json:"file_size"`
	DataSize int64 `json:"data_size"` // of the samples in the combined band, bytes

	SampleTime      float64 `json:"sample_time"`             // µs
	ObservationTime float64 `json:"observation_time"`        // s
	NumSamples      int64   `json:"num_samples"`             // spectra
	RowSamples      int     `json:"num_samples_per_record"`  // spectra in a row
	Channels        int     `json:"num_channels_per_record"` // in the combined band
	ChannelWidth    float64 `json:"channel_bandwidth"`       // kHz, positive
	CenterFreq      float64 `json:"center_freq"`             // MHz
	NumIFs          int     `json:"num_ifs"`                 // 2 for merged Mock, 1 for WAPP, else NUMIFS
	SumID           int     `json:"sum_id"`                  // 1 if the polarisations are summed

	StartAST    float64 `json:"start_ast"`     // Atlantic Standard Time (UTC-4), whole s since midnight
	StartLST    float64 `json:"start_lst"`     // s
	StartAz     float64 `json:"orig_start_az"` // degrees
	StartZenith float64 `json:"orig_start_za"` // zenith angle, degrees

	// The coordinates as the file has them: J2000, as HHMMSS.ssss and
	// ±DDMMSS.ssss and in degrees; galactic, in degrees.
	OrigRA        float64 `json:"orig_right_ascension"`
	OrigDec       float64 `json:"orig_declination"`
	OrigRADeg     float64 `json:"orig_ra_deg"`
	OrigDecDeg    float64 `json:"orig_dec_deg"`
	OrigGalacticL float64 `json:"orig_galactic_longitude"`
	OrigGalacticB float64 `json:"orig_galactic_latitude"`
	// And the corrected ones: the same, because nothing but an observatory's
	// table could correct them (WAPP files before MJD 54651 may need it).
	RA        float64 `json:"right_ascension"`
	Dec       float64 `json:"declination"`
	RADeg     float64 `json:"ra_deg"`
	DecDeg    float64 `json:"dec_deg"`
	GalacticL float64 `json:"galactic_longitude"`
	GalacticB float64 `json:"galactic_latitude"`
}

// newHeader computes the header of an observation whose bands are combined.
func newHeader(o *Observation, name Name) (Header, error) {
	first := o.Files[0].Header
	beam, err := beamOf(first, name)
	if err != nil {
		return Header{}, err
	}
	spectra := int64(o.rows) * int64(first.RowSpectra)
	start := first.StartMJD()
	h := Header{
		ObsName:      fmt.Sprintf("%s.%s.%d.%s", first.Project, first.Source, int64(start), name.Scan),
		ProjectID:    first.Project,
		SourceName:   first.Source,
		TimestampMJD: start,
		ScanNum:      name.Scan,
		BeamID:       beam,
		Observers:    first.Observer,
		Type:         name.Kind.Type(),
		OriginalFile: o.firstName(),
		FileSize:     o.size(),
		DataSize:     spectra * int64(first.Bits) * int64(len(o.from)) / 8,

		SampleTime:      first.SampleTime * 1e6,
		ObservationTime: float64(spectra) * first.SampleTime,
		NumSamples:      spectra,
		RowSamples:      first.RowSpectra,
		Channels:        len(o.from),
		ChannelWidth:    channelWidth(first.Freqs) * 1000,
		CenterFreq:      o.centerFreq(),
		StartAST:        startAST(start),
		StartLST:        first.StartLST,
		StartAz:         first.Azimuth,
		StartZenith:     first.ZenithAngle,
	}
	if first.Summed() {
		h.SumID = 1
	}
	if h.NumIFs, err = numIFs(first, name.Kind); err != nil {
		return Header{}, err
	}
	return h, h.setPosition(first.RA, first.Dec)
}

// beamOf returns the beam: the name of a merged file has it, the header of
// another must.
func beamOf(h FileHeader, name Name) (int, error) {
	if name.Kind == MergedMock {
		return strconv.Atoi(name.Beam)
	}
	if h.Beam < 0 || h.Beam > 7 {
		return 0, fmt.Errorf("the beam (IBEAM, or BEAM of HDU SUBINT) is %d, not 0 to 7", h.Beam)
	}
	return h.Beam, nil
}

func numIFs(h FileHeader, kind Kind) (int, error) {
	switch {
	case kind == MergedMock:
		return 2, nil
	case kind == WAPP:
		return 1, nil
	case h.NumIFs == 0:
		return 0, fmt.Errorf("HDU SUBINT: NUMIFS: %w", ErrMissing)
	}
	return h.NumIFs, nil
}

// firstName returns the first of the files' names.
func (o *Observation) firstName() string {
	var names []string
	for _, f := range o.Files {
		names = append(names, filepath.Base(f.Name))
	}
	return slices.Min(names)
}

func (o *Observation) size() int64 {
	var n int64
	for _, f := range o.Files {
		n += f.Size
	}
	return n
}

// centerFreq is OBSFREQ of one file, and the middle between the lowest and the
// highest channel of two.
func (o *Observation) centerFreq() float64 {
	if len(o.Files) == 1 {
		return o.Files[0].Header.CenterFreq
	}
	return (o.from[0].freq + o.from[len(o.from)-1].freq) / 2
}

// channelWidth is the distance of the first two channels, MHz.
func channelWidth(freqs []float64) float64 {
	if len(freqs) < 2 {
		return 0
	}
	return math.Abs(freqs[1] - freqs[0])
}

// startAST returns when an observation began on Puerto Rico's clocks, which do
// not know of summer time: whole seconds since midnight. The way round by a
// Julian date is the original's. That is good to 40 µs only, so that what
// began on a full second can come out as the second before, and before 4h
// UTC, where it truncates a negative number, as the one after. But these are
// the values that the common database has.
func startAST(mjd float64) float64 {
	day := math.Mod(mjd+2400000.5+0.5, 1)
	second := int64((day*24 - 4) * 3600)
	return float64((second + secondsPerDay) % secondsPerDay)
}

// setPosition fills in all coordinates.
func (h *Header) setPosition(raText, decText string) error {
	ra, err := ParseRA(raText)
	if err != nil {
		return err
	}
	dec, err := ParseDec(decText)
	if err != nil {
		return err
	}
	h.OrigRA, h.OrigDec = ra.Packed(), dec.Packed()
	h.OrigRADeg, h.OrigDecDeg = ra.Degrees(), dec.Degrees()
	h.OrigGalacticL, h.OrigGalacticB = Galactic(h.OrigRADeg, h.OrigDecDeg)
	h.RA, h.Dec = h.OrigRA, h.OrigDec
	h.RADeg, h.DecDeg = h.OrigRADeg, h.OrigDecDeg
	h.GalacticL, h.GalacticB = h.OrigGalacticL, h.OrigGalacticB
	return nil
}

// Columns returns the header's values under the names of their columns, split
// by the tables observations and headers. They are of type int64, float64 or string.
func (h Header) Columns() (observation, header map[string]any) {
	observation, header = make(map[string]any), make(map[string]any)
	shared := []string{"obs_name", "project_id", "source_name", "timestamp_mjd", "scan_num"}
	v := reflect.ValueOf(h)
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("json")
		var x any
		switch f := v.Field(i); {
		case f.CanInt():
			x = f.Int()
		default:
			x = f.Interface()
		}
		if slices.Contains(shared, name) {
			observation[name] = x
		} else {
			header[name] = x
		}
	}
	return observation, header
}

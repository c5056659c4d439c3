package demo

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"longhaul/internal/psrfits"
)

// Kind is a kind of made-up observation.
type Kind int

// The kinds.
const (
	MockPair Kind = iota // the two halves of a band of the Mock spectrometers
	Merged               // both halves, merged to one file
	WAPP                 // of the older correlators
)

// Observation is a made-up observation of one beam. Its files depend on
// nothing but its fields: written twice, they are equal byte for byte. They
// hold noise under a bandpass, a pulsar, one channel with interference, and a
// burst of it in a few. The beams of a pointing, equal in all but Beam, begin
// at the same time.
type Observation struct {
	Kind    Kind
	Project string // such as p2030
	Source  string // the pointing by its galactic coordinates, such as G45.00+00.00.N
	Date    string // UTC, as file names have it: 20141121, or the MJD for WAPP
	Scan    string // five digits, four for WAPP
	Beam    int    // 0 to 7
}

// What all made-up observations have in common. Frequencies and widths are
// such that float32 holds them exactly.
const (
	skySampleTime = 0.0005 // s
	skyRowSpectra = 512
	skyRows       = 24
	skyStartFrac  = 0.5 // s, far from where whole seconds could be rounded either way
	skyObserver   = "DEMO"
	skyAzimuth    = 210.5 // degrees
	skyZenith     = 8.75  // degrees
	daySeconds    = 86400
)

// skyBand is the band of one file, MHz.
type skyBand struct {
	center, width float64
	channels      int
}

// bands returns the bands of an observation's files. Those of a pair overlap
// by eight channels, of which four of each are left out when they are joined:
// 120 channels remain, centred on 1375 MHz.
func (o Observation) bands() []skyBand {
	const width = 2.6875
	switch o.Kind {
	case MockPair:
		return []skyBand{{1450, width, 64}, {1300, width, 64}}
	case Merged:
		return []skyBand{{1375, width, 120}}
	default:
		return []skyBand{{1420, 1.5625, 64}}
	}
}

// Filenames returns the names of the observation's files in the survey's form.
func (o Observation) Filenames() []string {
	switch o.Kind {
	case MockPair:
		name := fmt.Sprintf("4bit-%s.%s.%s.b%ds%%dg0.%s.fits", o.Project, o.Date, o.Source, o.Beam, o.Scan)
		return []string{fmt.Sprintf(name, 0), fmt.Sprintf(name, 1)}
	case Merged:
		return []string{fmt.Sprintf("%s.%s.%s.b%d.%s.fits", o.Project, o.Date, o.Source, o.Beam, o.Scan)}
	default:
		return []string{fmt.Sprintf("%s_%s_%05d_%s_%s_%d.w4bit.fits", o.Project, o.Date, o.second(), o.Scan, o.Source, o.Beam)}
	}
}

// second is when in its day the pointing begins, s since 0h UTC.
func (o Observation) second() int64 {
	o.Beam = 0
	return int64(o.seed() % daySeconds)
}

// day returns the MJD.
func (o Observation) day() (int64, error) {
	if o.Kind == WAPP {
		return strconv.ParseInt(o.Date, 10, 64)
	}
	t, err := time.Parse("20060102", o.Date)
	return t.Unix()/daySeconds + 40587, err
}

// position returns where the beam looks: that of the pointing, moved by the
// beam's place in the hexagon around beam 0.
func (o Observation) position() (ra, dec psrfits.Angle, err error) {
	form := regexp.MustCompile(`^G(\d{1,3}\.\d+)([+-]\d{1,2}\.\d+)(?:\.[A-Z])?$`)
	m := form.FindStringSubmatch(o.Source)
	if m == nil {
		return ra, dec, fmt.Errorf("source %q does not begin with galactic coordinates such as G45.00+00.00", o.Source)
	}
	l, _ := strconv.ParseFloat(m[1], 64) // the pattern lets only numbers through
	b, _ := strconv.ParseFloat(m[2], 64)
	if o.Beam%7 != 0 {
		sin, cos := math.Sincos(float64(o.Beam) * math.Pi / 3)
		l, b = l+0.1*cos, b+0.1*sin
	}
	x, y := psrfits.Equatorial(l, b)
	return psrfits.RAFromDegrees(x), psrfits.DecFromDegrees(y), nil
}

// header returns the headers of the file with a band.
func (o Observation) header(band skyBand) (psrfits.FileHeader, error) {
	ra, dec, err := o.position()
	if err != nil {
		return psrfits.FileHeader{}, err
	}
	day, err := o.day()
	if err != nil {
		return psrfits.FileHeader{}, fmt.Errorf("date: %w", err)
	}
	h := psrfits.FileHeader{
		Telescope: "Arecibo", Observer: skyObserver, Project: o.Project, Frontend: "alfa", Backend: "pdev",
		Source: o.Source, RA: ra.String(), Dec: dec.String(),
		CenterFreq: band.center, Bandwidth: band.width * float64(band.channels), BeamWidth: 0.05833,
		StartDay: day, StartSecond: o.second(), StartOffset: skyStartFrac, StartLST: o.startLST(day),
		Beam: o.Beam, NumIFs: 1,
		SampleTime: skySampleTime, Channels: band.channels, Pols: 1, PolType: "AA+BB",
		RowSpectra: skyRowSpectra, Bits: 4, Rows: skyRows,
		Azimuth: skyAzimuth, ZenithAngle: skyZenith,
	}
	if o.Kind == WAPP {
		h.Backend = "wapp"
	}
	for c := range band.channels { // falling, as the spectrometers do
		h.Freqs = append(h.Freqs, band.center+(float64(band.channels-1)/2-float64(c))*band.width)
	}
	return h, nil
}

// startLST is the mean sidereal time at Arecibo, s.
func (o Observation) startLST(day int64) float64 {
	const longitude = -66.7528 // degrees
	since := float64(day) - 51544.5 + (float64(o.second())+skyStartFrac)/daySeconds
	lst := math.Mod(280.46061837+360.98564736629*since+longitude, 360)
	return math.Mod(lst+360, 360) * 240
}

// Write makes the files in dir and returns their paths.
func (o Observation) Write(dir string) ([]string, error) {
	var paths []string
	for i, name := range o.Filenames() {
		if _, ok := psrfits.ParseName(name); !ok || filepath.Base(name) != name {
			return nil, fmt.Errorf("make observation: %q is not a name of the survey", name)
		}
		band := o.bands()[i]
		h, err := o.header(band)
		if err != nil {
			return nil, fmt.Errorf("make observation: %w", err)
		}
		path := filepath.Join(dir, name)
		if err := writeSky(path, h, newSky(h, o.seed())); err != nil {
			return nil, fmt.Errorf("make observation: %w", err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// writeSky writes one file, and leaves none if that fails.
func writeSky(path string, h psrfits.FileHeader, s *sky) error {
	w, err := psrfits.Create(path, h)
	if err != nil {
		return err
	}
	for row := range h.Rows {
		s.fill(row)
		if err = w.WriteRow(s.row); err != nil {
			break
		}
	}
	if closing := w.Close(); err == nil {
		err = closing
	}
	if err != nil {
		_ = os.Remove(path) // the first error says what is wrong
	}
	return err
}

// seed is what makes one observation unlike another.
func (o Observation) seed() uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %s %s %s %d", o.Kind, o.Project, o.Source, o.Date, o.Scan, o.Beam))
	return binary.BigEndian.Uint64(sum[:])
}

// sky is what the receiver sees in one band.
type sky struct {
	h     psrfits.FileHeader
	row   psrfits.RowData
	noise *rand.Rand
	// The pulsar: its pulse period, s, and for each channel how late the
	// pulse comes in it, in turns.
	period float64
	late   []float64
	pulse  [256]float64 // one turn of it, in units of the noise
	hum    int          // the channel with interference of 60 Hz
	burst  [2]int       // the first and the last channel of a burst
}

// newSky makes the sky of an observation; the pulsar and the burst come at the
// same time in all of its bands.
func newSky(h psrfits.FileHeader, seed uint64) *sky {
	common := rand.New(rand.NewPCG(seed, 0))
	s := &sky{
		h:      h,
		noise:  rand.New(rand.NewPCG(seed, math.Float64bits(h.CenterFreq))),
		period: 0.08 + 0.3*common.Float64(),
		late:   make([]float64, h.Channels),
	}
	dm := 20 + 100*common.Float64()
	for i := range s.pulse {
		x := (float64(i)/256 - 0.5) / 0.02
		s.pulse[i] = 0.8 * math.Exp(-x*x/2)
	}
	for c, f := range h.Freqs {
		late := 4148.808 * dm * (1/(f*f) - 1/(1550.0*1550)) / s.period
		s.late[c] = late - math.Floor(late)
	}
	s.hum = h.Channels/8 + s.noise.IntN(h.Channels*3/4)
	first := h.Channels/8 + s.noise.IntN(h.Channels/2)
	s.burst = [2]int{first, first + 4}
	s.row = psrfits.RowData{
		Weights: make([]float32, h.Channels),
		Offsets: make([]float32, h.Channels),
		Scales:  make([]float32, h.Channels),
		Samples: make([]uint8, h.Channels*h.RowSpectra),
	}
	for c := range h.Channels {
		gain := bandpass(h, c) * (1 + 0.01*s.noise.NormFloat64())
		s.row.Weights[c], s.row.Scales[c], s.row.Offsets[c] = 1, float32(0.4*gain), float32(38*gain)
	}
	return s
}

// bandpass is flat, with a ripple, and falls off at the edges.
func bandpass(h psrfits.FileHeader, c int) float64 {
	x := 2*(float64(c)+0.5)/float64(h.Channels) - 1
	return 1 - 0.6*math.Pow(x, 8) + 0.03*math.Cos(7*x)
}

// fill makes the samples of a row: 6 ± 2.3 of noise, and what is in the sky.
func (s *sky) fill(row int) {
	i := 0
	for n := range s.h.RowSpectra {
		t := float64(row*s.h.RowSpectra+n) * s.h.SampleTime
		turns := t / s.period
		burst := row == s.h.Rows/2
		for c := range s.h.Channels {
			v := s.noise.NormFloat64()
			phase := turns - s.late[c]
			v += s.pulse[int(256*(phase-math.Floor(phase)))]
			switch {
			case c == s.hum:
				v += 1.5 * math.Sin(2*math.Pi*60*t)
			case burst && c >= s.burst[0] && c <= s.burst[1]:
				v++
			}
			s.row.Samples[i] = uint8(min(max(math.Round(6+2.3*v), 0), 15))
			i++
		}
	}
}

// WantHeader returns what the common database must hold of this observation
// once it was processed: the columns of its rows in observations and headers,
// under the columns' names, as int64, float64 or string. It is computed of
// what is written, not of the files; nil if the source or the date makes no sense.
func (o Observation) WantHeader() map[string]any {
	ra, dec, err := o.position()
	day, err2 := o.day()
	if err != nil || err2 != nil {
		return nil
	}
	second := o.second()
	l, b := psrfits.Galactic(ra.Degrees(), dec.Degrees())
	channels, width, center := int64(120), 2687.5, 1375.0
	numIFs, kind := int64(1), "Mock"
	switch o.Kind {
	case Merged:
		numIFs = 2
	case WAPP:
		channels, width, center = 64, 1562.5, 1420
		kind = "WAPP"
	}
	ast := second - 4*3600
	if ast < 0 { // the original truncates toward zero, then adds a day
		ast += daySeconds + 1
	}
	const samples = skyRows * skyRowSpectra
	return map[string]any{
		"obs_name":                fmt.Sprintf("%s.%s.%d.%s", o.Project, o.Source, day, o.Scan),
		"project_id":              o.Project,
		"source_name":             o.Source,
		"timestamp_mjd":           float64(day) + (float64(second)+skyStartFrac)/daySeconds,
		"scan_num":                o.Scan,
		"beam_id":                 int64(o.Beam),
		"observers":               skyObserver,
		"obstype":                 kind,
		"original_file":           o.Filenames()[0],
		"file_size":               o.size(),
		"data_size":               samples * channels / 2,
		"sample_time":             500.0,
		"observation_time":        samples * skySampleTime,
		"num_samples":             int64(samples),
		"num_samples_per_record":  int64(skyRowSpectra),
		"num_channels_per_record": channels,
		"channel_bandwidth":       width,
		"center_freq":             center,
		"num_ifs":                 numIFs,
		"sum_id":                  int64(1),
		"start_ast":               float64(ast),
		"start_lst":               o.startLST(day),
		"orig_start_az":           skyAzimuth,
		"orig_start_za":           skyZenith,
		"orig_right_ascension":    ra.Packed(),
		"orig_declination":        dec.Packed(),
		"orig_ra_deg":             ra.Degrees(),
		"orig_dec_deg":            dec.Degrees(),
		"orig_galactic_longitude": l,
		"orig_galactic_latitude":  b,
		"right_ascension":         ra.Packed(),
		"declination":             dec.Packed(),
		"ra_deg":                  ra.Degrees(),
		"dec_deg":                 dec.Degrees(),
		"galactic_longitude":      l,
		"galactic_latitude":       b,
	}
}

// size is the size of all files, bytes.
func (o Observation) size() int64 {
	var n int64
	for _, band := range o.bands() {
		h, _ := o.header(band) // a bad position changes no size
		n += h.FileSize()
	}
	return n
}

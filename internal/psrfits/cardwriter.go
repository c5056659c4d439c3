package psrfits

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// cardWriter puts a header together.
type cardWriter struct{ strings.Builder }

// add appends a card. A value is a string, a bool, an int, an int64 or a float64.
func (w *cardWriter) add(key string, v any, comment string) {
	var field string
	switch v := v.(type) {
	case string:
		field = fmt.Sprintf("%-20s", fmt.Sprintf("'%-8s'", strings.ReplaceAll(v, "'", "''")))
	case bool:
		field = fmt.Sprintf("%20s", map[bool]string{true: "T", false: "F"}[v])
	case float64:
		field = fmt.Sprintf("%20s", formatFloat(v))
	default:
		field = fmt.Sprintf("%20d", v)
	}
	card := fmt.Sprintf("%-8s= %s", key, field)
	if comment != "" {
		card += " / " + comment
	}
	fmt.Fprintf(w, "%-*.*s", cardSize, cardSize, card)
}

// end closes the header and fills its last block with blanks.
func (w *cardWriter) end() string {
	fmt.Fprintf(w, "%-*s", cardSize, "END")
	w.WriteString(strings.Repeat(" ", int(padding(int64(w.Len())))))
	return w.String()
}

// formatFloat writes a float such that it reads back as the same number, and
// as a float.
func formatFloat(x float64) string {
	s := strconv.FormatFloat(x, 'G', -1, 64)
	if !strings.ContainsAny(s, ".E") {
		s += ".0"
	}
	return s
}

// primaryHeader is the first header of a file: all that PRESTO and the
// survey's own reader want to find.
func primaryHeader(h FileHeader) string {
	w := new(cardWriter)
	start := mjdTime(h.StartDay, h.StartSecond).Format("2006-01-02T15:04:05")
	w.add("SIMPLE", true, "conforms to FITS standard")
	w.add("BITPIX", 8, "array data type")
	w.add("NAXIS", 0, "number of array dimensions")
	w.add("EXTEND", true, "")
	w.add("HDRVER", "3.4", "Header version")
	w.add("FITSTYPE", "PSRFITS", "FITS definition for pulsar data files")
	w.add("DATE", start, "File creation date (UTC)")
	w.add("OBSERVER", h.Observer, "Observer name(s)")
	w.add("PROJID", h.Project, "Project name")
	w.add("TELESCOP", h.Telescope, "Telescope name")
	w.add("FRONTEND", h.Frontend, "Receiver ID")
	if h.Beam >= 0 {
		w.add("IBEAM", h.Beam, "Beam ID for multibeam systems")
	}
	w.add("NRCVR", 2, "Number of receiver polarisation channels")
	w.add("FD_POLN", "LIN", "LIN or CIRC")
	w.add("BACKEND", h.Backend, "Backend ID")
	w.add("BE_DELAY", 0.0, "[s] Backend propn delay from digitiser input")
	w.add("OBS_MODE", "SEARCH", "(PSR, CAL, SEARCH)")
	w.add("DATE-OBS", start, "Date of observation (UTC)")
	w.add("OBSFREQ", h.CenterFreq, "[MHz] Centre frequency")
	w.add("OBSBW", h.Bandwidth, "[MHz] Bandwidth")
	w.add("OBSNCHAN", h.Channels, "Number of frequency channels")
	w.add("CHAN_DM", 0.0, "[cm-3 pc] DM used for de-dispersion")
	w.add("SRC_NAME", h.Source, "Source or scan ID")
	w.add("COORD_MD", "J2000", "Coordinate mode")
	w.add("EQUINOX", 2000.0, "Equinox of coordinates")
	w.add("RA", h.RA, "Right ascension (hh:mm:ss.ssss)")
	w.add("DEC", h.Dec, "Declination (-dd:mm:ss.ssss)")
	w.add("BMAJ", h.BeamWidth, "[deg] Beam major axis length")
	w.add("BMIN", h.BeamWidth, "[deg] Beam minor axis length")
	w.add("TRK_MODE", "TRACK", "Track mode (TRACK, SCANGC, SCANLAT)")
	w.add("SCANLEN", h.RowTime()*float64(h.Rows), "[s] Scan length")
	w.add("STT_IMJD", h.StartDay, "Start MJD (UTC days)")
	w.add("STT_SMJD", h.StartSecond, "[s] Start time (sec past UTC 00h)")
	w.add("STT_OFFS", h.StartOffset, "[s] Start time offset")
	w.add("STT_LST", h.StartLST, "[s] Start LST")
	return w.end()
}

// columns are those of the table that is written.
func (h FileHeader) columns() []Column {
	perSpectrum := h.Channels * h.Pols
	return []Column{
		{Name: "TSUBINT", Type: 'D', Repeat: 1, Unit: "s"},
		{Name: "OFFS_SUB", Type: 'D', Repeat: 1, Unit: "s"},
		{Name: "LST_SUB", Type: 'D', Repeat: 1, Unit: "s"},
		{Name: "TEL_AZ", Type: 'E', Repeat: 1, Unit: "deg"},
		{Name: "TEL_ZEN", Type: 'E', Repeat: 1, Unit: "deg"},
		{Name: "DAT_FREQ", Type: 'E', Repeat: h.Channels, Unit: "MHz"},
		{Name: "DAT_WTS", Type: 'E', Repeat: h.Channels},
		{Name: "DAT_OFFS", Type: 'E', Repeat: perSpectrum},
		{Name: "DAT_SCL", Type: 'E', Repeat: perSpectrum},
		{Name: "DATA", Type: 'B', Repeat: perSpectrum * h.RowSpectra * h.Bits / 8, Unit: "Jy"},
	}
}

// subintHeader is the header of the table of spectra.
func subintHeader(h FileHeader) string {
	w := new(cardWriter)
	columns := h.columns()
	w.add("XTENSION", "BINTABLE", "binary table extension")
	w.add("BITPIX", 8, "array data type")
	w.add("NAXIS", 2, "number of array dimensions")
	w.add("NAXIS1", h.rowSize(), "length of a row, bytes")
	w.add("NAXIS2", h.Rows, "number of rows")
	w.add("PCOUNT", 0, "number of group parameters")
	w.add("GCOUNT", 1, "number of groups")
	w.add("TFIELDS", len(columns), "number of table fields")
	for i, col := range columns {
		n := strconv.Itoa(i + 1)
		w.add("TTYPE"+n, col.Name, "")
		w.add("TFORM"+n, strconv.Itoa(col.Repeat)+string(rune(col.Type)), "")
		if col.Unit != "" {
			w.add("TUNIT"+n, col.Unit, "")
		}
	}
	w.add("EXTNAME", "SUBINT", "extension name")
	w.add("INT_TYPE", "TIME", "Time axis")
	w.add("INT_UNIT", "SEC", "Unit of time axis")
	w.add("SCALE", "FluxDen", "Intensity units")
	w.add("NPOL", h.Pols, "Nr of polarisations")
	w.add("POL_TYPE", h.PolType, "Polarisation identifier")
	w.add("TBIN", h.SampleTime, "[s] Time per sample")
	w.add("NBIN", 1, "Nr of bins (PSR/CAL mode; else 1)")
	w.add("NBITS", h.Bits, "Nr of bits/datum")
	w.add("ZERO_OFF", h.ZeroOffset, "Zero offset for SEARCH-mode data")
	w.add("NSUBOFFS", h.SkippedRows, "Subint offset")
	w.add("NCHAN", h.Channels, "Number of channels in this file")
	w.add("CHAN_BW", h.channelStep(), "[MHz] Channel width")
	w.add("NCHNOFFS", 0, "Channel offset for split files")
	w.add("NSBLK", h.RowSpectra, "Samples/row")
	if h.Beam >= 0 {
		w.add("BEAM", h.Beam, "ALFA beam number")
	}
	if h.NumIFs > 0 {
		w.add("NUMIFS", h.NumIFs, "Number of IFs (Mock)")
	}
	return w.end()
}

// channelStep is the step from a channel to the next, negative in a falling band, MHz.
func (h FileHeader) channelStep() float64 {
	if len(h.Freqs) < 2 {
		return h.Bandwidth
	}
	return h.Freqs[1] - h.Freqs[0]
}

// mjdTime is a day and a second of it as a time.
func mjdTime(day, second int64) time.Time {
	const unixDay = 40587 // MJD of 1970-01-01
	return time.Unix((day-unixDay)*secondsPerDay+second, 0).UTC()
}

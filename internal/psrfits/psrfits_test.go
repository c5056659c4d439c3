package psrfits

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sampleFile = "p2030.20141121.G45.00+00.00.N.b3.00100.fits"

// testHeader describes a small file of a falling band.
func testHeader(bits, pols int) FileHeader {
	h := FileHeader{
		Telescope: "Arecibo", Observer: "O'Neill", Project: "p2030", Frontend: "alfa", Backend: "pdev",
		Source: "G45.00+00.00.N", RA: "19:13:42.6182", Dec: "-10:43:25.3317",
		CenterFreq: 1375.5, Bandwidth: 322.5, BeamWidth: 0.05,
		StartDay: 56982, StartSecond: 71746, StartOffset: 0.25, StartLST: 70302.12552194881,
		Beam: 3, NumIFs: 1,
		SampleTime: 0.0005, Channels: 8, Pols: pols, PolType: "AA+BB", RowSpectra: 16, Bits: bits, Rows: 3,
		Azimuth: 210.5, ZenithAngle: 8.75,
	}
	if pols > 1 {
		h.PolType = "AABBCRCI"[:min(2*pols, 8)]
	}
	for c := range h.Channels {
		h.Freqs = append(h.Freqs, 1500-2.5*float64(c))
	}
	return h
}

// sample is the value of a sample in the files that tests write.
func sample(h FileHeader, row, i int) uint8 {
	return uint8((row*7 + i*i + i/5) % (1 << h.Bits))
}

// writeTo writes a file with known samples, and known scales and offsets.
func writeTo(t testing.TB, w *Writer, h FileHeader) {
	t.Helper()
	n := h.Channels * h.Pols
	d := RowData{Weights: make([]float32, h.Channels), Offsets: make([]float32, n), Scales: make([]float32, n), Samples: make([]uint8, n*h.RowSpectra)}
	for c := range d.Weights {
		d.Weights[c] = 1
	}
	d.Weights[h.Channels-1] = 0
	for i := range n {
		d.Offsets[i], d.Scales[i] = float32(10*i), 1+float32(i)/4
	}
	for row := range h.Rows {
		for i := range d.Samples {
			d.Samples[i] = sample(h, row, i)
		}
		if err := w.WriteRow(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// fileBytes returns a whole file in memory.
func fileBytes(t testing.TB, h FileHeader) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := NewWriter(&buf, h)
	if err != nil {
		t.Fatal(err)
	}
	writeTo(t, w, h)
	return buf.Bytes()
}

func mustNewFile(t testing.TB, b []byte) *File {
	t.Helper()
	f, err := NewFile(bytes.NewReader(b), int64(len(b)), "test.fits")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		bits, pols int
	}{
		{"1 bit", 1, 1}, {"2 bits", 2, 1}, {"4 bits", 4, 1}, {"8 bits", 8, 1},
		{"4 bits, two polarisations", 4, 2}, {"8 bits, four polarisations", 8, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := testHeader(tt.bits, tt.pols)
			h.ZeroOffset = 0.5
			b := fileBytes(t, h)
			if int64(len(b)) != h.FileSize() || len(b)%blockSize != 0 {
				t.Errorf("file has %d bytes, FileSize says %d", len(b), h.FileSize())
			}
			f := mustNewFile(t, b)
			got, _ := json.Marshal(f.Header)
			want, _ := json.Marshal(h)
			if string(got) != string(want) {
				t.Errorf("header is\n%s, want\n%s", got, want)
			}
			checkRows(t, f, h)
		})
	}
}

// checkRows holds every intensity against its definition.
func checkRows(t *testing.T, f *File, h FileHeader) {
	t.Helper()
	var row Row
	got := make([]float32, h.Channels)
	for r := range h.Rows {
		if err := f.ReadRow(r, &row); err != nil {
			t.Fatal(err)
		}
		for s := range h.RowSpectra {
			row.Spectrum(s, got)
			for c := range got {
				want := 0.0
				for p := range min(h.Pols, 2) {
					i := p*h.Channels + c
					v := float64(sample(h, r, s*h.Channels*h.Pols+i))
					want += (v-h.ZeroOffset)*(1+float64(i)/4) + 10*float64(i)
				}
				if c == h.Channels-1 {
					want = 0 // its weight is 0
				}
				if math.Abs(float64(got[c])-want) > 1e-3 {
					t.Fatalf("row %d, spectrum %d, channel %d is %v, want %v", r, s, c, got[c], want)
				}
			}
		}
	}
}

func TestTheFirstOfTwoSamplesIsInTheHighBits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		bits int
		src  []byte
		want []uint16
	}{
		{1, []byte{0b10110001}, []uint16{1, 0, 1, 1, 0, 0, 0, 1}},
		{2, []byte{0b11100100}, []uint16{3, 2, 1, 0}},
		{4, []byte{0xa5, 0x0f}, []uint16{10, 5, 0, 15}},
		{8, []byte{0, 200}, []uint16{0, 200}},
		{16, []byte{0x80, 0x00, 0x00, 0x01, 0x7f, 0xff}, []uint16{0, 32769, 65535}},
	} {
		got := make([]uint16, len(tt.want))
		unpack(got, tt.src, tt.bits)
		for i := range got {
			if got[i] != tt.want[i] {
				t.Errorf("%d bits: %v, want %v", tt.bits, got, tt.want)
				break
			}
		}
	}
}

func TestSamplesOf16BitsAreSigned(t *testing.T) {
	t.Parallel()
	r := Row{data: []byte{0xff, 0xff, 0x01, 0x00}, bits: 16, channels: 2, pols: 1, sum: 1, Gain: []float32{2, 1}, Bias: []float32{10, 0}}
	got := make([]float32, 2)
	r.Spectrum(0, got)
	if got[0] != 8 || got[1] != 256 {
		t.Errorf("spectrum is %v, want 8 and 256", got)
	}
}

func TestClippedCountsTheLowestAndTheHighestValue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		bits           int
		data           []byte
		low, high, all int64
	}{
		{1, []byte{0xf0}, 4, 4, 8},
		{4, []byte{0x0f, 0x00, 0x5f, 0x12}, 3, 2, 8},
		{8, []byte{0, 255, 255, 7}, 1, 2, 4},
		{16, []byte{0x80, 0, 0x7f, 0xff, 0, 0}, 1, 1, 3},
	} {
		r := Row{data: tt.data, bits: tt.bits}
		if low, high, all := r.Clipped(); low != tt.low || high != tt.high || all != tt.all {
			t.Errorf("%d bits: %d, %d of %d, want %d, %d of %d", tt.bits, low, high, all, tt.low, tt.high, tt.all)
		}
	}
}

// edit returns a copy of a file with a piece of its header replaced.
func edit(t *testing.T, b []byte, old, now string) []byte {
	t.Helper()
	if !bytes.Contains(b, []byte(old)) || len(old) != len(now) {
		t.Fatalf("cannot replace %q by %q", old, now)
	}
	return bytes.Replace(bytes.Clone(b), []byte(old), []byte(now), 1)
}

func TestADamagedFileIsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	good := fileBytes(t, testHeader(4, 1))
	data := int64(len(good)) - 2880 // 3 rows of 236 bytes fit one block
	for _, tt := range []struct {
		name string
		b    []byte
		want string // all of these words, in this order
		is   error
	}{
		{"an empty file", nil, "PRIMARY * no END", ErrTruncated},
		{"no FITS file", bytes.Repeat([]byte("<html>"), 1000), "PRIMARY * byte 0 does not begin a FITS header", nil},
		{"cut in the first header", good[:1440], "PRIMARY * no END", ErrTruncated},
		{"cut in the second header", good[:data-2880], "HDU 1: header has no END", ErrTruncated},
		{"cut in the second row", good[:data+300], "HDU SUBINT: row 2 of 3: ends behind", ErrTruncated},
		{"no keyword NCHAN", edit(t, good, "NCHAN   ", "NCHUN   "), "HDU SUBINT: NCHAN: keyword is missing", ErrMissing},
		{"two keywords missing", edit(t, edit(t, good, "NCHAN   ", "NCHUN   "), "STT_LST ", "STT_XST "), "PRIMARY: STT_LST * SUBINT: NCHAN", ErrMissing},
		{"not search mode", edit(t, good, "'SEARCH  '", "'PSR     '"), `OBS_MODE: "PSR" is not SEARCH`, nil},
		{"no number", edit(t, good, "TBIN    =               0.0005", "TBIN    =               0.0.05"), `TBIN: "0.0.05" is not a number`, nil},
		{"more channels than columns", edit(t, good, "NCHAN   =                    8", "NCHAN   =                   16"), "column DAT_FREQ: has 8 of type E, not 16", nil},
		{"channels without end", edit(t, good, "NCHAN   =                    8", "NCHAN   =  9999999999999999999"), `NCHAN: "9999999999999999999" is not an integer`, nil},
		{"3 bits", edit(t, good, "NBITS   =                    4", "NBITS   =                    3"), "NBITS: 3 bits are not supported", nil},
		{"8 bits that are not there", edit(t, good, "NBITS   =                    4", "NBITS   =                    8"), "column DATA: has 64 bytes, not the 128", nil},
		{"rows of another length", edit(t, good, "'64B     '", "'65B     '"), "NAXIS1: a row has", nil},
		{"an impossible column", edit(t, good, "'64B     '", "'64Z     '"), "TFORM10: there is no type 'Z'", nil},
		{"a column without end", edit(t, good, "'64B     '", "'9999999B'"), "NAXIS1: a row has", nil},
		{"rows without end", edit(t, good, "NAXIS2  =                    3", "NAXIS2  =           2147483647"), "row 13 of 2147483647: ends behind", ErrTruncated},
		{"a negative axis", edit(t, good, "NAXIS2  =                    3", "NAXIS2  =                   -3"), "NAXIS2: -3 is not in", nil},
		{"an axis that overflows", edit(t, good, "NAXIS2  =                    3", "NAXIS2  =  9223372036854775807"), "larger than any file", nil},
		{"a coordinate that is none", edit(t, good, "19:13:42.6182", "19:73:42.6182"), `RA: "19:73:42.6182" is not of the form`, nil},
		{"no table of that name", edit(t, good, "'SUBINT  '", "'SUBUNT  '"), "HDU SUBINT: there is none", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := NewFile(bytes.NewReader(tt.b), int64(len(tt.b)), "test.fits")
			if err == nil {
				t.Fatal("it was accepted")
			}
			text := err.Error()
			for _, part := range strings.Split(tt.want, " * ") {
				_, after, ok := strings.Cut(text, part)
				if !ok {
					t.Fatalf("error is %q, want %q in it", err, tt.want)
				}
				text = after
			}
			if !strings.HasPrefix(err.Error(), "test.fits: ") || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error %q does not name the file, or is not %v", err, tt.is)
			}
		})
	}
}

func TestAScaleThatIsNoNumberIsRefusedWithItsRow(t *testing.T) {
	t.Parallel()
	h := testHeader(4, 1)
	b := fileBytes(t, h)
	f := mustNewFile(t, b)
	at := f.table.start + f.table.rowSize + int64(f.scale.offset) + 4*2
	copy(b[at:], []byte{0x7f, 0xc0, 0, 0}) // NaN
	err := mustNewFile(t, b).ReadRow(1, new(Row))
	if err == nil || !strings.Contains(err.Error(), "row 2, channel 3") {
		t.Errorf("error is %v, want row 2, channel 3 in it", err)
	}
}

func TestCards(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, card := range []string{
		"SIMPLE  =                    T / fine",
		"QUOTE   = 'it''s / no comment  ' / a comment",
		"OPEN    = 'never closed",
		"FORTRAN =             1.5D-003 / exponent",
		"TWICE   =                    1",
		"TWICE   =                    2",
		"COMMENT = this is no value",
		"HISTORY   made by hand = 'x'",
		"HIERARCH ESO long name = 3",
		"CONTINUE  'more'",
		"LATIN   = 'Per\xe9z   '",
		"EMPTY   =",
		"END",
	} {
		b.WriteString(card + strings.Repeat(" ", cardSize-len(card)))
	}
	b.WriteString(strings.Repeat(" ", blockSize-b.Len()))
	c, next, err := readCards(strings.NewReader(b.String()), blockSize, 0, "PRIMARY")
	if err != nil || next != blockSize {
		t.Fatalf("readCards = %d, %v", next, err)
	}
	for key, want := range map[string]string{"QUOTE": "it's / no comment", "OPEN": "never closed", "LATIN": "Per?z"} {
		if got, err := c.String(key); got != want || err != nil {
			t.Errorf("%s = %q, %v, want %q", key, got, err, want)
		}
	}
	if x, err := c.Float("FORTRAN"); x != 0.0015 || err != nil {
		t.Errorf("FORTRAN = %v, %v", x, err)
	}
	if n, err := c.Int("TWICE"); n != 1 || err != nil {
		t.Errorf("TWICE = %v, %v, want the first", n, err)
	}
	for _, key := range []string{"HISTORY", "HIERARCH", "CONTINUE", "END"} {
		if c.Has(key) {
			t.Errorf("%s is taken for a keyword", key)
		}
	}
	if _, err := c.Int("EMPTY"); err == nil {
		t.Error("EMPTY is taken for a number")
	}
	if _, err := c.String("NONE"); !errors.Is(err, ErrMissing) {
		t.Errorf("NONE: %v, want ErrMissing", err)
	}
}

func TestTDIMCountsOnlyWhereItFits(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{"(8,1,16)": 3, "(8, 1, 16)": 3, "(8,1,17)": 0, "8,1,16": 0, "(-8,-1,16)": 0, "(a)": 0, "": 0, "(128)": 1, "(9999999999,99)": 0} {
		if got := parseDim(s, 128); len(got) != want {
			t.Errorf("parseDim(%q) = %v, want %d axes", s, got, want)
		}
	}
}

func TestARefusedRowIsNotWritten(t *testing.T) {
	t.Parallel()
	h := testHeader(4, 1)
	w, err := NewWriter(io.Discard, h)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteRow(RowData{}); err == nil {
		t.Error("an empty row was accepted")
	}
	if err := w.Close(); err == nil {
		t.Error("a file without its rows was accepted")
	}
	for name, spoil := range map[string]func(*FileHeader){
		"16 bits":             func(h *FileHeader) { h.Bits = 16 },
		"a missing channel":   func(h *FileHeader) { h.Freqs = h.Freqs[1:] },
		"a text of two lines": func(h *FileHeader) { h.Source = "a\nb" },
		"an endless text":     func(h *FileHeader) { h.Observer = strings.Repeat("x", 100) },
	} {
		h := testHeader(4, 1)
		spoil(&h)
		if _, err := NewWriter(io.Discard, h); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestAStrippedFileHasAHeaderAndNoData(t *testing.T) {
	t.Parallel()
	f, err := Open(filepath.Join("testdata", sampleFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.HasData() || f.Header.Channels != 96 || len(f.Columns()) != 13 {
		t.Errorf("HasData %v, %d channels, %d columns", f.HasData(), f.Header.Channels, len(f.Columns()))
	}
	if err := f.ReadRow(0, new(Row)); !errors.Is(err, ErrNoData) {
		t.Errorf("ReadRow: %v, want ErrNoData", err)
	}
}

func FuzzNewFile(f *testing.F) {
	f.Add(fileBytes(f, testHeader(4, 1)))
	f.Add(fileBytes(f, testHeader(8, 2)))
	f.Add(fileBytes(f, testHeader(1, 1)))
	stripped, err := os.ReadFile(filepath.Join("testdata", sampleFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stripped[:14400+2880])
	f.Add(stripped[:14400+128*460])
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := NewFile(bytes.NewReader(b), int64(len(b)), "fuzz.fits")
		if err != nil {
			return
		}
		var row Row
		dst := make([]float32, file.Header.Channels)
		for i := range file.Header.Rows {
			if err := file.ReadRow(i, &row); err != nil {
				return
			}
			row.Clipped()
			for s := range file.Header.RowSpectra {
				row.Spectrum(s, dst)
				for c, v := range dst {
					if x := float64(v); math.IsNaN(x) || math.IsInf(x, 0) {
						t.Fatalf("row %d, spectrum %d, channel %d is %v", i, s, c, v)
					}
				}
			}
		}
	})
}

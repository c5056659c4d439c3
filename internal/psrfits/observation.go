package psrfits

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
)

// Observation is what belongs together, open for reading: a merged Mock file,
// a WAPP file, one half of a Mock observation or both. It may be used by one
// goroutine at a time.
//
// Its channels are in rising frequency, whatever the order in the files. Where
// the halves of a band overlap, it is cut in the middle of the overlap: below
// come the channels of the lower half, above those of the upper one, each with
// at least half a channel's width between it and its neighbour. So there is
// one channel for each frequency, each from the half where it lies further
// from the edge of the band; the survey's merging does it likewise.
type Observation struct {
	Header Header
	Files  []*File // in rising frequency
	// Notes are things that an operator should know, such as a half that has
	// fewer rows than the other.
	Notes []string

	rows int
	from []source  // where each channel comes from
	to   [][]int32 // of each file: where its channels go, -1 for nowhere
}

// source says where a channel of an observation comes from.
type source struct {
	file, channel int
	freq          float64 // MHz
}

// OpenObservation opens the files of one observation, given in any order.
func OpenObservation(paths []string) (*Observation, error) {
	names, err := parseNames(paths)
	if err != nil {
		return nil, err
	}
	o := new(Observation)
	for _, path := range paths {
		f, err := Open(path)
		if err != nil {
			return nil, errors.Join(err, o.Close())
		}
		o.Files = append(o.Files, f)
	}
	if err := o.combine(names[0]); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", filepath.Base(paths[0]), err), o.Close())
	}
	return o, nil
}

// parseNames reads the names and checks that they belong together.
func parseNames(paths []string) ([]Name, error) {
	var names []Name
	for _, path := range paths {
		name, ok := ParseName(path)
		if !ok {
			return nil, fmt.Errorf("%s: not a name of a Mock, merged Mock or WAPP file", filepath.Base(path))
		}
		names = append(names, name)
	}
	switch {
	case len(names) == 0:
		return nil, errors.New("no files of an observation")
	case len(names) == 1:
		return names, nil
	case len(names) == 2 && names[0].halves(names[1]):
		return names, nil
	}
	return nil, fmt.Errorf("%s: the other files given with it are not of the same observation", filepath.Base(paths[0]))
}

// Close closes the files.
func (o *Observation) Close() error {
	var errs []error
	for _, f := range o.Files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// combine makes one band of the files and fills in the header.
func (o *Observation) combine(name Name) error {
	slices.SortFunc(o.Files, func(a, b *File) int {
		return cmp.Compare(mean(a.Header.Freqs), mean(b.Header.Freqs))
	})
	o.rows = o.Files[0].Header.Rows
	for _, f := range o.Files[1:] {
		if err := o.join(f); err != nil {
			return err
		}
	}
	o.from = channelsOf(0, o.Files[0])
	if len(o.Files) == 2 {
		o.from = joinBands(o.from, channelsOf(1, o.Files[1]))
	}
	o.to = make([][]int32, len(o.Files))
	for i, f := range o.Files {
		o.to[i] = slices.Repeat([]int32{-1}, f.Header.Channels)
	}
	for c, s := range o.from {
		o.to[s.file][s.channel] = int32(c)
	}
	h, err := newHeader(o, name)
	o.Header = h
	return err
}

// join checks that another half was recorded together with the first.
func (o *Observation) join(f *File) error {
	a, b := o.Files[0].Header, f.Header
	apart := math.Abs(a.StartMJD()-b.StartMJD()) * secondsPerDay
	switch {
	case a.SampleTime != b.SampleTime || a.RowSpectra != b.RowSpectra || a.Bits != b.Bits:
		return errors.New("TBIN, NSBLK or NBITS differ between the halves of the band")
	case a.Source != b.Source || a.Project != b.Project || a.Beam != b.Beam:
		return errors.New("SRC_NAME, PROJID or the beam differ between the halves of the band")
	case apart > a.SampleTime/2+1e-4: // an MJD in float64 is good to 1 µs
		return fmt.Errorf("the halves of the band begin %.6f s apart", apart)
	case a.Rows != b.Rows:
		o.rows = min(a.Rows, b.Rows)
		o.Notes = append(o.Notes, fmt.Sprintf("the halves of the band have %d and %d rows: only the first %d are used", a.Rows, b.Rows, o.rows))
	}
	return nil
}

// channelsOf returns the channels of one file in rising frequency.
func channelsOf(file int, f *File) []source {
	all := make([]source, len(f.Header.Freqs))
	for i, freq := range f.Header.Freqs {
		all[i] = source{file, i, freq}
	}
	slices.SortStableFunc(all, func(a, b source) int { return cmp.Compare(a.freq, b.freq) })
	return all
}

// joinBands cuts two bands where they overlap and puts them together.
func joinBands(lower, upper []source) []source {
	top, bottom := lower[len(lower)-1].freq, upper[0].freq
	if top < bottom {
		return slices.Concat(lower, upper)
	}
	cut := (top + bottom) / 2
	keep := slices.IndexFunc(lower, func(s source) bool { return s.freq >= cut })
	if keep > 0 { // the lower band's lowest channel stays in any case
		lower = lower[:keep]
	} else {
		lower = lower[:1]
	}
	width := 0.0
	if len(upper) > 1 {
		width = upper[1].freq - upper[0].freq
	}
	least := max(lower[len(lower)-1].freq+width/2, cut)
	skip := slices.IndexFunc(upper, func(s source) bool { return s.freq >= least })
	if skip < 0 {
		skip = len(upper) - 1
	}
	return slices.Concat(lower, upper[skip:])
}

// Channels returns the frequencies of the channels, rising, MHz.
func (o *Observation) Channels() []float64 {
	freqs := make([]float64, len(o.from))
	for i, s := range o.from {
		freqs[i] = s.freq
	}
	return freqs
}

// Rows returns how many rows all files have.
func (o *Observation) Rows() int { return o.rows }

// Block is one row of each file of an observation. ReadBlock fills it; it can
// be used again and again.
type Block struct {
	rows []Row
	to   [][]int32 // of each file: where its channels go
}

// ReadBlock reads row i, counted from 0.
func (o *Observation) ReadBlock(i int, b *Block) error {
	if len(b.rows) != len(o.Files) {
		b.rows = make([]Row, len(o.Files))
	}
	b.to = o.to
	for f, file := range o.Files {
		if err := file.ReadRow(i, &b.rows[f]); err != nil {
			return err
		}
	}
	return nil
}

// Spectrum returns the calibrated intensities of spectrum i of the block in
// dst, which has one element for each channel of the observation.
func (b *Block) Spectrum(i int, dst []float32) {
	for f := range b.rows {
		b.rows[f].place(i, dst, b.to[f])
	}
}

// Clipped counts samples as Row.Clipped does, in all files and all of their
// channels.
func (b *Block) Clipped() (low, high, all int64) {
	for f := range b.rows {
		l, h, n := b.rows[f].Clipped()
		low, high, all = low+l, high+h, all+n
	}
	return low, high, all
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

package presto

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
)

// Fold is what the head of a .pfd file says of a folded candidate: the best
// periods and their first derivatives, of the telescope and at the barycentre.
type Fold struct {
	Candidate       string
	BestDM          float64 // pc/cm^3
	TopoP, TopoPdot float64 // s, s/s
	BaryP, BaryPdot float64
}

// Frequency converts a period and its derivative, s and s/s, to a frequency and
// its derivative, Hz and Hz/s.
func Frequency(p, pdot float64) (f, fdot float64) {
	return 1 / p, -pdot / (p * p)
}

// ReadFold reads the head of a .pfd file: twelve integers, four strings, the
// position, which older versions of PRESTO do not write, and numbers. All are
// little-endian. size is that of the whole file, bytes; it must be the one that
// the head implies.
func ReadFold(r io.Reader, size int64) (Fold, error) {
	in := pfdReader{r: r, size: size}
	var counts [12]int32 // numdms numperiods numpdots nsub npart proflen numchan pstep pdstep dmstep ndmfact npfact
	in.read(&counts)
	in.text() // the file that was folded
	f := Fold{Candidate: in.text()}
	in.text() // the telescope
	in.text() // the plot
	var numbers [28]float64
	in.position(&numbers)
	if in.err != nil {
		return f, fmt.Errorf("no .pfd file: %w", in.err)
	}
	want, err := pfdTail(counts)
	if err != nil {
		return f, err
	}
	if got := size - in.n; got != want {
		return f, fmt.Errorf("%d bytes follow the head of the .pfd file; by the head they must be %d", got, want)
	}
	// dt startT endT tepoch bepoch avgvoverc lofreq chan_wid bestdm, then power
	// and period with two derivatives: at the telescope, at the barycentre, as
	// it was folded; the orbit.
	f.BestDM = numbers[8]
	f.TopoP, f.TopoPdot = numbers[10], numbers[11]
	f.BaryP, f.BaryPdot = numbers[14], numbers[15]
	return f, f.check()
}

func (f Fold) check() error {
	for _, x := range []float64{f.BestDM, f.TopoP, f.TopoPdot, f.BaryP, f.BaryPdot} {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return errors.New("a period or the DM is not a number")
		}
	}
	// Frequencies of a subnormal period would not be numbers either.
	if f.TopoP < 1e-9 || f.BaryP < 1e-9 {
		return fmt.Errorf("the periods are %g and %g s; they must be positive", f.TopoP, f.BaryP)
	}
	return nil
}

// pfdTail is how many bytes follow the head: the axes, the profiles, and seven
// numbers about each.
func pfdTail(n [12]int32) (int64, error) {
	const most = 1 << 20
	for _, x := range n[:6] {
		if x < 0 || x > most {
			return 0, fmt.Errorf("the head of the .pfd file counts %d of something", x)
		}
	}
	dms, periods, pdots := int64(n[0]), int64(n[1]), int64(n[2])
	profiles := int64(n[3]) * int64(n[4])
	if profiles > most {
		return 0, fmt.Errorf("the head of the .pfd file counts %d profiles", profiles)
	}
	return 8 * (dms + periods + pdots + profiles*int64(n[5]) + 7*profiles), nil
}

// pfdReader reads little-endian values until one cannot be read.
type pfdReader struct {
	r    io.Reader
	size int64
	n    int64 // bytes read
	err  error
}

func (in *pfdReader) read(v any) {
	if in.err == nil {
		in.err = binary.Read(in.r, binary.LittleEndian, v)
		in.n += int64(binary.Size(v))
	}
}

// text reads a length and as many bytes.
func (in *pfdReader) text() string {
	const most = 4096
	var n int32
	in.read(&n)
	if in.err == nil && (n < 0 || n > most) {
		in.err = fmt.Errorf("a text of %d bytes in its head", n)
	}
	if in.err != nil {
		return ""
	}
	b := make([]byte, n)
	in.read(b)
	return string(b)
}

// position reads the coordinates, two texts of 16 bytes, if they are there, and
// the numbers that follow.
func (in *pfdReader) position(numbers *[28]float64) {
	var ra [16]byte
	in.read(&ra)
	if in.err != nil {
		return
	}
	coordinate := regexp.MustCompile(`^(Unknown|[-+]?\d\d:\d\d:\d\d[.\d]*)\x00*`)
	if coordinate.Match(ra[:]) {
		var dec [16]byte
		in.read(&dec)
		in.read(numbers)
		return
	}
	var rest [26]float64
	in.read(&rest)
	numbers[0] = math.Float64frombits(binary.LittleEndian.Uint64(ra[:8]))
	numbers[1] = math.Float64frombits(binary.LittleEndian.Uint64(ra[8:]))
	copy(numbers[2:], rest[:])
}

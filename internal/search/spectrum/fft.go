package spectrum

import (
	"fmt"
	"math"
	"math/bits"
)

// FFT transforms real series whose length is a power of two, in single
// precision. Series are long and there are many of them: this takes a sixth of
// the memory of gonum's transform, which is in double precision and keeps
// work arrays, and half of the time. Its tests compare the two.
//
// An FFT is safe for concurrent use.
type FFT struct {
	n       int
	twiddle [][]complex64 // by stage: three factors for each butterfly of radix 4
	split   []complex64   // exp(-2πik/n), k up to n/4
}

// NewFFT prepares for series of n real samples, a power of two of at least 16.
func NewFFT(n int) (*FFT, error) {
	if n < 16 || n&(n-1) != 0 {
		return nil, fmt.Errorf("transform of length %d: it must be a power of two, at least 16", n)
	}
	f := &FFT{n: n, split: make([]complex64, n/4+1)}
	for k := range f.split {
		f.split[k] = unit(k, n)
	}
	for m := n / 2; m >= 4; m /= 4 {
		t := make([]complex64, 3*m/4)
		for k := range m / 4 {
			t[3*k], t[3*k+1], t[3*k+2] = unit(k, m), unit(2*k, m), unit(3*k, m)
		}
		f.twiddle = append(f.twiddle, t)
	}
	return f, nil
}

// unit is exp(-2πik/n).
func unit(k, n int) complex64 {
	s, c := math.Sincos(-2 * math.Pi * float64(k) / float64(n))
	return complex(float32(c), float32(s))
}

// Len returns the length of the series.
func (f *FFT) Len() int { return f.n }

// Forward transforms src, n samples, to dst, n/2 bins: the sum of
// x[t]·exp(-2πikt/n). Bin 0 has the sum in its real part and, as in PRESTO's
// files, the bin at the Nyquist frequency, which is real, too, in its
// imaginary part.
func (f *FFT) Forward(dst []complex64, src []float32) {
	dst, src = dst[:f.n/2], src[:f.n]
	for i := range dst {
		dst[i] = complex(src[2*i], src[2*i+1])
	}
	f.complex(dst)
	h := len(dst)
	dst[0] = complex(real(dst[0])+imag(dst[0]), real(dst[0])-imag(dst[0]))
	for k := 1; k <= h/2; k++ {
		a, b := dst[k], conj(dst[h-k])
		even, odd := (a+b)*0.5, (a-b)*0.5
		odd = complex(imag(odd), -real(odd)) * f.split[k]
		dst[k], dst[h-k] = even+odd, conj(even-odd)
	}
}

// Inverse is the opposite of Forward. It uses up src.
func (f *FFT) Inverse(dst []float32, src []complex64) {
	dst, src = dst[:f.n], src[:f.n/2]
	h := len(src)
	src[0] = complex(real(src[0])+imag(src[0]), real(src[0])-imag(src[0])) * 0.5
	for k := 1; k <= h/2; k++ {
		a, b := src[k], conj(src[h-k])
		even, odd := (a+b)*0.5, (a-b)*0.5*conj(f.split[k])
		odd = complex(-imag(odd), real(odd))
		src[k], src[h-k] = even+odd, conj(even-odd)
	}
	for i, a := range src { // conjugates make a forward transform an inverse one
		src[i] = conj(a)
	}
	f.complex(src)
	scale := 1 / float32(h)
	for i, a := range src {
		dst[2*i], dst[2*i+1] = real(a)*scale, -imag(a)*scale
	}
}

func conj(a complex64) complex64 { return complex(real(a), -imag(a)) }

// complex transforms n/2 complex values in place.
func (f *FFT) complex(x []complex64) {
	f.stage(x, 0)
	shift := 64 - bits.Len(uint(len(x)-1))
	for i := range x {
		if j := int(bits.Reverse64(uint64(i)) >> shift); i < j {
			x[i], x[j] = x[j], x[i]
		}
	}
}

// stage is decimation in frequency by four, then each quarter by itself, so
// that what is small enough is done within the processor's caches. The quarters
// are in the order that reversing the bits of the indices undoes.
func (f *FFT) stage(x []complex64, depth int) {
	switch len(x) {
	case 1:
		return
	case 2:
		x[0], x[1] = x[0]+x[1], x[0]-x[1]
		return
	}
	q := len(x) / 4
	x0, x1, x2, x3 := x[:q], x[q:2*q], x[2*q:3*q], x[3*q:]
	x1, x2, x3 = x1[:len(x0)], x2[:len(x0)], x3[:len(x0)]
	t := f.twiddle[depth][:3*q]
	for k := range x0 {
		a, b, c, d := x0[k], x1[k], x2[k], x3[k]
		w := t[3*k : 3*k+3 : 3*k+3]
		even, odd := a+c, b+d
		x0[k] = even + odd
		x1[k] = (even - odd) * w[1]
		a, b = a-c, b-d
		b = complex(imag(b), -real(b))
		x2[k] = (a + b) * w[0]
		x3[k] = (a - b) * w[2]
	}
	if q == 1 {
		return
	}
	for _, part := range [4][]complex64{x0, x1, x2, x3} {
		f.stage(part, depth+1)
	}
}

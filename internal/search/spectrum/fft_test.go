package spectrum

import (
	"math"
	"math/cmplx"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/dsp/fourier"
)

func noise(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

func mustFFT(t testing.TB, n int) *FFT {
	t.Helper()
	f, err := NewFFT(n)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestTransformsAreThoseOfGonumAndCanBeUndone(t *testing.T) {
	t.Parallel()
	for n := 16; n <= 1<<15; n *= 2 {
		x := noise(uint64(n), n)
		wide := make([]float64, n)
		for i, v := range x {
			wide[i] = float64(v)
		}
		want := fourier.NewFFT(n).Coefficients(nil, wide)
		f := mustFFT(t, n)
		got := make([]complex64, n/2)
		f.Forward(got, x)
		worst := math.Abs(float64(real(got[0])) - real(want[0]))
		worst = max(worst, math.Abs(float64(imag(got[0]))-real(want[n/2])))
		for k := 1; k < n/2; k++ {
			worst = max(worst, cmplx.Abs(complex128(got[k])-want[k]))
		}
		back := make([]float32, n)
		f.Inverse(back, got)
		undone := 0.0
		for i := range x {
			undone = max(undone, math.Abs(float64(x[i]-back[i])))
		}
		if worst > 1e-5*math.Sqrt(float64(n)) || undone > 1e-5 {
			t.Errorf("length %d: bins are off by %v, samples by %v after the way back", n, worst, undone)
		}
	}
}

func TestOtherLengthsAreRefused(t *testing.T) {
	t.Parallel()
	for _, n := range []int{-1, 0, 8, 1000} {
		if _, err := NewFFT(n); err == nil {
			t.Errorf("a length of %d is taken", n)
		}
	}
}

func BenchmarkForward(b *testing.B) {
	const n = 1 << 17
	f, x, y := mustFFT(b, n), noise(1, n), make([]complex64, n/2)
	for b.Loop() {
		f.Forward(y, x)
	}
}

func BenchmarkGonum(b *testing.B) {
	const n = 1 << 17
	f, y := fourier.NewFFT(n), make([]complex128, n/2+1)
	x := make([]float64, n)
	for i, v := range noise(1, n) {
		x[i] = float64(v)
	}
	for b.Loop() {
		f.Coefficients(y, x)
	}
}

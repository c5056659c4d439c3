package sigma

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

// TestSignificanceIsPRESTOs holds it against values in the lists that PRESTO 6
// wrote for the sample observation: sums of powers as they are printed, to a
// tenth, so the significance is good to 0.01.
func TestSignificanceIsPRESTOs(t *testing.T) {
	t.Parallel()
	const bins = 65536 - 131 // those searched at 2 Hz and above in 65.536 s
	for _, c := range []struct {
		power  float64
		n      int
		trials float64
		want   float64
	}{
		{281.8, 8, 1, 22.22}, {55.8, 4, 1, 9.20}, {50.2, 8, 1, 7.51}, {36.9, 4, 1, 7.06}, {38.6, 8, 1, 6.10},
		{253.27, 8, bins / 8, 20.50}, {42.42, 4, bins / 4, 6.39}, {35.58, 8, bins / 8, 3.88},
		{22.99, 4, bins / 4, 2.66}, {27.86, 8, bins / 8, 2.01},
	} {
		got := Candidate(c.power, c.n, c.trials)
		if math.Abs(got-c.want) > 0.012 {
			t.Errorf("%v of %d in %v trials has %.3f sigma, want %v", c.power, c.n, c.trials, got, c.want)
		}
	}
}

func TestTailsAreThoseOfGonum(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 8, 32} {
		for _, x := range []float64{0.1, 1, 5, 30, 100, 300} {
			want := math.Log(mathext.GammaIncRegComp(float64(n), x))
			if want < -600 {
				continue
			}
			if got := logSum(x, n); math.Abs(got-want) > 1e-9*max(1, -want) {
				t.Errorf("logSum(%v, %d) is %v, want %v", x, n, got, want)
			}
			if got := logGamma(x, float64(n)); math.Abs(got-want) > 1e-9*max(1, -want) {
				t.Errorf("logGamma(%v, %d) is %v, want %v", x, n, got, want)
			}
		}
	}
	for _, p := range []float64{0.99, 0.5, 0.1, 1e-5, 1e-16, 1e-100, 1e-250} {
		want := -distuv.UnitNormal.Quantile(p)
		if got := fromLog(math.Log(p)); math.Abs(got-want) > 1e-6*max(1, want) {
			t.Errorf("probability %v is %v sigma, want %v", p, got, want)
		}
	}
}

func TestSignificanceIsSteadyWhereTheFormulaChanges(t *testing.T) {
	t.Parallel()
	if a, b := fromLog(-6.9999), fromLog(-7.0001); b < a || b-a > 1e-4 {
		t.Errorf("it jumps from %v to %v", a, b)
	}
	if a, b := manyTrials(-34.9999, 1e4), manyTrials(-35.0001, 1e4); b > a || a-b > 1e-3 {
		t.Errorf("it jumps from %v to %v", a, b)
	}
	if got := fromLog(-2000); math.Abs(got-63.16) > 0.01 {
		t.Errorf("a probability of exp(-2000) is %v sigma, want 63.16", got)
	}
	if got := Candidate(0, 4, 10); !math.IsInf(got, -1) {
		t.Errorf("no power at all is %v sigma", got)
	}
}

func TestPowerIsTheInverse(t *testing.T) {
	t.Parallel()
	for _, sigma := range []float64{-1, 2, 3, 6, 40} {
		for _, n := range []int{1, 8} {
			p := Power(sigma, n, 1e5)
			if got := Candidate(p, n, 1e5); math.Abs(got-sigma) > 1e-6 {
				t.Errorf("%v sigma of %d is a power of %v, which is %v sigma", sigma, n, p, got)
			}
		}
	}
}

func TestChiSquared(t *testing.T) {
	t.Parallel()
	// 10.797 with 80.56 degrees of freedom is 24.5 sigma in the sample's plot;
	// with whole degrees it is close to that.
	if got, _ := ChiSquared(10.797*81, 81); math.Abs(got-24.5) > 0.15 {
		t.Errorf("it is %v sigma, want about 24.5", got)
	}
	if got, p := ChiSquared(99, 99); math.Abs(got) > 0.1 || math.Abs(p-math.Log(0.48)) > 0.05 {
		t.Errorf("a reduced chi-squared of 1 is %v sigma", got)
	}
}

// Package sigma says how significant a sum of powers is: the equivalent
// Gaussian significance of PRESTO's candidate_sigma, and its inverse.
//
// The power in a Fourier bin of white noise, in units of its mean, follows an
// exponential distribution; the sum of n such powers a gamma distribution of
// shape n, which is that of chi-squared with 2n degrees of freedom, halved
// (Groth 1975, ApJS 29, 285). The significance in sigma is that distance from
// the mean beyond which a Gaussian has the same probability.
//
// Everything is done with logarithms, so that nothing overflows: a pulsar that
// is bright has a probability of 1e-2000 to be noise.
package sigma

import "math"

// Candidate returns the significance of a sum of n powers, each in units of
// the mean of noise, that is the largest of a number of independent trials.
func Candidate(power float64, n int, trials float64) float64 {
	return fromLog(manyTrials(logSum(power, n), trials))
}

// Power returns the sum of n powers whose significance among trials is sigma.
func Power(sigma float64, n int, trials float64) float64 {
	lo, hi := 0.0, 10.0
	for Candidate(hi, n, trials) < sigma {
		lo, hi = hi, 2*hi
	}
	for range 60 {
		mid := (lo + hi) / 2
		if Candidate(mid, n, trials) < sigma {
			lo = mid
		} else {
			hi = mid
		}
	}
	return (lo + hi) / 2
}

// ChiSquared returns the significance of a chi-squared with a number of
// degrees of freedom, and the logarithm of its probability.
func ChiSquared(chi2 float64, dof int) (sigma, logProbability float64) {
	logP := logGamma(chi2/2, float64(dof)/2)
	return fromLog(logP), logP
}

// logSum is the logarithm of the probability that n powers of noise add up to
// at least power: exp(-x) times the sum of x^k/k! for k below n, exactly.
func logSum(power float64, n int) float64 {
	if power <= 0 {
		return 0
	}
	logX := math.Log(power)
	term, largest := 0.0, 0.0
	terms := make([]float64, n)
	for k := range n {
		if k > 0 {
			term += logX - math.Log(float64(k))
		}
		terms[k] = term
		largest = max(largest, term)
	}
	sum := 0.0
	for _, t := range terms {
		sum += math.Exp(t - largest)
	}
	return min(largest+math.Log(sum)-power, 0)
}

// logGamma is the logarithm of the regularised upper incomplete gamma function
// Q(a, x). Below the mean it goes by the series of P = 1-Q, above by the
// continued fraction (Abramowitz & Stegun 1964, 6.5.29 and 6.5.31), evaluated
// by Lentz's method.
func logGamma(x, a float64) float64 {
	if x <= 0 {
		return 0
	}
	lg, _ := math.Lgamma(a)
	front := a*math.Log(x) - x - lg
	if x < a+1 {
		sum, term := 1/a, 1/a
		for k := 1.0; k < 10000 && term > sum*1e-16; k++ {
			term *= x / (a + k)
			sum += term
		}
		return math.Log1p(-min(math.Exp(front)*sum, 1))
	}
	const tiny = 1e-300
	b := x + 1 - a
	c, d := 1/tiny, 1/b
	h := d
	for i := 1.0; i < 10000; i++ {
		an := -i * (i - a)
		b += 2
		d = 1 / nonzero(an*d+b, tiny)
		c = nonzero(b+an/c, tiny)
		h *= d * c
		if math.Abs(d*c-1) < 1e-15 {
			break
		}
	}
	return front + math.Log(h)
}

func nonzero(x, tiny float64) float64 {
	if math.Abs(x) < tiny {
		return tiny
	}
	return x
}

// manyTrials turns the logarithm of a probability into that of at least one
// success in a number of trials.
func manyTrials(logP, trials float64) float64 {
	if trials <= 1 {
		return logP
	}
	if logP < -35 && logP+math.Log(trials) < -16 {
		return logP + math.Log(trials)
	}
	never := trials * math.Log1p(-math.Exp(logP)) // of all failing
	return math.Log(-math.Expm1(never))
}

// fromLog is the significance that belongs to the logarithm of a probability.
func fromLog(logP float64) float64 {
	switch {
	case logP >= 0:
		return math.Inf(-1)
	case logP > -7:
		return math.Sqrt2 * math.Erfcinv(2*math.Exp(logP))
	}
	// Newton's method on the logarithm of the tail, from an outer bound of it.
	x := math.Sqrt(-2 * logP)
	for range 20 {
		logTail, slope := gaussTail(x)
		step := (logTail - logP) / slope
		x += step
		if math.Abs(step) < 1e-12*x {
			break
		}
	}
	return x
}

// gaussTail is the logarithm of the probability that a Gaussian is above x, and
// how steeply it falls there.
func gaussTail(x float64) (logTail, slope float64) {
	if x < 35 {
		logTail = math.Log(math.Erfc(x/math.Sqrt2) / 2)
	} else { // where the complementary error function underflows: 26.2.12 there
		x2 := x * x
		logTail = -x2/2 - math.Log(x*math.Sqrt(2*math.Pi)) + math.Log1p(-1/x2+3/(x2*x2))
	}
	return logTail, math.Exp(-x*x/2 - math.Log(2*math.Pi)/2 - logTail)
}

// Package spectrum searches a dedispersed time series for periodic signals: it
// transforms it, whitens it, sums harmonics, and polishes what stands out.
//
// The search without acceleration is that of PRESTO's accelsearch with -zmax 0
// (Ransom, Eikenberry & Middleditch 2002, AJ 124, 1788): powers at whole and
// half bins, sums of 1, 2, 4, 8, ... harmonics, thresholds that count the
// trials. The search with acceleration stretches the time series instead of
// correlating the spectrum with templates: stretched by the right amount, a
// signal of steadily changing frequency is a constant one.
//
// Frequencies are in Fourier bins, r: cycles in the length of the series, with
// its padding. z is by how many bins a frequency drifts in that time.
package spectrum

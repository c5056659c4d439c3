// Package sift chooses, from what the acceleration searches of all DMs found,
// the candidates that are worth folding. It does so by the rules of PRESTO's
// sifting.py (version 6) in the order in which PALFA's pipeline applies them:
//
//  1. periods that are too long or too short, sums that are not significant or
//     have no strong harmonic, and those that live off one high harmonic, go;
//  2. candidates of neighbouring frequencies at different DMs become one, the
//     most significant, with all as its hits;
//  3. what was found at too few DMs, best at too low a DM, or never at two
//     successive DMs, goes;
//  4. of the low and the high acceleration search together, harmonics of more
//     significant candidates go.
//
// The engines find candidates, package accelcands writes the list.
package sift

// Package presto reads what a PRESTO-based job of the PALFA survey leaves in its
// output directory: the header of the stripped PSRFITS file, the folded
// periodicity candidates with their .pfd files and plots, the single-pulse
// plots and tarballs, and the fourteen diagnostics.
//
// What a search did not find is no error: a quiet beam has no candidates, and a
// range of DMs without a single pulse has no plot. What a job leaves whether it
// finds something or not must be there, and what it says of itself must agree:
// a candidate that was folded has its .pfd and its plot.
//
// The rules by which candidates are chosen, named and numbered are those of the
// original's uploader, so that its numbers and ours can be compared; where it
// has a quirk, the code says so. How the search is made is the business of
// package search, how records are written that of package commondb.
package presto

// Package psrfits reads and writes the part of PSRFITS that a pulsar survey's
// search-mode data needs: the cards of the primary and the SUBINT header, and
// the rows of the SUBINT table, one at a time.
//
// A File is one file and knows nothing of surveys. An Observation is what
// belongs together (a merged Mock file, a WAPP file, one or both halves of a
// Mock observation) seen as one band in rising frequency, with the Header that
// the common database holds of it.
//
// Files come from elsewhere, so no number in them is trusted: headers have a
// largest size, every length is checked against the size of the file before
// memory is taken for it, and an error names the file, the HDU, and the
// keyword, column or row that is wrong. What lies behind the SUBINT table is
// not looked at.
//
// What the values mean for the data's quality is the business of package
// quicklook; how they get into the common database that of package results.
//
// The format: FITS 4.0 (Pence et al. 2010, A&A 524, A42) and PSRFITS (Hotan,
// van Straten and Manchester 2004, PASA 21, 302).
package psrfits

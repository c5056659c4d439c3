package psrfits

import (
	"path/filepath"
	"regexp"
)

// Kind is a kind of the survey's files, recognised by the name.
type Kind string

// The kinds.
const (
	Mock       Kind = "Mock"        // one half of the band of the Mock spectrometers
	MergedMock Kind = "merged Mock" // both halves, merged
	WAPP       Kind = "WAPP"        // the older correlators
)

// Type is the kind's word in the common database.
func (k Kind) Type() string {
	if k == WAPP {
		return "WAPP"
	}
	return "Mock"
}

// Name is what a file's name says.
type Name struct {
	Kind    Kind
	Project string
	Day     string // yyyymmdd, or the MJD of a WAPP file
	Second  string // of a WAPP file: s since 0h
	Source  string
	Beam    string // 0 to 7
	Subband string // of a half: 0 or 1
	Scan    string
}

// ParseName takes a file's name apart; directories do not matter. It reports
// false for a name that the survey does not use.
func ParseName(path string) (Name, bool) {
	base := filepath.Base(path)
	for kind, pattern := range map[Kind]string{
		Mock:       `^4bit-([Pp]\d{4})\.(\d{8})()\.(.*)\.b([0-7])s([01])g0\.(\d{5})\.fits$`,
		MergedMock: `^([Pp]\d{4})\.(\d{8})()\.(.*)\.b([0-7])()\.(\d{5})\.fits$`,
	} {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(base); m != nil {
			return Name{kind, m[1], m[2], m[3], m[4], m[5], m[6], m[7]}, true
		}
	}
	m := regexp.MustCompile(`^([Pp]\d{4})_(\d{5})_(\d{5})_(\d{4})_(.*)_(\d)\.w4bit\.fits$`).FindStringSubmatch(base)
	if m == nil {
		return Name{}, false
	}
	return Name{Kind: WAPP, Project: m[1], Day: m[2], Second: m[3], Scan: m[4], Source: m[5], Beam: m[6]}, true
}

// halves reports whether two names are those of the two halves of a band.
func (n Name) halves(other Name) bool {
	if n.Kind != Mock || n.Subband == other.Subband {
		return false
	}
	n.Subband = other.Subband
	return n == other
}

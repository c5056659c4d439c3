package queue

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ClockTolerance is how far the batch system's time of a submission may be
// from ours before it is taken for another one. Names tell submissions apart;
// the time is for batch systems that cut the name short or do not tell it.
const ClockTolerance = 24 * time.Hour

// Check returns an error that wraps ErrRejected if no batch system could make
// sense of s. Every Submit begins with it.
func (s Spec) Check() error {
	switch {
	case !ValidName(s.Name):
		return fmt.Errorf("%w: name %q is not 1 to 64 of [A-Za-z0-9_-] beginning with a letter", ErrRejected, s.Name)
	case len(s.Command) == 0 || s.Command[0] == "":
		return fmt.Errorf("%w: %s has no command", ErrRejected, s.Name)
	case !filepath.IsAbs(s.Stdout) || !filepath.IsAbs(s.Stderr):
		return fmt.Errorf("%w: %s: output %q and errors %q must be absolute paths", ErrRejected, s.Name, s.Stdout, s.Stderr)
	case s.Resources.CPUs < 0 || s.Resources.Memory < 0 || s.Resources.WallTime < 0:
		return fmt.Errorf("%w: %s asks for less than nothing: %+v", ErrRejected, s.Name, s.Resources)
	}
	return s.checkBytes()
}

// checkBytes finds what execve(2) cannot carry.
func (s Spec) checkBytes() error {
	for _, arg := range slices.Concat([]string{s.Stdout, s.Stderr}, s.Command, s.Args) {
		if strings.ContainsRune(arg, 0) {
			return fmt.Errorf("%w: %s: %q holds a NUL", ErrRejected, s.Name, arg)
		}
	}
	for key, value := range s.Env {
		if key == "" || strings.ContainsAny(key, "=\x00") || strings.ContainsRune(value, 0) {
			return fmt.Errorf("%w: %s: %q cannot be an environment variable", ErrRejected, s.Name, key+"="+value)
		}
	}
	return nil
}

// ValidName reports whether name can be the Name of a Spec.
func ValidName(name string) bool {
	for i, c := range []byte(name) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c != '_' && c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return 0 < len(name) && len(name) <= 64
}

// Matches reports whether a submission that the batch system knows by r.ID is
// the one that r means, and not a later one with the same ID. A zero name or
// time, here or there, is one that is not known and decides nothing.
func (r Ref) Matches(name string, submitted time.Time) bool {
	if name != "" && r.Name != "" && name != r.Name {
		return false
	}
	if submitted.IsZero() || r.Submitted == 0 {
		return true
	}
	return submitted.Sub(time.Unix(r.Submitted, 0)).Abs() <= ClockTolerance
}

package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrNoMarker: a directory is there, but not the file that tells it from an
// empty mount point.
var ErrNoMarker = errors.New("its disk may not be mounted")

// A Marker is the name of a file that is left in a directory on a disk of its
// own. A disk that is not mounted looks like an empty directory; taken at its
// word, all that was there would count as gone, and what comes would go to the
// wrong disk. What is not there is missing only where the marker is.
type Marker string

// Check returns nil if dir is there with its marker. The error wraps ErrNoMarker
// if dir is there without it, but not if dir itself is missing.
func (m Marker) Check(dir string) error {
	_, err := os.Lstat(filepath.Join(dir, string(m)))
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("%w; is its disk mounted?", err)
	}
	return fmt.Errorf("%s has no file %s: %w; if it is the right directory, make that file", dir, m, ErrNoMarker)
}

// CheckAbove is Check for the directory of path, or any that is above it.
func (m Marker) CheckAbove(path string) error {
	for at := filepath.Dir(path); ; at = filepath.Dir(at) {
		if m.Check(at) == nil {
			return nil
		}
		if at == filepath.Dir(at) {
			return fmt.Errorf("%s is not there, and above it there is no file %s: %w", path, m, ErrNoMarker)
		}
	}
}

// Leave makes the marker in dir, whole and durable. Its text is for people who
// find it there.
func (m Marker) Leave(dir, text string) error {
	return WriteFile(filepath.Join(dir, string(m)), func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

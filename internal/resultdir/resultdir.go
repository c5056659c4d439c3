// Package resultdir tells results that are missing from a results disk that is
// missing. A disk that is not mounted looks like an empty directory; taken at
// its word, every job that ends would fail, and new ones would write to the
// wrong disk.
//
// So a file, Marker, is left in the base results directory before the first job
// is submitted. Results are missing only where the marker is not.
//
// What is in an output directory is the business of package results.
package resultdir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"longhaul/internal/disk"
	"longhaul/internal/pipeline"
)

// Marker is the file that tells a results disk from an empty directory.
const Marker = ".longhaul-results"

const markerText = `The results of Longhaul's jobs are in this directory. Where this file is
missing, Longhaul takes it that the disk is not mounted, and waits.
`

// ErrNoMarker: the directory is there, but not its marker.
var ErrNoMarker = errors.New("the disk may not be mounted")

// Exists reports whether an output directory is there. It is false only if the
// disk certainly is; otherwise the error is an outage of the disk. A symbolic
// link, or anything else that is no directory, is not an output directory.
func Exists(dir string) (bool, error) {
	// On NFS a name that was missing before may be missing for up to a minute
	// after a node has made it; opening the directory above makes it look again.
	parent, err := os.OpenRoot(filepath.Dir(dir))
	if err == nil {
		defer parent.Close()
		var st fs.FileInfo
		if st, err = parent.Lstat(filepath.Base(dir)); err == nil {
			return st.IsDir(), nil
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return false, pipeline.Outage(pipeline.LocalDisk, err)
	}
	return false, marked(dir)
}

// marked returns nil if one of the directories above dir has the marker.
func marked(dir string) error {
	for at := filepath.Dir(dir); ; at = filepath.Dir(at) {
		err := Check(at)
		if err == nil {
			return nil
		}
		if at == filepath.Dir(at) {
			return pipeline.Outage(pipeline.LocalDisk,
				fmt.Errorf("%s is not there, and above it there is no file %s: %w", dir, Marker, ErrNoMarker))
		}
	}
}

// Check returns nil if a base results directory is there with its marker; any
// error is an outage of the disk.
func Check(base string) error {
	_, err := os.Lstat(filepath.Join(base, Marker))
	if !errors.Is(err, fs.ErrNotExist) {
		return pipeline.Outage(pipeline.LocalDisk, err)
	}
	if _, err := os.Stat(base); err != nil {
		return pipeline.Outage(pipeline.LocalDisk, fmt.Errorf("results directory: %w", err))
	}
	return pipeline.Outage(pipeline.LocalDisk,
		fmt.Errorf("the results directory %s has no file %s: %w; if it is the right one, make that file", base, Marker, ErrNoMarker))
}

// Mark leaves the marker in a base results directory.
func Mark(base string) error {
	err := disk.WriteFile(filepath.Join(base, Marker), func(w io.Writer) error {
		_, err := io.WriteString(w, markerText)
		return err
	})
	return pipeline.Outage(pipeline.LocalDisk, err)
}

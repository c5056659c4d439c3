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
	"io/fs"
	"os"
	"path/filepath"

	"longhaul/internal/crashpoint"
	"longhaul/internal/disk"
	"longhaul/internal/pipeline"
)

// Marker is the file that tells a results disk from an empty directory.
const Marker = ".longhaul-results"

const markerText = `The results of Longhaul's jobs are in this directory. Where this file is
missing, Longhaul takes it that the disk is not mounted, and waits.
`

// ErrNoMarker: the directory is there, but not its marker.
var ErrNoMarker = disk.ErrNoMarker

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
	if errors.Is(err, fs.ErrNotExist) {
		err = disk.Marker(Marker).CheckAbove(dir)
	}
	return false, pipeline.Outage(pipeline.LocalDisk, err)
}

// Check returns nil if a base results directory is there with its marker; any
// error is an outage of the disk.
func Check(base string) error {
	err := disk.Marker(Marker).Check(base)
	if err != nil {
		err = fmt.Errorf("results directory: %w", err)
	}
	return pipeline.Outage(pipeline.LocalDisk, err)
}

// Mark leaves the marker in a base results directory.
func Mark(base string) error {
	crashpoint.Reach(crashpoint.Mark)
	return pipeline.Outage(pipeline.LocalDisk, disk.Marker(Marker).Leave(base, markerText))
}

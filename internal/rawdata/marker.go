package rawdata

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"longhaul/internal/crashpoint"
	"longhaul/internal/disk"
	"longhaul/internal/pipeline"
)

// Marker is the file that tells a directory of raw data from an empty one.
const Marker = ".longhaul-rawdata"

const markerText = `Longhaul keeps, or kept, raw data in this directory. Where this file is missing,
Longhaul takes it that the disk is not mounted, and waits.
`

// Check returns nil if a directory of raw data is there with its marker. Any
// error is an outage of the disk; it wraps disk.ErrNoMarker if the directory is
// there without.
func Check(dir string) error {
	return pipeline.Outage(pipeline.LocalDisk, disk.Marker(Marker).Check(dir))
}

// Mark leaves the marker in a directory of raw data.
func Mark(dir string) error {
	crashpoint.Reach(crashpoint.Mark)
	return pipeline.Outage(pipeline.LocalDisk, disk.Marker(Marker).Leave(dir, markerText))
}

// Gone reports whether a file of raw data is not there any more. It is true
// only if the file's disk certainly is; otherwise the error is an outage of the
// disk.
func Gone(path string) (bool, error) {
	_, err := os.Lstat(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return false, pipeline.Outage(pipeline.LocalDisk, err)
	}
	if err := Check(filepath.Dir(path)); err != nil {
		return false, err
	}
	return true, nil
}

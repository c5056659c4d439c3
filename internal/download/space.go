package download

import (
	"context"
	"fmt"
	"io"

	"longhaul/internal/crashpoint"
	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
)

// free returns how many bytes the file system has free.
func (d *Downloader) free() (int64, error) {
	free, err := d.Free(d.Config.Temp)
	return free, pipeline.Outage(pipeline.LocalDisk, err)
}

// room returns how many bytes more may come to the disk, beyond what the
// running downloads still bring.
func (d *Downloader) room(sp jobtracker.Space, free int64) int64 {
	return min(int64(d.Config.SpaceToUse)-sp.OnDisk, free-int64(d.Config.MinFreeSpace)) - sp.ToCome
}

// fits reports whether there is space for the rest of a file. If not, it says
// so once: space comes back when jobs are done. It returns an outage of the
// disk when that could not help, since then a person must act.
func (d *Downloader) fits(ctx context.Context, f pipeline.File, rest int64) (bool, error) {
	sp, err := d.Store.Space(ctx)
	if err != nil {
		return false, err
	}
	free, err := d.free()
	if err != nil {
		return false, err
	}
	room := d.room(sp, free)
	if rest <= room {
		d.saidFull = false
		return true, nil
	}
	// What runs may have written more than the tracker knows: at most ToCome.
	if free+sp.OnDisk+sp.ToCome-int64(d.Config.MinFreeSpace) < f.Size {
		return false, pipeline.Outage(pipeline.LocalDisk, fmt.Errorf(
			"%s has %d bytes free and %d of raw data; a file of %d bytes would not fit even if all raw data were deleted (min_free_space is %s)",
			d.Config.Temp, free, sp.OnDisk, f.Size, d.Config.MinFreeSpace))
	}
	if !d.saidFull {
		d.saidFull = true
		d.Log.Warn("no space for the next download; waiting until raw data is deleted",
			"file", f.ID, "name", f.Filename, "needs_bytes", rest, "room_bytes", room,
			"space_to_use", d.Config.SpaceToUse, "min_free_space", d.Config.MinFreeSpace)
	}
	return false, nil
}

// write adds to a part file unless that would take from min_free_space: others
// write to the file system too, so that no reservation holds for certain.
func (d *Downloader) write(to io.Writer, p []byte) (int, error) {
	if d.Config.MinFreeSpace > 0 {
		d.writing.Lock()
		defer d.writing.Unlock()
		free, err := d.free()
		if err != nil {
			return 0, err
		}
		if free-int64(len(p)) < int64(d.Config.MinFreeSpace) {
			return 0, pipeline.Outage(pipeline.LocalDisk, fmt.Errorf(
				"%s has %d bytes free, min_free_space (%s) is reached", d.Config.Temp, free, d.Config.MinFreeSpace))
		}
	}
	crashpoint.Reach(crashpoint.PartWrite)
	n, err := to.Write(p)
	return n, pipeline.Outage(pipeline.LocalDisk, err)
}

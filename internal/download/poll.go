package download

import (
	"context"
	"path"
	"time"

	"longhaul/internal/archive"
)

// sighting is how a file looked when it was last found in the polled directory.
type sighting struct {
	size    int64
	modTime time.Time
	since   time.Time // it has looked so since then
}

// poll enters the files of the polled directory that have been unchanged for
// poll_stable: whoever writes them there has no way to say that they are whole.
func (d *Downloader) poll(ctx context.Context) error {
	dir := d.Config.PollDirectory
	listing, err := d.Server.List(ctx, dir)
	if err != nil {
		return err
	}
	names := make([]string, len(listing.Entries))
	for i, e := range listing.Entries {
		names[i] = e.Name
	}
	known, err := d.Store.KnownFilenames(ctx, names)
	if err != nil {
		return err
	}
	stable := archive.Listing{Entries: d.stable(listing.Entries, known)}
	files, _ := d.recognise(stable)
	if len(files) == 0 {
		return nil
	}
	if err := d.addChecksums(ctx, dir, listing, files); err != nil {
		return err
	}
	for i := range files {
		files[i].RemoteFilename = path.Join(dir, files[i].Filename)
	}
	entered, err := d.Store.EnterFiles(ctx, files, "found in "+dir)
	if err != nil {
		return err
	}
	d.Log.Info("files found", "directory", dir, "files", entered)
	return nil
}

// stable returns the unknown entries that have not changed for poll_stable, and
// remembers how the others look now.
func (d *Downloader) stable(entries []archive.Entry, known map[string]bool) []archive.Entry {
	var ready []archive.Entry
	now, seen := d.Now(), make(map[string]sighting)
	for _, e := range entries {
		if known[e.Name] {
			continue
		}
		s, before := d.seen[e.Name]
		if !before || s.size != e.Size || !s.modTime.Equal(e.ModTime) {
			s = sighting{e.Size, e.ModTime, now}
		}
		seen[e.Name] = s
		if now.Sub(s.since) >= d.Config.PollStable.Std() {
			ready = append(ready, e)
		}
	}
	d.seen = seen // names that are gone are forgotten
	return ready
}

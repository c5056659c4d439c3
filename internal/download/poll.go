package download

import (
	"context"
	"slices"
	"time"

	"longhaul/internal/archive"
)

// pollBatch is how many files are entered in one transaction, so that the
// other daemons do not wait long for the tracker.
const pollBatch = 1000

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
	d.fileServerAnswers()
	d.sayRefused(dir, listing.Refused)
	names := make([]string, len(listing.Entries))
	for i, e := range listing.Entries {
		names[i] = e.Name
	}
	known, err := d.Store.KnownFilenames(ctx, names)
	if err != nil {
		return err
	}
	files, _ := d.recognise(dir, archive.Listing{Entries: d.stable(listing.Entries, known)})
	if len(files) == 0 {
		return nil
	}
	trouble, err := d.addChecksums(ctx, dir, listing, files)
	if err != nil || trouble != nil && d.sumsAgain(dir) {
		return err
	}
	entered := 0
	for batch := range slices.Chunk(files, pollBatch) {
		n, err := d.Store.EnterFiles(ctx, batch, "found in "+dir)
		if err != nil {
			return err
		}
		entered += n
		d.Progress()
	}
	d.Log.Info("files found", "directory", dir, "files", entered)
	return nil
}

// sayRefused logs the names that could not be trusted when their number changes.
func (d *Downloader) sayRefused(dir string, refused []string) {
	if len(refused) != d.namesRefused && len(refused) > 0 {
		d.Log.Warn("names left alone", "directory", dir, "count", len(refused), "first", refused[0])
	}
	d.namesRefused = len(refused)
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

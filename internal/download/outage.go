package download

import (
	"errors"
	"time"

	"longhaul/internal/pipeline"
)

// outages are those that transfers met. A pass does not meet them itself, so
// they are kept until a transfer shows that they are over; otherwise each pass
// between two tries would look like the end of one outage, and each try like
// the beginning of another. Guarded by Downloader.mu.
type outages struct {
	of        map[pipeline.System]error
	diskTries int       // transfers in a row that the disk stopped
	diskAfter time.Time // none is begun before this
}

// learn takes from the end of a transfer what it says about the outside.
// written is how many bytes reached the disk. Only a transfer that began during
// an outage can tell that it is over.
func (d *Downloader) learn(id pipeline.FileID, written int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var down pipeline.System
	var out *pipeline.OutageError
	if errors.As(err, &out) {
		down = out.System
		d.of[down] = err
	}
	probe, now := d.active[id], d.Now()
	if down == pipeline.LocalDisk && !now.Before(d.diskAfter) { // those that ran at once count once
		d.diskTries++
		d.diskAfter = now.Add(pipeline.RetryWait(d.diskTries, d.Config.RetryWait.Std(), d.Config.RetryWaitMax.Std()))
	}
	if probe && down != pipeline.LocalDisk && written > 0 {
		delete(d.of, pipeline.LocalDisk)
		d.diskTries = 0
	}
	if probe && down == "" {
		delete(d.of, pipeline.FileServer)
	}
}

// fileServerAnswers ends an outage of the file server.
func (d *Downloader) fileServerAnswers() {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.of, pipeline.FileServer)
}

// lasting returns the outages that transfers met and that are not in met, the
// errors of a pass.
func (d *Downloader) lasting(met []error) []error {
	d.mu.Lock()
	defer d.mu.Unlock()
	said := make(map[pipeline.System]bool)
	for _, err := range met {
		var out *pipeline.OutageError
		if errors.As(err, &out) {
			said[out.System] = true
		}
	}
	var errs []error
	for system, err := range d.of {
		if !said[system] {
			errs = append(errs, err)
		}
	}
	return errs
}

// slots returns how many downloads may begin now. While an outage lasts, one
// at a time finds out whether it is over.
func (d *Downloader) slots() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	most := d.Config.NumDownloads
	if len(d.of) > 0 {
		most = 1
	}
	if d.of[pipeline.LocalDisk] != nil && d.Now().Before(d.diskAfter) {
		most = 0
	}
	return most - len(d.active)
}

// patience knows since when the restore service answers: the time in which it
// did not is not held against a request.
type patience struct {
	down     bool
	answered time.Time // since when, if there was an outage; else zero
}

// heard takes note of the restore service's last answer.
func (d *Downloader) heard(err error) {
	if errors.Is(err, pipeline.ErrOutage) {
		d.down = true
	} else if d.down {
		d.down, d.answered = false, d.Now()
	}
}

// waitedFor returns how long the archive has had for a request: since it
// accepted it, or since it answers again.
func (d *Downloader) waitedFor(r pipeline.Request) time.Duration {
	since := r.UpdatedAt
	if d.answered.After(since) {
		since = d.answered
	}
	return d.Now().Sub(since)
}

package download

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"longhaul/internal/archive"
	"longhaul/internal/notice"
	"longhaul/internal/pipeline"
)

// receive looks for files that have become ready, in the requests that wait or
// in the directory that is polled. A wake does not make it ask more often than
// every Every.
func (d *Downloader) receive(ctx context.Context) error {
	if d.Now().Sub(d.asked) < d.Every*9/10 {
		return nil
	}
	d.asked = d.Now()
	if d.Restorer == nil {
		return d.poll(ctx)
	}
	waiting, err := d.Store.WaitingRequests(ctx)
	if err != nil {
		return err
	}
	for _, r := range waiting {
		if err := d.advanceRequest(ctx, r); err != nil {
			return fmt.Errorf("request %d: %w", r.ID, err)
		}
	}
	return nil
}

// advanceRequest asks the archive about one waiting request.
func (d *Downloader) advanceRequest(ctx context.Context, r pipeline.Request) error {
	if r.GUID == "" {
		return d.ask(ctx, r)
	}
	done, word, err := d.Restorer.Location(ctx, r.GUID)
	if err != nil && !errors.Is(err, archive.ErrRefused) {
		return err
	}
	if err != nil {
		word = err.Error()
	}
	if done {
		entered, err := d.enter(ctx, r)
		if err == nil || !errors.Is(err, archive.ErrNoFile) {
			if entered && err == nil {
				delete(d.lastLocation, r.ID)
			}
			return err
		}
		word = "done, but its directory is not on the file server"
	}
	if d.lastLocation[r.ID] != word {
		d.lastLocation[r.ID] = word
		d.Log.Info("the archive is not ready", "request", r.ID, "guid", r.GUID, "answer", word)
	}
	if d.Now().Sub(r.CreatedAt) < d.Config.RequestTimeout.Std() {
		return nil
	}
	delete(d.lastLocation, r.ID)
	return d.failRequest(ctx, r, fmt.Sprintf("not ready after %s; the archive's last answer was %q", d.Config.RequestTimeout, word))
}

// enter lists the directory of a request that is ready and enters the files
// that a product recognises.
func (d *Downloader) enter(ctx context.Context, r pipeline.Request) (bool, error) {
	dir := path.Join(d.Config.FTPDirectory, r.GUID)
	listing, err := d.Server.List(ctx, dir)
	if err != nil {
		return false, err
	}
	files, left := d.recognise(listing)
	if err := d.addChecksums(ctx, dir, listing, files); err != nil {
		return false, err
	}
	for i := range files {
		files[i].RemoteFilename = path.Join(dir, files[i].Filename)
	}
	entered, err := d.Store.FinishRequest(ctx, r.ID, files, summary(len(listing.Entries), len(files), left))
	if err != nil {
		return false, err
	}
	d.Log.Info("request finished", "request", r.ID, "guid", r.GUID, "files", entered,
		"known_already", len(files)-entered, "left_alone", left)
	return true, nil
}

// summary says in a request's details what its listing held.
func summary(listed, wanted int, left []string) string {
	s := fmt.Sprintf("%d files listed, %d wanted", listed, wanted)
	if len(left) == 0 {
		return s
	}
	const most = 10
	more := ""
	if len(left) > most {
		more = fmt.Sprintf(" and %d more", len(left)-most)
		left = left[:most]
	}
	return s + "; left alone: " + strings.Join(left, ", ") + more
}

// recognise sorts a listing into files to track and names to leave alone.
func (d *Downloader) recognise(l archive.Listing) (files []pipeline.File, left []string) {
	for _, e := range l.Entries {
		m, ok := d.Products.Recognise(e.Name)
		switch {
		case archive.IsChecksumFile(e.Name):
		case !ok:
			left = append(left, e.Name+" (no product)")
		case m.Ignored != "":
			left = append(left, e.Name+" ("+m.Ignored+")")
		default:
			files = append(files, pipeline.File{
				Filename: e.Name, Path: filepath.Join(d.Config.Temp, e.Name), Size: e.Size, ModTime: e.ModTime,
				Product: m.Product, GroupKey: m.GroupKey, Metadata: m.Metadata,
			})
		}
	}
	return files, append(left, l.Refused...)
}

// addChecksums gives the files the checksums that their directory offers.
func (d *Downloader) addChecksums(ctx context.Context, dir string, l archive.Listing, files []pipeline.File) error {
	sums, err := archive.Checksums(ctx, d.Server, dir, l)
	if err != nil {
		return err
	}
	for i, f := range files {
		files[i].Checksum = sums[f.Filename]
	}
	return nil
}

// request asks the archive for more data if there is room for it.
func (d *Downloader) request(ctx context.Context) error {
	if d.Restorer == nil || d.Now().Before(d.notBefore) {
		return nil
	}
	number, err := d.requestSize(ctx)
	if err != nil || number == 0 {
		return err
	}
	id, err := d.Store.BeginRequest(ctx, number, d.Config.RequestNumbits, d.Config.RequestData)
	if err != nil {
		return err
	}
	return d.ask(ctx, pipeline.Request{ID: id, Number: number, Numbits: d.Config.RequestNumbits,
		Datatype: d.Config.RequestData, CreatedAt: d.Now()})
}

// ask hands a written request to the archive. When the answer is lost the same
// request is asked again later: the protocol has no way to find it, and an
// unclaimed restore ends at the archive by itself.
func (d *Downloader) ask(ctx context.Context, r pipeline.Request) error {
	guid, err := d.Restorer.Restore(ctx, r.Number, r.Numbits, r.Datatype)
	if errors.Is(err, archive.ErrRefused) {
		d.refusals++
		d.notBefore = d.Now().Add(pipeline.RetryWait(d.refusals, max(d.Every, time.Minute), time.Hour*6))
		return d.failRequest(ctx, r, err.Error())
	}
	if err != nil {
		return fmt.Errorf("ask for %d observations: %w", r.Number, err)
	}
	d.refusals = 0
	d.Log.Info("asked the archive", "request", r.ID, "observations", r.Number, "guid", guid)
	return d.Store.NameRequest(ctx, r.ID, guid)
}

func (d *Downloader) failRequest(ctx context.Context, r pipeline.Request, why string) error {
	d.Log.Error("request failed", "request", r.ID, "guid", r.GUID, "err", why)
	return d.Store.FailRequest(ctx, r.ID, why, notice.RequestFailed(r, why))
}

// requestSize returns how many observations to ask for now: the largest number
// that the archive allows and that fits the space, numrestored, and what can be
// downloaded in a day at the rate of the last downloads; 0 for none. That rule
// is the original pipeline's.
func (d *Downloader) requestSize(ctx context.Context) (int, error) {
	sp, err := d.Store.Space(ctx)
	if err != nil {
		return 0, err
	}
	waiting, err := d.Store.WaitingRequests(ctx)
	if err != nil {
		return 0, err
	}
	asked := 0
	for _, r := range waiting {
		asked += r.Number
	}
	ideal := d.Config.NumRestored - sp.Files - asked
	rate, err := d.Store.RecentRate(ctx, recentDownloads)
	if err != nil {
		return 0, err
	}
	room, err := d.room(sp)
	if err != nil {
		return 0, err
	}
	room -= sp.Waiting
	if rate.Downloads == 0 {
		// Nothing is known of sizes and rates: begin with the smallest request.
		return d.allowed(min(ideal, d.Config.RequestSizes[0]), room > 0 && asked == 0), nil
	}
	fits := float64(room)/rate.MeanSize - float64(asked)
	ideal = min(ideal, int(fits))
	if rate.Rate > 0 {
		perDay := rate.Rate * float64(d.Config.NumDownloads) * (24 * time.Hour).Seconds() / rate.MeanSize
		ideal = int(min(float64(ideal), max(perDay, float64(d.Config.RequestSizes[0]))))
	}
	return d.allowed(ideal, true), nil
}

// recentDownloads is how many past downloads tell the rate of the next ones.
const recentDownloads = 100

// allowed returns the largest request that the archive allows up to ideal.
func (d *Downloader) allowed(ideal int, roomy bool) int {
	if !roomy {
		return 0
	}
	best := 0
	for _, n := range slices.Sorted(slices.Values(d.Config.RequestSizes)) {
		if n <= ideal {
			best = n
		}
	}
	return best
}

// room returns how many bytes more may come to the disk, beyond what the
// running downloads still bring.
func (d *Downloader) room(sp spaceInUse) (int64, error) {
	free, err := d.Free(d.Config.Temp)
	if err != nil {
		return 0, pipeline.Outage(pipeline.LocalDisk, err)
	}
	return min(int64(d.Config.SpaceToUse)-sp.OnDisk-sp.ToCome, free-sp.ToCome-int64(d.Config.MinFreeSpace)), nil
}

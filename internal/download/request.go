package download

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"longhaul/internal/archive"
	"longhaul/internal/crashpoint"
	"longhaul/internal/notice"
	"longhaul/internal/pipeline"
)

// recentDownloads is how many past downloads tell the rate of the next ones.
const recentDownloads = 100

// request asks the archive for more data if there is room for it.
func (d *Downloader) request(ctx context.Context) error {
	if d.Restorer == nil || d.Now().Before(d.notBefore) {
		return nil
	}
	if held, err := d.held(ctx); held || err != nil {
		return err
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
		Datatype: d.Config.RequestData, UpdatedAt: d.Now()})
}

// ask hands a written request to the archive. When the answer is lost the same
// request is asked again later: the protocol has no way to find it, and an
// unclaimed restore ends at the archive by itself.
func (d *Downloader) ask(ctx context.Context, r pipeline.Request) error {
	guid, known := d.guids[r.ID]
	if !known {
		var err error
		crashpoint.Reach(crashpoint.Request)
		guid, err = d.Restorer.Restore(ctx, r.Number, r.Numbits, r.Datatype)
		d.heard(err)
		if errors.Is(err, archive.ErrRefused) {
			d.holdOff()
			return d.failRequest(ctx, r, err.Error())
		} else if err != nil {
			return fmt.Errorf("ask for %d observations: %w", r.Number, err)
		}
	}
	// What the archive has accepted is written down also while being stopped.
	err := d.Store.NameRequest(context.WithoutCancel(ctx), r.ID, guid)
	delete(d.guids, r.ID)
	switch {
	case errors.Is(err, pipeline.ErrForbidden): // an answer meant for another request
		return d.notReady(ctx, r, "it gave "+guid+", which is another request's")
	case errors.Is(err, pipeline.ErrOutage):
		d.guids[r.ID] = guid
		return err
	case err != nil:
		return err
	}
	d.Log.Info("asked the archive", "request", r.ID, "observations", r.Number, "guid", guid)
	return nil
}

// holdOff lets some time pass before the next request, longer each time, after
// one that the archive refused or that brought nothing new.
func (d *Downloader) holdOff() {
	d.fruitless++
	d.notBefore = d.Now().Add(pipeline.RetryWait(d.fruitless, max(d.Every, time.Minute), 6*time.Hour))
}

func (d *Downloader) failRequest(ctx context.Context, r pipeline.Request, why string) error {
	delete(d.lastWord, r.ID)
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
		if r.GUID == "" {
			return 0, nil // the archive has not answered that one yet
		}
		asked += r.Number
	}
	rate, err := d.Store.RecentRate(ctx, recentDownloads)
	if err != nil {
		return 0, err
	}
	free, err := d.free()
	if err != nil {
		return 0, err
	}
	room := d.room(sp, free) - sp.Waiting
	ideal := d.Config.NumRestored - sp.Files - asked
	if rate.MeanSize < 1 {
		// Nothing is known of sizes and rates: begin with the smallest request.
		if room <= 0 || asked > 0 {
			return 0, nil
		}
		return d.allowed(min(ideal, slices.Min(d.Config.RequestSizes))), nil
	}
	most := min(float64(ideal), float64(room)/rate.MeanSize-float64(asked))
	if rate.Rate > 0 {
		perDay := rate.Rate * float64(d.Config.NumDownloads) * (24 * time.Hour).Seconds() / rate.MeanSize
		most = min(most, max(perDay, float64(slices.Min(d.Config.RequestSizes))))
	}
	return d.allowed(int(most)), nil
}

// allowed returns the largest request that the archive allows up to ideal.
func (d *Downloader) allowed(ideal int) int {
	best := 0
	for _, n := range d.Config.RequestSizes {
		if n <= ideal {
			best = max(best, n)
		}
	}
	return best
}

package operator

import (
	"context"
	"fmt"
	"time"

	"longhaul/internal/config"
	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
	"longhaul/internal/product"
	"longhaul/internal/queue"
)

// Outside is what lies beyond the job-tracker and the disk. Most questions need
// none of it, so each part is made when it is first wanted.
type Outside struct {
	// Manager returns the queue manager.
	Manager func() (queue.Manager, error)
	// Uploaded reports whether the common database has the upload of a
	// submit, and since when.
	Uploaded func(ctx context.Context, submit string) (bool, time.Time, error)
	// Location asks the restore service about a request; word is its answer.
	Location func(ctx context.Context, guid string) (done bool, word string, err error)
}

// Options are what an Operator works with.
type Options struct {
	Config  *config.Config
	Store   *jobtracker.Store
	Outside Outside
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Operator acts for one person.
type Operator struct {
	Options
	products *product.Set
}

// New returns an Operator.
func New(opt Options) (*Operator, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	products, err := product.New(opt.Config.Products)
	if err != nil {
		return nil, err
	}
	return &Operator{opt, products}, nil
}

// Room is how the space for raw data is used, in bytes.
type Room struct {
	Used       int64 `json:"used"`         // by downloaded files, whole or in part
	Promised   int64 `json:"promised"`     // to the running downloads
	Waiting    int64 `json:"waiting"`      // of files that wait for their download
	SpaceToUse int64 `json:"space_to_use"` // the setting
	Free       int64 `json:"free"`         // on the file system
	MinFree    int64 `json:"min_free"`     // the setting
}

// Left is how many bytes more may come now.
func (r Room) Left() int64 {
	return max(min(r.SpaceToUse-r.Used-r.Promised, r.Free-r.Promised-r.MinFree), 0)
}

func (o *Operator) room(ctx context.Context) (Room, error) {
	sp, err := o.Store.Space(ctx)
	if err != nil {
		return Room{}, err
	}
	free, err := disk.Free(o.Config.Download.Temp)
	if err != nil {
		return Room{}, fmt.Errorf("download.temp: %w", err)
	}
	return Room{
		Used: sp.OnDisk, Promised: sp.ToCome, Waiting: sp.Waiting, Free: free,
		SpaceToUse: int64(o.Config.Download.SpaceToUse), MinFree: int64(o.Config.Download.MinFreeSpace),
	}, nil
}

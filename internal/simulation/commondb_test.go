package simulation

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"longhaul/internal/commondb"
	"longhaul/internal/pipeline"
	"longhaul/internal/results"
	"longhaul/internal/upload"
)

// commonDB is the common database, of which no more is kept than what tells
// uploads apart.
type commonDB struct {
	s       *sim
	uploads map[string]committed // by the submit's name
	work    map[string]string    // its name, by the key of the work
}

type committed struct {
	digest string
	at     time.Time
}

func newCommonDB(s *sim) *commonDB {
	return &commonDB{s, make(map[string]committed), make(map[string]string)}
}

// uploaded is for the operator.
func (c *commonDB) uploaded(_ context.Context, submit string) (bool, time.Time, error) {
	if err := c.s.before(nil, pipeline.CommonDatabase, "uploaded"); err != nil {
		return false, time.Time{}, err
	}
	u, ok := c.uploads[submit]
	return ok, u.at, nil
}

// commit puts an upload into the database, unless it is there.
func (c *commonDB) commit(m commondb.Meta, records []results.Record) (commondb.Receipt, error) {
	sum := sha256.Sum256(fmt.Append(nil, records))
	r := commondb.Receipt{Rows: len(records), Digest: hex.EncodeToString(sum[:])}
	if there, ok := c.uploads[m.Submit]; ok {
		if there.digest != r.Digest {
			return r, fmt.Errorf("%w: other content", commondb.ErrMismatch)
		}
		r.Already = true
		return r, nil
	}
	if by, ok := c.work[m.Work]; ok && m.Work != "" {
		r.Already, r.By = true, by
		return r, nil
	}
	c.uploads[m.Submit], c.work[m.Work] = committed{r.Digest, c.s.now()}, m.Submit
	name, _ := records[0].Values["source_name"].(string)
	c.s.tracef("%s is committed in the common database", name)
	for _, o := range c.s.survey.all {
		if o.name == name {
			if o.commits++; o.commits > 1 {
				c.s.breaks("%s is in the common database %d times", name, o.commits)
			}
		}
	}
	return r, nil
}

// dbFront is the common database as the uploader sees it.
type dbFront struct {
	*commonDB
	d *daemon
}

var _ upload.Database = (*dbFront)(nil)

// Upload implements upload.Database.
func (f *dbFront) Upload(_ context.Context, m commondb.Meta, records []results.Record) (commondb.Receipt, error) {
	s := f.s
	if err := s.before(f.d, pipeline.CommonDatabase, "upload"); err != nil {
		return commondb.Receipt{}, err
	}
	if _, there := f.uploads[m.Submit]; !there && s.chance(s.rates.refused) {
		s.farm.blamed[m.Submit] = "refused by the common database"
		s.tracef("the common database refuses an upload")
		return commondb.Receipt{}, []error{
			fmt.Errorf("%w: unknown column", commondb.ErrRejected), fmt.Errorf("%w: rounded", commondb.ErrMismatch),
		}[s.rng.IntN(2)]
	}
	r, err := f.commit(m, records)
	if err != nil {
		return r, err
	}
	return r, s.afterwards(f.d, pipeline.CommonDatabase, "upload")
}

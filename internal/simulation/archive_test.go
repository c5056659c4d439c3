package simulation

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"longhaul/internal/archive"
	"longhaul/internal/pipeline"
)

// archiveModel is the archive: what was asked of it, and what it will give.
type archiveModel struct {
	s        *sim
	requests []*request
	// spare are files that were restored for nobody, or held back: they come
	// with a later request.
	spare []*rawFile
	// fruitless counts refusals since a request last brought something. There
	// are never more than two in a row: after three the waits of the downloader,
	// and with them the run, would depend on chance other than the seed's.
	fruitless int
}

// request is one request as the archive knows it.
type request struct {
	guid   string
	files  []*rawFile
	ready  time.Time // when it says that it is done
	listed time.Time // when its directory is there
	sums   bool      // it offers checksums
	unread bool      // which were not read once, so that there may be none here
	times  bool      // listings tell times
}

func newArchive(s *sim) *archiveModel { return &archiveModel{s: s} }

// find returns the request of a path or GUID.
func (a *archiveModel) find(p string) *request {
	for p != "" && p != "/" && p != "." {
		if i := slices.IndexFunc(a.requests, func(r *request) bool { return r.guid == path.Base(p) }); i >= 0 {
			return a.requests[i]
		}
		p = path.Dir(p)
	}
	return nil
}

// restore makes a request, and chooses what it will bring.
func (a *archiveModel) restore(number int) *request {
	s := a.s
	r := &request{guid: fmt.Sprintf("guid%d", len(a.requests)), sums: s.rng.IntN(4) > 0, times: s.rng.IntN(4) > 0}
	r.ready = s.at.Add(s.between(10*time.Hour, 60*time.Hour))
	if s.chance(s.rates.refused) {
		r.ready = s.at.Add(1000 * 24 * time.Hour)
	}
	r.listed = r.ready
	if s.chance(s.rates.refused) {
		r.listed = r.ready.Add(s.between(tick, 5*time.Hour))
	}
	r.files, a.spare = a.spare, nil
	for range number {
		files := s.observe().files
		if len(files) == 2 && s.chance(s.rates.again) {
			a.spare = append(a.spare, files[1]) // the other half comes later
			files = files[:1]
		}
		r.files = append(r.files, files...)
	}
	if len(a.requests) > 0 && s.chance(s.rates.again) {
		for _, f := range a.requests[s.rng.IntN(len(a.requests))].files {
			if !slices.Contains(r.files, f) {
				r.files = append(r.files, f)
			}
		}
	}
	a.requests = append(a.requests, r)
	s.tracef("the archive restores %d files as %s", len(r.files), r.guid)
	s.after(max(r.ready.Sub(s.at), r.listed.Sub(s.at)), s.daemon(downloader).wake)
	return r
}

// giveBack makes the files of a request come with another.
func (a *archiveModel) giveBack(r *request) {
	for _, f := range r.files {
		if f.id == 0 && !slices.Contains(a.spare, f) {
			a.spare = append(a.spare, f)
		}
	}
}

// replace exchanges a file at the archive that has not been fetched.
func (a *archiveModel) replace() {
	if len(a.requests) == 0 {
		return
	}
	r := a.requests[len(a.requests)-1]
	if len(r.files) == 0 {
		return
	}
	f := r.files[a.s.rng.IntN(len(r.files))]
	f.version++
	f.modTime = a.s.at.Truncate(time.Second)
	f.faults++ // at most one attempt meets the change in its middle
	a.s.tracef("the archive replaces %s", f.name)
}

// restorer is the restore service, as the downloader sees it.
type restorer struct {
	*archiveModel
	d *daemon
}

var _ archive.Restorer = (*restorer)(nil)

// Restore implements archive.Restorer.
func (r *restorer) Restore(_ context.Context, number, _ int, _ string) (string, error) {
	s := r.s
	if err := s.before(r.d, pipeline.RestoreService, "restore"); err != nil {
		return "", err
	}
	switch {
	case r.fruitless < 2 && s.chance(s.rates.refused):
		r.fruitless++
		s.tracef("the archive refuses a request")
		return "", fmt.Errorf("%w: not today", archive.ErrRefused)
	case len(r.requests) > 0 && s.chance(s.rates.refused):
		s.tracef("the archive gives a GUID twice")
		return r.requests[0].guid, nil
	}
	made := r.restore(number)
	err := s.afterwards(r.d, pipeline.RestoreService, "restore")
	if err == nil && s.chance(s.rates.refused) {
		err = fmt.Errorf("XML: garbled: %w", errInjected)
	}
	if err != nil {
		r.giveBack(made)
		return "", err
	}
	return made.guid, nil
}

// Location implements archive.Restorer.
func (r *restorer) Location(_ context.Context, guid string) (done bool, word string, err error) {
	s := r.s
	if err := s.before(r.d, pipeline.RestoreService, "location"); err != nil {
		return false, "", err
	}
	made := r.find(guid)
	switch {
	case made == nil:
		return false, "", fmt.Errorf("%w: no such request", archive.ErrRefused)
	case s.chance(s.rates.refused):
		return false, "", fmt.Errorf("%w: ask later", archive.ErrRefused)
	case s.chance(s.rates.refused):
		return false, "", fmt.Errorf("XML: garbled: %w", errInjected)
	case s.at.Before(made.ready):
		return false, "restoring", nil
	}
	return true, "done", s.afterwards(r.d, pipeline.RestoreService, "location")
}

// Test implements archive.Restorer.
func (r *restorer) Test(context.Context) error { return nil }

// sumsFile is where a request's checksums are.
const sumsFile = "SHA256SUMS"

// sumsText is the content of that file.
func (r *request) sumsText() string {
	var b strings.Builder
	for _, f := range r.files {
		fmt.Fprintf(&b, "%s  %s\n", f.sha256(), f.name)
	}
	return b.String()
}

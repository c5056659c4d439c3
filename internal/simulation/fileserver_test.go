package simulation

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"time"

	"longhaul/internal/archive"
	"longhaul/internal/pipeline"
)

// fileServer is the file server of the archive, as the downloader sees it.
type fileServer struct {
	*archiveModel
	d *daemon
}

var _ archive.FileServer = (*fileServer)(nil)

// Close implements archive.FileServer.
func (f *fileServer) Close() error { return nil }

// List implements archive.FileServer.
func (f *fileServer) List(_ context.Context, dir string) (archive.Listing, error) {
	s := f.s
	if err := s.before(f.d, pipeline.FileServer, "list"); err != nil {
		return archive.Listing{}, err
	}
	r := f.find(dir)
	if r == nil || s.at.Before(r.listed) {
		return archive.Listing{}, fmt.Errorf("%s: %w", dir, archive.ErrNoFile)
	}
	if s.chance(s.rates.refused) {
		s.tracef("the listing of %s is empty", r.guid)
		return archive.Listing{}, nil
	}
	l := archive.Listing{Refused: []string{`"../../etc/passwd": name with a slash`}}
	l.Entries = append(l.Entries, archive.Entry{Name: "README.txt", Size: 12},
		archive.Entry{Name: "P2030.20260101.G1.b7.00100.fits", Size: 100})
	if r.sums {
		l.Entries = append(l.Entries, archive.Entry{Name: sumsFile, Size: int64(len(r.sumsText()))})
	}
	for _, raw := range r.files {
		e := archive.Entry{Name: raw.name, Size: int64(len(raw.content()))}
		if r.times {
			e.ModTime = raw.modTime
		}
		l.Entries = append(l.Entries, e)
	}
	slices.SortFunc(l.Entries, func(a, b archive.Entry) int { return cmp.Compare(a.Name, b.Name) })
	return l, s.afterwards(f.d, pipeline.FileServer, "list")
}

// Stat implements archive.FileServer.
func (f *fileServer) Stat(_ context.Context, file string) (archive.Entry, error) {
	s := f.s
	if err := s.before(f.d, pipeline.FileServer, "stat"); err != nil {
		return archive.Entry{}, err
	}
	raw := s.fileAt(file)
	switch {
	case raw == nil:
		return archive.Entry{}, fmt.Errorf("%s: %w", file, archive.ErrNoFile)
	case s.chance(s.rates.refused):
		raw.faults++
		s.tracef("%s is missing for a moment", raw.name)
		return archive.Entry{}, fmt.Errorf("%s: %w", file, archive.ErrNoFile)
	}
	e := archive.Entry{Name: raw.name, Size: int64(len(raw.content())), ModTime: raw.modTime}
	return e, s.afterwards(f.d, pipeline.FileServer, "stat")
}

// Fetch implements archive.FileServer.
func (f *fileServer) Fetch(ctx context.Context, file string, offset int64, w io.Writer) (int64, error) {
	if path.Base(file) == sumsFile { // the pass itself reads them
		return f.fetchSums(file, w)
	}
	f.d.gate.wait(file, time.Time{})
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if err := f.s.before(f.d, pipeline.FileServer, "fetch"); err != nil {
		return 0, err
	}
	t := f.plan(file, offset)
	return t.run(ctx, w)
}

func (f *fileServer) fetchSums(file string, w io.Writer) (int64, error) {
	s, r := f.s, f.find(file)
	if err := s.before(f.d, pipeline.FileServer, "fetch of checksums"); err != nil {
		return 0, err
	}
	if s.chance(s.rates.refused) {
		r.unread = true
		return 0, fmt.Errorf("%s: 550 locked", file)
	}
	n, err := io.WriteString(w, r.sumsText())
	return int64(n), err
}

// transfer is what will become of one transfer.
type transfer struct {
	f      *fileServer
	file   string
	raw    *rawFile
	body   []byte // that will come, from the first byte of the file
	offset int64
	slowAt int   // a piece before which it waits for hours; -1: none
	ends   error // after the body; nil: the server says that this was all
}

// pieces is in how many writes a file comes.
const pieces = 3

// plan draws what will become of a transfer.
func (f *fileServer) plan(file string, offset int64) *transfer {
	s, raw := f.s, f.s.fileAt(file)
	t := &transfer{f: f, file: file, raw: raw, body: raw.content(), offset: offset, slowAt: -1}
	if s.chance(s.rates.slow) {
		t.slowAt = s.rng.IntN(pieces)
	}
	if raw.hopeless && !s.calm || s.chance(s.rates.badTransfer) {
		t.spoil()
	}
	return t
}

// spoil makes a transfer go wrong.
func (t *transfer) spoil() {
	s := t.f.s
	t.raw.faults++
	cut := t.offset + s.rng.Int64N(max(int64(len(t.body))-t.offset, 1))
	r := t.f.find(t.file)
	switch kind := s.rng.IntN(6); {
	case kind == 0 && t.offset > 0:
		t.body, t.ends = nil, archive.ErrNoResume
	case kind <= 1:
		t.body = t.body[:cut] // and says that this was all
	case kind == 2 && r.sums && !r.unread:
		t.body[cut] ^= 0x40
	case kind == 3:
		t.body, t.ends = t.body[:cut], pipeline.Outage(pipeline.FileServer, errDown)
	case kind == 4:
		t.body = append(t.body, "more"...)
	default:
		t.body, t.ends = t.body[:cut], fmt.Errorf("%s: connection reset", t.file)
	}
	s.tracef("the transfer of %s from byte %d breaks at %d: %v", t.raw.name, t.offset, cut, t.ends)
}

// run sends the body, in pieces.
func (t *transfer) run(ctx context.Context, w io.Writer) (sent int64, err error) {
	s := t.f.s
	rest := t.body[min(t.offset, int64(len(t.body))):]
	for i := range pieces {
		if i == t.slowAt {
			s.tracef("%s is slow", t.raw.name)
			wait := s.between(tick, 5*time.Hour)
			s.after(wait, t.f.d.resume)
			t.f.d.gate.wait(t.file, roundUp(s.at.Add(wait)))
			if ctx.Err() != nil {
				return sent, ctx.Err()
			}
		}
		if s.rng.IntN(4) == 0 {
			s.setTime(s.at.Add(2 * time.Second)) // enough for a word to the job-tracker
		}
		piece := rest[len(rest)*i/pieces : len(rest)*(i+1)/pieces]
		if len(piece) == 0 {
			continue
		}
		n, err := w.Write(piece)
		sent += int64(n)
		if n > 0 {
			s.grew(t.raw, t.offset+sent)
		}
		if err != nil {
			return sent, fmt.Errorf("write: %w", err)
		}
	}
	if t.ends != nil {
		return sent, t.ends
	}
	return sent, s.afterwards(t.f.d, pipeline.FileServer, "fetch")
}

package download_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
	"longhaul/internal/rawdata"
)

// unmount makes the download directory what the mount point of a disk is that
// is not mounted: there, and empty. mount undoes it.
func (s *site) unmount() (mount func()) {
	s.t.Helper()
	dir := s.opt.Config.Temp
	check(s.t, os.Rename(dir, dir+".disk"))
	check(s.t, os.Mkdir(dir, 0o750))
	return func() {
		s.t.Helper()
		check(s.t, errors.Join(os.Remove(dir), os.Rename(dir+".disk", dir))) // Remove: nothing was put there
	}
}

func TestADiskThatIsNotMountedFailsNothingAndGetsNothing(t *testing.T) {
	t.Parallel()
	content := noise(100_000, 1)
	for _, tt := range []struct {
		name string
		make func(s *site) // what is there before
	}{
		{"with files here", func(s *site) { s.enter("raw.here", content); s.rounds(1) }},
		{"with a file that came in part", func(s *site) {
			s.enter("raw.half", content)
			s.via(&hooked{wrote: func(_ string, total int64) {
				if total > 50_000 {
					s.ftp.SetDown(true)
				}
			}})
			s.try()
			s.try() // settles it
			s.ftp.SetDown(false)
			s.via(new(hooked))
		}},
		{"with a file whose transfer was not settled", func(s *site) {
			f := s.enter("raw.unsettled", content)
			must(s.store.StartAttempt(t.Context(), f, 0))(t)
		}},
		{"with all files deleted", func(s *site) {
			f := s.enter("raw.old", content)
			s.rounds(1)
			check(t, s.store.WantFileDeleted(t.Context(), f.ID, "done"))
			check(t, os.Remove(f.Path))
			check(t, s.store.FileDeleted(t.Context(), s.file("raw.old")))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(b *setup) { b.cfg.NumRestored = 100 })
			tt.make(s)
			before := must(s.store.Files(t.Context(), jobtracker.Filter{}))(t)
			asked := len(s.requests())
			mount := s.unmount()
			s.enter("raw.new", content)
			s.willGive("GUID9")
			for range 3 {
				wantOutage(t, s.pass(), pipeline.LocalDisk)
				s.clock.Advance(time.Hour)
			}
			if n := len(s.requests()); n != asked {
				t.Errorf("%d requests for data that has no place", n-asked)
			}
			mount()
			for _, f := range before {
				if now := s.file(f.Filename); now.Attempts != f.Attempts || now.Bytes != f.Bytes {
					t.Errorf("before: %+v\nafter: %+v", f, now)
				}
			}
			s.rounds(2)
			s.wantWhole("raw.new", content)
			for _, f := range before {
				if f.Status != pipeline.Deleted {
					s.wantWhole(f.Filename, content)
				}
			}
		})
	}
}

func TestANewDownloadDirectoryIsMarked(t *testing.T) {
	t.Parallel()
	content := noise(1000, 1)
	for _, tt := range []struct {
		name string
		make func(s *site)
	}{
		{"before anything came", func(s *site) { s.enter("raw.first", content) }},
		{"when the downloads went elsewhere before", func(s *site) {
			s.enter("raw.first", content)
			s.rounds(1)
			s.opt.Config.Temp = t.TempDir()
			s.restart()
		}},
		{"again, if it has lost its marker but not its files", func(s *site) {
			s.enter("raw.first", content)
			s.rounds(1)
		}},
		{"when an operator brought the first files", func(s *site) {
			check(t, os.WriteFile(s.final("raw.brought"), content, 0o640))
			check(t, s.store.AddFiles(t.Context(), []pipeline.File{{Filename: "raw.brought", Path: s.final("raw.brought"),
				Size: 1000, Product: "raw", GroupKey: "brought"}}, ""))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			tt.make(s)
			if err := os.Remove(s.final(rawdata.Marker)); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			s.enter("raw.next", content)
			s.rounds(1)
			s.wantWhole("raw.next", content)
			check(t, rawdata.Check(s.opt.Config.Temp))
		})
	}
}

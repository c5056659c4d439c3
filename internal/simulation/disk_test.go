package simulation

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"longhaul/internal/disk"
	"longhaul/internal/download"
	"longhaul/internal/pipeline"
)

// diskModel is the disk for raw data, as large as it is said to be. What lies on
// it are real files.
type diskModel struct {
	size   int64
	others int64            // bytes that others have written there
	used   map[string]int64 // bytes of ours, by file name, as last seen
}

// free is what the downloader is told. Unlike the truth it does not know of
// deletions since the last look, so that it does not depend on who is quicker.
func (s *sim) free(string) (int64, error) {
	if s.down[pipeline.LocalDisk] && !s.calm {
		return 0, errors.New("input/output error")
	}
	return given(s.lie.free, max(s.disk.size-s.disk.others-s.disk.sum(), 0)), nil
}

func (m *diskModel) sum() (n int64) {
	for _, size := range m.used {
		n += size
	}
	return n
}

// grew notes that a part file has grown by a write, which must have left
// min_free_space.
func (s *sim) grew(f *rawFile, size int64) {
	s.disk.used["."+f.name+".part"] = size
	if left := s.disk.size - s.disk.others - s.disk.sum(); left < int64(s.cfg.Download.MinFreeSpace) {
		s.breaks("a write to %s has left %d bytes free, min_free_space is %d", f.name, left, int64(s.cfg.Download.MinFreeSpace))
	}
}

// count looks at what is on the disk, and returns the whole files there.
func (s *sim) count() map[string]bool {
	clear(s.disk.used)
	whole := make(map[string]bool)
	var fetched int64
	for _, dir := range []string{s.cfg.Download.Temp, s.added()} {
		entries, err := os.ReadDir(dir)
		s.check(err)
		for _, e := range entries {
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			s.check(err)
			switch hidden := strings.HasPrefix(e.Name(), "."); {
			case hidden && !strings.HasSuffix(e.Name(), ".part"):
				continue // the mark of the disk
			case !hidden:
				whole[filepath.Join(dir, e.Name())] = true
			}
			if dir == s.cfg.Download.Temp {
				s.disk.used[e.Name()] = info.Size()
				fetched += info.Size()
			}
		}
	}
	if fetched > int64(s.cfg.Download.SpaceToUse) && !s.daemon(downloader).windDown {
		s.breaks("there are %d bytes of raw data, space_to_use is %d", fetched, int64(s.cfg.Download.SpaceToUse))
	}
	return whole
}

// rawData checks that no raw data has gone that is still needed.
func (s *sim) rawData() {
	there := s.count()
	s.history.here = slices.DeleteFunc(s.history.here, func(f *rawFile) bool {
		gone := !there[f.path]
		if gone && f.obs.commits == 0 && !f.obs.letGo {
			s.breaks("the raw data %s is gone, and %s is not in the common database", f.name, f.obs.name)
		}
		return gone
	})
}

// powerCut spoils the bytes of part files that were not synced, as far as the
// job-tracker knows: they may be gone after a crash of the machine.
func (s *sim) powerCut() {
	files, err := s.store.FilesIn(s.ctx(), pipeline.Downloading)
	s.check(err)
	for _, f := range files {
		b, err := os.ReadFile(download.PartPath(f))
		if err != nil || int64(len(b)) <= f.Bytes {
			continue
		}
		clear(b[f.Bytes:])
		s.check(os.WriteFile(download.PartPath(f), b, disk.FileMode))
		s.tracef("the power fails: %d bytes of %s are lost", int64(len(b))-f.Bytes, f.Filename)
	}
}

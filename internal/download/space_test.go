package download_test

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"longhaul/internal/disk"
	"longhaul/internal/disk/disktest"
	"longhaul/internal/pipeline"
	"longhaul/internal/rawdata"
)

// sharedDisk is the free space of a file system on which others write too.
type sharedDisk struct {
	mu     sync.Mutex
	size   int64
	others int64 // written by others
	dir    string
	least  int64 // that was ever free
}

func (d *sharedDisk) take(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.others += n
}

// free counts what is in the download directory as taken.
func (d *sharedDisk) free(string) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	free := d.size - d.others
	entries, err := os.ReadDir(d.dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.Name() != rawdata.Marker {
			free -= info.Size()
		}
	}
	d.least = min(d.least, free)
	return free, err
}

// onDisk gives a site a disk of its own size.
func onDisk(d *sharedDisk) func(*setup) {
	return func(b *setup) {
		d.dir, d.least = b.cfg.Temp, d.size
		b.opt.Free = d.free
	}
}

func TestADownloadBeginsWhenThereIsSpaceForAllThatRuns(t *testing.T) {
	t.Parallel()
	content := noise(100_000, 1)
	for _, tt := range []struct {
		name string
		disk int64
		cfg  func(*setup)
		runs int // of three
	}{
		{"space_to_use for all", 1 << 30, func(b *setup) { b.cfg.SpaceToUse = 300_000 }, 3},
		{"space_to_use for two", 1 << 30, func(b *setup) { b.cfg.SpaceToUse = 299_999 }, 2},
		{"min_free_space leaves one", 1_000_000, func(b *setup) { b.cfg.MinFreeSpace = 900_000 }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, onDisk(&sharedDisk{size: tt.disk}), func(b *setup) { b.cfg.NumDownloads = 3; tt.cfg(b) })
			for i := range 3 {
				s.enter(fmt.Sprintf("raw.%d", i), content)
			}
			h := new(hooked)
			s.via(h)
			for range 3 {
				check(t, s.gated(h))
				s.clock.Advance(time.Hour)
			}
			if n := len(must(s.store.FilesIn(t.Context(), pipeline.Downloaded))(t)); n != tt.runs {
				t.Errorf("%d were fetched, want %d", n, tt.runs)
			}
			want := 1
			if tt.runs == 3 {
				want = 0
			}
			if n := s.log.count("no space"); n != want {
				t.Errorf("said %d times that there is no space, want %d", n, want)
			}
		})
	}
}

func TestDownloadsGoOnByThemselvesWhenRawDataIsDeleted(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(b *setup) { b.cfg.SpaceToUse = 150_000 })
	content := noise(100_000, 1)
	for i := range 3 {
		s.enter(fmt.Sprintf("raw.%d", i), content)
	}
	for i := range 3 {
		s.rounds(2)
		name := fmt.Sprintf("raw.%d", i)
		s.wantWhole(name, content)
		f := s.file(name)
		check(t, s.store.WantFileDeleted(t.Context(), f.ID, "done"))
		check(t, os.Remove(f.Path))
		check(t, s.store.FileDeleted(t.Context(), s.file(name)))
	}
	if n := s.log.count("no space"); n != 2 {
		t.Errorf("said %d times that there is no space, want once for each wait", n)
	}
}

// TestMinFreeSpaceIsKeptWhileOthersWrite lets somebody else fill the disk while
// several downloads run that had space when they began.
func TestMinFreeSpaceIsKeptWhileOthersWrite(t *testing.T) {
	t.Parallel()
	const least = 1_000_000
	d := &sharedDisk{size: 10_000_000}
	s := newSite(t, onDisk(d), func(b *setup) { b.cfg.NumDownloads = 4; b.cfg.MinFreeSpace = least })
	content := noise(1_000_000, 1)
	for i := range 4 {
		s.enter(fmt.Sprintf("raw.%d", i), content)
	}
	var once sync.Once
	h := &hooked{wrote: func(_ string, total int64) {
		if total > 300_000 {
			once.Do(func() { d.take(7_000_000) }) // now 2 MB are left for the 4 MB
		}
	}}
	s.via(h)
	check(t, s.gated(h))
	if d.least < least {
		t.Errorf("only %d bytes were left free", d.least)
	}
	for range 3 {
		wantOutage(t, s.pass(), pipeline.LocalDisk)
		s.clock.Advance(10 * time.Second)
	}
	for i := range 4 {
		if f := s.file(fmt.Sprintf("raw.%d", i)); f.Attempts != 0 {
			t.Errorf("%+v", f)
		}
	}
	d.take(-7_000_000)
	for range 6 { // one finds out that there is space again, then all go on
		s.try()
		s.clock.Advance(15 * time.Minute)
	}
	for i := range 4 {
		s.wantWhole(fmt.Sprintf("raw.%d", i), content)
	}
	if d.least < least {
		t.Errorf("only %d bytes were left free", d.least)
	}
}

// TestTheLookAtTheFreeSpaceAndTheWriteAreOneStep holds up everybody who looks,
// so that all transfers would look before any of them writes.
func TestTheLookAtTheFreeSpaceAndTheWriteAreOneStep(t *testing.T) {
	t.Parallel()
	const least = 1_000_000
	d := &sharedDisk{size: 10_000_000}
	var transfers atomic.Bool
	another := make(chan struct{})
	s := newSite(t, onDisk(d), func(b *setup) {
		b.cfg.NumDownloads, b.cfg.MinFreeSpace = 4, least
		b.opt.Free = func(path string) (int64, error) {
			free, err := d.free(path)
			if transfers.Load() {
				select {
				case another <- struct{}{}:
				case <-another:
				case <-time.After(5 * time.Millisecond):
				}
			}
			return free, err
		}
	})
	content := noise(300_000, 1)
	for i := range 4 {
		s.enter(fmt.Sprintf("raw.%d", i), content)
	}
	h := new(hooked)
	s.via(h)
	check(t, s.gated(h, func() {
		d.take(10_000_000 - least - 400_000) // somebody else: all four had space for 1.2 MB when they began
		transfers.Store(true)
	}))
	transfers.Store(false)
	if free := must(d.free(""))(t); free < least || free > least+300_000 {
		t.Errorf("%d bytes are left free, want %d and not much more", free, least)
	}
}

// TestMinFreeSpaceIsKeptOnARealDisk has four downloads at once on a small file
// system that somebody else has filled meanwhile.
func TestMinFreeSpaceIsKeptOnARealDisk(t *testing.T) {
	t.Parallel()
	const least, oneWrite = 1 << 20, 64 << 10
	s := newSite(t, func(b *setup) {
		disktest.Mount(t, b.cfg.Temp, 8<<20)
		b.cfg.NumDownloads, b.cfg.MinFreeSpace = 4, least
		b.opt.Free = disk.Free
	})
	dir := s.opt.Config.Temp
	content := noise(1_000_000, 1)
	for i := range 4 {
		s.enter(fmt.Sprintf("raw.%d", i), content)
	}
	var undercut atomic.Int64
	h := &hooked{wrote: func(string, int64) {
		if free, err := disk.Free(dir); err == nil {
			undercut.Store(max(undercut.Load(), least-free))
		}
	}}
	s.via(h)
	var empty func() // somebody else fills it when all four have begun
	check(t, s.gated(h, func() { empty = disktest.Fill(t, dir, least+500_000) }))
	wantOutage(t, s.pass(), pipeline.LocalDisk)
	if n := undercut.Load(); n > oneWrite {
		t.Errorf("min_free_space was undercut by %d bytes", n)
	}
	empty()
	for range 6 {
		s.clock.Advance(15 * time.Minute)
		s.try()
	}
	for i := range 4 {
		s.wantWhole(fmt.Sprintf("raw.%d", i), content)
		s.wantStatus(fmt.Sprintf("raw.%d", i), pipeline.Downloaded, 0)
	}
}

// fullDisk is a disk that has no room although there seemed to be some.
type fullDisk interface {
	put(b *setup, t *testing.T)
	lie(bool) // about its free space
	fill()    // until it is full
	empty()   // there is room again
}

// tmpfs is a real file system of 1 MiB.
type tmpfs struct {
	t    *testing.T
	dir  string
	free func()
}

func (d *tmpfs) put(b *setup, t *testing.T) {
	d.t, d.dir = t, b.cfg.Temp
	disktest.Mount(t, d.dir, 1<<20)
}
func (d *tmpfs) lie(bool) {}
func (d *tmpfs) fill()    { d.free = disktest.Fill(d.t, d.dir, 200_000) }
func (d *tmpfs) empty()   { d.free() }

// quota is a file system with room, of which this user has used up its part: no
// look at the free space tells, only a write. Where it cannot be had for real,
// the look at the free space says what the write would.
type quota struct{ full, lying atomic.Bool }

func (d *quota) put(b *setup, _ *testing.T) {
	b.cfg.MinFreeSpace = 1
	b.opt.Free = func(string) (int64, error) {
		if d.full.Load() && !d.lying.Load() {
			return 0, &os.PathError{Op: "write", Path: b.cfg.Temp, Err: syscall.EDQUOT}
		}
		return 1 << 40, nil
	}
}
func (d *quota) lie(is bool) { d.lying.Store(is) }
func (d *quota) fill()       { d.full.Store(true) }
func (d *quota) empty()      { d.full.Store(false) }

// TestAFullDiskIsWaitedFor has three downloads on a disk that is full.
func TestAFullDiskIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]fullDisk{"no space left on device": new(tmpfs), "quota exceeded": new(quota)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			waitedFor(t, d)
		})
	}
}

func waitedFor(t *testing.T, d fullDisk) {
	s := newSite(t, func(b *setup) { d.put(b, t) })
	h := new(hooked)
	s.via(h)
	pass := func() error {
		d.lie(true) // while the pass looks, and begins
		return s.gated(h, func() { d.lie(false) })
	}
	content := noise(300_000, 1)
	names := []string{"raw.1", "raw.2", "raw.3"}
	for _, name := range names {
		s.enter(name, content)
	}
	attempts := func() (n int) {
		for _, name := range names {
			n += len(s.attempts(name))
		}
		return n
	}
	d.fill()
	check(t, pass())
	for range 10 { // no storm: nothing is begun until some time has passed
		wantOutage(t, pass(), pipeline.LocalDisk)
		s.clock.Advance(5 * time.Second)
	}
	if n := attempts(); n != 2 {
		t.Errorf("%d attempts, want the two that met the full disk", n)
	}
	for range 6 { // then one at a time, less and less often
		s.clock.Advance(2 * time.Minute)
		wantOutage(t, pass(), pipeline.LocalDisk)
	}
	if n := attempts(); n < 4 || n > 5 {
		t.Errorf("%d attempts", n)
	}
	d.empty()
	s.clock.Advance(15 * time.Minute)
	wantOutage(t, pass(), pipeline.LocalDisk) // this one finds out, and all go on
	for range 3 {
		check(t, pass())
		s.clock.Advance(15 * time.Minute)
	}
	for _, name := range names {
		s.wantWhole(name, content)
		s.wantStatus(name, pipeline.Downloaded, 0)
	}
}

func TestWhatCouldNeverFitIsForAPerson(t *testing.T) {
	t.Parallel()
	content := noise(100_000, 1)
	t.Run("larger than space_to_use", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, func(b *setup) { b.cfg.SpaceToUse = 50_000; b.cfg.NumDownloads = 1 })
		s.enter("raw.large", content)
		s.enter("raw.small", content[:10])
		s.rounds(4)
		s.wantStatus("raw.large", pipeline.TerminalFailure, 3)
		s.wantStatus("raw.small", pipeline.Downloaded, 0)
		if n := s.notices(pipeline.NoticeTerminalFailure); n != 1 {
			t.Errorf("%d notices", n)
		}
	})
	t.Run("a disk that others have filled", func(t *testing.T) {
		t.Parallel()
		d := &sharedDisk{size: 120_000}
		s := newSite(t, onDisk(d), func(b *setup) { b.cfg.MinFreeSpace = 50_000 })
		s.enter("raw", content)
		for range 3 {
			wantOutage(t, s.pass(), pipeline.LocalDisk)
			s.clock.Advance(time.Hour)
		}
		s.wantStatus("raw", pipeline.New, 0)
		d.take(-50_000)
		s.rounds(1)
		s.wantWhole("raw", content)
	})
}

func TestADiskThatCannotBeAskedIsAnOutage(t *testing.T) {
	t.Parallel()
	broken := true
	s := newSite(t, func(b *setup) {
		b.opt.Free = func(path string) (int64, error) {
			if broken {
				return 0, syscall.EIO
			}
			return disk.Free(path)
		}
	})
	content := noise(1000, 1)
	s.enter("raw", content)
	err := s.pass()
	wantOutage(t, err, pipeline.LocalDisk)
	if !errors.Is(err, syscall.EIO) {
		t.Errorf("the cause is lost: %v", err)
	}
	broken = false
	s.rounds(1)
	s.wantWhole("raw", content)
}

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

	"golang.org/x/sys/unix"

	"longhaul/internal/disk"
	"longhaul/internal/pipeline"
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
		if info, err := e.Info(); err == nil {
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

// fullDisk is a disk that is full although there seemed to be space, as with a
// quota: a real tmpfs of 1 MiB where one may be mounted, and else one whose
// free space is told wrongly until the transfers run.
type fullDisk struct {
	sharedDisk
	real  bool
	lying atomic.Bool
}

func (d *fullDisk) put(b *setup, t *testing.T) {
	d.dir, d.size = b.cfg.Temp, 1<<20
	b.opt.Free = func(path string) (int64, error) {
		if d.real || d.lying.Load() {
			return 1 << 40, nil
		}
		return d.free(path)
	}
	err := unix.Mount("tmpfs", d.dir, "tmpfs", 0, "size=1m")
	d.real = err == nil
	if err != nil {
		t.Logf("no file system of its own: %v", err)
		b.cfg.MinFreeSpace = 1
		return
	}
	t.Cleanup(func() { check(t, unix.Unmount(d.dir, 0)) })
}

// TestAFullDiskIsWaitedFor has three downloads on a disk that is full.
func TestAFullDiskIsWaitedFor(t *testing.T) {
	t.Parallel()
	d := new(fullDisk)
	s := newSite(t, func(b *setup) { d.put(b, t) })
	h := new(hooked)
	s.via(h)
	pass := func() error {
		d.lying.Store(true)
		return s.gated(h, func() { d.lying.Store(false) })
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
	filler := s.final("filler")
	check(t, os.WriteFile(filler, make([]byte, 1<<20-200_000), 0o640))
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
	check(t, os.Remove(filler))
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

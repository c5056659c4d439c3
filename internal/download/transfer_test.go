package download_test

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"longhaul/internal/archive"
	"longhaul/internal/archive/archivetest"
	"longhaul/internal/config"
	"longhaul/internal/pipeline"
)

func sha256Of(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func md5Of(content []byte) string {
	sum := md5.Sum(content)
	return "md5:" + hex.EncodeToString(sum[:])
}

func mkfifo(path string) error { return unix.Mkfifo(path, 0o600) }

func withTLS(b *setup) { b.tls = true }

// once returns a fault that the first retrieval of a file meets; files of
// checksums are spared.
func once(f archivetest.Fault) archivetest.FaultFunc {
	var mu sync.Mutex
	done := make(map[string]bool)
	return func(path string, _ int64) archivetest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if done[path] || archive.IsChecksumFile(path) {
			return archivetest.Fault{}
		}
		done[path] = true
		return f
	}
}

func TestFilesOfEverySizeAreFetched(t *testing.T) {
	t.Parallel()
	for _, tls := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", tls), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(b *setup) { b.tls = tls; b.cfg.NumDownloads = 4 })
			contents := map[string][]byte{
				"raw.empty": {}, "raw.one": {7}, "raw.many": noise(300_000, 1),
				"raw" + strings.Repeat("x", 252): noise(1000, 2), // as long as a name can be
			}
			for name, content := range contents {
				s.enter(name, content)
			}
			s.rounds(1)
			for name, content := range contents {
				s.wantWhole(name, content)
				s.wantStatus(name, pipeline.Downloaded, 0)
				if st := must(os.Stat(s.final(name)))(t); st.Mode().Perm() != 0o640 {
					t.Errorf("%s: mode %v", name, st.Mode())
				}
			}
		})
	}
}

func TestATransferThatIsCutGoesOnAtTheByte(t *testing.T) {
	t.Parallel()
	const at = 123_457
	for _, tls := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", tls), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(b *setup) {
				b.tls, b.cfg.NumDownloads, b.client.IdleTimeout = tls, 9, time.Second
			})
			content := noise(300_000, 1)
			faults := map[string]archivetest.Fault{
				"raw.cut":    {Action: archivetest.Cut, After: at},
				"raw.abrupt": {Action: archivetest.Cut, After: at, Abrupt: true}, // under TLS without its goodbye
				"raw.drop":   {Action: archivetest.Drop, After: at},              // the server crashes, and is back
				"raw.stall":  {Action: archivetest.Stall, After: at},
			}
			for name := range faults {
				s.enter(name, content, func(f *pipeline.File) { f.Checksum = md5Of(content) })
			}
			s.ftp.SetFault(func(path string, offset int64) archivetest.Fault {
				if offset > 0 {
					return archivetest.Fault{}
				}
				return faults[filepath.Base(path)]
			})
			s.rounds(1)
			for name := range faults {
				s.wantStatus(name, pipeline.Retrying, 1)
				if a := s.attempts(name); len(a) != 1 || a[0].Status != pipeline.DownloadFailed || a[0].Bytes != at {
					t.Errorf("%s: attempts: %+v", name, a)
				}
			}
			s.rounds(1)
			for name := range faults {
				s.wantWhole(name, content)
				s.wantStatus(name, pipeline.Downloaded, 1)
				if got := s.offsets(name); !slices.Equal(got, []int64{0, at}) {
					t.Errorf("%s: retrieved from %d", name, got)
				}
			}
		})
	}
}

func TestWrongBytesAreRefusedAndFetchedAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	content := noise(100_000, 1)
	sums := map[string]string{"raw.sha": sha256Of(content), "raw.md": md5Of(content)}
	for name, sum := range sums {
		s.enter(name, content, func(f *pipeline.File) { f.Checksum = sum })
	}
	s.ftp.SetFault(once(archivetest.Fault{Action: archivetest.Corrupt, After: 5}))
	s.rounds(1)
	for name := range sums {
		s.wantStatus(name, pipeline.Retrying, 1)
		if a := s.attempts(name); a[0].Status != pipeline.VerificationFailed {
			t.Errorf("%s: attempt %+v", name, a[0])
		}
	}
	if left := s.parts(); len(left) > 0 {
		t.Errorf("the wrong bytes are kept: %q", left)
	}
	s.rounds(1)
	for name := range sums {
		s.wantWhole(name, content)
		if got := s.offsets(name); !slices.Equal(got, []int64{0, 0}) {
			t.Errorf("%s: retrieved from %d", name, got)
		}
	}
}

// TestAFileThatChangedOnTheServerIsFetchedFromTheBeginning changes files
// between two attempts.
func TestAFileThatChangedOnTheServerIsFetchedFromTheBeginning(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(b *setup) { b.cfg.NumDownloads = 9 })
	before := noise(100_000, 1)
	type change struct {
		after    []byte
		later    bool // its time
		checksum bool // the archive offers one
		noTime   bool // the listing had none
		offsets  []int64
	}
	changes := map[string]change{
		"raw.larger":                 {after: noise(120_000, 2), offsets: []int64{0, 0}},
		"raw.smaller":                {after: noise(40_000, 2), offsets: []int64{0, 0}},
		"raw.empty":                  {after: nil, offsets: []int64{0}},
		"raw.later":                  {after: noise(100_000, 2), later: true, offsets: []int64{0, 0}},
		"raw.later-than-at-the-look": {after: noise(100_000, 2), later: true, noTime: true, offsets: []int64{0, 0}},
		"raw.checksum":               {after: noise(100_000, 2), checksum: true, offsets: []int64{0, 0}},
		"raw.same":                   {after: before, checksum: true, offsets: []int64{0, 50_000}},
	}
	for name, c := range changes {
		s.enter(name, before, func(f *pipeline.File) {
			if c.checksum {
				f.Checksum = sha256Of(before)
			}
			if c.noTime {
				f.ModTime = time.Time{}
			}
		})
	}
	s.ftp.SetFault(once(archivetest.Fault{Action: archivetest.Cut, After: 50_000}))
	s.rounds(1)
	for name, c := range changes {
		at := s.file(name).ModTime
		s.put(guid+"/"+name, c.after)
		if c.later {
			at = at.Add(time.Hour)
			check(t, os.Chtimes(filepath.Join(s.root, guid, name), at, at))
		}
		if c.checksum {
			s.put(guid+"/"+name+".sha256", []byte(sha256Of(c.after)[len("sha256:"):]+"  "+name+"\n"))
		}
	}
	s.rounds(2)
	for name, c := range changes {
		s.wantWhole(name, c.after)
		if got := s.offsets(name); !slices.Equal(got, c.offsets) {
			t.Errorf("%s: retrieved from %d, want %d", name, got, c.offsets)
		}
	}
}

// TestAFileThatChangesUnderTheTransferIsNotTaken changes files between the look
// and the retrieval.
func TestAFileThatChangesUnderTheTransferIsNotTaken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	after := map[string][]byte{"raw.longer": noise(200_000, 2), "raw.shorter": noise(30_000, 2)}
	var mu sync.Mutex
	changed := make(map[string]bool)
	for name := range after {
		s.enter(name, noise(100_000, 1))
	}
	s.ftp.SetFault(func(path string, _ int64) archivetest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if name := filepath.Base(path); !changed[name] {
			changed[name] = true
			s.put(guid+"/"+name, after[name])
		}
		return archivetest.Fault{}
	})
	s.rounds(1)
	for name := range after {
		s.wantStatus(name, pipeline.Retrying, 1)
		if _, err := os.Lstat(s.final(name)); err == nil {
			t.Errorf("%s has its final name", name)
		}
	}
	if a := s.attempts("raw.longer")[0]; a.Bytes > 100_000 {
		t.Errorf("%d bytes were taken of a file of 100000", a.Bytes)
	}
	if left := s.parts(); len(left) != 1 { // what came of the shorter one may be its beginning
		t.Errorf("part files: %q", left)
	}
	s.rounds(2)
	for name, content := range after {
		s.wantWhole(name, content)
	}
}

func TestWhatTheServerDoesNotHaveIsGivenUpAtLast(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.enter("raw.gone", noise(100_000, 1))
	s.enter("raw.refused", noise(100_000, 2))
	s.ftp.SetFault(once(archivetest.Fault{Action: archivetest.Cut, After: 50_000}))
	s.rounds(1)
	if left := s.parts(); len(left) != 2 {
		t.Fatalf("part files: %q", left)
	}
	check(t, os.Remove(filepath.Join(s.root, guid, "raw.gone")))
	s.ftp.SetFault(func(string, int64) archivetest.Fault { return archivetest.Fault{Action: archivetest.Missing} })
	s.rounds(3)
	for _, name := range []string{"raw.gone", "raw.refused"} {
		s.wantStatus(name, pipeline.TerminalFailure, 3)
		if a := s.attempts(name); len(a) != 3 || a[2].Status != pipeline.NoRemoteFile {
			t.Errorf("%s: attempts %+v", name, a)
		}
	}
	if n := s.notices(pipeline.NoticeTerminalFailure); n != 2 {
		t.Errorf("%d notices", n)
	}
	if left := s.parts(); len(left) > 0 {
		t.Errorf("part files are left: %q", left)
	}
	s.rounds(3)
	if got := len(s.attempts("raw.gone")); got != 3 {
		t.Errorf("%d attempts after it was given up", got)
	}
}

func TestAServerThatCannotResumeIsAskedForTheWholeFile(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(b *setup) { b.ftp.NoREST = true })
	content := noise(100_000, 1)
	s.enter("raw", content)
	s.ftp.SetFault(once(archivetest.Fault{Action: archivetest.Cut, After: 50_000}))
	s.rounds(3)
	s.wantWhole("raw", content)
	s.wantStatus("raw", pipeline.Downloaded, 1) // the cut; the refusal to resume is no fault of the file
}

func TestAFileThatCannotBeAskedForDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(b *setup) { b.cfg.NumDownloads = 1 })
	content := noise(1000, 1)
	s.enter("raw.1", content)
	s.enter("raw.2", content)
	s.via(&hooked{stat: func(path string) error {
		if strings.HasSuffix(path, "raw.1") {
			return errors.New("it said 501 nonsense")
		}
		return nil
	}})
	s.rounds(3)
	s.wantWhole("raw.2", content)
	s.rounds(3)
	s.wantStatus("raw.1", pipeline.TerminalFailure, 3)
}

func TestNoMoreDownloadsThanAllowedRunAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(b *setup) { b.cfg.NumDownloads = 3 })
	for i := range 8 {
		s.enter(fmt.Sprintf("raw.%d", i), noise(1000, uint64(i)))
	}
	in, out := make(chan string, 8), make(chan struct{})
	s.via(&hooked{fetch: func(_ context.Context, path string) error {
		in <- path
		<-out
		return nil
	}})
	for range 3 { // passes add nothing while all slots are taken
		check(t, s.d.Pass(t.Context()))
	}
	for range 3 {
		<-in
	}
	if n := s.d.Active(); n != 3 || len(in) > 0 {
		t.Errorf("%d are active, %d more asked", n, len(in))
	}
	running := must(s.store.FilesIn(t.Context(), pipeline.Downloading))(t)
	if len(running) != 3 {
		t.Errorf("the tracker has %d running", len(running))
	}
	close(out)
	s.d.Wait()
	s.rounds(2)
	for i := range 8 {
		s.wantStatus(fmt.Sprintf("raw.%d", i), pipeline.Downloaded, 0)
	}
}

// TestStoppingLeavesWhatCanBeGoneOnWith ends the context in the middle of a transfer.
func TestStoppingLeavesWhatCanBeGoneOnWith(t *testing.T) {
	t.Parallel()
	s := newSite(t, withTLS)
	content := noise(1_000_000, 1)
	s.enter("raw", content)
	ctx, cancel := context.WithCancel(t.Context())
	s.via(&hooked{wrote: func(_ string, total int64) {
		if total > 200_000 {
			cancel()
		}
	}})
	if err := s.d.Pass(ctx); err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	s.d.Wait()
	a := s.attempts("raw")
	if len(a) != 1 || a[0].Status != pipeline.Unknown || a[0].Bytes < 200_000 || a[0].Details != "stopped" {
		t.Fatalf("attempts: %+v", a)
	}
	s.restart()
	s.rounds(3)
	s.wantWhole("raw", content)
	s.wantStatus("raw", pipeline.Downloaded, 0)
	if got := s.offsets("raw"); !slices.Equal(got, []int64{0, a[0].Bytes}) {
		t.Errorf("retrieved from %d, want 0 and then %d", got, a[0].Bytes)
	}
}

// TestProgressIsToldOnceASecond lets each block take 300 ms.
func TestProgressIsToldOnceASecond(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	content := noise(1_000_000, 1)
	f := s.enter("raw", content)
	var told []time.Time
	var last int64
	blocks := 0
	s.via(&hooked{wrote: func(_ string, total int64) {
		blocks++
		if now := s.file("raw"); now.Bytes != last {
			last = now.Bytes
			told = append(told, s.clock.Now())
			if st := must(os.Stat(s.part("raw")))(t); st.Size() < now.Bytes || now.Bytes != total {
				t.Errorf("%d bytes were told, %d are here", now.Bytes, st.Size())
			}
		}
		s.clock.Advance(300 * time.Millisecond)
	}})
	s.rounds(1)
	s.wantWhole(f.Filename, content)
	if len(told) < 2 || len(told) > (blocks*3+9)/10 {
		t.Errorf("told %d times in %d blocks", len(told), blocks)
	}
	for i := 1; i < len(told); i++ {
		if told[i].Sub(told[i-1]) < time.Second {
			t.Errorf("told %v after the time before", told[i].Sub(told[i-1]))
		}
	}
}

func TestTheBandwidthLimitIsForAllDownloadsTogether(t *testing.T) {
	t.Parallel()
	const limit = 400_000 // bytes a second
	s := newSite(t, func(b *setup) { b.client.Limiter = archive.NewLimiter(limit) })
	s.enter("raw.1", noise(200_000, 1))
	s.enter("raw.2", noise(200_000, 2))
	started := time.Now()
	s.rounds(1)
	// A quarter of a second's worth may come at once.
	if took := time.Since(started); took < 700*time.Millisecond {
		t.Errorf("400 kB came in %v", took)
	}
	s.wantStatus("raw.1", pipeline.Downloaded, 0)
	s.wantStatus("raw.2", pipeline.Downloaded, 0)
}

func TestRetriesWaitLongerEachTime(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(b *setup) {
		b.cfg.NumRetries, b.cfg.RetryWaitMax = 5, config.Duration(3*time.Minute)
	})
	s.enter("raw", noise(1000, 1))
	s.ftp.SetFault(func(string, int64) archivetest.Fault { return archivetest.Fault{Action: archivetest.Cut} })
	for i, want := range []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute, 3 * time.Minute} {
		check(t, s.pass())
		check(t, s.pass())
		wait := s.file("raw").NextTry.Sub(s.clock.Now())
		if wait < want*9/10 || wait > want*11/10 {
			t.Errorf("try %d comes after %v, want about %v", i+2, wait, want)
		}
		check(t, s.pass())
		if n := len(s.attempts("raw")); n != i+1 {
			t.Errorf("%d attempts before it was due", n)
		}
		s.clock.Advance(wait + time.Second)
	}
}

package download_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"longhaul/internal/archive"
)

// polling makes a site that polls the directory incoming, by FTP or on disk.
func polling(t *testing.T, onDisk bool, changes ...func(*setup)) *site {
	t.Helper()
	return newSite(t, append(changes, func(b *setup) {
		b.cfg.PollDirectory = "/incoming"
		check(t, os.Mkdir(filepath.Join(b.ftp.Root, "incoming"), 0o750))
		if onDisk {
			b.cfg.PollDirectory = filepath.Join(b.ftp.Root, "incoming")
			b.opt.Server = must(archive.NewDisk("/", nil))(t)
		}
	})...)
}

func TestAPolledFileIsTakenWhenItIsStable(t *testing.T) {
	t.Parallel()
	for _, onDisk := range []bool{false, true} {
		t.Run(fmt.Sprintf("on disk %v", onDisk), func(t *testing.T) {
			t.Parallel()
			s := polling(t, onDisk)
			content := noise(1000, 1)
			s.put("incoming/raw.stable", content)
			s.put("incoming/raw.grows", content[:100])
			s.put("incoming/raw.touched", content)
			s.put("incoming/raw.goes", content)
			s.put("incoming/README.txt", content)
			s.put("incoming/raw.stable.md5", []byte(md5Of(content)[4:]))
			step := func(want ...string) {
				t.Helper()
				check(t, s.pass())
				if got := s.names(); !slices.Equal(got, want) {
					t.Errorf("at %v: %q, want %q", s.clock.Now(), got, want)
				}
			}
			step()
			s.clock.Advance(4 * time.Minute)
			s.put("incoming/raw.grows", content[:200])
			at := time.Date(2026, 2, 2, 2, 2, 2, 0, time.UTC)
			check(t, os.Chtimes(filepath.Join(s.root, "incoming/raw.touched"), at, at))
			check(t, os.Rename(filepath.Join(s.root, "incoming/raw.goes"), filepath.Join(s.root, "raw.goes")))
			step()
			s.clock.Advance(time.Minute) // 5 minutes from the beginning
			check(t, os.Rename(filepath.Join(s.root, "raw.goes"), filepath.Join(s.root, "incoming/raw.goes")))
			step("raw.stable")
			s.clock.Advance(4 * time.Minute) // and from the changes
			step("raw.grows", "raw.stable", "raw.touched")
			s.clock.Advance(59 * time.Second) // raw.goes is new since it came back
			step("raw.grows", "raw.stable", "raw.touched")
			s.clock.Advance(time.Minute)
			step("raw.goes", "raw.grows", "raw.stable", "raw.touched")
			check(t, s.pass()) // the slots of the first were taken
			s.wantWhole("raw.stable", content)
			s.wantWhole("raw.touched", content)
			s.wantWhole("raw.grows", content[:200])
			s.wantWhole("raw.goes", content)
			if f := s.file("raw.stable"); f.Checksum != md5Of(content) {
				t.Errorf("checksum %q", f.Checksum)
			}
		})
	}
}

func TestAKnownFileIsNotTakenAgain(t *testing.T) {
	t.Parallel()
	s := polling(t, false)
	content := noise(1000, 1)
	s.put("incoming/raw", content)
	for range 4 {
		check(t, s.pass())
		s.clock.Advance(10 * time.Minute)
	}
	s.wantWhole("raw", content)
	s.put("incoming/raw", noise(2000, 2)) // another file of that name comes
	for range 4 {
		check(t, s.pass())
		s.clock.Advance(10 * time.Minute)
	}
	s.wantWhole("raw", content)
	if n := len(s.names()); n != 1 {
		t.Errorf("%d files", n)
	}
	if got := s.offsets("raw"); len(got) != 1 {
		t.Errorf("retrieved from %d", got)
	}
}

// TestOnlySidecarsOfNewFilesAreFetched: the directory fills up over the years.
func TestOnlySidecarsOfNewFilesAreFetched(t *testing.T) {
	t.Parallel()
	s := polling(t, false)
	content := noise(100, 1)
	for i := range 3 {
		name := fmt.Sprintf("incoming/raw.%d", i)
		s.put(name, content)
		s.put(name+".md5", []byte(md5Of(content)[4:]))
		for range 3 {
			check(t, s.pass())
			s.clock.Advance(10 * time.Minute)
		}
	}
	for i := range 3 {
		if got := s.offsets(fmt.Sprintf("raw.%d.md5", i)); len(got) != 1 {
			t.Errorf("checksum %d was fetched %d times", i, len(got))
		}
	}
}

func TestPollingDoesNotAskMoreOftenThanItShould(t *testing.T) {
	t.Parallel()
	s := polling(t, false)
	for range 20 { // as if woken all the time
		check(t, s.pass())
		s.clock.Advance(10 * time.Second)
	}
	n := s.ftp.Stats().Commands["MLSD"]
	if n < 6 || n > 7 {
		t.Errorf("%d listings in 200 seconds, want one each 30", n)
	}
	s.clock.Advance(-24 * time.Hour) // a clock that is set back does not stop it
	check(t, s.pass())
	if now := s.ftp.Stats().Commands["MLSD"]; now != n+1 {
		t.Errorf("%d listings, want one more than %d", now, n)
	}
}

// TestAHundredThousandEntries are listed, recognised and entered in one pass.
func TestAHundredThousandEntries(t *testing.T) {
	t.Parallel()
	const entries, wanted = 100_000, 100
	s := polling(t, false, func(b *setup) {
		b.cfg.NumDownloads, b.cfg.PollStable = 0, 0
		b.ftp.Extra = func(dir string) []string {
			lines := make([]string, entries)
			for i := range lines {
				name := "stray"
				if i%(entries/wanted) == 0 {
					name = "raw"
				}
				lines[i] = fmt.Sprintf("type=file;size=1000000;modify=20260102030405; %s.%06d", name, i)
			}
			return lines
		}
	})
	started := time.Now()
	check(t, s.pass())
	t.Logf("%d entries, %d of them entered, in %v", entries, wanted, time.Since(started))
	if n := len(s.names()); n != wanted {
		t.Errorf("%d files were entered, want %d", n, wanted)
	}
}

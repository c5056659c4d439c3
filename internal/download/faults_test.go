package download_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
	"testing"
	"time"

	"longhaul/internal/archive/archivetest"
	"longhaul/internal/pipeline"
)

// Whatever a transfer does, nothing but the whole file gets its final name, and
// after the fault it is fetched without a person.
func TestNoFaultOfATransferMakesAWrongFile(t *testing.T) {
	t.Parallel()
	const said = "226 transfer complete"
	content := noise(300_000, 1)
	for _, tt := range []struct {
		name   string
		fault  archivetest.Fault
		tls    bool
		counts int     // attempts that count
		from   []int64 // retrieved from
	}{
		{"cut", archivetest.Fault{Action: archivetest.Cut, After: 100_000}, false, 1, []int64{0, 100_000}},
		{"cut and called complete", archivetest.Fault{Action: archivetest.Cut, After: 100_000, Reply: said}, false, 1, []int64{0, 100_000}},
		{"cut without TLS's goodbye and called complete",
			archivetest.Fault{Action: archivetest.Cut, After: 100_000, Abrupt: true, Reply: said}, true, 1, []int64{0, 100_000}},
		{"the server crashes", archivetest.Fault{Action: archivetest.Drop, After: 100_000}, true, 1, []int64{0, 100_000}},
		{"silent half way", archivetest.Fault{Action: archivetest.Stall, After: 100_000}, false, 1, []int64{0, 100_000}},
		{"silent at the data connection", archivetest.Fault{Action: archivetest.Stall}, true, 1, []int64{0, 0}},
		{"silent at the close", archivetest.Fault{Reply: archivetest.NoReply}, false, 1, []int64{0}},
		{"a wrong byte", archivetest.Fault{Action: archivetest.Corrupt, After: 100_000}, true, 1, []int64{0, 0}},
		{"the service ends", archivetest.Fault{Action: archivetest.Unavailable}, false, 0, []int64{0}},
		{"no data connection", archivetest.Fault{Action: archivetest.Cut, Reply: "425 no session"}, true, 1, []int64{0, 0}},
		{"a disk error there", archivetest.Fault{Reply: "451 read error"}, false, 1, []int64{0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(b *setup) { b.tls, b.client.IdleTimeout = tt.tls, time.Second })
			s.enter("raw", content, func(f *pipeline.File) { f.Checksum = md5Of(content) })
			s.ftp.SetFault(once(tt.fault))
			for range 6 {
				s.try() // while it lasts this may be an outage
				if got, err := os.ReadFile(s.final("raw")); err == nil && !bytes.Equal(got, content) {
					t.Fatalf("%d wrong bytes have the final name", len(got))
				} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
				s.clock.Advance(15 * time.Minute)
			}
			s.wantWhole("raw", content)
			s.wantStatus("raw", pipeline.Downloaded, tt.counts)
			if got := s.offsets("raw"); !slices.Equal(got, tt.from) {
				t.Errorf("retrieved from %v, want %v", got, tt.from)
			}
		})
	}
}

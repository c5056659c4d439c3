package operator

import (
	"testing"
	"time"
)

func TestSpanHasTwoUnits(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Hour: "0s", 0: "0s", 400 * time.Millisecond: "0s", 45 * time.Second: "45s", 59600 * time.Millisecond: "1m00s",
		200 * time.Second: "3m20s", time.Hour: "1h00m", 125 * time.Minute: "2h05m", 24 * time.Hour: "1d00h",
		76*time.Hour + 59*time.Minute: "3d04h", 400 * 24 * time.Hour: "400d00h",
	} {
		if got := Span(d); got != want {
			t.Errorf("Span(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestBytesHasThreeDigits(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.00 kB", 9990: "9.99 kB", 9996: "10.0 kB", 99_960: "100 kB", 123_456: "123 kB",
		999_499: "999 kB", 999_500: "1.00 MB", 1_234_567_890: "1.23 GB", 500e9: "500 GB", 5e18: "5.00 EB", 1<<63 - 1: "9.22 EB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestErrorsThatDifferOnlyInNumbersHaveOneCause(t *testing.T) {
	t.Parallel()
	s := newSame()
	for want, details := range map[string][]string{
		"exit status #: no channel # in block #": {"exit status 1: no channel 12 in block 3", "exit status 2: no channel 7 in block 99"},
		"read /#: input/output error":            {"read /data/raw/4bit-p2030.fits: input/output error", "read /b: input/output error"},
		"submit # is lost":                       {"submit longhaul-12-k2f5abcd is lost", "submit our_jobs-7-zzzzzzzz is lost"},
		"checksum is #, the archive says #":      {"checksum is 12ab34cd, the archive says 56ef7890"},
		"no answer for #":                        {"no answer for c0ffee00-0000-4000-8000-000000000005", "no answer for 12"},
		"two lines, with tabs":                   {"two lines,\n\twith tabs"},
		"(no reason was recorded)":               {""},
		"node# is out of memory":                 {"node17 is out of memory", "node2 is out of memory"},
		"the file server has no /#":              {"the file server has no /guid/4bit-p2030.20260301.G34.31+00.02.N.b1s0g0.00200.fits"},
	} {
		for _, d := range details {
			if got := s.cause(d); got != want {
				t.Errorf("cause of %q is %q, want %q", d, got, want)
			}
		}
	}
}

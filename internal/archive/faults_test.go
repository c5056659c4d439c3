package archive_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"longhaul/internal/archive"
	"longhaul/internal/archive/archivetest"
)

func TestTransfersThatGoWrongDoNotLookRight(t *testing.T) {
	t.Parallel()
	content := noise(3_000_000)
	ca := newCA(t)
	cut := archivetest.Fault{Action: archivetest.Cut, After: 1_234_567}
	abrupt, said226, silent := cut, cut, cut
	abrupt.Abrupt = true
	said226.Abrupt, said226.Reply = true, "226 transfer complete"
	silent.Reply = archivetest.NoReply
	for _, tt := range []struct {
		name  string
		fault archivetest.Fault
		only  string // "plain", "TLS", or both
		kind  string
		n     int64 // that arrive; -1: any number less than all
	}{
		{"data connection cut, reply 426", cut, "", "failed", 1_234_567},
		{"cut without close_notify", abrupt, "", "failed", -1},
		{"cut without close_notify, but reply 226", said226, "TLS", "failed", -1},
		{"cut at once, reply 425", archivetest.Fault{Action: archivetest.Cut, Reply: "425 no session"}, "", "failed", 0},
		{"both connections dropped", archivetest.Fault{Action: archivetest.Drop, After: 1_000_000}, "", "failed", -1},
		{"stalled half way", archivetest.Fault{Action: archivetest.Stall, After: 1_000_000}, "", "failed", 1_000_000},
		{"silent at the data connection", archivetest.Fault{Action: archivetest.Stall}, "", "failed", 0},
		{"silent at the end", archivetest.Fault{Reply: archivetest.NoReply}, "", "failed", 3_000_000},
		{"cut and silent", silent, "", "failed", 1_234_567},
		{"refused at the end", archivetest.Fault{Reply: "451 read error"}, "", "failed", 3_000_000},
		{"gone", archivetest.Fault{Action: archivetest.Missing}, "", "no file", 0},
		{"service not available", archivetest.Fault{Action: archivetest.Unavailable}, "", "outage", 0},
	} {
		for _, secure := range []bool{false, true} {
			name := tt.name + ", plain"
			if secure {
				name = tt.name + ", TLS"
			}
			if tt.only != "" && !strings.HasSuffix(name, tt.only) {
				continue
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := server(t, content, func(o *archivetest.FileServerOptions) {
					o.Fault = func(string, int64) archivetest.Fault { return tt.fault }
					if secure {
						o.CA, o.RequireReuse = ca, true
					}
				})
				trust := func(o *archive.FTPOptions) {
					if secure {
						o.TLS, o.RootCAs = archive.TLSExplicit, ca.Pool()
					}
				}
				f := client(t, s, func(o *archive.FTPOptions) {
					if trust(o); tt.fault.Action == archivetest.Stall || tt.fault.Reply == archivetest.NoReply {
						o.IdleTimeout = time.Second
					}
				})
				var got bytes.Buffer
				n, err := f.Fetch(t.Context(), "GUID/raw.fits", 0, &got)
				wantKind(t, err, tt.kind)
				if n != int64(got.Len()) || (tt.n >= 0 && n != tt.n) || (tt.n < 0 && n >= 3_000_000) {
					t.Errorf("Fetch says %d bytes, %d were written, want %d", n, got.Len(), tt.n)
				}
				wantBytes(t, got.Bytes(), content[:got.Len()])

				// What is there is good, and the next attempt goes on from it.
				s.SetFault(nil)
				if _, err := client(t, s, trust).Fetch(t.Context(), "GUID/raw.fits", n, &got); err != nil {
					t.Errorf("resuming: %v", err)
				}
				wantBytes(t, got.Bytes(), content)
			})
		}
	}
}

func TestShortFileWithGoodReplyIsNotTakenForAll(t *testing.T) {
	t.Parallel()
	f := client(t, server(t, noise(1000), func(o *archivetest.FileServerOptions) {
		o.Fault = func(string, int64) archivetest.Fault {
			return archivetest.Fault{Action: archivetest.Cut, After: 700, Reply: "226 transfer complete"}
		}
	}), nil)
	n, err := f.Fetch(t.Context(), "GUID/raw.fits", 0, io.Discard)
	wantKind(t, err, "failed")
	wantWords(t, err, "300 more")
	if n != 700 {
		t.Errorf("%d bytes", n)
	}
}

func TestFlippedByteIsForTheChecksumToFind(t *testing.T) {
	t.Parallel()
	content := noise(200_000)
	sum := sha256.Sum256(content)
	f := client(t, server(t, content, func(o *archivetest.FileServerOptions) {
		o.Fault = func(string, int64) archivetest.Fault {
			return archivetest.Fault{Action: archivetest.Corrupt, After: 150_000}
		}
	}), nil)
	h, want, err := archive.NewHash("sha256:" + hex.EncodeToString(sum[:]))
	if err != nil {
		t.Fatal(err)
	}
	n, err := f.Fetch(t.Context(), "GUID/raw.fits", 0, h)
	if err != nil || n != 200_000 {
		t.Fatalf("Fetch = %d, %v", n, err)
	}
	if hex.EncodeToString(h.Sum(nil)) == want {
		t.Error("the checksum agrees")
	}
}

func TestServersThatAreNoneAreOutages(t *testing.T) {
	t.Parallel()
	hello := []byte(strings.Repeat("220-hello\r\n", 1000))
	endless := func(c net.Conn) { // hello for ever
		for {
			if _, err := c.Write(hello); err != nil {
				return
			}
		}
	}
	trickle := func(c net.Conn) { // a byte now and then renews every deadline on the socket
		for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
			if _, err := c.Write([]byte("2")); err != nil {
				tick.Stop()
				return
			}
		}
	}
	login := []string{"220 ready\r\n", "331 password\r\n", "230 in\r\n", "211 no features\r\n", "200 binary\r\n"}
	for name, handle := range map[string]func(net.Conn){
		"silent at the greeting":               silence,
		"silent after the greeting":            talk("220 ready\r\n"),
		"silent after the login":               talk(login...),
		"closed at once":                       func(net.Conn) {},
		"421 at the greeting":                  talk("421 too busy\r\n"),
		"421 at USER":                          talk("220 ready\r\n", "421 too many connections\r\n"),
		"530 at PASS for want of room":         talk("220 ready\r\n", "331 password\r\n", "530 Sorry, the maximum number of clients is reached\r\n"),
		"a greeting without end":               endless,
		"a greeting that trickles":             trickle,
		"not FTP":                              talk("SSH-2.0-OpenSSH_9.2\r\n"),
		"PASV reply that makes no sense":       talk(append(login, "500 no EPSV\r\n", "227 )(\r\n")...),
		"PASV reply with a port that's absurd": talk(append(login, "500 no EPSV\r\n", "227 (127,0,0,1,999,999)\r\n")...),
		"data port that is closed":             talk(append(login, "229 ok (|||1|)\r\n")...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host, port := listen(t, handle)
			f := clientAt(t, host, port, impatient)
			start := time.Now()
			n, err := f.Fetch(t.Context(), "raw.fits", 0, io.Discard)
			wantKind(t, err, "outage")
			if n != 0 || !strings.Contains(err.Error(), "raw.fits") {
				t.Errorf("%d bytes, %v", n, err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("noticed after %v", took)
			}
		})
	}
}

func TestNobodyListensIsAnOutage(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	_, err = clientAt(t, "127.0.0.1", port, nil).Stat(t.Context(), "x")
	wantKind(t, err, "outage")
}

func TestServerIsUsedAgainWhenItIsBack(t *testing.T) {
	t.Parallel()
	s := server(t, []byte("x"), nil)
	f := client(t, s, nil)
	for _, down := range []bool{false, true, true, false} {
		s.SetDown(down)
		_, err := f.Stat(t.Context(), "GUID/raw.fits")
		want := "none"
		if down {
			want = "outage"
		}
		wantKind(t, err, want)
	}
}

func TestLeastRateEndsASlowTransfer(t *testing.T) {
	t.Parallel()
	s := server(t, noise(500_000), func(o *archivetest.FileServerOptions) { o.BytesPerSecond = 100_000 })
	f := client(t, s, func(o *archive.FTPOptions) { o.MinRate, o.MinRateTime = 1_000_000, 300*time.Millisecond })
	n, err := f.Fetch(t.Context(), "GUID/raw.fits", 0, io.Discard)
	wantKind(t, err, "failed")
	if n == 0 || n == 500_000 || !strings.Contains(err.Error(), "least allowed is 1000000") {
		t.Errorf("Fetch = %d, %v", n, err)
	}
}

func TestBandwidthLimitHoldsForAllTransfersTogether(t *testing.T) {
	t.Parallel()
	s := server(t, noise(200_000), nil)
	limiter := archive.NewLimiter(800_000)
	errs := make(chan error)
	start := time.Now()
	for range 2 {
		// The least rate is that of the server, not of our own limit.
		f := client(t, s, func(o *archive.FTPOptions) {
			o.Limiter, o.MinRate, o.MinRateTime = limiter, 10_000_000, 10*time.Second
		})
		go func() {
			_, err := f.Fetch(t.Context(), "GUID/raw.fits", 0, io.Discard)
			errs <- err
		}()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	// 400 kB at 800 kB/s, of which the first 200 kB may come at once.
	if took := time.Since(start); took < 240*time.Millisecond {
		t.Errorf("400 kB in %v", took)
	}
}

func TestCancelDuringTheBandwidthLimit(t *testing.T) {
	t.Parallel()
	f := client(t, server(t, noise(200_000), nil), func(o *archive.FTPOptions) { o.Limiter = archive.NewLimiter(1000) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := f.Fetch(ctx, "GUID/raw.fits", 0, io.Discard); err != ctx.Err() {
		t.Errorf("Fetch = %v", err)
	}
}

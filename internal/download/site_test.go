package download_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"longhaul/internal/archive"
	"longhaul/internal/archive/archivetest"
	"longhaul/internal/config"
	"longhaul/internal/download"
	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
	"longhaul/internal/product"
	"longhaul/internal/rawdata"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// guid is the request directory that most tests fetch from.
const guid = "GUID1"

// setup is what a test may change before its site is put together.
type setup struct {
	cfg    config.Download
	ftp    archivetest.FileServerOptions
	client archive.FTPOptions
	opt    download.Options
	tls    bool
}

// site is a downloader with a job-tracker, a disk and an archive, all real but
// for the clock, which moves when told to.
type site struct {
	t       *testing.T
	clock   *jobtrackertest.Clock
	store   *jobtracker.Store
	root    string // what the file server serves
	ftp     *archivetest.FileServer
	service *archivetest.RestoreService
	log     *journal
	opt     download.Options
	d       *download.Downloader

	mu    sync.Mutex
	guids []string          // that the restore service hands out; then it refuses
	words map[string]string // its answers about them; "wait" for others
}

func newSite(t *testing.T, changes ...func(*setup)) *site {
	t.Helper()
	s := &site{t: t, clock: jobtrackertest.NewClock(), root: t.TempDir(), log: new(journal), words: make(map[string]string)}
	s.store = jobtrackertest.OpenWith(t, jobtracker.Options{Actor: "downloader", Now: s.clock.Now})
	b := &setup{
		cfg: config.Download{
			FTPDirectory: "/", Temp: t.TempDir(), SpaceToUse: 1 << 30, NumDownloads: 2, NumRetries: 3,
			RetryWait: config.Duration(time.Minute), RetryWaitMax: config.Duration(10 * time.Minute),
			RequestTimeout: config.Duration(6 * time.Hour), RequestNumbits: 4, RequestData: "mock",
			RequestSizes: []int{5, 10, 20, 50}, PollStable: config.Duration(5 * time.Minute),
		},
		ftp:    archivetest.FileServerOptions{Root: s.root, Username: "pipe", Password: "secret"},
		client: archive.FTPOptions{Username: "pipe", Password: "secret", ConnectTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second},
		opt: download.Options{
			Store: s.store, Products: products(t), Every: 30 * time.Second, Log: slog.New(s.log), Now: s.clock.Now,
			Free: func(string) (int64, error) { return 1 << 40, nil },
		},
	}
	for _, change := range changes {
		change(b)
	}
	check(t, rawdata.Mark(b.cfg.Temp)) // it is in use
	s.startArchive(b)
	s.opt = b.opt
	s.opt.Config = b.cfg
	s.d = download.New(s.opt)
	t.Cleanup(func() {
		s.d.Wait()
		jobtrackertest.AssertInvariants(invariants{t}, s.store)
	})
	return s
}

// invariants has a context that is good after the test.
type invariants struct{ *testing.T }

func (invariants) Context() context.Context { return context.Background() }

// startArchive starts the servers, and makes their clients unless a test has
// its own.
func (s *site) startArchive(b *setup) {
	t := s.t
	t.Helper()
	if b.tls {
		ca := must(archivetest.NewCA())(t)
		b.ftp.CA, b.ftp.RequireReuse = ca, true
		b.client.TLS, b.client.RootCAs = archive.TLSExplicit, ca.Pool()
	}
	s.ftp = must(archivetest.NewFileServer(b.ftp))(t)
	s.service = must(archivetest.NewRestoreService(archivetest.RestoreServiceOptions{
		Username: "pipe", Password: "secret", Restore: s.handOut, Location: s.location,
	}))(t)
	t.Cleanup(func() {
		for _, end := range []io.Closer{b.opt.Server, s.ftp, s.service} {
			if err := end.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	if b.opt.Server == nil {
		b.client.Host, b.client.Port = s.ftp.Host(), s.ftp.Port()
		b.opt.Server = must(archive.NewFTP(b.client))(t)
	}
	b.opt.Restorer = must(archive.NewRestorer(archive.RestoreOptions{
		URL: s.service.URL(), Username: "pipe", Password: "secret", Pipeline: "test", Timeout: 5 * time.Second,
	}))(t)
	if b.cfg.PollDirectory != "" {
		b.opt.Restorer = nil
	}
}

func (s *site) handOut(int, int, string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.guids) == 0 {
		return "fail: nothing left", false
	}
	g := s.guids[0]
	s.guids = s.guids[1:]
	return g, true
}

func (s *site) location(guid string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if word := s.words[guid]; word != "" {
		return word
	}
	return "wait"
}

// willGive sets the GUIDs that the restore service hands out next.
func (s *site) willGive(guids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.guids = guids
}

// says sets the restore service's answer about a request.
func (s *site) says(guid, word string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.words[guid] = word
}

// restart puts a new downloader in the place of one that was killed.
func (s *site) restart() {
	s.d.Wait()
	s.d = download.New(s.opt)
}

// via puts a wrapper between the downloader and the file server's client.
func (s *site) via(h *hooked) {
	h.FileServer = s.opt.Server
	s.opt.Server = h
	s.restart()
}

// pass makes one pass and waits for what it started.
func (s *site) pass() error {
	s.t.Helper()
	err := s.d.Pass(s.t.Context())
	s.d.Wait()
	return err
}

// try makes a pass that may tell of an outage: a transfer that it started may
// have met one before the pass ended, or not.
func (s *site) try() {
	s.t.Helper()
	if err := s.pass(); err != nil && !errors.Is(err, pipeline.ErrOutage) {
		s.t.Fatalf("pass: %v", err)
	}
}

// gated makes a pass whose transfers bring nothing before it has ended, and
// what is to be done then is done.
func (s *site) gated(h *hooked, then ...func()) error {
	s.t.Helper()
	gate := make(chan struct{})
	h.fetch = func(context.Context, string) error { <-gate; return nil }
	err := s.d.Pass(s.t.Context())
	for _, do := range then {
		do()
	}
	close(gate)
	s.d.Wait()
	return err
}

// rounds makes passes without error: in each round every file that is due has
// one attempt, whose outcome is dealt with, and the wait for the next goes by.
func (s *site) rounds(n int) {
	s.t.Helper()
	for range n {
		for range 2 {
			if err := s.pass(); err != nil {
				s.t.Fatalf("pass: %v", err)
			}
		}
		s.clock.Advance(15 * time.Minute)
	}
}

// put lays a file out on the file server.
func (s *site) put(name string, content []byte) {
	s.t.Helper()
	path := filepath.Join(s.root, name)
	check(s.t, os.MkdirAll(filepath.Dir(path), 0o750))
	check(s.t, os.WriteFile(path, content, 0o640))
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	check(s.t, os.Chtimes(path, at, at))
}

// enter lays a file out on the file server and enters it, as if it had been listed.
func (s *site) enter(name string, content []byte, change ...func(*pipeline.File)) pipeline.File {
	s.t.Helper()
	s.put(filepath.Join(guid, name), content)
	st := must(os.Stat(filepath.Join(s.root, guid, name)))(s.t)
	f := pipeline.File{
		Filename: name, RemoteFilename: "/" + guid + "/" + name, Path: filepath.Join(s.opt.Config.Temp, name),
		Size: int64(len(content)), ModTime: st.ModTime().UTC(), Product: "raw", GroupKey: name,
	}
	for _, c := range change {
		c(&f)
	}
	must(s.store.EnterFiles(s.t.Context(), []pipeline.File{f}, "listed"))(s.t)
	return s.file(name)
}

func (s *site) file(name string) pipeline.File {
	s.t.Helper()
	return must(s.store.FileByName(context.Background(), name))(s.t)
}

func (s *site) attempts(name string) []pipeline.Attempt {
	s.t.Helper()
	return must(s.store.AttemptsOf(context.Background(), s.file(name).ID))(s.t)
}

func (s *site) requests() []pipeline.Request {
	s.t.Helper()
	return must(s.store.Requests(context.Background(), jobtracker.Filter{}))(s.t)
}

// notices counts those of one kind.
func (s *site) notices(kind pipeline.NoticeKind) int {
	s.t.Helper()
	for _, p := range must(s.store.PendingNotices(context.Background()))(s.t) {
		if p.Kind == kind {
			return p.Count
		}
	}
	return 0
}

// part is the path of a file's part file.
func (s *site) part(name string) string {
	return filepath.Join(s.opt.Config.Temp, "."+name+".part")
}

// final is the path of a whole file.
func (s *site) final(name string) string { return filepath.Join(s.opt.Config.Temp, name) }

// offsets are those from which a file was retrieved so far, in order.
func (s *site) offsets(name string) []int64 {
	offsets := []int64{}
	for _, r := range s.ftp.Stats().Retrievals {
		if strings.HasSuffix(r.Path, "/"+name) {
			offsets = append(offsets, r.Offset)
		}
	}
	return offsets
}

// wantStatus checks where a file is and how many attempts count.
func (s *site) wantStatus(name string, status pipeline.Status, attempts int) {
	s.t.Helper()
	if f := s.file(name); f.Status != status || f.Attempts != attempts {
		s.t.Errorf("%s is %s after %d attempts (%s), want %s after %d", name, f.Status, f.Attempts, f.Details, status, attempts)
	}
}

// wantWhole checks that a file is here, verified, and has left nothing behind.
func (s *site) wantWhole(name string, content []byte) {
	s.t.Helper()
	f := s.file(name)
	if f.Status != pipeline.Downloaded || f.Digest != sha256Of(content) || f.Bytes != int64(len(content)) {
		s.t.Errorf("%s is %s with %d bytes and digest %q (%s)", name, f.Status, f.Bytes, f.Digest, f.Details)
	}
	got, err := os.ReadFile(f.Path)
	if err != nil || !bytes.Equal(got, content) {
		s.t.Errorf("%s: %d bytes that are not the %d wanted, %v", name, len(got), len(content), err)
	}
	if left := s.parts(); len(left) > 0 {
		s.t.Errorf("part files are left: %q", left)
	}
}

// parts lists the hidden files in the download directory, but for its marker.
func (s *site) parts() (names []string) {
	s.t.Helper()
	for _, e := range must(os.ReadDir(s.opt.Config.Temp))(s.t) {
		if strings.HasPrefix(e.Name(), ".") && e.Name() != rawdata.Marker {
			names = append(names, e.Name())
		}
	}
	return names
}

// hooked is a file server's client with a test between it and the downloader.
type hooked struct {
	archive.FileServer
	stat  func(path string) error                      // an error instead of an answer
	fetch func(ctx context.Context, path string) error // before a retrieval; an error instead of it
	wrote func(path string, total int64)               // after bytes of a retrieval were taken
}

func (h *hooked) Stat(ctx context.Context, path string) (archive.Entry, error) {
	if h.stat != nil {
		if err := h.stat(path); err != nil {
			return archive.Entry{}, err
		}
	}
	return h.FileServer.Stat(ctx, path)
}

func (h *hooked) Fetch(ctx context.Context, path string, offset int64, w io.Writer) (int64, error) {
	if h.fetch != nil {
		if err := h.fetch(ctx, path); err != nil {
			return 0, err
		}
	}
	if h.wrote == nil {
		return h.FileServer.Fetch(ctx, path, offset, w)
	}
	var total int64
	return h.FileServer.Fetch(ctx, path, offset, writerFunc(func(p []byte) (int, error) {
		n, err := w.Write(p)
		total += int64(n)
		h.wrote(path, total)
		return n, err
	}))
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// journal keeps what is logged.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) Enabled(context.Context, slog.Level) bool { return true }
func (j *journal) WithAttrs([]slog.Attr) slog.Handler       { return j }
func (j *journal) WithGroup(string) slog.Handler            { return j }

func (j *journal) Handle(_ context.Context, r slog.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, r.Level.String()+" "+r.Message)
	return nil
}

// count returns how many lines hold a text.
func (j *journal) count(text string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, l := range j.lines {
		if strings.Contains(l, text) {
			n++
		}
	}
	return n
}

func products(t testing.TB) *product.Set {
	t.Helper()
	return must(product.New([]config.Product{{
		Name:    "mock",
		Pattern: `^4bit-(?P<projid>p\d{4})\.(?P<date>\d{8})\.(?P<source>[^/]*)\.b(?P<beam>[0-7])s(?P<subband>[01])g0\.(?P<scan>\d{5})\.fits$`,
		GroupBy: []string{"projid", "date", "source", "beam", "scan"},
		Ignore:  map[string][]string{"beam": {"7"}},
	}, {
		Name: "raw", Pattern: `^(?P<name>raw.*)$`, GroupBy: []string{"name"},
	}}))(t)
}

// noise returns bytes that do not repeat, so that a wrong offset shows.
func noise(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// must is for calls that return a value and an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

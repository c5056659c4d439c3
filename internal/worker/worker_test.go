package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"longhaul/internal/resultdir"
)

// TestMain makes this program a worker, so that tests can send it signals.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "worker" {
		os.Exit(Main(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// site is where a job is tried: input and results on shared disks, and a
// working directory on the node.
type site struct {
	*testing.T
	dir string
	Options
}

// newSite has two input files and a job that runs a shell script.
func newSite(t *testing.T, script string) *site {
	t.Helper()
	dir := t.TempDir()
	s := &site{t, dir, Options{
		Submit:  "search-12",
		Base:    filepath.Join(dir, "scratch", "longhaul"),
		Inputs:  []string{filepath.Join(dir, "raw", "s0.fits"), filepath.Join(dir, "raw", "s1.fits")},
		OutDir:  filepath.Join(dir, "results", "56000", "b3", "t1"),
		Command: []string{"/bin/sh", "-c", script},
		Environ: append(os.Environ(), "DIR="+dir),
		Grace:   200 * time.Millisecond,
		Warn:    func(err error) { t.Errorf("warned: %v", err) },
	}}
	if err := resultdir.Mark(dir); err != nil {
		t.Fatal(err)
	}
	for i, path := range s.Inputs {
		s.write(path, strings.Repeat(fmt.Sprint(i), i*copyBlock+5))
	}
	stderr, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stderr.Close() })
	s.Stderr = stderr
	return s
}

func (s *site) write(path, text string) {
	s.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		s.Fatal(err)
	}
}

func (s *site) read(path string) string {
	s.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.Fatal(err)
	}
	return string(text)
}

// names lists a directory, nil if there is none.
func (s *site) names(dir string) (names []string) {
	s.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// wantNothingLeft checks that there is no workspace and no half of a result.
func (s *site) wantNothingLeft() {
	s.Helper()
	if left := s.names(s.Base); left != nil {
		s.Errorf("left on the node: %q", left)
	}
	for _, name := range s.names(filepath.Dir(s.OutDir)) {
		if strings.HasPrefix(name, ".") {
			s.Errorf("left beside the results: %s", name)
		}
	}
}

// wantTrouble checks that a job failed with a status and a text that names the
// host, left no results and nothing else.
func (s *site) wantTrouble(err error, status int, text string) {
	s.Helper()
	var e *Error
	host, hostErr := os.Hostname()
	if !errors.As(err, &e) || e.Status != status || hostErr != nil ||
		!strings.HasPrefix(err.Error(), "worker on "+host+": ") || !strings.Contains(err.Error(), text) {
		s.Errorf("error %v (%#v), want status %d, the host, and %q", err, e, status, text)
	}
	if _, err := os.Lstat(s.OutDir); !errors.Is(err, os.ErrNotExist) {
		s.Errorf("there are results: %v", err)
	}
	s.wantNothingLeft()
}

func TestResultsAppearAndTheWorkspaceIsGone(t *testing.T) {
	t.Parallel()
	s := newSite(t, `
		pwd > "$OUTDIR/where"; echo "$DATAFILES" > "$OUTDIR/inputs"; echo "$TMPDIR" > "$OUTDIR/tmpdir"
		ls -A "$OUTDIR/../results" > /dev/null && ls -A "$TMPDIR" > "$OUTDIR/empty"
		IFS=';'; cat $DATAFILES > "$OUTDIR/both"
		mkdir -m 700 "$OUTDIR/plots"; echo png > "$OUTDIR/plots/a b.png"; chmod 755 "$OUTDIR/plots/a b.png"
		mkdir "$OUTDIR/none"; ln -s "plots/a b.png" "$OUTDIR/best.png"; ln -s plots "$OUTDIR/p"
		echo trouble >&2; mkdir ro; touch ro/x; chmod 500 ro`)
	if err := Run(t.Context(), s.Options); err != nil {
		t.Fatal(err)
	}
	out := func(name string) string { return strings.TrimSuffix(s.read(filepath.Join(s.OutDir, name)), "\n") }
	ws := out("where")
	if filepath.Dir(ws) != s.Base || !strings.HasPrefix(filepath.Base(ws), "search-12.") {
		t.Errorf("it ran in %s, want a directory of its own in %s", ws, s.Base)
	}
	if want := ws + "/data/s0.fits;" + ws + "/data/s1.fits"; out("inputs") != want {
		t.Errorf("DATAFILES was %s, want %s", out("inputs"), want)
	}
	if out("both") != s.read(s.Inputs[0])+s.read(s.Inputs[1]) {
		t.Error("the input was not what is in the files")
	}
	if out("tmpdir") != ws+"/tmp" || out("empty") != "" {
		t.Errorf("TMPDIR was %s with %q in it", out("tmpdir"), out("empty"))
	}
	if out("best.png") != "png" || out("p/a b.png") != "png" || s.names(filepath.Join(s.OutDir, "none")) != nil {
		t.Error("links or the empty directory did not arrive")
	}
	if s.read(s.Stderr.Name()) != "trouble\n" {
		t.Errorf("standard error is %q", s.read(s.Stderr.Name()))
	}
	for name, want := range map[string]os.FileMode{".": 0o750, "both": 0o640, "plots": 0o750, "plots/a b.png": 0o640} {
		if st, err := os.Stat(filepath.Join(s.OutDir, name)); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s has mode %v (%v), want %v", name, st.Mode().Perm(), err, want)
		}
	}
	s.wantNothingLeft()
}

func TestTrouble(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		script string
		change func(*site)
		status int
		text   string
	}{
		{"the command's own status", `echo x > "$OUTDIR/x"; exit 7`, nil, 7, "exit status 7"},
		{"the command is killed", `echo x > "$OUTDIR/x"; kill -9 $$`, nil, 128 + 9, "SIGKILL"},
		{"no results", `:`, nil, StatusResults, "no file in OUTDIR"},
		{"only empty directories", `mkdir "$OUTDIR/a"`, nil, StatusResults, "no file in OUTDIR"},
		{"the results directory is gone", `rmdir "$OUTDIR"`, nil, StatusResults, "results"},
		{"a link out of the results", `echo x > "$OUTDIR/x"; ln -s ../data/s0.fits "$OUTDIR/y"`, nil, StatusResults, "y"},
		{"an absolute link", `echo x > "$OUTDIR/x"; ln -s /etc/passwd "$OUTDIR/y"`, nil, StatusResults, "y"},
		{"a link out by way of a directory", `mkdir "$OUTDIR/d"; ln -s ../../data "$OUTDIR/d/e"; echo x > "$OUTDIR/x"`, nil, StatusResults, "d/e"},
		{"a link to nothing", `echo x > "$OUTDIR/x"; ln -s z "$OUTDIR/y"`, nil, StatusResults, "y"},
		{"links in a circle", `echo x > "$OUTDIR/x"; ln -s y "$OUTDIR/z"; ln -s z "$OUTDIR/y"`, nil, StatusResults, "link"},
		{"a FIFO", `echo x > "$OUTDIR/x"; mkfifo "$OUTDIR/y"`, nil, StatusResults, "y"},
		{"no such command", "", func(s *site) { s.Command = []string{"/no/such/command"} }, StatusCommand, "/no/such/command"},
		{"a command that ends as if it were the worker", `exit 75`, nil, StatusOther, "exit status 75"},
		{"missing inputs, all named", "", func(s *site) { s.Inputs = []string{s.dir + "/raw/a", s.Inputs[0], s.dir + "/raw/b"} }, StatusInput, "/raw/b"},
		{"a missing input and a missing disk", "", func(s *site) { s.Inputs = []string{"/no/a", s.dir + "/raw/b"} }, StatusInput, "/no/a"},
		{"inputs whose directory is missing", "", func(s *site) { s.Inputs = []string{"/no/a"} }, StatusDisk, "is its disk mounted?"},
		{"inputs whose directory is empty", "", func(s *site) { s.Inputs = []string{s.Inputs[0], s.mkdir("mnt") + "/a"} }, StatusDisk, "is its disk mounted?"},
		{"a results disk that is not mounted", "", func(s *site) {
			if err := os.Remove(filepath.Join(s.dir, resultdir.Marker)); err != nil {
				s.Fatal(err)
			}
		}, StatusDisk, "its disk may not be mounted"},
		{"a results disk that goes away meanwhile", `echo x > "$OUTDIR/x"; rm "$DIR/` + resultdir.Marker + `"`, nil, StatusDisk, "its disk may not be mounted"},
		{"an input that is a directory", "", func(s *site) { s.Inputs = []string{s.dir} }, StatusInput, "not a regular file"},
		{"an input too large for the node", "", func(s *site) {
			if err := os.Truncate(s.Inputs[1], 8<<40); err != nil {
				s.Fatal(err)
			}
		}, StatusTooSmall, "8796093022213 bytes"},
		{"results too large for the disk", `truncate -s 8T "$OUTDIR/big"`, nil, StatusTooSmall, "8796093022208 bytes"},
		{"a base that is a file", "", func(s *site) { s.Base = s.Inputs[0] + "/base" }, StatusWorkspace, "base"},
		{"results below a file", "", func(s *site) { s.OutDir = filepath.Join(s.Inputs[0], "a", "b") }, StatusOutput, "s0.fits"},
		{"a submit's name that climbs", "", func(s *site) { s.Submit = "../x" }, StatusSetup, "LONGHAUL_SUBMIT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, tt.script)
			if tt.change != nil {
				tt.change(s)
			}
			base, out := s.Base, s.OutDir
			err := Run(t.Context(), s.Options)
			if strings.HasPrefix(base, s.Inputs[0]) || strings.HasPrefix(out, s.Inputs[0]) {
				s.Base, s.OutDir = filepath.Join(s.dir, "none"), filepath.Join(s.dir, "none", "none")
			}
			s.wantTrouble(err, tt.status, tt.text)
		})
	}
}

func (s *site) mkdir(name string) string {
	s.Helper()
	dir := filepath.Join(s.dir, name)
	if err := os.Mkdir(dir, 0o750); err != nil {
		s.Fatal(err)
	}
	return dir
}

func TestResultsAreNeverReplaced(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"there before":               `touch "$DIR/ran"`,
		"made while the command ran": `echo new > "$OUTDIR/file"; mkdir "$REAL"; touch "$DIR/ran"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, script)
			s.Environ = append(s.Environ, "REAL="+s.OutDir)
			if name == "there before" {
				s.write(filepath.Join(s.OutDir, "file"), "old")
			}
			err := Run(t.Context(), s.Options)
			var e *Error
			if !errors.As(err, &e) || e.Status != StatusOutput || !strings.Contains(err.Error(), "exist") {
				t.Errorf("Run = %v, want status %d because the results exist", err, StatusOutput)
			}
			if got := s.read(filepath.Join(s.OutDir, "file")); got == "new" {
				t.Error("the results were replaced")
			}
			if ran := s.names(s.dir); name == "there before" && slices.Contains(ran, "ran") {
				t.Error("the command ran for nothing")
			}
			s.wantNothingLeft()
		})
	}
}

func TestInputsOfOneNameAreKeptApart(t *testing.T) {
	t.Parallel()
	s := newSite(t, `IFS=';'; cat $DATAFILES > "$OUTDIR/all"`)
	other := filepath.Join(s.dir, "other", "s0.fits")
	s.write(other, "other")
	s.Inputs = []string{s.Inputs[0], other}
	if err := Run(t.Context(), s.Options); err != nil {
		t.Fatal(err)
	}
	if got := s.read(filepath.Join(s.OutDir, "all")); got != s.read(s.Inputs[0])+"other" {
		t.Errorf("the command read %d bytes, want both files", len(got))
	}
}

func TestNothingTheCommandLeavesRunningTouchesTheResults(t *testing.T) {
	t.Parallel()
	s := newSite(t, `(while :; do echo more >> "$OUTDIR/log"; done) & echo $! > "$OUTDIR/pid"; sleep 0.1`)
	if err := Run(t.Context(), s.Options); err != nil {
		t.Fatal(err)
	}
	pid := strings.TrimSpace(s.read(filepath.Join(s.OutDir, "pid")))
	s.until("the end of what was killed", func() bool { return !alive(pid) })
	s.wantNothingLeft()
}

func TestAContextThatEndsStopsTheJob(t *testing.T) {
	t.Parallel()
	s := newSite(t, `echo $$ > "$DIR/pid"; echo x > "$OUTDIR/x"; sleep 600 & wait`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		s.until("the command", func() bool { return s.read(filepath.Join(s.dir, "pid")) != "" })
		cancel()
	}()
	s.wantTrouble(Run(ctx, s.Options), 128+15, "canceled")
}

func TestFromEnvironReportsAllMistakes(t *testing.T) {
	t.Parallel()
	good := []string{"DATAFILES=/a;/b c", "OUTDIR=/out", "LONGHAUL_WORKSPACE=/scratch", "LONGHAUL_SUBMIT=job-1", "X=y=z"}
	o, err := FromEnviron(good, []string{"search"})
	if err != nil || !slices.Equal(o.Inputs, []string{"/a", "/b c"}) || o.OutDir != "/out" || o.Base != "/scratch" || o.Submit != "job-1" {
		t.Errorf("FromEnviron = %+v, %v", o, err)
	}
	_, err = FromEnviron([]string{"DATAFILES=a", "OUTDIR=out"}, nil)
	var e *Error
	if !errors.As(err, &e) || e.Status != StatusSetup {
		t.Fatalf("FromEnviron = %v, want status %d", err, StatusSetup)
	}
	for _, word := range []string{"DATAFILES", "OUTDIR", "LONGHAUL_WORKSPACE", "LONGHAUL_SUBMIT", "command"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("no word of %s in %v", word, err)
		}
	}
}

package preflight

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"longhaul/internal/archive/archivetest"
	"longhaul/internal/commondb"
	"longhaul/internal/config"
	"longhaul/internal/jobtracker"
	"longhaul/internal/notice/smtptest"
	"longhaul/internal/queue/local"
	"longhaul/internal/site"
)

// TestMain lets this program be what the checks start: the supervisor of a
// local job, and the job that looks at its node.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == site.Supervise {
		os.Exit(local.SuperviseMain(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "check-node" {
		var dirs, programs []string
		for i := 2; i+1 < len(os.Args); i += 2 {
			if os.Args[i] == "--dir" {
				dirs = append(dirs, os.Args[i+1])
			} else {
				programs = append(programs, os.Args[i+1])
			}
		}
		if CheckNode(os.Stdout, dirs, programs) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// world is a site with its outside.
type world struct {
	cfg   *config.Config
	ftp   *archivetest.FileServer
	mails string
}

func newWorld(t *testing.T) world {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"raw", "results", "scratch", "log", "joblog", "mails", "served"} {
		must(t, os.Mkdir(filepath.Join(dir, d), 0o750))
	}
	must(t, os.WriteFile(filepath.Join(dir, "served", "small.fits"), make([]byte, 5000), 0o640))
	ca, err := archivetest.NewCA()
	must(t, err)
	caFile := filepath.Join(dir, "ca.pem")
	must(t, ca.WritePEM(caFile))
	ftp, err := archivetest.NewFileServer(archivetest.FileServerOptions{
		Root: filepath.Join(dir, "served"), Username: "u", Password: "p", CA: ca, RequireReuse: true,
	})
	must(t, err)
	t.Cleanup(func() { ftp.Close() })
	rest, err := archivetest.NewRestoreService(archivetest.RestoreServiceOptions{
		Username: "u", Password: "p",
		Restore:  func(int, int, string) (string, bool) { return "", false },
		Location: func(string) string { return "" },
	})
	must(t, err)
	t.Cleanup(func() { rest.Close() })
	smtp, err := smtptest.Start(smtptest.Options{Dir: filepath.Join(dir, "mails")})
	must(t, err)
	t.Cleanup(func() { smtp.Close() })

	c := config.Default()
	c.Basic = config.Basic{Institution: "Test", Pipeline: "PRESTO", Survey: "S",
		LogDir: filepath.Join(dir, "log"), QsublogDir: filepath.Join(dir, "joblog")}
	c.Background.JobtrackerDB = filepath.Join(dir, "jobtracker.db")
	c.CommonDB.Database = filepath.Join(dir, "commondb.db")
	d := &c.Download
	d.APIServiceURL, d.APIUsername, d.APIPassword = rest.URL(), "u", "p"
	d.FTPHost, d.FTPPort, d.FTPUsername, d.FTPPassword, d.FTPTLSCA = ftp.Host(), ftp.Port(), "u", "p", caFile
	d.Temp, d.MinFreeSpace = filepath.Join(dir, "raw"), 0
	c.Email.Enabled, c.Email.SMTPHost, c.Email.SMTPPort = true, smtp.Addr().IP.String(), smtp.Addr().Port
	c.Email.Sender, c.Email.Recipient = "a@demo.invalid", []string{"b@demo.invalid"}
	c.JobPooler.BaseResultsDirectory = filepath.Join(dir, "results")
	c.Processing.BaseWorkingDirectory = filepath.Join(dir, "scratch")
	if c.Processing.Longhaul, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	c.Stages = []config.Stage{{Name: "true", Command: []string{"true"}}}
	_, err = jobtracker.Create(t.Context(), c.Background.JobtrackerDB)
	must(t, err)
	_, err = commondb.Init(t.Context(), site.CommonDBOptions(c))
	must(t, err)
	return world{c, ftp, filepath.Join(dir, "mails")}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// try makes the checks and returns the results by name.
func (w world) try(ctx context.Context, checks ...string) (map[string]Result, bool) {
	all := make(map[string]Result)
	ok := Run(ctx, w.cfg, Options{Checks: checks, Timeout: 20 * time.Second}, func(r Result) { all[r.Check] = r })
	return all, ok
}

func TestEverythingIsReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	results, ok := w.try(t.Context())
	if !ok || len(results) != len(Names()) {
		t.Fatalf("not ready: %+v", results)
	}
	for name, want := range map[string]string{
		"ftp":      "retrieved small.fits",
		"queue":    "nothing is missing there",
		"commondb": "rolled back",
	} {
		if !strings.Contains(results[name].Detail, want) {
			t.Errorf("%s says %q, want it to say %q", name, results[name].Detail, want)
		}
	}
	mails, err := smtptest.ReadDir(w.mails)
	if err != nil || len(mails) != 1 {
		t.Errorf("%d mails came (%v), want the test mail", len(mails), err)
	}
	left, err := os.ReadDir(w.cfg.Basic.QsublogDir)
	if err != nil || len(left) != 0 {
		t.Errorf("the test job left %v (%v)", left, err)
	}
	var table strings.Builder
	if err := WriteTable(&table, []Result{results["ftp"]}); err != nil || !strings.HasPrefix(table.String(), "pass  ftp") {
		t.Errorf("the table is %q, %v", table.String(), err)
	}
}

// Each thing that is wrong fails its own check and no other, and says what to do.
func TestOneThingIsWrong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, check, says string
		spoil             func(*testing.T, world)
	}{
		{"a directory is missing", "dirs", "no such file", func(_ *testing.T, w world) { w.cfg.Basic.LogDir += "x" }},
		{"the job-tracker is missing", "dirs", "longhaul init", func(_ *testing.T, w world) { w.cfg.Background.JobtrackerDB += "x" }},
		{"the disk is too full", "dirs", "min_free_space", func(_ *testing.T, w world) { w.cfg.Download.MinFreeSpace = 1 << 60 }},
		{"the restore service refuses the password", "restore", "refused", func(_ *testing.T, w world) { w.cfg.Download.APIPassword = "wrong" }},
		{"the file server refuses the password", "ftp", "login", func(_ *testing.T, w world) { w.cfg.Download.FTPPassword = "wrong" }},
		{"the file server's certificate is not trusted", "ftp", "certificate", func(_ *testing.T, w world) { w.cfg.Download.FTPTLSCA = "" }},
		{"the file server cuts transfers", "ftp", "small.fits", func(_ *testing.T, w world) {
			w.ftp.SetFault(func(string, int64) archivetest.Fault {
				return archivetest.Fault{Action: archivetest.Cut, After: 100}
			})
		}},
		{"the mail server does not answer", "smtp", "connect", func(_ *testing.T, w world) { w.cfg.Email.SMTPPort = 1 }},
		{"a program is missing on the node", "queue", "no-such-program", func(_ *testing.T, w world) {
			w.cfg.Stages[0].Command = []string{"no-such-program"}
		}},
		{"the scratch directory is missing on the node", "queue", "scratchx", func(_ *testing.T, w world) {
			w.cfg.Processing.BaseWorkingDirectory += "x"
		}},
		{"the program is missing on the node", "queue", "127", func(_ *testing.T, w world) { w.cfg.Processing.Longhaul = "/no/longhaul" }},
		{"the common database is missing", "commondb", "longhaul init", func(_ *testing.T, w world) { w.cfg.CommonDB.Database += "x" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tt.spoil(t, w)
			results, ok := w.try(t.Context(), tt.check)
			r := results[tt.check]
			if ok || r.OK || !strings.Contains(r.Detail, tt.says) || r.Hint == "" {
				t.Errorf("%s: ok %v, %q, hint %q; want it to fail and say %q", tt.check, r.OK, r.Detail, r.Hint, tt.says)
			}
			if strings.Contains(fmt.Sprint(r), "wrong") && strings.Contains(tt.name, "password") {
				t.Errorf("the password shows: %q", r.Detail)
			}
		})
	}
}

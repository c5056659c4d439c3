package tests

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"longhaul/internal/notice/smtptest"
	"longhaul/tests/engines"
)

// unitUser is who the units run as in the tests, for want of the user longhaul.
const unitUser = "nobody"

// unitSite is a site whose daemons systemd runs, by the units that we ship.
// Only paths, the user and times are changed, in a drop-in, as sites do.
type unitSite struct {
	*engines.Systemd
	t    *testing.T
	ctx  context.Context
	dir  string
	mail *smtptest.Server
}

func newUnitSite(t *testing.T) *unitSite {
	t.Helper()
	engines.NeedRoot(t)
	engines.Need(t, engines.SystemdPrograms()...)
	base, err := os.MkdirTemp("", "longhaul-units-") // not t.TempDir, which others cannot reach
	s := &unitSite{t: t, dir: base}
	s.check(err)
	t.Cleanup(func() { s.check(os.RemoveAll(base)) })
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	s.ctx = ctx
	s.check(os.Chmod(base, 0o755))
	for _, d := range []string{"bin", "archive", "raw", "results", "scratch", "state", "log", "jobs"} {
		s.check(os.Mkdir(s.path(d), 0o750))
		s.check(engines.Own(unitUser, s.path(d)))
	}
	s.check(os.Chmod(s.path("bin"), 0o755))
	for _, name := range append(daemons(), "longhaul") {
		s.check(os.Link(program(t, name), s.path("bin", name)))
	}
	s.mail, err = smtptest.Start(smtptest.Options{Dir: s.path("mail"), Username: "pipe", Password: "s3cret"})
	s.check(err)
	t.Cleanup(func() { s.check(s.mail.Close()) })
	s.write("smtp_password", "s3cret\n")
	s.write("config.toml", s.configuration())
	s.write("stage.sh", stageScript)
	s.write("archive/good.txt", "good\n")
	s.write("archive/bad.txt", "bad\n")
	init := exec.CommandContext(ctx, s.path("bin", "longhaul"), "--config", s.path("config.toml"), "init")
	init.Env = append(os.Environ(), "LONGHAUL_EMAIL_SMTP_PASSWORD=s3cret")
	init.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("longhaul init: %v\n%s", err, out)
	}
	s.Systemd, err = engines.NewSystemd(ctx, s.path("systemd"))
	s.check(err)
	t.Cleanup(func() {
		if t.Failed() {
			s.tell()
		}
		s.check(s.Systemd.Stop())
	})
	s.install()
	return s
}

func (s *unitSite) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *unitSite) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

func (s *unitSite) write(name, text string) {
	s.t.Helper()
	s.check(os.WriteFile(s.path(name), []byte(text), 0o640))
	s.check(engines.Own(unitUser, s.path(name)))
}

// stageScript is a job: it leaves results if its input says "good". It also
// pries into all processes, and leaves the names of those whose environment,
// files or credentials it could see.
const stageScript = `set -eu
grep -q good "$DATAFILES"
for p in /proc/[0-9]*; do
	for what in environ root/etc/passwd; do
		if cat $p/$what >/dev/null 2>&1; then cat $p/comm; fi
	done
done >"$OUTDIR/pried"
cat >"$OUTDIR/results.json" <<E
{"format": "longhaul-results-1", "records": [{"table": "headers", "values": {"original_file": "good.txt"},
 "refs": {"observation_id": {"table": "observations", "values": {"obs_name": "good"}}}}]}
E
`

func (s *unitSite) configuration() string {
	return fmt.Sprintf(`
[basic]
institution = "Here"
log_dir = "%[1]s/log"
qsublog_dir = "%[1]s/jobs"
[background]
jobtracker_db = "%[1]s/state/jobtracker.db"
sleep = "1s"
[commondb]
database = "%[1]s/state/commondb.db"
[download]
source = "poll"
poll_from = "disk"
poll_directory = "%[1]s/archive"
poll_stable = "1s"
temp = "%[1]s/raw"
space_to_use = "1GB"
min_free_space = "1MB"
[email]
enabled = true
smtp_host = "localhost"
smtp_port = %[2]d
smtp_login = true
smtp_username = "pipe"
sender = "longhaul@site.example"
recipient = ["ops@site.example"]
digest_delay = "1s"
[jobpooler]
base_results_directory = "%[1]s/results"
max_attempts = 1
[processing]
base_working_directory = "%[1]s/scratch"
longhaul = "%[1]s/bin/longhaul"
[upload]
version_num = "1"
[[product]]
name = "text"
pattern = '^(?P<name>[a-z]+)\.txt$'
group_by = ["name"]
[[stage]]
name = "look"
inputs = ["text"]
command = ["sh", "%[1]s/stage.sh"]
output_dir = "{name}/{time}"
`, s.dir, s.mail.Addr().Port)
}

// install copies the units, with a drop-in for each.
func (s *unitSite) install() {
	s.t.Helper()
	for _, unit := range append(daemonUnits(), "longhaul.target") {
		text, err := os.ReadFile(filepath.Join(unitDir(), unit))
		s.check(err)
		s.check(os.WriteFile(filepath.Join(s.Units, unit), text, 0o644))
	}
	for _, name := range daemons() {
		dir := filepath.Join(s.Units, "longhaul-"+name+".service.d")
		s.check(os.Mkdir(dir, 0o755))
		s.check(os.WriteFile(filepath.Join(dir, "here.conf"), fmt.Appendf(nil, `[Service]
ExecStart=
ExecStart=%[1]s/bin/%[2]s --config %[1]s/config.toml
User=%[3]s
Group=nogroup
StateDirectory=
LogsDirectory=
ConfigurationDirectory=
# Ours is below /tmp, which the units have one of their own of.
BindPaths=%[1]s
ReadWritePaths=%[1]s
LoadCredential=email.smtp_password:%[1]s/smtp_password
StandardOutput=append:%[1]s/log/%[2]s.out
StandardError=inherit
WatchdogSec=2s
RestartSec=100ms
TimeoutStopSec=10s
TimeoutAbortSec=1s
`, s.dir, name, unitUser), 0o644))
	}
	s.ctl("daemon-reload")
}

// tell logs what systemd and the daemons say.
func (s *unitSite) tell() {
	status, _ := s.Ctl(context.Background(), append([]string{"status"}, daemonUnits()...)...)
	s.t.Logf("%s\n%s", status, s.Log())
	for _, name := range daemons() {
		said, _ := os.ReadFile(s.path("log", name+".out"))
		s.t.Logf("%s: …%s", name, said[max(0, len(said)-1500):])
	}
}

func daemonUnits() []string {
	var units []string
	for _, name := range daemons() {
		units = append(units, "longhaul-"+name+".service")
	}
	return units
}

func (s *unitSite) ctl(args ...string) {
	s.t.Helper()
	if out, err := s.Ctl(s.ctx, args...); err != nil {
		s.t.Fatalf("systemctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (s *unitSite) property(unit, name string) string {
	s.t.Helper()
	value, err := s.Property(s.ctx, unit, name)
	s.check(err)
	return value
}

// pid returns the process ID of a unit's daemon.
func (s *unitSite) pid(unit string) int {
	s.t.Helper()
	n, err := strconv.Atoi(s.property(unit, "MainPID"))
	s.check(err)
	return n
}

// until waits for a condition.
func (s *unitSite) until(what string, cond func() error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	s.check(engines.Until(ctx, what, cond))
}

// restarted waits until systemd has started a unit's daemon n times again.
func (s *unitSite) restarted(unit string, n int, old int) {
	s.t.Helper()
	s.until("restart of "+unit, func() error {
		state := s.property(unit, "ActiveState") + " " + s.property(unit, "NRestarts")
		if want := fmt.Sprintf("active %d", n); state != want || s.pid(unit) == old {
			return fmt.Errorf("it is %s, want %s", state, want)
		}
		return nil
	})
}

// The three daemons under a real systemd, with all that the units take away
// from them, do their work: a file is fetched, a local job runs, its results
// are uploaded, and the mail about a failed one goes out with the password of
// a credential.
func TestSystemdRunsTheUnits(t *testing.T) {
	t.Parallel()
	s := newUnitSite(t)
	began := time.Now()
	s.ctl("start", "longhaul.target")
	for _, unit := range daemonUnits() {
		// Being Type=notify, they start by saying that they are ready.
		s.until("start of "+unit, func() error {
			if state := s.property(unit, "ActiveState"); state != "active" {
				return fmt.Errorf("%s", state)
			}
			return nil
		})
	}
	s.until("a mail about the bad job", func() error {
		mails, err := s.mail.Mails()
		if err == nil && len(mails) == 0 {
			err = fmt.Errorf("none yet")
		}
		return err
	})
	s.until("the upload of the good job", func() error {
		if _, err := os.Stat(s.path("raw", "good.txt")); err == nil {
			return fmt.Errorf("its raw data is still there")
		}
		if found, err := filepath.Glob(s.path("results", "good", "*", "results.json")); err != nil || len(found) != 1 {
			return fmt.Errorf("results %q, %v", found, err)
		}
		return nil
	})
	t.Run("a job cannot pry into the downloader and the uploader", func(t *testing.T) {
		found, err := filepath.Glob(s.path("results", "good", "*", "pried"))
		if err != nil || len(found) != 1 {
			t.Fatalf("%q, %v", found, err)
		}
		text, err := os.ReadFile(found[0])
		if err != nil {
			t.Fatal(err)
		}
		seen := strings.Fields(string(text))
		if !slices.Contains(seen, "jobpooler") {
			t.Errorf("it saw %q and not even the job pooler, whose child it is: this test cannot fail", seen)
		}
		if slices.Contains(seen, "downloader") || slices.Contains(seen, "uploader") {
			t.Errorf("it saw into %q", seen)
		}
	})
	t.Run("credentials are the daemons' alone", func(t *testing.T) {
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", s.pid("longhaul-uploader.service")))
		if err != nil || strings.Contains(string(env), "s3cret") || !strings.Contains(string(env), "CREDENTIALS_DIRECTORY=") {
			t.Errorf("environment %q (%v), want the directory of the credentials and no secret", env, err)
		}
	})
	t.Run("the watchdog is kept quiet", func(t *testing.T) {
		s.until("twice the watchdog's limit", func() error {
			if age := time.Since(began); age < 4*time.Second {
				return fmt.Errorf("%v", age)
			}
			return nil
		})
		for _, unit := range daemonUnits() {
			if n := s.property(unit, "NRestarts"); n != "0" {
				t.Errorf("%s was restarted %s times", unit, n)
			}
			if s.property(unit, "StatusText") == "" {
				t.Errorf("%s tells systemctl status nothing", unit)
			}
		}
	})
	t.Run("a stopped daemon is found by the watchdog", func(t *testing.T) {
		unit := "longhaul-downloader.service"
		pid := s.pid(unit)
		s.check(syscall.Kill(pid, syscall.SIGSTOP))
		s.restarted(unit, 1, pid)
	})
	t.Run("a killed daemon comes back", func(t *testing.T) {
		unit := "longhaul-uploader.service"
		pid := s.pid(unit)
		s.check(syscall.Kill(pid, syscall.SIGKILL))
		s.restarted(unit, 1, pid)
	})
	t.Run("stopping the target stops all, in order", func(t *testing.T) {
		s.ctl("stop", "longhaul.target")
		for _, unit := range daemonUnits() {
			s.until("end of "+unit, func() error {
				if state := s.property(unit, "ActiveState"); state != "inactive" {
					return fmt.Errorf("%s", state)
				}
				return nil
			})
			if got := s.property(unit, "Result") + " " + s.property(unit, "ExecMainStatus"); got != "success 0" {
				t.Errorf("%s ended with %s", unit, got)
			}
		}
	})
}

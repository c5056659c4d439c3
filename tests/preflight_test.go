package tests

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"longhaul/internal/preflight"
	"longhaul/tests/engines"
)

// trial is a site of which only what is to be tried is real.
type trial struct {
	t   *testing.T
	dir string
}

func newTrial(t *testing.T) *trial {
	t.Helper()
	tr := &trial{t, engineDir(t)}
	for _, d := range []string{"log", "jobs", "state", "raw", "results", "scratch", "incoming"} {
		if err := os.Mkdir(filepath.Join(tr.dir, d), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	return tr
}

// try runs one check of preflight with settings, which are name and value by
// turns, and returns what it says.
func (tr *trial) try(check string, env []string, settings ...string) preflight.Result {
	tr.t.Helper()
	sections := map[string]string{
		"commondb": fmt.Sprintf("database = %q\n", tr.dir+"/state/commondb.db"),
		"download": "source = \"poll\"\npoll_from = \"disk\"\npoll_directory = \"" + tr.dir + "/incoming\"\n",
	}
	for i := 0; i < len(settings); i += 2 {
		section, key, _ := strings.Cut(settings[i], ".")
		if section == "commondb" && key == "driver" || section == "download" && key == "ftp_host" {
			sections[section] = ""
		}
		sections[section] += key + " = " + settings[i+1] + "\n"
	}
	config := filepath.Join(tr.dir, "config.toml")
	if err := os.WriteFile(config, []byte(tr.config(sections)), 0o600); err != nil {
		tr.t.Fatal(err)
	}
	cmd := exec.CommandContext(tr.t.Context(), program(tr.t, "longhaul"), "--config", config, "preflight", check, "--json", "--timeout", "90s")
	cmd.Env = append(os.Environ(), env...)
	out, runErr := cmd.Output()
	var answer struct{ Checks []preflight.Result }
	if err := json.Unmarshal(out, &answer); err != nil || len(answer.Checks) != 1 {
		tr.t.Fatalf("preflight %s: %v, %v: %s", check, err, runErr, out)
	}
	return answer.Checks[0]
}

func (tr *trial) config(sections map[string]string) string {
	d := tr.dir
	return fmt.Sprintf(`
[basic]
institution = "Here"
log_dir = "%[1]s/log"
qsublog_dir = "%[1]s/jobs"
[background]
jobtracker_db = "%[1]s/state/jobtracker.db"
[commondb]
%[2]s
[download]
%[3]s
temp = "%[1]s/raw"
space_to_use = "1GB"
min_free_space = "1MB"
[jobpooler]
base_results_directory = "%[1]s/results"
%[4]s
[slurm]
%[5]s
[processing]
base_working_directory = "%[1]s/scratch"
longhaul = %[6]q
[upload]
version_num = "1"
[[product]]
name = "text"
pattern = '^(?P<name>[a-z]+)\.txt$'
group_by = ["name"]
[[stage]]
name = "look"
inputs = ["text"]
command = ["true"]
output_dir = "{name}/{time}"
`, d, sections["commondb"], sections["download"], sections["jobpooler"], sections["slurm"], program(tr.t, "longhaul"))
}

// want compares a result with what a person should read in it.
func want(t *testing.T, what string, r preflight.Result, ok bool, says ...string) {
	t.Helper()
	text := r.Detail + " " + r.Hint
	for _, s := range says {
		if r.OK != ok || !strings.Contains(text, s) {
			t.Errorf("%s: pass %t, %q; want pass %t and %q", what, r.OK, text, ok, s)
		}
	}
}

func TestPreflightSaysWhatIsWrongWithSlurm(t *testing.T) {
	t.Parallel()
	slurm := startSlurm(t)
	tr := newTrial(t)
	try := func(settings ...string) preflight.Result {
		return tr.try("queue", slurm.Env(), append([]string{"jobpooler.queue_manager", `"slurm"`}, settings...)...)
	}
	want(t, "as it is", try(), true, "a test job ran on n1")
	want(t, "a wrong partition", try("slurm.partition", `"nowhere"`), false, "invalid partition", "nowhere")
	want(t, "a wrong constraint", try("slurm.constraint", `"gold"`), false, "feature")
	if err := slurm.StopController(); err != nil {
		t.Fatal(err)
	}
	want(t, "no controller", try(), false, "contact slurm controller")
}

func TestPreflightSaysWhatIsWrongWithPostgres(t *testing.T) {
	t.Parallel()
	certificates, err := engines.NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	engines.Need(t, engines.PostgresPrograms()...)
	dir := engineDir(t)
	both := filepath.Join(dir, "server.pem")
	pem, err := os.ReadFile(certificates.Wrong.Both)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(both, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := engines.Own("postgres", both); err != nil {
		t.Fatal(err)
	}
	p, err := engines.NewPostgres(t.Context(), dir, "ssl=on", "ssl_cert_file="+both, "ssl_key_file="+both)
	if err != nil {
		t.Fatal(err)
	}
	stopped(t, p.Stop)
	tr := newTrial(t)
	try := func(password, database, tls string) preflight.Result {
		return tr.try("commondb", nil, "commondb.driver", `"postgres"`, "commondb.host", fmt.Sprintf("%q", p.Host),
			"commondb.port", fmt.Sprint(p.Port), "commondb.username", fmt.Sprintf("%q", p.User),
			"commondb.password", fmt.Sprintf("%q", password), "commondb.database", fmt.Sprintf("%q", database),
			"commondb.tls", fmt.Sprintf("%q", tls), "commondb.tls_ca", fmt.Sprintf("%q", certificates.CA))
	}
	want(t, "tables missing", try(p.Password, p.Database, "off"), false, "longhaul commondb init")
	want(t, "a wrong password", try("wrong", p.Database, "off"), false, "password")
	want(t, "no such database", try(p.Password, "nowhere", "off"), false, "nowhere")
	want(t, "the certificate of another host", try(p.Password, p.Database, "verify"), false, "certificate", "commondb.tls_ca")
	if r := try("wrong-secret", p.Database, "off"); strings.Contains(r.Detail+r.Hint, "wrong-secret") {
		t.Errorf("the password is shown: %q", r.Detail)
	}
}

func TestPreflightSaysWhatIsWrongWithTheFileServer(t *testing.T) {
	t.Parallel()
	engines.NeedRoot(t)
	engines.Need(t, engines.VsftpdPrograms()...)
	for _, wrongHost := range []bool{false, true} {
		dir, err := engines.FileServerDir()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		// It refuses data connections that do not use the session again.
		s, err := engines.NewVsftpd(t.Context(), dir, engines.FTPOptions{TLS: "explicit", Wrong: wrongHost})
		if err != nil {
			t.Fatal(err)
		}
		stopped(t, s.Stop)
		if err := os.WriteFile(filepath.Join(s.Root, "small.txt"), []byte("hello"), 0o644); err != nil {
			t.Fatal(err)
		}
		tr := newTrial(t)
		try := func(password, ca string) preflight.Result {
			return tr.try("ftp", nil, "download.ftp_host", fmt.Sprintf("%q", s.Host), "download.ftp_port", fmt.Sprint(s.Port),
				"download.ftp_username", fmt.Sprintf("%q", s.User), "download.ftp_password", fmt.Sprintf("%q", password),
				"download.source", `"poll"`, "download.poll_directory", `"/"`, "download.ftp_tls_ca", fmt.Sprintf("%q", ca))
		}
		if wrongHost {
			want(t, "the certificate of another host", try(s.Password, s.Certificates.CA), false, "certificate", "ftp_host must be a name in the certificate")
			continue
		}
		want(t, "as it is", try(s.Password, s.Certificates.CA), true, "retrieved small.txt")
		want(t, "a wrong password", try("wrong", s.Certificates.CA), false, "login refused", "ftp_")
		want(t, "another authority", try(s.Password, s.Certificates.OtherCA), false, "certificate", "ftp_tls_ca")
	}
}

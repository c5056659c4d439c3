package config

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestEnvironmentWinsOverTheFile(t *testing.T) {
	t.Parallel()
	cfg := parseGood(t, good, withFiles(nil,
		"LONGHAUL_BACKGROUND_SLEEP=30s", "LONGHAUL_DOWNLOAD_FTP_PORT=2121", "LONGHAUL_DOWNLOAD_SPACE_TO_USE=60 GiB",
		"LONGHAUL_EMAIL_ENABLED=true", "LONGHAUL_EMAIL_SENDER=Longhaul <a@b.org>", "LONGHAUL_EMAIL_RECIPIENT=c@d.org",
		"LONGHAUL_DOWNLOAD_REQUEST_SIZES=[1, 2]", "LONGHAUL_DOWNLOAD_FTP_PASSWORD=three = 3", "LONGHAUL_BASIC_SURVEY=",
		"LONGHAUL_CONFIG=/etc/x", "LONGHAULER_EMAIL_X=1", "PATH=/bin", "odd"))
	for _, check := range []struct {
		name string
		ok   bool
	}{
		{"a time span", cfg.Background.Sleep.String() == "30s"},
		{"a number", cfg.Download.FTPPort == 2121},
		{"a size", cfg.Download.SpaceToUse == 60<<30},
		{"a switch", cfg.Email.Enabled},
		{"text", cfg.Email.Sender == "Longhaul <a@b.org>"},
		{"a list of one", len(cfg.Email.Recipient) == 1 && cfg.Email.Recipient[0] == "c@d.org"},
		{"a list", len(cfg.Download.RequestSizes) == 2 && cfg.Download.RequestSizes[1] == 2},
		{"a secret", cfg.Download.FTPPassword.Reveal() == "three = 3"},
		{"nothing where the variable is empty", cfg.Basic.Survey == "PALFA2.0"},
	} {
		if !check.ok {
			t.Errorf("the environment did not give %s: %+v", check.name, cfg)
		}
	}
	cfg = parseGood(t, good, withFiles(nil, `LONGHAUL_EMAIL_RECIPIENT=["a@b.org", "c@d.org"]`))
	if len(cfg.Email.Recipient) != 2 {
		t.Errorf("recipients are %q, want two", cfg.Email.Recipient)
	}
}

func TestMistakeInTheEnvironmentNamesTheVariable(t *testing.T) {
	t.Parallel()
	expect(t, good, withFiles(nil, "LONGHAUL_BACKGROUND_SLEEP=30", "LONGHAUL_DOWNLOAD_FTP_PORT=0",
		"LONGHAUL_DOWNLOAD_NUMRETRIES=1\nx = 2", "LONGHAUL_EMAIL_SMTP_PROT=25", "LONGHAUL_DOWNLOAD_FTP_PASSWORD=a\nb",
		"LONGHAUL_BASIC_SURVEY=\xff"),
		`$LONGHAUL_BACKGROUND_SLEEP: background.sleep: has no unit; write it with a unit, as "30s"`,
		`$LONGHAUL_BASIC_SURVEY: basic.survey: has a control character in it; write it on one line`,
		`$LONGHAUL_DOWNLOAD_FTP_PASSWORD: download.ftp_password: has a control character in it; write it on one line`,
		`$LONGHAUL_DOWNLOAD_NUMRETRIES: download.numretries: is text, not a number; write a whole number, without quotes`,
		`$LONGHAUL_EMAIL_SMTP_PROT: email.smtp_prot: is no setting; did you mean smtp_port?`,
		`$LONGHAUL_DOWNLOAD_FTP_PORT: download.ftp_port: is 0; it must be between 1 and 65535`,
	)
}

// TestSecretsComeFromTheFirstPlaceThatHasThem takes the places away one by one.
func TestSecretsComeFromTheFirstPlaceThatHasThem(t *testing.T) {
	t.Parallel()
	text := strings.Replace(good, `ftp_password = "two"`, "ftp_password = 'inline'\nftp_password_file = '/named'", 1)
	files := map[string]string{"/cred/download.ftp_password": "credential\n", "/named": "named\r\n", "/other": "other"}
	environ := []string{"LONGHAUL_DOWNLOAD_FTP_PASSWORD=environment", "CREDENTIALS_DIRECTORY=/cred"}
	expectSecret := func(want string) {
		t.Helper()
		if got := parseGood(t, text, withFiles(files, environ...)).Download.FTPPassword.Reveal(); got != want {
			t.Errorf("the password is from %q, want %q", got, want)
		}
	}
	expectSecret("environment")
	environ = environ[1:]
	expectSecret("credential")
	delete(files, "/cred/download.ftp_password")
	expectSecret("named")
	environ = append(environ, "LONGHAUL_DOWNLOAD_FTP_PASSWORD_FILE=/other")
	expectSecret("other")
	environ = nil
	text = strings.Replace(text, "ftp_password_file = '/named'", "", 1)
	expectSecret("inline")
}

func TestMistakeAboutASecretNamesItsPlace(t *testing.T) {
	t.Parallel()
	open := func(path string) ([]byte, os.FileMode, error) { return []byte("x"), 0o644, nil }
	named := strings.Replace(good, `ftp_password = "two"`, "ftp_password_file = '/secret'", 1)
	for name, tt := range map[string]struct {
		text string
		env  Env
		want string
	}{
		"no such file":   {named, withFiles(nil), `14: download.ftp_password: cannot be read from /secret: file does not exist; put the secret there, readable for the daemons' user`},
		"open to others": {named, Env{nil, open}, `14: download.ftp_password: is in /secret, which is open to others (mode 0644); close it: chmod o= /secret`},
		"empty file":     {named, withFiles(map[string]string{"/secret": "\n"}), `14: download.ftp_password: is in /secret, which is empty; put the secret there, on one line`},
		"several lines":  {named, withFiles(map[string]string{"/secret": "a\nb\n"}), `14: download.ftp_password: is in /secret, which has more than one line of text; put the secret there, on one line`},
		"relative path":  {strings.Replace(named, "'/secret'", "'hunter2'", 1), withFiles(nil), `14: download.ftp_password: is to be read from a path that is not absolute; begin it with /`},
		"number":         {strings.Replace(named, "'/secret'", "5", 1), withFiles(nil), `14: download.ftp_password_file: is a number, not text; write it in quotes, as "5"`},
		"credential": {named, withFiles(map[string]string{"/cred/download.ftp_password": "", "/secret": "x"}, "CREDENTIALS_DIRECTORY=/cred"),
			`/cred/download.ftp_password: download.ftp_password: is in /cred/download.ftp_password, which is empty; put the secret there, on one line`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, tt.text, tt.env, tt.want)
		})
	}
}

func TestSecretsNeedNotBeThereWhenTheyAreNotRead(t *testing.T) {
	t.Parallel()
	named := strings.Replace(good, `ftp_password = "two"`, "ftp_password_file = '/nowhere'", 1)
	if cfg := parseGood(t, named, Env{}); cfg.Download.FTPPassword != "" {
		t.Error("a secret came from nowhere")
	}
	parseGood(t, strings.Replace(good, `ftp_password = "two"`, "", 1), Env{})
}

func TestAUnitNeedsOnlyItsOwnCredentials(t *testing.T) {
	t.Parallel()
	text := strings.NewReplacer("ftp_password = \"two\"\n", "", "api_password = \"one\"\n", "").Replace(good)
	cfg := parseGood(t, text, withFiles(map[string]string{"/cred/email.smtp_password": "hidden\n"}, "CREDENTIALS_DIRECTORY=/cred"))
	if cfg.Email.SMTPPassword.Reveal() != "hidden" {
		t.Error("the credential was not read")
	}
}

// loaded writes a text with its paths beneath a new directory and loads it. It
// returns the messages without that directory's path.
func loaded(t *testing.T, text string, mode os.FileMode, spoil func(root string)) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"/log/jobs", "/lib", "/raw", "/results", "/scratch"} {
		if err := os.MkdirAll(root+dir, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(root, "c.toml")
	write(t, path, strings.ReplaceAll(text, `= "/`, `= "`+root+"/"), mode)
	spoil(root)
	if _, err := Load(path); err != nil {
		return strings.ReplaceAll(strings.ReplaceAll(err.Error(), root+"/c.toml:", ""), root, "")
	}
	return ""
}

func TestLoadLooksAtTheHost(t *testing.T) {
	t.Parallel()
	nothing := func(string) {}
	remove := func(dir string) func(string) {
		return func(root string) {
			if err := os.RemoveAll(root + dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	poll := strings.Replace(good, "[download]\n", "[download]\nsource = \"poll\"\npoll_from = \"disk\"\npoll_directory = \"/in\"\n", 1)
	for name, tt := range map[string]struct {
		text  string
		mode  os.FileMode
		spoil func(root string)
		want  string
	}{
		"nothing wrong":           {good, 0o640, nothing, ""},
		"secrets open to others":  {good, 0o644, nothing, "12: download.api_password: is a secret in a file that is open to others (mode 0644); close it: chmod o= /c.toml\n14: download.ftp_password: is a secret in a file that is open to others (mode 0644); close it: chmod o= /c.toml"},
		"directory missing":       {good, 0o640, remove("/raw"), "15: download.temp: /raw does not exist; make it: install -d -m 0750 /raw"},
		"parent missing":          {good, 0o640, remove("/lib"), "6: background.jobtracker_db: /lib does not exist; make it: install -d -m 0750 /lib\n8: commondb.database: /lib does not exist; make it: install -d -m 0750 /lib"},
		"file for a directory":    {good, 0o640, func(root string) { remove("/results")(root); write(t, root+"/results", "", 0o640) }, "20: jobpooler.base_results_directory: /results is no directory; name a directory"},
		"file in the way":         {good, 0o640, func(root string) { remove("/log")(root); write(t, root+"/log", "", 0o640) }, "3: basic.log_dir: /log is no directory; name a directory\n4: basic.qsublog_dir: /log/jobs cannot be looked at: not a directory"},
		"polled directory absent": {poll, 0o640, nothing, "12: download.poll_directory: /in does not exist; make it: install -d -m 0750 /in"},
		"certificates absent":     {strings.Replace(good, "[email]\n", "[email]\nsmtp_ca = \"/ca.pem\"\n", 1), 0o640, nothing, "18: email.smtp_ca: /ca.pem cannot be read: no such file or directory; name a file with certificates in PEM form"},
		"certificates empty":      {strings.Replace(good, "[email]\n", "[email]\nsmtp_ca = \"/ca.pem\"\n", 1), 0o640, func(root string) { write(t, root+"/ca.pem", "x", 0o640) }, "18: email.smtp_ca: /ca.pem holds no certificate; name a file with certificates in PEM form"},
		"backups' place missing":  {strings.Replace(good, "[background]\n", "[background]\nbackup_dir = \"/b\"\n", 1), 0o640, nothing, "6: background.backup_dir: /b does not exist; make it: install -d -m 0750 /b"},
		"spool's parent missing":  {strings.Replace(good, "[jobpooler]\n", "[jobpooler]\nlocal_spool = \"/a/spool\"\n", 1), 0o640, nothing, "20: jobpooler.local_spool: /a does not exist; make it: install -d -m 0750 /a"},
		"with other mistakes": {strings.Replace(good, `institution = "McGill"`, "institution = 1", 1), 0o640, remove("/scratch"),
			"2: basic.institution: is a number, not text; write it in quotes, as \"1\"\n22: processing.base_working_directory: /scratch does not exist; make it: install -d -m 0750 /scratch"},
		"syntax error alone": {good + "x =", 0o640, remove("/raw"), "42: unexpected EOF; expected value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := loaded(t, tt.text, tt.mode, tt.spoil); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestLoadFileNeedsNoDirectoryAndNoSecretFile(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	text := strings.Replace(good, `ftp_password = "two"`, `ftp_password_file = "/secret"`, 1)
	write(t, root+"/c.toml", strings.ReplaceAll(text, `= "/`, `= "`+root+`/none/`), 0o640)
	cfg, err := LoadFile(root + "/c.toml")
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.CheckHost(); err == nil || strings.Count(err.Error(), " does not exist; make it: install -d -m 0750 ") != 7 {
		t.Errorf("CheckHost finds %v, want 7 mistakes", err)
	}
	want := root + "/c.toml:22: processing.base_working_directory: " + root + "/none/scratch does not exist; make it: install -d -m 0750 " + root + "/none/scratch"
	if err := cfg.CheckNode(); err == nil || err.Error() != want {
		t.Errorf("CheckNode finds %v, want %s", err, want)
	}
	if _, err := Load(root + "/c.toml"); err == nil || !strings.Contains(err.Error(), ":14: download.ftp_password: cannot be read from ") {
		t.Errorf("Load finds %v, want the missing secret as well", err)
	}
}

func TestLoadRefusesWhatIsNoConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	big, pipe := filepath.Join(dir, "big"), filepath.Join(dir, "pipe")
	write(t, big, strings.Repeat("#\n", maxFile/2+1), 0o640)
	if err := syscall.Mkfifo(pipe, 0o640); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir + "/none": "no such file or directory", dir: "not a regular file", pipe: "not a regular file", big: "larger than 1MiB",
	} {
		_, err := Load(path)
		want = path + ": cannot be read: " + want + "; name the configuration file with --config, or begin with a copy of config.example.toml"
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestDirectoryThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := Default()
	cfg.Processing.BaseWorkingDirectory = dir
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // which is closed to nobody
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]string{
		0o777: "",
		0o555: "processing.base_working_directory: " + dir + " cannot be written to; let user " + strconv.Itoa(os.Geteuid()) + " write there",
	} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		got := ""
		asNobody(t, func() {
			if err := cfg.CheckNode(); err != nil {
				got = err.Error()
			}
		})
		if got != want {
			t.Errorf("mode %o: got %q, want %q", mode, got, want)
		}
	}
}

func TestDirectoryThatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() != 0 {
		if err := os.Chmod(dir, 0o311); err != nil {
			t.Fatal(err)
		}
	}
	r := &report{cfg: Default()}
	asNobody(t, func() { r.readable("download.poll_directory", dir) })
	want := "download.poll_directory: " + dir + " cannot be read; let user " + strconv.Itoa(os.Geteuid()) + " read it"
	if err := r.err(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// asNobody calls check on a thread whose real user is nobody, if we are root,
// to whom all directories are writable. The thread ends with it.
func asNobody(t *testing.T, check func()) {
	t.Helper()
	if os.Getuid() != 0 {
		check()
		return
	}
	done := make(chan syscall.Errno)
	go func() {
		runtime.LockOSThread() // never unlocked, so that nobody else gets this thread
		const nobody, unchanged = 65534, ^uintptr(0)
		_, _, errno := syscall.RawSyscall(syscall.SYS_SETREUID, nobody, unchanged, 0)
		if errno == 0 {
			check()
		}
		done <- errno
	}()
	if errno := <-done; errno != 0 {
		t.Fatalf("become nobody: %v", errno)
	}
}

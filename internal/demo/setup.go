package demo

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"longhaul/internal/config"
	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
)

// setUp makes the demo's site as an operator would: directories, configuration,
// job-tracker, common database. What is there from a run before stays.
func (d *demo) setUp(ctx context.Context, again bool) (*config.Config, error) {
	if err := d.writeConfig(); err != nil {
		return nil, err
	}
	c, err := config.Load(d.at.config())
	if err != nil {
		return nil, err
	}
	if _, err := jobtracker.Create(ctx, c.Background.JobtrackerDB); err != nil {
		return nil, err
	}
	return c, d.initCommonDB(ctx, c, again)
}

// writeConfig writes the configuration anew: the servers have new ports.
func (d *demo) writeConfig() error {
	if err := d.archive.ca.WritePEM(d.at.path("archive", "ca.pem")); err != nil {
		return err
	}
	smtp := d.mail.Addr()
	commonDB, err := d.commonDB()
	if err != nil {
		return err
	}
	r := strings.NewReplacer(
		"@COMMONDB@", commonDB, "@QUEUE@", cmp.Or(d.opt.Queue, "local"),
		"@DIR@", d.at.dir, "@SELF@", d.opt.Self, "@URL@", d.archive.restore.URL(),
		"@FTPHOST@", d.archive.ftp.Host(), "@FTPPORT@", fmt.Sprint(d.archive.ftp.Port()),
		"@SMTPHOST@", smtp.IP.String(), "@SMTPPORT@", fmt.Sprint(smtp.Port),
		"@APIUSER@", apiUser, "@APIPASSWORD@", apiPassword, "@FTPUSER@", ftpUser, "@FTPPASSWORD@", ftpPassword,
	)
	return disk.WriteFile(d.at.config(), func(w io.Writer) error {
		_, err := r.WriteString(w, configText)
		return err
	})
}

// makeDirs makes the directories below the demo's own.
func makeDirs(at layout) error {
	for _, dir := range at.dirs() {
		if err := os.MkdirAll(dir, disk.DirMode); err != nil {
			return err
		}
	}
	return nil
}

// markInterrupted remembers that a daemon, or the demo itself, did not come to
// its end by itself; some checks are told so.
func markInterrupted(at layout) error {
	return os.WriteFile(at.path("interrupted"), nil, disk.FileMode)
}

func interrupted(at layout) bool {
	_, err := os.Stat(at.path("interrupted"))
	return err == nil
}

// configText is the configuration of the demo's site. Waits are short, since
// the archive of the demo has no tapes; everything else is as in the field.
const configText = `# The site of 'longhaul demo'. Written anew at each start of the demo.

[basic]
institution = "Demo"
survey      = "PALFA2.0"
log_dir     = "@DIR@/log"
qsublog_dir = "@DIR@/joblog"

[background]
screen_output = false
jobtracker_db = "@DIR@/jobtracker.db"
sleep         = "1s"
max_sleep     = "5s"

[commondb]
@COMMONDB@

[download]
api_service_url  = "@URL@"
api_username     = "@APIUSER@"
api_password     = "@APIPASSWORD@"
ftp_host         = "@FTPHOST@"
ftp_port         = @FTPPORT@
ftp_username     = "@FTPUSER@"
ftp_password     = "@FTPPASSWORD@"
ftp_tls          = "explicit"
ftp_tls_ca       = "@DIR@/archive/ca.pem"
connect_timeout  = "5s"
idle_timeout     = "5s"
temp             = "@DIR@/raw"
space_to_use     = "64MiB"
min_free_space   = "16MiB"
numdownloads     = 3
numrestored      = 12
retry_wait       = "300ms"
retry_wait_max   = "2s"
request_timeout  = "1m"
request_sizes    = [2, 4, 8]

[email]
enabled          = true
smtp_host        = "@SMTPHOST@"
smtp_port        = @SMTPPORT@
smtp_usetls      = true
smtp_ca          = "@DIR@/archive/ca.pem"
sender           = "longhaul@demo.invalid"
recipient        = ["operator@demo.invalid"]
send_on_failures = true
digest_delay     = "1s"
max_per_hour     = 1000

[jobpooler]
queue_manager          = "@QUEUE@"
queue_poll_every       = "200ms"
base_results_directory = "@DIR@/results"
max_jobs_running       = 2
max_jobs_queued        = 2
retry_wait             = "300ms"
retry_wait_max         = "2s"

[processing]
base_working_directory = "@DIR@/scratch"
longhaul               = "@SELF@"

[[product]]
name     = "mock"
pattern  = '^4bit-(?P<projid>[Pp]\d{4})\.(?P<date>\d{8})\.(?P<source>.*)\.b(?P<beam>[0-7])s(?P<subband>[01])g0\.(?P<scan>\d{5})\.fits$'
group_by = ["projid", "date", "source", "beam", "scan"]
complete = { subband = ["0", "1"] }
ignore   = { beam = ["7"] }

[[product]]
name     = "merged"
pattern  = '^(?P<projid>[Pp]\d{4})\.(?P<date>\d{8})\.(?P<source>.*)\.b(?P<beam>[0-7])\.(?P<scan>\d{5})\.fits$'
group_by = ["projid", "date", "source", "beam", "scan"]
ignore   = { beam = ["7"] }

[[product]]
name     = "wapp"
pattern  = '^(?P<projid>[Pp]\d{4})_(?P<mjd>\d{5})_(?P<sec>\d{5})_(?P<scan>\d{4})_(?P<source>.*)_(?P<beam>\d)\.w4bit\.fits$'
group_by = ["projid", "mjd", "sec", "scan", "source", "beam"]
ignore   = { beam = ["7"] }

[[stage]]
name    = "quicklook"
inputs  = ["mock", "merged", "wapp"]
command = ["longhaul", "demo-stage"]
results = "manifest"
env     = { DEMO_DIR = "@DIR@" }
`

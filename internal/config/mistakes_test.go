package config

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
)

// good is a configuration in which nothing is wrong. Tests spoil it.
const good = `[basic]
institution = "McGill"
log_dir = "/log"
qsublog_dir = "/log/jobs"
[background]
jobtracker_db = "/lib/jobtracker.db"
[commondb]
database = "/lib/commondb.db"
[download]
api_service_url = "http://archive.example.org/api"
api_username = "mcgill"
api_password = "one"
ftp_host = "ftp.example.org"
ftp_password = "two"
temp = "/raw"
space_to_use = "500GB"
[email]
smtp_timeout = "30s"
[jobpooler]
base_results_directory = "/results"
[processing]
base_working_directory = "/scratch"
[upload]
version_num = "PIPELINE:{longhaul}"

[[product]]
name = "mock"
pattern = '^(?P<date>\d{8})\.(?P<source>.*)\.b(?P<beam>\d)s(?P<subband>[01])\.fits$'
group_by = ["date", "source", "beam"]
complete = { subband = ["0", "1"] }
ignore = { beam = ["7"] }

[[product]]
name = "wapp"
pattern = '^(?P<mjd>\d{5})_(?P<source>.*)_(?P<beam>\d)\.fits$'
group_by = ["mjd", "source", "beam"]

[[stage]]
name = "quicklook"
inputs = ["mock", "wapp"]
command = ["longhaul", "quicklook"]
`

// withFiles is an environment whose files are these, open to nobody else.
func withFiles(files map[string]string, environ ...string) Env {
	return Env{environ, func(path string) ([]byte, os.FileMode, error) {
		text, ok := files[path]
		if !ok {
			return nil, 0, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
		}
		return []byte(text), 0o640, nil
	}}
}

func parseGood(t *testing.T, text string, env Env) *Config {
	t.Helper()
	cfg, err := Parse("c.toml", []byte(text), env)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// expect parses a text and compares the mistakes, one a line; the name
// of the file is left out before a line number.
func expect(t *testing.T, text string, env Env, want ...string) {
	t.Helper()
	cfg, err := Parse("c.toml", []byte(text), env)
	if err == nil {
		t.Fatalf("no mistake was found, want\n%s", strings.Join(want, "\n"))
	}
	if cfg != nil {
		t.Error("a configuration came with the mistakes")
	}
	if got := regexp.MustCompile(`(?m)^c\.toml:(\d)`).ReplaceAllString(err.Error(), "$1"); got != strings.Join(want, "\n") {
		t.Errorf("mistakes are\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestGoodConfigurationHasNoMistake(t *testing.T) {
	t.Parallel()
	parseGood(t, good, withFiles(nil))
}

// TestMistakeInASetting spoils one line of the good configuration.
func TestMistakeInASetting(t *testing.T) {
	t.Parallel()
	for name, tt := range mistakesInSettings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if strings.Count(good, tt.line+"\n") != 1 {
				t.Fatalf("%q is not one line of the good configuration", tt.line)
			}
			expect(t, strings.Replace(good, tt.line+"\n", tt.becomes, 1), withFiles(nil), tt.want...)
		})
	}
}

type spoilt struct {
	line, becomes string
	want          []string
}

func mistakesInSettings() map[string]spoilt {
	const (
		institution = `institution = "McGill"`
		tracker     = `jobtracker_db = "/lib/jobtracker.db"`
		database    = `database = "/lib/commondb.db"`
		host        = `ftp_host = "ftp.example.org"`
		url         = `api_service_url = "http://archive.example.org/api"`
		space       = `space_to_use = "500GB"`
		smtp        = `smtp_timeout = "30s"`
		results     = `base_results_directory = "/results"`
		scratch     = `base_working_directory = "/scratch"`
		version     = `version_num = "PIPELINE:{longhaul}"`
	)
	one := func(line, becomes string, want ...string) spoilt { return spoilt{line, becomes, want} }
	add := func(line, more string, want ...string) spoilt {
		return spoilt{line, line + "\n" + more + "\n", want}
	}
	return map[string]spoilt{
		"missing":                one(institution, "", `1: basic.institution: is missing; give it, as institution = "McGill"`),
		"empty":                  one(institution, "institution = ''\n", `2: basic.institution: is empty; give it, as institution = "McGill"`),
		"number for text":        one(institution, "institution = 5\n", `2: basic.institution: is a number, not text; write it in quotes, as "5"`),
		"list for text":          one(institution, "institution = ['a']\n", `2: basic.institution: is a list, not text; write it in quotes`),
		"date for text":          one(institution, "institution = 2011-03-21\n", `2: basic.institution: is a date, not text; write it in quotes`),
		"line break in text":     one(institution, `institution = "a\r\nb"`+"\n", `2: basic.institution: has a control character in it; write it on one line`),
		"text for switch":        add(institution, `delete_rawdata = "yes"`, `3: basic.delete_rawdata: is text, not a switch; write true or false, without quotes`),
		"misspelt":               add(institution, `delete_rowdata = true`, `3: basic.delete_rowdata: is no setting; did you mean delete_rawdata?`),
		"unlike anything":        add(institution, `coords_table = "x"`, `3: basic.coords_table: is no setting; remove it`),
		"of another section":     add(institution, `sleep = "60s"`, `3: basic.sleep: is no setting; it belongs to [background]`),
		"key that breaks lines":  add(institution, `"a\nb" = 1`, `1: "basic.a\nb": is no setting; remove it`),
		"relative path":          one(tracker, "jobtracker_db = 'x.db'\n", `6: background.jobtracker_db: is "x.db", which is no absolute path; begin it with /`),
		"number for time":        add(tracker, `sleep = 60`, `7: background.sleep: has no unit; write it with a unit, as "60s"`),
		"bare number for time":   add(tracker, `sleep = "60"`, `7: background.sleep: has no unit; write it with a unit, as "60s"`),
		"nonsense for time":      add(tracker, `sleep = "soon"`, `7: background.sleep: is "soon", which is no time span; write a number and a unit, as "60s", "90m", "3h", "2d" or "1h30m"`),
		"negative time":          add(tracker, `sleep = "-1m"`, `7: background.sleep: is "-1m", which is no time span; write a number and a unit, as "60s", "90m", "3h", "2d" or "1h30m"`),
		"negative bare time":     add(tracker, `sleep = -60`, `7: background.sleep: is a number, not a time span; write a number and a unit, as "60s", "90m", "3h", "2d" or "1h30m"`),
		"time too short":         add(tracker, `sleep = "10ms"`, `7: background.sleep: is 10ms; it must be at least 1s`),
		"zero time":              add(tracker, `sleep = 0`, `7: background.sleep: is 0s; it must be at least 1s`),
		"maximum below":          add(tracker, `max_sleep = "5s"`, `7: background.max_sleep: is 5s; it must not be shorter than sleep, which is 1m`),
		"no such choice":         add(tracker, `log_level = "loud"`, `7: background.log_level: is "loud"; it must be one of "debug", "info", "warn", "error"`),
		"size too small":         add(tracker, `log_max_size = "5kB"`, `7: background.log_max_size: is 5kB; it must be at least 1MiB`),
		"relative directory":     add(tracker, `backup_dir = "backups"`, `7: background.backup_dir: is "backups", which is no absolute path; begin it with /`),
		"backups all the time":   add(tracker, `backup_every = "10s"`, `7: background.backup_every: is 10s; it must be at least 1m`),
		"no backup is kept":      add(tracker, `backup_keep = 0`, `7: background.backup_keep: is 0; it must be at least 1`),
		"number too small":       add(tracker, `log_keep = 0`, `7: background.log_keep: is 0; it must be at least 1`),
		"number for size":        one(space, "space_to_use = 500000000000\n", `16: download.space_to_use: has no unit; write it with a unit, as "500GB"`),
		"bare number for size":   one(space, "space_to_use = \"500\"\n", `16: download.space_to_use: has no unit; write it with a unit, as "500B"`),
		"nonsense for size":      one(space, "space_to_use = \"a lot\"\n", `16: download.space_to_use: is "a lot", which is no size; write a number and one of the units B, kB, MB, GB, TB, KiB, MiB, GiB, TiB, as "60GiB"`),
		"switch for size":        one(space, "space_to_use = true\n", `16: download.space_to_use: is true or false, not a size; write a number and one of the units B, kB, MB, GB, TB, KiB, MiB, GiB, TiB, as "60GiB"`),
		"no space":               one(space, "space_to_use = 0\n", `16: download.space_to_use: is 0B; it must be more than nothing, as "500GB"`),
		"space not given":        one(space, "", `9: download.space_to_use: is missing; give it, as space_to_use = "500GB"`),
		"text for number":        add(host, `ftp_port = "2121"`, `14: download.ftp_port: is text, not a number; write it without quotes, as 2121`),
		"words for number":       add(host, `ftp_port = "ftp"`, `14: download.ftp_port: is text, not a number; write a whole number, without quotes`),
		"fraction for number":    add(host, `ftp_port = 21.0`, `14: download.ftp_port: is a fraction; write a whole number, as 21`),
		"infinity for number":    add(host, `ftp_port = inf`, `14: download.ftp_port: is a number with a fraction, not a number; write a whole number, without quotes`),
		"huge number":            add(host, `numretries = 99999999999`, `14: download.numretries: is 99999999999, which is out of all proportion; it must be between 0 and 2147483647`),
		"no port":                add(host, `ftp_port = 70000`, `14: download.ftp_port: is 70000; it must be between 1 and 65535`),
		"no FTP host":            one(host, "", `9: download.ftp_host: is missing; give it, as ftp_host = "arecibo.tc.cornell.edu"`),
		"no FTP password":        one(`ftp_password = "two"`, "", `9: download.ftp_password: is missing; give ftp_password_file, a credential download.ftp_password or LONGHAUL_DOWNLOAD_FTP_PASSWORD`),
		"number for secret":      one(`ftp_password = "two"`, "ftp_password = 1234\n", `14: download.ftp_password: is a number, not text; write it in quotes`),
		"shown secret":           one(`ftp_password = "two"`, "ftp_password = '[secret]'\n", `14: download.ftp_password: is what is shown in place of it; give the secret itself`),
		"secret that breaks":     one(`ftp_password = "two"`, `ftp_password = "two\r\nDELE x"`+"\n", `14: download.ftp_password: has a control character in it; write it on one line`),
		"no API user":            one(`api_username = "mcgill"`, "", `9: download.api_username: is missing; give it, as api_username = "mcgill"`),
		"URL of another kind":    one(url, "api_service_url = 'ftp://x'\n", `10: download.api_service_url: is "ftp://x", which is no address of a web service; begin it with http:// or https:// and a host`),
		"URL without a host":     one(url, "api_service_url = 'http:///x'\n", `10: download.api_service_url: is "http:///x", which is no address of a web service; begin it with http:// or https:// and a host`),
		"URL with a query":       one(url, "api_service_url = 'http://x/?pw=y'\n", `10: download.api_service_url: has more in it than a host and a path; leave out user, ? and #; api_username and api_password are settings of their own`),
		"request sizes empty":    add(host, `request_sizes = []`, `14: download.request_sizes: is empty; list what the archive allows, as [5, 10, 20]`),
		"request sizes fall":     add(host, `request_sizes = [10, 5]`, `14: download.request_sizes: is [10 5]; the numbers must be at least 1 and ascend, as [5, 10, 20]`),
		"request sizes repeat":   add(host, `request_sizes = [5, 5]`, `14: download.request_sizes: is [5 5]; the numbers must be at least 1 and ascend, as [5, 10, 20]`),
		"request sizes mixed":    add(host, `request_sizes = [5, "10"]`, `14: download.request_sizes: has a wrong element 2: it is text, not a number; write it as [5, 10, 20]`),
		"request sizes no list":  add(host, `request_sizes = 5`, `14: download.request_sizes: is a number, not a list; write it as [5, 10, 20]`),
		"no room for a request":  add(host, `numrestored = 4`, `14: download.numrestored: is 4, which leaves no room for any request; it must be at least 5, the least of request_sizes`),
		"unreachable rate":       add(host, "min_rate = '1MB'\nbandwidth_limit = '1MB'", `14: download.min_rate: is 1MB, which 2 downloads at once can never reach; it must be at most bandwidth_limit (1MB) divided by numdownloads`),
		"unknown source":         add(host, `source = "tape"`, `14: download.source: is "tape"; it must be one of "restore", "poll"`),
		"polling nowhere":        add(host, `source = "poll"`, `9: download.poll_directory: is missing; give it, as poll_directory = "/incoming"`),
		"polling relative":       add(host, "source = 'poll'\npoll_from = 'disk'\npoll_directory = 'in'", `16: download.poll_directory: is "in", which is no absolute path; begin it with /`),
		"polling downloads":      add(host, "source = 'poll'\npoll_from = 'disk'\npoll_directory = '/raw'", `16: download.poll_directory: is the same as temp; give downloads a directory of their own`),
		"unknown encryption":     add(host, `ftp_tls = "ftps"`, `14: download.ftp_tls: is "ftps"; it must be one of "off", "explicit", "implicit"`),
		"unknown database":       add(database, `driver = "oracle"`, `9: commondb.driver: is "oracle"; it must be one of "sqlite", "postgres", "mysql"`),
		"server of a file":       add(database, "host = 'db'\nusername = 'u'\npassword = 'p'", `9: commondb.host: is set, but driver "sqlite" has no server; remove it`, `10: commondb.username: is set, but driver "sqlite" has no server; remove it`, `11: commondb.password: is set, but driver "sqlite" has no server; remove it`),
		"one file for two":       one(database, "database = '/lib/jobtracker.db'\n", `8: commondb.database: is the job-tracker's file as well; give each database a file of its own`),
		"two encryptions":        add(smtp, "smtp_usetls = true\nsmtp_usessl = true", `20: email.smtp_usessl: is true, and so is smtp_usetls; choose one: smtp_usetls begins in clear (port 25 or 587), smtp_usessl does not (port 465)`),
		"login without a name":   add(smtp, `smtp_login = true`, `17: email.smtp_username: is missing; give it, as smtp_username = "longhaul"`, `17: email.smtp_password: is missing; give smtp_password_file, a credential email.smtp_password or LONGHAUL_EMAIL_SMTP_PASSWORD`),
		"mail from nobody":       add(smtp, `enabled = true`, `17: email.sender: is missing; give it, as sender = "longhaul@example.org"`, `17: email.recipient: is missing; give it, as recipient = "you@example.org"`),
		"mail to nowhere":        add(smtp, `recipient = ["a@b.org", "c"]`, `19: email.recipient: has "c", which is no e-mail address; write it as "you@example.org" or "You <you@example.org>"`),
		"mail to a number":       add(smtp, `recipient = 5`, `19: email.recipient: is a number, not a list; write it as ["…", "…"]`),
		"certificates relative":  add(smtp, `smtp_ca = "ca.pem"`, `19: email.smtp_ca: is "ca.pem", which is no absolute path; begin it with /`),
		"original's misspelling": add(results, `max_jobs_queue = 1`, `21: jobpooler.max_jobs_queue: is no setting; did you mean max_jobs_queued?`),
		"fear of the queue":      add(results, `max_jobs_queued = 0`, `21: jobpooler.max_jobs_queued: is 0; it must be at least 1, or no job would be submitted for fear of being queued`),
		"unknown queue manager":  add(results, `queue_manager = "cron"`, `21: jobpooler.queue_manager: is "cron"; it must be one of "local", "slurm", "gridengine", "pbs", "htcondor", "exec"`),
		"name with a blank":      add(results, `job_basename = "my job"`, `21: jobpooler.job_basename: is "my job", which not every batch system would take; begin with a letter, and use at most 32 letters, digits, _ and -`),
		"negative breaker":       add(results, `breaker_failures = -1`, `21: jobpooler.breaker_failures: is -1; it must be at least 0`),
		"breaker never trips":    add(results, `breaker_quick = 11`, `21: jobpooler.breaker_quick: is 11; it must be at most breaker_failures, which is 10`),
		"spool relative":         add(results, `local_spool = "spool"`, `21: jobpooler.local_spool: is "spool", which is no absolute path; begin it with /`),
		"no program":             add(scratch, `longhaul = ""`, `23: processing.longhaul: is empty; give it, as longhaul = "longhaul"`),
		"unknown placeholder":    one(version, "version_num = 'X:{presto}'\n", `24: upload.version_num: has the unknown placeholder {presto}; use {longhaul} or {git:/path/of/checkout}`),
	}
}

func TestMistakeInAProductOrStage(t *testing.T) {
	t.Parallel()
	const (
		groups  = `; use some of "date", "source", "beam", "subband"`
		example = `; write it as "{date}/{obs}/{beam}/{time}"`
	)
	for name, tt := range map[string]struct{ old, new, want string }{
		"product without a name":     {`name = "wapp"`, ``, `33: product[2].name: is missing; give it, as name = "mock"|40: stage[quicklook].inputs: has "wapp", which is no product; use some of "mock"`},
		"name with capitals":         {`name = "quicklook"`, `name = "Quicklook"`, `39: stage[Quicklook].name: is "Quicklook"; begin with a small letter, and use small letters, digits, _ and -`},
		"two of one name":            {`"wapp"`, `"mock"`, `34: product[mock].name: is "mock", and so is another; give each its own name|40: stage[quicklook].inputs: has "wapp", which is no product; use some of "mock"`},
		"pattern missing":            {`pattern = '^(?P<mjd>\d{5})_(?P<source>.*)_(?P<beam>\d)\.fits$'`, ``, `33: product[wapp].pattern: is missing; give it, as pattern = '^(?P<source>.*)\.fits$'`},
		"pattern that is none":       {`_(?P<source>.*)_`, `_(?P<source>.*`, "35: product[wapp].pattern: is no regular expression: error parsing regexp: missing closing ): `^(?P<mjd>\\d{5})_(?P<source>.*(?P<beam>\\d)\\.fits$`; see https://pkg.go.dev/regexp/syntax; groups are written (?P<name>…)"},
		"grouping by nothing":        {`group_by = ["date", "source", "beam"]`, ``, `26: product[mock].group_by: is missing; list the groups in which files that belong together are equal, some of "date", "source", "beam", "subband"`},
		"grouping by no group":       {`group_by = ["date", "source", "beam"]`, `group_by = ["date", "scan"]`, `29: product[mock].group_by: has "scan", which is no group of the pattern` + groups},
		"grouping twice":             {`group_by = ["date", "source", "beam"]`, `group_by = ["date", "date"]`, `29: product[mock].group_by: has "date" twice; name each group once`},
		"grouping as text":           {`group_by = ["date", "source", "beam"]`, `group_by = "date"`, `29: product[mock].group_by: is text, not a list; write it as ["…", "…"]`},
		"complete in no group":       {`{ subband = ["0", "1"] }`, `{ band = ["0", "1"] }`, `30: product[mock].complete: has "band", which is no group of the pattern` + groups},
		"complete and grouped by":    {`{ subband = ["0", "1"] }`, `{ beam = ["0", "1"] }`, `30: product[mock].complete: has "beam", and so has group_by; files of one group are equal in group_by and differ in complete: remove it from one of them`},
		"complete without values":    {`{ subband = ["0", "1"] }`, `{ subband = [] }`, `30: product[mock].complete: has no values for "subband"; list them, as { subband = ["0", "1"] }`},
		"complete with numbers":      {`{ subband = ["0", "1"] }`, `{ subband = [0, 1] }`, `30: product[mock].complete: has a wrong value at "subband": it has a wrong element 1: it is a number, not text; write it as { group = ["…", "…"] }`},
		"complete as a list":         {`{ subband = ["0", "1"] }`, `["0", "1"]`, `30: product[mock].complete: is a list, not a table; write it as { group = ["…", "…"] }`},
		"ignoring no group":          {`ignore = { beam = ["7"] }`, `ignore = { bean = ["7"] }`, `31: product[mock].ignore: has "bean", which is no group of the pattern` + groups},
		"unknown key of a product":   {`ignore = { beam = ["7"] }`, `ignored = { beam = ["7"] }`, `31: product[mock].ignored: is no setting; did you mean ignore?`},
		"product without a stage":    {`inputs = ["mock", "wapp"]`, `inputs = ["mock"]`, `33: product[wapp]: is an input of no stage, so its files would wait for ever; add "wapp" to the inputs of a stage, or remove the product`},
		"input that is no product":   {`inputs = ["mock", "wapp"]`, `inputs = ["mock", "wapp", "mocks"]`, `40: stage[quicklook].inputs: has "mocks", which is no product; did you mean mock?`},
		"command missing":            {`command = ["longhaul", "quicklook"]`, ``, `38: stage[quicklook].command: is missing; give the program and its arguments, as ["longhaul", "quicklook"]`},
		"command as text":            {`command = ["longhaul", "quicklook"]`, `command = "longhaul quicklook"`, `41: stage[quicklook].command: is text, not a list; write it as ["…", "…"]`},
		"command with NUL":           {`["longhaul", "quicklook"]`, `["longhaul", "\u0000"]`, `41: stage[quicklook].command: has a wrong element 2: it has a NUL character in it; write it as ["…", "…"]`},
		"results of another kind":    {`command = [`, "results = 'fits'\ncommand = [", `41: stage[quicklook].results: is "fits"; it must be one of "manifest", "presto"`},
		"variable of our own":        {`command = [`, "env = { OUTDIR = 'x' }\ncommand = [", `41: stage[quicklook].env: has OUTDIR, which the pooler sets itself; use another name`},
		"variable without a name":    {`command = [`, "env = { 'A-B' = 'x' }\ncommand = [", `41: stage[quicklook].env: has "A-B", which is no name of a variable; use letters, digits and _`},
		"variable with a number":     {`command = [`, "env = { N = 4 }\ncommand = [", `41: stage[quicklook].env: has a wrong value at "N": it is a number, not text; write it as { NAME = "…" }`},
		"negative processors":        {`command = [`, "cpus = -1\ncommand = [", `41: stage[quicklook].cpus: is -1; it must be at least 0`},
		"output without time":        {`command = [`, "output_dir = '{obs}'\ncommand = [", `41: stage[quicklook].output_dir: has no {time}; each submit needs a directory of its own: write it as "{date}/{obs}/{beam}/{time}"`},
		"output elsewhere":           {`command = [`, "output_dir = '/tmp/{time}'\ncommand = [", `41: stage[quicklook].output_dir: is "/tmp/{time}", an absolute path; it is beneath base_results_directory: write it as "{date}/{obs}/{beam}/{time}"`},
		"output above":               {`command = [`, "output_dir = '../{time}'\ncommand = [", `41: stage[quicklook].output_dir: is "../{time}", in which ".." is no name for a directory` + example},
		"output without a name":      {`command = [`, "output_dir = 'a//{time}'\ncommand = [", `41: stage[quicklook].output_dir: is "a//{time}", in which "" is no name for a directory` + example},
		"output with an open brace":  {`command = [`, "output_dir = '{time'\ncommand = [", `41: stage[quicklook].output_dir: has a { without its }` + example},
		"output with a close brace":  {`command = [`, "output_dir = 'time}'\ncommand = [", `41: stage[quicklook].output_dir: has a } without its {` + example},
		"output with a blank":        {`command = [`, "output_dir = 'my results/{time}'\ncommand = [", `41: stage[quicklook].output_dir: has "my results/" in it; use letters, digits and + . _ - beside placeholders`},
		"output by a group of one":   {`command = [`, "output_dir = '{subband}/{time}'\ncommand = [", `41: stage[quicklook].output_dir: has {subband}, which the pattern of product wapp does not give; name that group in the pattern, or use {time}, {stage}, {job} and groups that all inputs have`},
		"default output not given":   {`_(?P<beam>\d)\.fits$'` + "\n" + `group_by = ["mjd", "source", "beam"]`, `\.fits$'` + "\n" + `group_by = ["mjd"]`, `38: stage[quicklook].output_dir: has {beam}, which the pattern of product wapp does not give; name that group in the pattern, or use {time}, {stage}, {job} and groups that all inputs have`},
		"product in single brackets": {"[[stage]]", "[stage]", `38: stage: is a table, not a list of tables; write [[stage]], in two brackets, above each of them`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(good, tt.old, tt.new, 1)
			if text == good {
				t.Fatalf("%q is not in the good configuration", tt.old)
			}
			expect(t, text, withFiles(nil), strings.Split(tt.want, "|")...)
		})
	}
}

func TestMistakeInTheOutline(t *testing.T) {
	t.Parallel()
	plain, tables, _ := strings.Cut(good, "\n[[product]]")
	tables = "\n[[product]]" + tables
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"no products": {plain + "[[stage]]\nname = 'a'\ninputs = ['x']\ncommand = ['x']", []string{
			`c.toml: product: is missing; describe at least one kind of file by a [[product]]; config.example.toml has three`}},
		"no stages":             {good[:strings.Index(good, "[[stage]]")], []string{`c.toml: stage: is missing; say by a [[stage]] what is to be run; config.example.toml has one`}},
		"unknown section":       {good + "[searching]\nx = 1\n", []string{`42: searching: is no section; remove it`}},
		"misspelt section":      {good + "[e_mail]\nx = 1\n", []string{`42: e_mail: is no section; did you mean email?`}},
		"outside of a section":  {"sleep = '60s'\n" + good, []string{`1: sleep: stands outside of any section; it belongs to [background]`}},
		"section as a value":    {"email = true\n" + strings.Replace(good, "[email]\nsmtp_timeout = \"30s\"\n", "", 1), []string{`1: email: is true or false, not a section; write [email] and its settings below`}},
		"section twice as list": {strings.Replace(good, "[upload]", "[[upload]]", 1), []string{`23: upload: is a list of tables, not a section; write [upload] and its settings below`}},
		"section missing":       {strings.Replace(plain, "[processing]\nbase_working_directory = \"/scratch\"\n", "", 1) + tables, []string{`c.toml: processing.base_working_directory: is missing; give it, as base_working_directory = "/scratch/longhaul"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, tt.text, withFiles(nil), tt.want...)
		})
	}
}

func TestAllMistakesComeAtOnceInOrder(t *testing.T) {
	t.Parallel()
	text := strings.NewReplacer(
		`institution = "McGill"`, `institution = 1`,
		`temp = "/raw"`, `temp = "raw"`,
		`space_to_use = "500GB"`, `space_to_use = 5`,
		`log_dir = "/log"`, `logdir = "/log"`,
		`base_working_directory = "/scratch"`, ``,
		`inputs = ["mock", "wapp"]`, `inputs = 3`,
		`name = "wapp"`, `nam = "wapp"`,
	).Replace(good)
	expect(t, text, withFiles(nil, "LONGHAUL_EMAIL_ENABLED=maybe"),
		`1: basic.log_dir: is missing; give it, as log_dir = "/var/log/longhaul"`,
		`2: basic.institution: is a number, not text; write it in quotes, as "1"`,
		`3: basic.logdir: is no setting; did you mean log_dir?`,
		`15: download.temp: is "raw", which is no absolute path; begin it with /`,
		`16: download.space_to_use: has no unit; write it with a unit, as "5B"`,
		`21: processing.base_working_directory: is missing; give it, as base_working_directory = "/scratch/longhaul"`,
		`33: product[2].name: is missing; give it, as name = "mock"`,
		`34: product[2].nam: is no setting; did you mean name?`,
		`40: stage[quicklook].inputs: is a number, not a list; write it as ["…", "…"]`,
		`$LONGHAUL_EMAIL_ENABLED: email.enabled: is text, not a switch; write true or false, without quotes`,
	)
}

func TestSyntaxErrorHasItsLine(t *testing.T) {
	t.Parallel()
	expect(t, good+"x = = 1\n", Env{}, `42: expected value but found '=' instead`)
	expect(t, good+"name = \"again\"\n", Env{}, `42: Key 'stage.name' has already been defined.`)
}

func TestSyntaxErrorDoesNotQuoteAPassword(t *testing.T) {
	t.Parallel()
	text := strings.Replace(good, `ftp_password = "two"`, `ftp_password = hunter2`, 1)
	expect(t, text, Env{}, `14: is not valid TOML; write a secret in quotes, or in a file of its own`)
}

func TestMistakesAreAnErrorOfTheirOwn(t *testing.T) {
	t.Parallel()
	_, err := Parse("c.toml", []byte(strings.Replace(good, `"McGill"`, "5", 1)), Env{})
	mistakes, ok := errors.AsType[Mistakes](err)
	if want := (Mistake{"c.toml", 2, "basic.institution", "is a number, not text", `write it in quotes, as "5"`}); !ok || len(mistakes) != 1 || mistakes[0] != want {
		t.Errorf("got %#v, want %#v", err, want)
	}
}

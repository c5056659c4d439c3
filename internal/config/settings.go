// Package config reads the one configuration file, fills in defaults and
// secrets, and checks everything, so that the rest of the system meets only
// settings that make sense. It reports all mistakes at once, each with its
// place and what would be right.
//
// It does not act on a setting: that is for the packages that are given them.
package config

import "time"

// Config is the whole configuration file. Sections and settings keep the names
// of the original pipeline; config.example.toml says what each one means, its
// unit and its default, and a test holds the two together.
type Config struct {
	Basic      Basic      `toml:"basic"`
	Background Background `toml:"background"`
	CommonDB   CommonDB   `toml:"commondb"`
	Download   Download   `toml:"download"`
	Email      Email      `toml:"email"`
	JobPooler  JobPooler  `toml:"jobpooler"`
	Processing Processing `toml:"processing"`
	Upload     Upload     `toml:"upload"`
	Slurm      Slurm      `toml:"slurm"`
	GridEngine GridEngine `toml:"gridengine"`
	PBS        PBS        `toml:"pbs"`
	HTCondor   HTCondor   `toml:"htcondor"`
	Exec       Exec       `toml:"exec"`
	Products   []Product  `toml:"product"`
	Stages     []Stage    `toml:"stage"`

	origin origin // where the settings came from, for the messages of later checks
}

// Basic says what is processed, for whom, and where traces are left.
type Basic struct {
	Institution                    string `toml:"institution"`
	Pipeline                       string `toml:"pipeline"`
	Survey                         string `toml:"survey"`
	DeleteRawdata                  bool   `toml:"delete_rawdata"`
	DeleteRawdataOnTerminalFailure bool   `toml:"delete_rawdata_on_terminal_failure"`
	LogDir                         string `toml:"log_dir"`
	QsublogDir                     string `toml:"qsublog_dir"`
}

// Background is what the three daemons have in common.
type Background struct {
	ScreenOutput bool   `toml:"screen_output"`
	JobtrackerDB string `toml:"jobtracker_db"` // a file, or the address of a database: postgres://user@host/name
	// JobtrackerPassword is that of the user on the server; empty: from where
	// PostgreSQL's own programs have it.
	JobtrackerPassword Secret   `toml:"jobtracker_password"`
	Sleep              Duration `toml:"sleep"`
	MaxSleep           Duration `toml:"max_sleep"` // the longest back-off after failures in a row
	LogLevel           string   `toml:"log_level"`
	LogMaxSize         Size     `toml:"log_max_size"`
	LogKeep            int      `toml:"log_keep"`     // rotated log files that are kept, for each daemon
	BackupDir          string   `toml:"backup_dir"`   // for backups of the job-tracker; empty: beside it
	BackupEvery        Duration `toml:"backup_every"` // 0: never
	BackupKeep         int      `toml:"backup_keep"`  // backups that are kept
}

// CommonDB is the collaboration's database.
type CommonDB struct {
	Driver   string   `toml:"driver"`   // sqlite, postgres, mysql
	Database string   `toml:"database"` // file (sqlite), or name on the server
	Host     string   `toml:"host"`
	Port     int      `toml:"port"` // 0: the system's usual one
	Username string   `toml:"username"`
	Password Secret   `toml:"password"`
	TLS      string   `toml:"tls"`     // verify, off
	CA       string   `toml:"tls_ca"`  // PEM file; empty: the system's
	Timeout  Duration `toml:"timeout"` // for one whole upload
}

// Download is how raw data comes here.
type Download struct {
	Source        string   `toml:"source"` // restore, poll
	APIServiceURL string   `toml:"api_service_url"`
	APIUsername   string   `toml:"api_username"`
	APIPassword   Secret   `toml:"api_password"`
	APITimeout    Duration `toml:"api_timeout"`
	APICA         string   `toml:"api_ca"`    // PEM file; empty: the system's
	PollFrom      string   `toml:"poll_from"` // ftp, disk
	PollDirectory string   `toml:"poll_directory"`
	PollStable    Duration `toml:"poll_stable"` // a file is taken when unchanged for so long
	FileServer    string   `toml:"file_server"` // ftp, sftp, https, file
	FTPHost       string   `toml:"ftp_host"`
	FTPPort       int      `toml:"ftp_port"`
	FTPUsername   string   `toml:"ftp_username"`
	FTPPassword   Secret   `toml:"ftp_password"`
	FTPDirectory  string   `toml:"ftp_directory"` // in which the requests' directories appear
	FTPTLS        string   `toml:"ftp_tls"`       // off, explicit, implicit
	FTPTLSCA      string   `toml:"ftp_tls_ca"`    // PEM file; empty: the system's
	FTPTLSMax     string   `toml:"ftp_tls_max"`   // 1.2, 1.3
	FTPEPSV       bool     `toml:"ftp_epsv"`

	SFTPHost          string `toml:"sftp_host"`
	SFTPPort          int    `toml:"sftp_port"`
	SFTPUsername      string `toml:"sftp_username"`
	SFTPPassword      Secret `toml:"sftp_password"`
	SFTPKey           string `toml:"sftp_key"` // file of the private key
	SFTPKeyPassphrase Secret `toml:"sftp_key_passphrase"`
	SFTPKnownHosts    string `toml:"sftp_known_hosts"`
	HTTPSURL          string `toml:"https_url"`
	HTTPSUsername     string `toml:"https_username"`
	HTTPSPassword     Secret `toml:"https_password"`
	HTTPSToken        Secret `toml:"https_token"`
	HTTPSManifest     string `toml:"https_manifest"` // file that lists a directory; empty: its index page
	HTTPSCA           string `toml:"https_ca"`       // PEM file; empty: the system's
	FileRoot          string `toml:"file_root"`

	ConnectTimeout Duration `toml:"connect_timeout"`
	IdleTimeout    Duration `toml:"idle_timeout"`
	MinRate        Size     `toml:"min_rate"`        // bytes a second, over MinRateTime; 0: no least rate
	MinRateTime    Duration `toml:"min_rate_time"`   // over which MinRate is measured
	BandwidthLimit Size     `toml:"bandwidth_limit"` // bytes a second, all downloads together; 0: none

	Temp           string   `toml:"temp"`
	SpaceToUse     Size     `toml:"space_to_use"`
	MinFreeSpace   Size     `toml:"min_free_space"`
	NumDownloads   int      `toml:"numdownloads"`
	NumRestored    int      `toml:"numrestored"`
	NumRetries     int      `toml:"numretries"`
	RetryWait      Duration `toml:"retry_wait"`     // before the first retry; doubles each time
	RetryWaitMax   Duration `toml:"retry_wait_max"` // the longest wait
	RequestTimeout Duration `toml:"request_timeout"`
	RequestNumbits int      `toml:"request_numbits"`
	RequestData    string   `toml:"request_datatype"`
	RequestSizes   []int    `toml:"request_sizes"` // that the archive allows, ascending
}

// Email is who is told, of what, and by which server.
type Email struct {
	Enabled                bool     `toml:"enabled"`
	SMTPHost               string   `toml:"smtp_host"`
	SMTPPort               int      `toml:"smtp_port"`
	SMTPUsername           string   `toml:"smtp_username"`
	SMTPPassword           Secret   `toml:"smtp_password"`
	SMTPUseTLS             bool     `toml:"smtp_usetls"` // STARTTLS
	SMTPUseSSL             bool     `toml:"smtp_usessl"` // TLS from the first byte
	SMTPLogin              bool     `toml:"smtp_login"`
	SMTPCA                 string   `toml:"smtp_ca"` // PEM file; empty: the system's
	SMTPTimeout            Duration `toml:"smtp_timeout"`
	Sender                 string   `toml:"sender"`
	Recipient              []string `toml:"recipient"`
	SendOnFailures         bool     `toml:"send_on_failures"`
	SendOnTerminalFailures bool     `toml:"send_on_terminal_failures"`
	SendOnCrash            bool     `toml:"send_on_crash"`
	DigestDelay            Duration `toml:"digest_delay"` // notices of one kind within this go into one mail
	MaxPerHour             int      `toml:"max_per_hour"` // mails; more wait and become digests
}

// JobPooler is how jobs are made and submitted.
type JobPooler struct {
	BaseResultsDirectory string   `toml:"base_results_directory"`
	MaxJobsRunning       int      `toml:"max_jobs_running"`
	MaxJobsQueued        int      `toml:"max_jobs_queued"`
	MaxAttempts          int      `toml:"max_attempts"`
	QueueManager         string   `toml:"queue_manager"` // local, slurm, gridengine, pbs, htcondor, exec
	JobBasename          string   `toml:"job_basename"`
	RetryWait            Duration `toml:"retry_wait"`
	RetryWaitMax         Duration `toml:"retry_wait_max"`
	BreakerFailures      int      `toml:"breaker_failures"`  // in a row pause submissions; 0: never
	BreakerQuick         int      `toml:"breaker_quick"`     // of them that must have failed at once
	LostAfter            Duration `toml:"lost_after"`        // a job that the queue manager does not know for so long is lost
	StderrIsFailure      bool     `toml:"stderr_is_failure"` // the original's rule
	LocalSpool           string   `toml:"local_spool"`

	// How the batch system's commands are run.
	QueueEnv       map[string]string `toml:"queue_env"`
	QueueTimeout   Duration          `toml:"queue_timeout"`
	QueuePollEvery Duration          `toml:"queue_poll_every"`
	SubmitRate     int               `toml:"submit_rate"` // submissions a second, at most; 0: no limit
	CPUsPerNode    int               `toml:"cpus_per_node"`
	JobsPerNode    int               `toml:"jobs_per_node"`
}

// Processing is what holds on the compute nodes.
type Processing struct {
	BaseWorkingDirectory string `toml:"base_working_directory"`
	Longhaul             string `toml:"longhaul"` // the program on the nodes
}

// Upload is how results are described.
type Upload struct {
	VersionNum string `toml:"version_num"`
}

// Product is a kind of file, recognised by its name.
type Product struct {
	Name     string              `toml:"name"`
	Pattern  string              `toml:"pattern"` // with named groups
	GroupBy  []string            `toml:"group_by"`
	Complete map[string][]string `toml:"complete"` // a group has exactly these values
	Ignore   map[string][]string `toml:"ignore"`   // a file with one of these is left alone
}

// Stage is what is run on a group of files.
type Stage struct {
	Name      string            `toml:"name"`
	Inputs    []string          `toml:"inputs"` // products
	Command   []string          `toml:"command"`
	Results   string            `toml:"results"`    // how the output is read: manifest
	OutputDir string            `toml:"output_dir"` // template, beneath base_results_directory
	Env       map[string]string `toml:"env"`
	CPUs      int               `toml:"cpus"`
	Memory    Size              `toml:"memory"`
	WallTime  Duration          `toml:"walltime"`

	MemoryPerGiB   Size     `toml:"memory_per_gib"` // of input, besides Memory
	MemoryMax      Size     `toml:"memory_max"`     // 0: no cap
	WallTimePerGiB Duration `toml:"walltime_per_gib"`
	WallTimeMax    Duration `toml:"walltime_max"`
	RetryFactor    float64  `toml:"retry_factor"` // more of what ran out, at each retry
	QueueArgs      []string `toml:"queue_args"`   // more arguments for the batch system
}

// Slurm is what jobs ask of Slurm; empty leaves it to Slurm.
type Slurm struct {
	Partition  string   `toml:"partition"`
	Account    string   `toml:"account"`
	QOS        string   `toml:"qos"`
	Constraint string   `toml:"constraint"`
	Args       []string `toml:"args"`        // of sbatch
	ExcludeFor Duration `toml:"exclude_for"` // a node on which jobs die at once
}

// GridEngine is what jobs ask of Grid Engine.
type GridEngine struct {
	Queue               string   `toml:"queue"`
	Project             string   `toml:"project"`
	Account             string   `toml:"account"`
	Resources           []string `toml:"resources"` // of the node, for qsub -l
	ParallelEnvironment string   `toml:"parallel_environment"`
	MemoryResource      string   `toml:"memory_resource"`
	TimeResource        string   `toml:"time_resource"`
	Accounting          bool     `toml:"accounting"` // qacct can be used
	Args                []string `toml:"args"`       // of qsub
}

// PBS is what jobs ask of OpenPBS or Torque.
type PBS struct {
	Torque   bool     `toml:"torque"`
	Queue    string   `toml:"queue"`
	Project  string   `toml:"project"`
	Account  string   `toml:"account"`
	Property string   `toml:"property"` // of the node
	Args     []string `toml:"args"`     // of qsub
}

// HTCondor is what jobs ask of HTCondor.
type HTCondor struct {
	Schedd          string   `toml:"schedd"`
	Pool            string   `toml:"pool"`
	AccountingGroup string   `toml:"accounting_group"`
	Requirements    string   `toml:"requirements"`
	Submit          []string `toml:"submit"` // more lines of the submit description
}

// Exec are the commands of any other batch system.
type Exec struct {
	Submit  []string `toml:"submit"`
	Poll    []string `toml:"poll"`
	Find    []string `toml:"find"`
	Delete  []string `toml:"delete"`
	History []string `toml:"history"`
}

// Duration is a time span with its unit, as "60s", "90m" or "3h".
type Duration time.Duration

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Size is a number of bytes with its unit, as "60GiB" or "500MB".
type Size int64

// Secret is a password. It prints as "[secret]" in every way of printing;
// Reveal returns what it hides.
type Secret string

package config

import "time"

// Default returns the configuration in which nothing is set: what is not
// required has its default. config.example.toml shows the same values.
func Default() *Config {
	return &Config{
		Basic: Basic{
			Pipeline:      "PRESTO",
			Survey:        "PALFA2.0",
			DeleteRawdata: true,
		},
		Background: Background{
			ScreenOutput: true,
			Sleep:        Duration(60 * time.Second),
			MaxSleep:     Duration(30 * time.Minute),
			LogLevel:     "info",
			LogMaxSize:   10 << 20,
			LogKeep:      5,
			BackupEvery:  Duration(24 * time.Hour),
			BackupKeep:   7,
		},
		CommonDB: CommonDB{
			Driver:  "sqlite",
			TLS:     "verify",
			Timeout: Duration(10 * time.Minute),
		},
		Download: defaultDownload(),
		Email: Email{
			SMTPHost:               "localhost",
			SMTPPort:               25,
			SMTPTimeout:            Duration(30 * time.Second),
			SendOnTerminalFailures: true,
			SendOnCrash:            true,
			DigestDelay:            Duration(time.Minute),
			MaxPerHour:             12,
		},
		JobPooler: JobPooler{
			MaxJobsRunning: 4,
			MaxJobsQueued:  1,
			MaxAttempts:    3,
			QueueManager:   "local",
			JobBasename:    "longhaul",
			RetryWait:      Duration(time.Minute),
			RetryWaitMax:   Duration(6 * time.Hour),
			LostAfter:      Duration(time.Hour),

			BreakerFailures: 10,
			BreakerQuick:    5,

			QueueTimeout:   Duration(time.Minute),
			QueuePollEvery: Duration(5 * time.Second),
		},
		Slurm: Slurm{ExcludeFor: Duration(time.Hour)},
		GridEngine: GridEngine{
			ParallelEnvironment: "smp", MemoryResource: "h_vmem", TimeResource: "h_rt", Accounting: true,
		},
		Processing: Processing{Longhaul: "longhaul"},
		Upload:     Upload{VersionNum: "PIPELINE:{longhaul}"},
	}
}

func defaultDownload() Download {
	return Download{
		Source:         "restore",
		APITimeout:     Duration(60 * time.Second),
		PollFrom:       "ftp",
		PollStable:     Duration(5 * time.Minute),
		FileServer:     "ftp",
		SFTPPort:       22,
		FTPPort:        31001,
		FTPUsername:    "palfadata",
		FTPDirectory:   "/",
		FTPTLS:         "explicit",
		FTPTLSMax:      "1.3",
		FTPEPSV:        true,
		ConnectTimeout: Duration(30 * time.Second),
		IdleTimeout:    Duration(60 * time.Second),
		MinRateTime:    Duration(5 * time.Minute),
		MinFreeSpace:   1 << 30,
		NumDownloads:   2,
		NumRestored:    50,
		NumRetries:     3,
		RetryWait:      Duration(time.Minute),
		RetryWaitMax:   Duration(6 * time.Hour),
		RequestTimeout: Duration(6 * time.Hour),
		RequestNumbits: 4,
		RequestData:    "mock",
		RequestSizes:   []int{5, 10, 20, 50, 100, 200},
	}
}

// Defaults of a stage, which hold for each [[stage]] that does not say otherwise.
const (
	defaultResults   = "manifest"
	defaultOutputDir = "{date}/{obs}/{beam}/{time}"
	defaultRetryMore = 1.5
)

func (r *reader) setStageDefaults() {
	for i := range r.cfg.Stages {
		s := &r.cfg.Stages[i]
		if s.Results == "" {
			s.Results = defaultResults
		}
		if s.OutputDir == "" {
			s.OutputDir = defaultOutputDir
		}
		if s.RetryFactor == 0 {
			s.RetryFactor = defaultRetryMore
		}
	}
}

package config

import (
	"fmt"
	"time"
)

func (r *reader) checkBasic() {
	b := r.cfg.Basic
	r.required("basic.institution", b.Institution, `"McGill"`)
	r.required("basic.pipeline", b.Pipeline, `"PRESTO"`)
	r.required("basic.survey", b.Survey, `"PALFA2.0"`)
	r.requiredPath("basic.log_dir", b.LogDir, "/var/log/longhaul")
	r.requiredPath("basic.qsublog_dir", b.QsublogDir, "/var/log/longhaul/jobs")
}

func (r *reader) checkBackground() {
	b := r.cfg.Background
	r.checkTracker()
	r.atLeastDuration("background.sleep", b.Sleep, time.Second)
	r.notShorter("background.max_sleep", b.MaxSleep, "sleep", b.Sleep)
	r.oneOf("background.log_level", b.LogLevel, "debug", "info", "warn", "error")
	r.atLeastSize("background.log_max_size", b.LogMaxSize, 1<<20)
	r.atLeast("background.log_keep", b.LogKeep, 1)
	if b.BackupDir != "" {
		r.absolute("background.backup_dir", b.BackupDir)
	}
	if b.BackupEvery != 0 {
		r.atLeastDuration("background.backup_every", b.BackupEvery, time.Minute)
	}
	r.atLeast("background.backup_keep", b.BackupKeep, 1)
}

func (r *reader) checkCommonDB() {
	d := r.cfg.CommonDB
	r.oneOf("commondb.driver", d.Driver, "sqlite", "postgres", "mysql")
	r.oneOf("commondb.tls", d.TLS, "verify", "off")
	r.between("commondb.port", d.Port, 0, 65535)
	r.atLeastDuration("commondb.timeout", d.Timeout, time.Second)
	if d.CA != "" {
		r.absolute("commondb.tls_ca", d.CA)
	}
	if d.Driver == "postgres" || d.Driver == "mysql" {
		r.required("commondb.database", d.Database, `"survey"`)
		r.required("commondb.host", d.Host, `"db.example.org"`)
		r.required("commondb.username", d.Username, `"longhaul"`)
		return // there are servers that know a user by other means than a password
	}
	if r.requiredPath("commondb.database", d.Database, "/var/lib/longhaul/commondb.db") &&
		d.Database == r.cfg.Background.JobtrackerDB {
		r.add("commondb.database", "is the job-tracker's file as well", "give each database a file of its own")
	}
	r.notWithSQLite("commondb.host", d.Host)
	r.notWithSQLite("commondb.username", d.Username)
	r.notWithSQLite("commondb.password", d.Password.String())
	r.notWithSQLite("commondb.tls_ca", d.CA)
}

// notWithSQLite reports a setting that a mere file has no use for.
func (r *report) notWithSQLite(path, value string) {
	if value != "" && r.cfg.CommonDB.Driver == "sqlite" {
		r.add(path, `is set, but driver "sqlite" has no server`, "remove it")
	}
}

func (r *reader) checkJobPooler() {
	p := r.cfg.JobPooler
	r.requiredPath("jobpooler.base_results_directory", p.BaseResultsDirectory, "/data/longhaul/results")
	r.atLeast("jobpooler.max_jobs_running", p.MaxJobsRunning, 1)
	if p.MaxJobsQueued < 1 {
		r.add("jobpooler.max_jobs_queued", fmt.Sprintf("is %d", p.MaxJobsQueued),
			"it must be at least 1, or no job would be submitted for fear of being queued")
	}
	r.atLeast("jobpooler.max_attempts", p.MaxAttempts, 1)
	r.oneOf("jobpooler.queue_manager", p.QueueManager, queueManagers()...)
	if !spelled(p.JobBasename, letters, letters+digits+"_-") || len(p.JobBasename) > 32 {
		r.add("jobpooler.job_basename", fmt.Sprintf("is %q, which not every batch system would take", p.JobBasename),
			"begin with a letter, and use at most 32 letters, digits, _ and -")
	}
	r.atLeastDuration("jobpooler.retry_wait", p.RetryWait, 0)
	r.notShorter("jobpooler.retry_wait_max", p.RetryWaitMax, "retry_wait", p.RetryWait)
	r.atLeastDuration("jobpooler.lost_after", p.LostAfter, time.Minute)
	r.atLeast("jobpooler.breaker_failures", p.BreakerFailures, 0)
	r.atLeast("jobpooler.breaker_quick", p.BreakerQuick, 0)
	if p.BreakerFailures > 0 && p.BreakerQuick > p.BreakerFailures {
		r.add("jobpooler.breaker_quick", fmt.Sprintf("is %d", p.BreakerQuick),
			fmt.Sprintf("it must be at most breaker_failures, which is %d", p.BreakerFailures))
	}
	if p.LocalSpool != "" {
		r.absolute("jobpooler.local_spool", p.LocalSpool)
	}
	r.checkQueue()
}

func (r *reader) checkProcessing() {
	p := r.cfg.Processing
	r.requiredPath("processing.base_working_directory", p.BaseWorkingDirectory, "/scratch/longhaul")
	r.required("processing.longhaul", p.Longhaul, `"longhaul"`)
}

func (r *reader) checkUpload() {
	if problem, want := versionNumProblem(r.cfg.Upload.VersionNum); problem != "" {
		r.add("upload.version_num", problem, want)
	}
}

package config

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// CheckHost reports what this host lacks for the daemons: directories must
// exist and be writable, certificates readable. Load calls it. Its error is of
// type Mistakes.
func (c *Config) CheckHost() error {
	r := &report{cfg: c}
	checkHost(r)
	return r.err()
}

// CheckNode reports what a compute node lacks for its jobs: the scratch
// directory. Its error is of type Mistakes.
func (c *Config) CheckNode() error {
	r := &report{cfg: c}
	r.directory("processing.base_working_directory", c.Processing.BaseWorkingDirectory)
	return r.err()
}

func checkHost(r *report) {
	c := r.cfg
	r.directory("basic.log_dir", c.Basic.LogDir)
	r.directory("basic.qsublog_dir", c.Basic.QsublogDir)
	r.parent("background.jobtracker_db", c.Background.JobtrackerDB)
	if c.Background.BackupDir != "" {
		r.directory("background.backup_dir", c.Background.BackupDir)
	}
	if c.CommonDB.Driver == "sqlite" {
		r.parent("commondb.database", c.CommonDB.Database)
	}
	if c.Download.Source == "poll" && c.Download.PollFrom == "disk" {
		r.readable("download.poll_directory", c.Download.PollDirectory)
	}
	r.directory("download.temp", c.Download.Temp)
	if c.Download.FileServer == "file" && (c.Download.Source == "restore" || c.Download.PollFrom == "ftp") {
		r.readable("download.file_root", c.Download.FileRoot)
	}
	r.certificates("download.api_ca", c.Download.APICA)
	r.certificates("download.ftp_tls_ca", c.Download.FTPTLSCA)
	r.certificates("download.https_ca", c.Download.HTTPSCA)
	r.certificates("email.smtp_ca", c.Email.SMTPCA)
	r.certificates("commondb.tls_ca", c.CommonDB.CA)
	r.directory("jobpooler.base_results_directory", c.JobPooler.BaseResultsDirectory)
	r.parent("jobpooler.local_spool", c.JobPooler.LocalSpool)
	if c.JobPooler.QueueManager == "local" { // the node is this host
		r.directory("processing.base_working_directory", c.Processing.BaseWorkingDirectory)
	}
}

// directory reports a path that is no directory in which files can be made.
func (r *report) directory(path, dir string) {
	if r.isDirectory(path, dir) && unix.Access(dir, unix.W_OK|unix.X_OK) != nil {
		r.add(path, dir+" cannot be written to", fmt.Sprintf("let user %d write there", os.Geteuid()))
	}
}

// parent reports a file whose directory does not allow to make it.
func (r *report) parent(path, file string) {
	if dir := filepath.Dir(file); filepath.IsAbs(file) {
		r.directory(path, dir)
	}
}

// readable reports a path that is no directory that can be listed.
func (r *report) readable(path, dir string) {
	if r.isDirectory(path, dir) && unix.Access(dir, unix.R_OK|unix.X_OK) != nil {
		r.add(path, dir+" cannot be read", fmt.Sprintf("let user %d read it", os.Geteuid()))
	}
}

// isDirectory reports a path that is no directory. One that is empty or
// relative has been judged before.
func (r *report) isDirectory(path, dir string) bool {
	if !filepath.IsAbs(dir) {
		return false
	}
	switch info, err := os.Stat(dir); {
	case os.IsNotExist(err):
		r.add(path, dir+" does not exist", "make it: install -d -m 0750 "+dir)
	case err != nil:
		r.add(path, dir+" cannot be looked at: "+reason(err), "")
	case !info.IsDir():
		r.add(path, dir+" is no directory", "name a directory")
	default:
		return true
	}
	return false
}

// certificates reports a file that holds no certificates in PEM form.
func (r *report) certificates(path, file string) {
	if !filepath.IsAbs(file) {
		return
	}
	data, _, err := readLimited(file, maxFile)
	switch {
	case err != nil:
		r.add(path, file+" cannot be read: "+reason(err), "name a file with certificates in PEM form")
	case !x509.NewCertPool().AppendCertsFromPEM(data):
		r.add(path, file+" holds no certificate", "name a file with certificates in PEM form")
	}
}

package config

import (
	"net/url"
	"strings"
)

// OnServer reports whether the job-tracker is a database on a server, which
// daemons of several hosts can share, and not a file.
func (b Background) OnServer() bool {
	return strings.HasPrefix(b.JobtrackerDB, "postgres://") || strings.HasPrefix(b.JobtrackerDB, "postgresql://")
}

// checkTracker judges where the job-tracker is. The address may be printed, so
// there must be no password in it.
func (r *reader) checkTracker() {
	b := r.cfg.Background
	if !b.OnServer() {
		r.requiredPath("background.jobtracker_db", b.JobtrackerDB, "/var/lib/longhaul/jobtracker.db")
		if b.JobtrackerPassword != "" {
			r.add("background.jobtracker_password", "is set, but a job-tracker in a file has none", "remove it")
		}
		return
	}
	const form = "write postgres://user@host:port/database"
	u, err := url.Parse(b.JobtrackerDB)
	switch {
	case err != nil: // which would tell the address, and perhaps a password
		r.add("background.jobtracker_db", "is an address that cannot be read", form)
	case hasPassword(u):
		r.add("background.jobtracker_db", "has a password in it, and is printed", "give it as jobtracker_password_file, or in the file of passwords of the daemons' user, ~/.pgpass")
	}
	if r.cfg.JobPooler.QueueManager == "local" && r.cfg.JobPooler.LocalSpool == "" {
		r.add("jobpooler.local_spool", "is missing; there is no job-tracker's directory to put it in", `give it, as local_spool = "/var/lib/longhaul/queue"`)
	}
}

func hasPassword(u *url.URL) bool {
	_, given := u.User.Password()
	return given || u.Query().Has("password") || u.Query().Has("sslpassword")
}

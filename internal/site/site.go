// Package site makes the clients of the outside systems that the configuration
// names: archive, queue manager, common database, mail server. Daemons,
// preflight and the operator's command all get them here, so that what
// preflight has tried is what the daemons use.
package site

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"longhaul/internal/archive"
	"longhaul/internal/commondb"
	"longhaul/internal/config"
	"longhaul/internal/notice"
	"longhaul/internal/pipeline"
	"longhaul/internal/results"
	"longhaul/internal/results/presto"
)

// Restorer returns the client of the restore service, nil if the site polls.
func Restorer(c *config.Config) (archive.Restorer, error) {
	if c.Download.Source != "restore" {
		return nil, nil
	}
	return archive.NewRestorer(archive.RestoreOptions{
		URL: c.Download.APIServiceURL, Username: c.Download.APIUsername, Password: c.Download.APIPassword.Reveal(),
		// The service knows its pipelines in lower case.
		Pipeline: strings.ToLower(c.Basic.Pipeline), Timeout: c.Download.APITimeout.Std(), CAFile: c.Download.APICA,
	})
}

// CommonDBOptions are those of the common database.
func CommonDBOptions(c *config.Config) commondb.Options {
	d := c.CommonDB
	return commondb.Options{
		Driver: d.Driver, Database: d.Database, Timeout: d.Timeout.Std(),
		Host: d.Host, Port: d.Port, Username: d.Username, Password: commondb.Password(d.Password.Reveal()), TLS: d.TLS, CAFile: d.CA,
	}
}

// CommonDB opens the common database.
func CommonDB(ctx context.Context, c *config.Config) (*commondb.DB, error) {
	return commondb.Open(ctx, CommonDBOptions(c))
}

// Readers are the forms of results that a stage can name.
func Readers() (map[string]results.Reader, error) {
	manifest, err := results.NewManifest(0)
	if err != nil {
		return nil, err
	}
	return map[string]results.Reader{"manifest": manifest, "presto": presto.New(0)}, nil
}

// SMTP returns the client of the mail server.
func SMTP(c *config.Config) (*notice.SMTP, error) {
	e := c.Email
	return notice.NewSMTP(notice.SMTPOptions{
		Host: e.SMTPHost, Port: e.SMTPPort, StartTLS: e.SMTPUseTLS, ImplicitTLS: e.SMTPUseSSL, CAFile: e.SMTPCA,
		Login: e.SMTPLogin, Username: e.SMTPUsername, Password: e.SMTPPassword.Reveal(),
		Timeout: e.SMTPTimeout.Std(), From: e.Sender, To: e.Recipient, Site: c.Basic.Survey + "-" + c.Basic.Institution,
	})
}

// MailPrefix stands before every subject, so that a person who looks after
// several sites knows which one writes.
func MailPrefix(c *config.Config) string {
	return fmt.Sprintf("[longhaul %s@%s]", c.Basic.Survey, c.Basic.Institution)
}

// Wants says which notices are mailed.
func Wants(e config.Email) func(pipeline.NoticeKind) bool {
	return func(k pipeline.NoticeKind) bool {
		switch {
		case !e.Enabled:
			return false
		case k == pipeline.NoticeFailure:
			return e.SendOnFailures
		case k == pipeline.NoticeTerminalFailure, k == pipeline.NoticeRequestFailed:
			return e.SendOnFailures || e.SendOnTerminalFailures
		case k == pipeline.NoticeCrash:
			return e.SendOnCrash
		}
		return true
	}
}

// Operator is the name under which a person's changes enter the history: that of
// the user, also of one who works as the daemons' user by way of sudo.
func Operator() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return fmt.Sprintf("uid %d", os.Getuid())
}

// JobTracker is where the job-tracker is, for package jobtracker and nobody else:
// the address of one on a server has the password in it.
func JobTracker(c *config.Config) string {
	b := c.Background
	if !b.OnServer() || b.JobtrackerPassword == "" {
		return b.JobtrackerDB
	}
	u, err := url.Parse(b.JobtrackerDB)
	if err != nil {
		return b.JobtrackerDB // the configuration was checked
	}
	u.User = url.UserPassword(u.User.Username(), b.JobtrackerPassword.Reveal())
	return u.String()
}

// LockPath is the file whose lock says that a daemon runs; it stands beside the
// job-tracker, since it is the job-tracker that two of a kind must not share. A
// job-tracker on a server has its locks there.
func LockPath(c *config.Config, name string) string {
	return filepath.Join(filepath.Dir(c.Background.JobtrackerDB), name+".lock")
}

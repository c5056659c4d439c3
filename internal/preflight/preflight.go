// Package preflight tries everything outside that the daemons will need, as an
// operator wants to before starting them: the directories, the restore service,
// the file server, the mail server, the queue manager and the nodes behind it,
// and the common database. It uses the very clients that the daemons use.
//
// It changes nothing that stays: a mail is sent, a test job runs, a row is
// inserted and rolled back.
package preflight

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"text/tabwriter"
	"time"

	"longhaul/internal/config"
)

// Result is the outcome of one check.
type Result struct {
	Check  string  `json:"check"`
	OK     bool    `json:"ok"`
	Detail string  `json:"detail"`         // what was found, or what went wrong
	Hint   string  `json:"hint,omitempty"` // what to look at when it went wrong
	Took   float64 `json:"took_s"`
}

// Options say what is checked.
type Options struct {
	Checks  []string      // names; none: all
	File    string        // path on the file server to retrieve; empty: the smallest one that is listed
	Timeout time.Duration // for each check
	Log     *slog.Logger
}

// check is one thing to try. run returns what it found, for people.
type check struct {
	name string
	hint string
	run  func(context.Context, *runner) (string, error)
}

func checks() []check {
	return []check{
		{"config", "correct the lines named above", checkConfig},
		{"dirs", "make the directory, or give it to the user that runs the daemons: install -d -m 0750 -o longhaul PATH", checkDirs},
		{"restore", "download.api_service_url, api_username, api_password; ask the archive whether the service runs", checkRestore},
		{"ftp", "download.file_server and the settings of its kind (ftp_*, sftp_*, https_*, file_root); a firewall may stop FTP's data connections", checkFTP},
		{"smtp", "email.smtp_host, smtp_port, smtp_username, smtp_password, smtp_usetls, smtp_usessl, smtp_login, smtp_ca, sender, recipient", checkSMTP},
		{"queue", "jobpooler.queue_manager and its settings; processing.longhaul must name the program on the nodes", checkQueue},
		{"commondb", "commondb.driver, database, host, port, username, password, tls, tls_ca; 'longhaul commondb check' says more", checkCommonDB},
	}
}

// Names are the names of all checks, in their order.
func Names() []string {
	var names []string
	for _, c := range checks() {
		names = append(names, c.name)
	}
	return names
}

// runner is what the checks share.
type runner struct {
	cfg *config.Config
	opt Options
}

// Run makes the checks one after the other, and calls each with every result
// as it comes. It reports whether all passed.
func Run(ctx context.Context, c *config.Config, opt Options, each func(Result)) bool {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	r := &runner{c, opt}
	all := true
	for _, ch := range checks() {
		if len(opt.Checks) > 0 && !slices.Contains(opt.Checks, ch.name) {
			continue
		}
		result := r.one(ctx, ch)
		all = all && result.OK
		each(result)
	}
	return all
}

func (r *runner) one(ctx context.Context, ch check) Result {
	ctx, cancel := context.WithTimeout(ctx, r.opt.Timeout)
	defer cancel()
	start := time.Now()
	detail, err := ch.run(ctx, r)
	result := Result{Check: ch.name, OK: err == nil, Detail: detail, Took: time.Since(start).Seconds()}
	if err != nil {
		result.Detail, result.Hint = err.Error(), ch.hint
	}
	return result
}

// WriteTable writes results for people.
func WriteTable(w io.Writer, results []Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range results {
		verdict := "pass"
		if !r.OK {
			verdict = "FAIL"
		}
		fmt.Fprintf(t, "%s\t%s\t%.1f s\t%s\n", verdict, r.Check, r.Took, r.Detail)
		if r.Hint != "" {
			fmt.Fprintf(t, "\t\t\tsee: %s\n", r.Hint)
		}
	}
	return t.Flush()
}

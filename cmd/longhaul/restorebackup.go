package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"longhaul/internal/backup"
	"longhaul/internal/config"
	"longhaul/internal/jobtracker"
	"longhaul/internal/operator"
	"longhaul/internal/pipeline"
	"longhaul/internal/site"
)

func newRestoreBackupCommand(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "restore-backup FILE|latest",
		Short: "Put a backup in the place of a damaged job-tracker",
		Long: `Checks a backup of the job-tracker wholly and puts a copy of it in place. What is
there now is moved aside, with its -wal and -shm, and not deleted. 'latest' is the
newest backup in background.backup_dir that is whole. The daemons must not run.

The restored job-tracker has forgotten what happened after the backup: files that
came, jobs that were submitted, uploads. So no daemon starts on it until
'longhaul doctor --repair' has entered what the queue manager, the common database
and the disks still know of that. This command ends with a look at what it will be.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.restoreBackup(cmd.Context(), args[0]) },
	}
}

func (p *program) restoreBackup(ctx context.Context, file string) (err error) {
	c, err := p.config()
	if err != nil {
		return err
	}
	if c.Background.OnServer() {
		return jobtracker.ErrServer
	}
	release, err := holdDaemons(ctx, p.tracker(c))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	if file == "latest" {
		if file, err = p.latestBackup(ctx, c); err != nil {
			return err
		}
	}
	if file, err = filepath.Abs(file); err != nil {
		return err
	}
	path := c.Background.JobtrackerDB
	restored, err := jobtracker.Restore(ctx, path, file, jobtracker.Options{Actor: site.Operator(), Now: p.now})
	var out page
	for _, aside := range restored.Aside {
		out.line("moved aside: %s", aside)
	}
	if err != nil {
		return errors.Join(out.writeTo(p.stdout), err)
	}
	out.line("restored:    %s", path)
	out.line("from:        %s", file)
	if restored.From != restored.To {
		out.line("migrated:    from version %d to %d", restored.From, restored.To)
	}
	out.line("last change: %s. What happened after it is forgotten:", lastChange(restored.LastKnown))
	for _, s := range forgotten() {
		out.wrapped("  - ", s)
	}
	out.line("")
	if err := out.writeTo(p.stdout); err != nil {
		return err
	}
	return p.afterRestore(ctx, c)
}

func lastChange(at time.Time) string {
	if at.IsZero() {
		return "none"
	}
	return operator.Stamp(at) + " UTC"
}

// forgotten says what becomes of what the backup does not know.
func forgotten() []string {
	return []string{
		"downloads and submits that the backup has under way: the daemons find out how they went on",
		"results in the common database, and jobs in the queue: 'longhaul doctor --repair' enters them under their old names, as far as it can find out what they were made of",
		"raw data that came since and was not processed: listed below; 'longhaul add-files' takes it in",
		"requests to the archive: nobody fetches what they bring; if the archive offers it again, it comes with a later request",
		"mails: some may be sent once more",
		"what operators did: do it again, if need be",
	}
}

// afterRestore shows what doctor has to say. The locks of the daemons are held
// here, so that none of them runs.
func (p *program) afterRestore(ctx context.Context, c *config.Config) error {
	r, err := p.examine(ctx, c, doctorFlags{}, func(string) bool { return false })
	if err != nil {
		return fmt.Errorf("the backup is in place, but could not be compared with the world: %w", err)
	}
	return p.printReport(r, doctorFlags{})
}

// latestBackup returns the newest backup that is whole, and says which are not.
func (p *program) latestBackup(ctx context.Context, c *config.Config) (string, error) {
	dir := backup.Dir(c)
	all, err := backup.List(dir)
	if err != nil {
		return "", err
	}
	for _, f := range all {
		problems, err := jobtracker.Examine(ctx, f.Path)
		if err == nil && len(problems) == 0 {
			return f.Path, nil
		}
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if err == nil {
			err = errors.New(strings.Join(problems, "; "))
		}
		p.complain(fmt.Errorf("backup %s cannot be used: %w", f.Path, err))
	}
	return "", fmt.Errorf("no backup in %s can be used: %w; give the path of another one", dir, pipeline.ErrNotFound)
}

package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"longhaul/internal/backup"
	"longhaul/internal/config"
	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
	"longhaul/internal/operator"
)

func newBackupCommand(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "backup [PATH]",
		Short: "Copy the job-tracker while the daemons go on",
		Long: `Writes a whole and checked copy of the job-tracker to PATH, which must not exist;
without PATH, to background.backup_dir with the time in its name, as the daemons
do it, so that 'longhaul restore-backup latest' finds it. Do not copy the file
itself: its last changes are in another one.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withOperator(cmd.Context(), func(op *operator.Operator) error {
				if op.Config.Background.OnServer() {
					return jobtracker.ErrServer
				}
				path, err := backupPath(op.Config, p.now(), args)
				if err != nil {
					return err
				}
				if err := op.Store.Backup(cmd.Context(), path); err != nil {
					return err
				}
				_, err = fmt.Fprintln(p.stdout, path)
				return err
			})
		},
	}
}

// backupPath is where the backup goes; the daemons' directory is made if it is
// missing.
func backupPath(c *config.Config, now time.Time, args []string) (string, error) {
	if len(args) > 0 {
		return filepath.Abs(args[0])
	}
	dir := backup.Dir(c)
	return filepath.Join(dir, backup.Name(now)), disk.MakeDir(dir)
}

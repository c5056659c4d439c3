package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"longhaul/internal/operator"
)

func newBackupCommand(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "backup [PATH]",
		Short: "Copy the job-tracker while the daemons go on",
		Long: `Writes a whole and checked copy of the job-tracker to PATH, which must not exist;
without PATH, beside the job-tracker with the time in its name. Do not copy the
file itself: its last changes are in another one.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withOperator(cmd.Context(), func(op *operator.Operator) error {
				path := fmt.Sprintf("%s.%s.backup", op.Store.Path(), p.now().UTC().Format("20060102T150405"))
				if len(args) > 0 {
					path = args[0]
				}
				path, err := filepath.Abs(path)
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

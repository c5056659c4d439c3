package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"longhaul/internal/daemon"
	"longhaul/internal/operator"
)

func newRemoveFilesCommand(p *program) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "remove-files ID|NAME...",
		Short: "Delete raw data that is not needed any more",
		Long: `Marks files for deletion: files that are here and that no job needs, and files
that were given up. The uploader, the only one that deletes raw data, does it at
its next pass. A file that a job needs is refused: kill the job first.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withOperator(cmd.Context(), func(op *operator.Operator) error {
				return p.removeFiles(cmd.Context(), op, args, reason)
			})
		},
	}
	addReason(cmd, &reason)
	return cmd
}

func (p *program) removeFiles(ctx context.Context, op *operator.Operator, files []string, reason string) error {
	err := p.each(ctx, files, func(file string) (string, error) { return op.RemoveFile(ctx, file, reason) }, never)
	when := fmt.Sprintf("The uploader deletes what is marked at its next pass, within %s.", op.Config.Background.Sleep)
	if op.Daemon(daemon.Uploader).State == operator.DaemonStopped {
		when = "The uploader does not run: what is marked is deleted when it does."
	}
	var out page
	out.line("%s", when)
	if err := out.writeTo(p.stdout); err != nil {
		return err
	}
	return err
}

// never is for changes whose errors say nothing about those that follow.
func never(error) bool { return false }

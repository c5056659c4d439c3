package main

import (
	"github.com/spf13/cobra"

	"longhaul/internal/operator"
)

func newRetryFilesCommand(p *program) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "retry-files ID|NAME...",
		Short: "Fetch files again that were given up",
		Long: `Lets files that were given up be fetched again, from the beginning, and with all
their attempts.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return p.withOperator(ctx, func(op *operator.Operator) error {
				return p.each(ctx, args, func(file string) (string, error) { return op.RetryFile(ctx, file, reason) }, never)
			})
		},
	}
	addReason(cmd, &reason)
	return cmd
}

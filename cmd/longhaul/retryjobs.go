package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"longhaul/internal/operator"
	"longhaul/internal/pipeline"
)

func newRetryJobsCommand(p *program) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "retry-jobs ID...",
		Short: "Try jobs again that were given up",
		Long: `Lets jobs that were given up or killed be submitted again, with all their
attempts. A job whose raw data is deleted is refused.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("name jobs")
			}
			return checkNumbers(args, "job")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return p.withOperator(ctx, func(op *operator.Operator) error {
				return p.each(ctx, args, func(id string) (string, error) {
					n, err := strconv.ParseInt(id, 10, 64)
					if err != nil {
						return "", err
					}
					return op.RetryJob(ctx, pipeline.JobID(n), reason)
				}, never)
			})
		},
	}
	addReason(cmd, &reason)
	return cmd
}

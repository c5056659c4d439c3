package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"longhaul/internal/operator"
	"longhaul/internal/pipeline"
)

func newKillJobsCommand(p *program) *cobra.Command {
	var ids, files []string
	var reason string
	var deleteRaw bool
	cmd := &cobra.Command{
		Use:   "kill-jobs ID...",
		Short: "Give jobs up",
		Long: `Gives jobs up, as if all their attempts had failed: a job in the queue is taken
out first. Its raw data is deleted if basic.delete_rawdata_on_terminal_failure
says so and no other job needs it; --delete-rawdata decides it for this time.

'longhaul retry-jobs' takes it back as long as the raw data is there.`,
		Example: `  longhaul kill-jobs 12 13 --reason "pointing was wrong"
  longhaul kill-jobs -f 4bit-p2030.20110409.G34.31+00.11.N.b1s1g0.00100.fits`,
		Args: func(_ *cobra.Command, args []string) error {
			ids = slices.Concat(args, ids)
			if len(ids) == 0 && len(files) == 0 {
				return usagef("name jobs, or files of theirs (-f)")
			}
			return checkNumbers(ids, "job")
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withOperator(cmd.Context(), func(op *operator.Operator) error {
				opt := operator.KillOptions{DeleteRaw: op.Config.Basic.DeleteRawdataOnTerminalFailure, Reason: reason}
				if cmd.Flags().Changed("delete-rawdata") {
					opt.DeleteRaw = deleteRaw
				}
				return p.killJobs(cmd.Context(), op, ids, files, opt)
			})
		},
	}
	cmd.Flags().StringArrayVarP(&ids, "id", "i", nil, "number of a job (`ID`)")
	cmd.Flags().StringArrayVarP(&files, "file", "f", nil, "the jobs of this `file`")
	cmd.Flags().BoolVar(&deleteRaw, "delete-rawdata", false, "delete their raw data, or with =false keep it")
	addReason(cmd, &reason)
	return cmd
}

// checkNumbers refuses what is no row's number.
func checkNumbers(words []string, what string) error {
	for _, w := range words {
		if n, err := strconv.ParseInt(w, 10, 64); err != nil || n <= 0 {
			return usagef("%q is not the number of a %s", w, what)
		}
	}
	return nil
}

func (p *program) killJobs(ctx context.Context, op *operator.Operator, ids, files []string, opt operator.KillOptions) error {
	var unknown error
	for _, f := range files {
		jobs, err := op.JobsOfFile(ctx, f)
		if err != nil {
			p.complain(fmt.Errorf("%s: %w", f, err))
			unknown = errors.New("not all could be done")
		}
		for _, id := range jobs {
			if text := fmt.Sprint(id); !slices.Contains(ids, text) {
				ids = append(ids, text)
			}
		}
	}
	err := p.each(ctx, ids, func(id string) (string, error) {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			return "", err
		}
		return op.KillJob(ctx, pipeline.JobID(n), opt)
	}, isOutage)
	if err != nil {
		return err
	}
	return unknown
}

// isOutage tells errors after which a queue manager need not be asked again.
func isOutage(err error) bool { return errors.Is(err, pipeline.ErrOutage) }

package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"longhaul/internal/operator"
	"longhaul/internal/pipeline"
)

func newStopJobsCommand(p *program) *cobra.Command {
	var queueIDs, submitIDs []string
	var opt operator.StopOptions
	cmd := &cobra.Command{
		Use:   "stop-jobs QUEUE_ID...",
		Short: "Take jobs out of the queue, to be submitted again",
		Long: `Takes submits out of the queue manager. Without --fail the job is submitted again
and this attempt does not count; with --fail it counts as one that failed. To be
rid of a job altogether: longhaul kill-jobs.

If the queue manager does not answer, nothing is changed.`,
		Example: `  longhaul stop-jobs 48213 48214
  longhaul stop-jobs -s 17 --fail --reason "hangs in rfifind"`,
		Args: func(_ *cobra.Command, args []string) error {
			queueIDs = append(args, queueIDs...)
			if len(queueIDs) == 0 && len(submitIDs) == 0 {
				return usagef("name queue IDs, or submits (-s)")
			}
			return checkNumbers(submitIDs, "submit")
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withOperator(cmd.Context(), func(op *operator.Operator) error {
				return p.stopJobs(cmd.Context(), op, queueIDs, submitIDs, opt)
			})
		},
	}
	cmd.Flags().StringArrayVarP(&queueIDs, "queue-id", "q", nil, "the queue manager's `QUEUE_ID` of a submit")
	cmd.Flags().StringArrayVarP(&submitIDs, "submit-id", "s", nil, "number of a submit (`SUBMIT_ID`)")
	cmd.Flags().BoolVar(&opt.Fail, "fail", false, "count them as attempts that failed")
	cmd.Flags().BoolVar(&opt.AlsoProcessed, "also-processed", false, "also those that ended and wait for their upload (the uploader must not run)")
	addReason(cmd, &opt.Reason)
	return cmd
}

func (p *program) stopJobs(ctx context.Context, op *operator.Operator, queueIDs, submitIDs []string, opt operator.StopOptions) error {
	find := make(map[string]func() (pipeline.Submit, error))
	var names []string
	add := func(name string, fn func() (pipeline.Submit, error)) {
		if find[name] == nil {
			names = append(names, name)
		}
		find[name] = fn
	}
	for _, id := range queueIDs {
		add("queue ID "+id, func() (pipeline.Submit, error) { return op.SubmitInQueue(ctx, id) })
	}
	for _, id := range submitIDs {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			return err
		}
		add("submit "+id, func() (pipeline.Submit, error) { return op.Store.Submit(ctx, pipeline.SubmitID(n)) })
	}
	return p.each(ctx, names, func(name string) (string, error) {
		sub, err := find[name]()
		if err != nil {
			return "", err
		}
		return op.StopSubmit(ctx, sub, opt)
	}, isOutage)
}

package main

import "github.com/spf13/cobra"

// newWorkerCommand is there for the help: start runs the worker itself.
func newWorkerCommand(*program) *cobra.Command {
	return &cobra.Command{
		Use:   "worker -- COMMAND...",
		Short: "Run a job on this node: data in, command, results out",
		Long: `Runs the command of a stage on the compute node: brings the input to a workspace,
runs the command there, and moves the results to their place, all of them or
none. The jobpooler submits this; the job is described by the environment:

  DATAFILES            paths of the input files, separated by ';'
  OUTDIR               where the results are to appear
  LONGHAUL_WORKSPACE   scratch directory of the node
  LONGHAUL_SUBMIT      the submit's unique name

The exit status is that of the command; 71 to 78 are the worker's own, and a line
on standard error says what was wrong, and on which host.`,
		Args: func(*cobra.Command, []string) error {
			return usagef("write 'longhaul worker -- COMMAND...', with the two dashes first")
		},
		Run: func(*cobra.Command, []string) {},
	}
}

package main

import (
	"github.com/spf13/cobra"

	"longhaul/internal/config"
)

// The groups in which help lists the subcommands.
const (
	groupDaily     = "daily"
	groupIntervene = "intervene"
	groupSetUp     = "setup"
	groupSystem    = "system"
)

const rootLong = `Longhaul runs a survey's data processing unattended: it asks an archive for raw
data, downloads it, runs jobs on it, uploads their results to the common
database, and deletes the raw data.

Begin with 'longhaul status'. For anything that does not move, 'longhaul explain'
says why, and what to do.

Exit status: 0 all went well, 1 something went wrong, 2 the command line or the
configuration is wrong. All times are UTC.`

func newRootCommand(p *program) *cobra.Command {
	root := &cobra.Command{
		Use:           "longhaul",
		Short:         "The operator's command of Longhaul",
		Long:          rootLong,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			p.begun = true
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVar(&p.configPath, "config", config.DefaultPath(), "configuration `file`")
	root.AddGroup(
		&cobra.Group{ID: groupDaily, Title: "See how things stand:"},
		&cobra.Group{ID: groupIntervene, Title: "Step in:"},
		&cobra.Group{ID: groupSetUp, Title: "Set up and look after:"},
		&cobra.Group{ID: groupSystem, Title: "Parts that the system runs:"},
	)
	addGroup(root, groupDaily, newStatusCommand(p), newListCommand(p), newShowCommand(p), newExplainCommand(p),
		newFailuresCommand(p))
	addGroup(root, groupIntervene, newAddFilesCommand(p), newRemoveFilesCommand(p), newRetryFilesCommand(p),
		newKillJobsCommand(p), newStopJobsCommand(p), newRetryJobsCommand(p), newPauseCommand(p), newResumeCommand(p))
	addGroup(root, groupSetUp, newCheckConfigCommand(p), newInitCommand(p), newCommonDBCommand(p), newMigrateCommand(p), newBackupCommand(p),
		newRestoreBackupCommand(p), newDoctorCommand(p), newPreflightCommand(p), newDemoCommand(p), newVersionCommand(p))
	addGroup(root, groupSystem, newRunCommand(p), newWorkerCommand(p), newQuicklookCommand(p),
		newDemoStageCommand(p), newCheckNodeCommand(p))
	root.SetHelpCommandGroupID(groupSetUp)
	root.SetCompletionCommandGroupID(groupSetUp)
	return root
}

// addGroup adds subcommands to the root under a title of the help.
func addGroup(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
		root.AddCommand(c)
	}
}

package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"longhaul/internal/config"
	"longhaul/internal/daemon"
)

func newRunCommand(p *program) *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "run [downloader|jobpooler|uploader]...",
		Short: "Run daemons in this process, all three by default",
		Long: `Runs the downloader, the jobpooler and the uploader in one process, or some of
them, until it is told to stop (SIGTERM, Ctrl-C). They are the same daemons as
the programs of these names.`,
		Args: func(_ *cobra.Command, args []string) error {
			for _, a := range args {
				if !slices.Contains(daemon.Kinds(), a) {
					return usagef("there is no daemon %q; there are %s", a, strings.Join(daemon.Kinds(), ", "))
				}
			}
			return nil
		},
		ValidArgs: daemon.Kinds(),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := config.Load(p.configPath)
			if err != nil {
				return err
			}
			return daemon.Run(cmd.Context(), c, daemon.Options{Kinds: chosen(args), Once: once, Stderr: p.stderr})
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "make one pass of each, finish what it started, then exit")
	return cmd
}

// chosen returns the kinds of daemon that are named, each once and in the order
// in which data meets them; all if none is named.
func chosen(args []string) []string {
	if len(args) == 0 {
		return daemon.Kinds()
	}
	return slices.DeleteFunc(daemon.Kinds(), func(kind string) bool { return !slices.Contains(args, kind) })
}

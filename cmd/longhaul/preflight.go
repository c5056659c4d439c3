package main

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"longhaul/internal/config"
	"longhaul/internal/preflight"
)

func newPreflightCommand(p *program) *cobra.Command {
	opt := preflight.Options{}
	asJSON := false
	names := strings.Join(preflight.Names(), "|")
	cmd := &cobra.Command{
		Use:   "preflight [" + names + "]...",
		Short: "Try everything outside before the daemons start",
		Long: `Tries everything outside that the daemons will need, with the settings that they
will use: the directories; the restore service's test calls; the file server, by
login, listing and retrieving one file; the mail server, by a test mail; the queue
manager, by a test job that reports what is missing on its node; the common
database, by a row that is inserted, read back and rolled back. All by default.

Run it as the user that runs the daemons.`,
		ValidArgs: preflight.Names(),
		Args:      cobra.OnlyValidArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := config.Load(p.configPath)
			if err != nil {
				return err
			}
			opt.Checks = args
			var results []preflight.Result
			ok := preflight.Run(cmd.Context(), c, opt, func(r preflight.Result) { results = append(results, r) })
			if asJSON {
				e := json.NewEncoder(p.stdout)
				e.SetIndent("", "  ")
				err = e.Encode(map[string]any{"ok": ok, "checks": results})
			} else {
				// Servers and jobs had a say in it.
				var table strings.Builder
				if err = preflight.WriteTable(&table, results); err == nil {
					_, err = io.WriteString(p.stdout, clean(table.String()))
				}
			}
			if err == nil && !ok {
				err = errors.New("not everything is ready")
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&opt.File, "file", "", "`path` on the file server to retrieve (default the smallest that is listed)")
	f.DurationVar(&opt.Timeout, "timeout", 2*time.Minute, "for each check")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// newCheckNodeCommand is what preflight's test job runs on a node.
func newCheckNodeCommand(p *program) *cobra.Command {
	var dirs, programs []string
	cmd := &cobra.Command{
		Use:    "check-node",
		Short:  "Look for what is missing on this compute node",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return preflight.CheckNode(p.stdout, dirs, programs)
		},
	}
	cmd.Flags().StringArrayVar(&dirs, "dir", nil, "`directory` that must be writable")
	cmd.Flags().StringArrayVar(&programs, "program", nil, "`program` that must be there")
	return cmd
}

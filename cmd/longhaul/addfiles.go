package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"longhaul/internal/operator"
)

func newAddFilesCommand(p *program) *cobra.Command {
	var globs []string
	var reason string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "add-files PATH...",
		Short: "Track files that came by other ways than the archive",
		Long: `Tracks raw data files that are on this disk already: copied from an external
disk, say. PATH is a file, or a directory, whose files are then looked at (not
those of directories below it). Files that no product recognises, and files that
are tracked already, are left alone.

The files stay where they are, and the nodes must reach them there. They are
DELETED like downloaded ones once their results are in the common database
(basic.delete_rawdata).`,
		Example: `  longhaul add-files /media/disk7
  longhaul add-files -g '/media/disk7/4bit-p2030.2011*.fits' --dry-run`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 && len(globs) == 0 {
				return usagef("name files, a directory, or a pattern (-g)")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withOperator(cmd.Context(), func(op *operator.Operator) error {
				return p.addFiles(cmd.Context(), op, args, globs, reason, dryRun)
			})
		},
	}
	cmd.Flags().StringArrayVarP(&globs, "glob", "g", nil, "files that match this `pattern`, in quotes")
	cmd.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "say what would be added, and change nothing")
	addReason(cmd, &reason)
	return cmd
}

// addReason gives a command that changes something its --reason.
func addReason(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVar(reason, "reason", "", "why, for the history (`text`)")
}

func (p *program) addFiles(ctx context.Context, op *operator.Operator, paths, globs []string, reason string, dryRun bool) error {
	found, err := op.FindFiles(ctx, paths, globs)
	if err != nil {
		return err
	}
	if !dryRun {
		if err := op.AddFiles(ctx, found.Files, reason); err != nil {
			return err
		}
	}
	what := "added"
	if dryRun {
		what = "would be added"
	}
	var out page
	var size int64
	for _, f := range found.Files {
		out.line("%s: %s, %s, %s", f.Path, what, f.Product, operator.Bytes(f.Size))
		size += f.Size
	}
	named := 0
	for _, l := range found.Left {
		out.line("%s: left alone: %s", l.Path, l.Why)
		if l.Named {
			named++
		}
	}
	out.line("%s %s, %s; %d left alone", operator.Count(len(found.Files), "file"), what, operator.Bytes(size), len(found.Left))
	if len(found.Files) > 0 && op.Config.Basic.DeleteRawdata {
		out.line("They are deleted once their results are in the common database (basic.delete_rawdata).")
	}
	if err := out.writeTo(p.stdout); err != nil {
		return err
	}
	if named > 0 {
		return fmt.Errorf("%s that you named cannot be added", operator.Count(named, "file"))
	}
	return nil
}

package main

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"longhaul/internal/operator"
	"longhaul/internal/pipeline"
)

func newPauseCommand(p *program) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "pause " + strings.Join(pauseKinds(), "|"),
		Short: "Let a part of the work stand still",
		Long: `Lets a part of the work stand still until 'longhaul resume', also when the daemons
are started again. What is under way is not broken off:

  downloads    nothing is requested and no transfer begins
  submissions  no job is handed to the queue manager
  uploads      no results go to the common database

Nothing fails and no attempt is used up meanwhile. The daemons themselves go on,
and what is not paused goes on as far as it can.`,
		Example: `  longhaul pause submissions --reason "power cut on Sunday"`,
		Args:    oneKind,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.change(cmd.Context(), func(op *operator.Operator) (string, error) {
				return op.Pause(cmd.Context(), pipeline.PauseKind(args[0]), reason)
			})
		},
	}
	cmd.ValidArgs = pauseKinds()
	addReason(cmd, &reason)
	return cmd
}

func newResumeCommand(p *program) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "resume " + strings.Join(pauseKinds(), "|"),
		Short: "Let what is paused go on",
		Long: `Ends a pause, whoever made it: a person, or the breaker, which pauses submissions
when too many submits have failed in a row. The daemons notice at once.

After a resume the breaker looks only at what ends later.`,
		Args: oneKind,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.change(cmd.Context(), func(op *operator.Operator) (string, error) {
				return op.Resume(cmd.Context(), pipeline.PauseKind(args[0]), reason)
			})
		},
	}
	cmd.ValidArgs = pauseKinds()
	addReason(cmd, &reason)
	return cmd
}

func pauseKinds() (all []string) {
	for _, k := range pipeline.PauseKinds() {
		all = append(all, string(k))
	}
	return all
}

// oneKind takes one kind of pause.
func oneKind(_ *cobra.Command, args []string) error {
	if len(args) != 1 || !slices.Contains(pauseKinds(), args[0]) {
		return usagef("name one of %s", strings.Join(pauseKinds(), ", "))
	}
	return nil
}

// change does one thing as the person who runs the command, and says what.
func (p *program) change(ctx context.Context, do func(*operator.Operator) (string, error)) error {
	return p.withOperator(ctx, func(op *operator.Operator) error {
		done, err := do(op)
		if err != nil {
			return err
		}
		_, err = io.WriteString(p.stdout, clean(done)+"\n")
		return err
	})
}

package main

import (
	"github.com/spf13/cobra"

	"longhaul/internal/operator"
)

func newExplainCommand(p *program) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain [request|file|attempt|job|submit] ID",
		Short: "Why something does not move, and what comes next",
		Long: `Says why a request, file, download attempt, job or submit is where it is: which
daemon does not run, which outside system does not answer, what it waits for,
what went wrong; and the next step, yours or the system's. It may ask the queue
manager or the restore service, and changes nothing.

ID is as for 'longhaul show'.`,
		Example: `  longhaul explain job 12
  longhaul explain file 4bit-p2030.20110409.G34.31+00.11.N.b1s1g0.00100.fits`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return aboutOne(cmd.Context(), p, args, asJSON, (*operator.Operator).Explain, explanationPage)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return cmd
}

func explanationPage(e operator.Explanation) *page {
	var p page
	p.line("%s %s", e.Ref, e.Name)
	p.line("is %s since %s UTC", e.Status, operator.Stamp(e.Since))
	p.line("")
	for _, why := range e.Why {
		p.wrapped("  - ", why)
	}
	p.line("")
	p.wrapped("Next: ", e.Next)
	width := 0
	for _, c := range e.Commands {
		width = max(width, len(c.Line))
	}
	for _, c := range e.Commands {
		p.line("        %-*s   %s", width, c.Line, c.Does)
	}
	return &p
}

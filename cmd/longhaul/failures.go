package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"longhaul/internal/config"
	"longhaul/internal/operator"
	"longhaul/internal/pipeline"
)

func newFailuresCommand(p *program) *cobra.Command {
	var full, asJSON bool
	var since string
	cmd := &cobra.Command{
		Use:   "failures",
		Short: "What went wrong and is not mended, by cause",
		Long: `Lists the requests, files and jobs that failed and were given up, or wait for
another try, put together by what went wrong. Numbers and paths, which differ
from one to the next, stand as #.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var from time.Time
			if since != "" {
				span, err := config.ParseDuration(since)
				if err != nil {
					return usagef("--since %q: %v", since, err)
				}
				from = p.now().Add(-span.Std())
			}
			return p.withOperator(cmd.Context(), func(op *operator.Operator) error {
				groups, err := op.Failures(cmd.Context(), from, full)
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(p.stdout, groups)
				}
				return failuresPage(groups, full).writeTo(p.stdout)
			})
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, "each of them, with its own words and the end of its error log")
	cmd.Flags().StringVar(&since, "since", "", "only what went wrong within this `time`, as 6h or 2d")
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return cmd
}

// exampleIDs is how many are named of each cause.
const exampleIDs = 8

func failuresPage(groups []operator.FailureGroup, full bool) *page {
	var p page
	if len(groups) == 0 {
		p.line("Nothing has failed that is not mended.")
		return &p
	}
	total, givenUp := 0, 0
	for _, g := range groups {
		total += g.Count
		givenUp += g.GivenUp
	}
	p.line("%s, %s: %d given up, %d will be tried again by themselves", operator.Count(total, "failure"),
		operator.Count(len(groups), "cause"), givenUp, total-givenUp)
	for _, g := range groups {
		p.line("")
		p.failureGroup(g)
		if full {
			for _, f := range g.Items {
				p.failure(g.Entity, f)
			}
		}
	}
	p.line("")
	p.line("Why one of them does not move:  longhaul explain KIND ID")
	p.line("When the cause is mended:       %s", mend(groups))
	return &p
}

func (p *page) failureGroup(g operator.FailureGroup) {
	p.wrapped(fmt.Sprintf("%4d x %-8s", g.Count, g.Entity), g.Cause)
	when := fmt.Sprintf("%s to %s", operator.Stamp(g.First), operator.Stamp(g.Last))
	if g.First.Equal(g.Last) {
		when = operator.Stamp(g.First)
	}
	p.line("%15s%s; given up %d, to be tried again %d", "", when, g.GivenUp, g.Count-g.GivenUp)
	var ids []string
	for i, id := range g.IDs {
		if i == exampleIDs {
			ids = append(ids, fmt.Sprintf("and %d more", len(g.IDs)-i))
			break
		}
		ids = append(ids, fmt.Sprint(id))
	}
	p.line("%15s%ss %s", "", g.Entity, strings.Join(ids, " "))
}

func (p *page) failure(e pipeline.Entity, f operator.Failure) {
	p.line("")
	p.line("    %s %d %s", e, f.ID, f.Name)
	p.line("    %s at %s, %s", f.Status, operator.Stamp(f.At), operator.Count(f.Attempts, "attempt"))
	p.wrapped("    ", f.Details)
	if f.ErrorLogPath == "" {
		return
	}
	var log page
	log.quoteLog(f.ErrorLogPath, f.ErrorLog, 20)
	for line := range strings.Lines(log.String()) {
		p.WriteString("    " + line)
	}
}

// mend names the commands that help the kinds of things that failed.
func mend(groups []operator.FailureGroup) string {
	files, jobs := false, false
	for _, g := range groups {
		files = files || g.Entity == pipeline.EntityFile
		jobs = jobs || g.Entity == pipeline.EntityJob
	}
	switch {
	case files && jobs:
		return "longhaul retry-files ID..., longhaul retry-jobs ID..."
	case files:
		return "longhaul retry-files ID..."
	case jobs:
		return "longhaul retry-jobs ID..."
	}
	return "nothing to do, new requests are made by themselves"
}

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"longhaul/internal/jobtracker"
	"longhaul/internal/operator"
	"longhaul/internal/pipeline"
)

// listing is the rows of one kind, as cells of a table and as views.
type listing struct {
	columns []column
	cells   [][]string
	views   any
}

func newListing[T, V any](rows []T, columns []column, view func(T) V, cells func(V) []string) listing {
	views := operator.Views(rows, view)
	l := listing{columns: columns, views: views}
	for _, v := range views {
		l.cells = append(l.cells, cells(v))
	}
	return l
}

// detailsWidth is how much of an error a list shows; show has the rest.
const detailsWidth = 60

func newListCommand(p *program) *cobra.Command {
	var statuses []string
	var filter jobtracker.Filter
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list requests|files|attempts|jobs|submits",
		Short: "Lists what the job-tracker knows, newest first",
		Long: `Lists requests, files, download attempts, jobs or submits, newest first. For
everything about one of them: longhaul show.`,
		Example: `  longhaul list jobs --status failed,retrying
  longhaul list files --text 20110409 --limit 200
  longhaul list submits --before 1200`,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), knownKind),
		ValidArgs: []string{"requests", "files", "attempts", "jobs", "submits"},
		RunE: func(cmd *cobra.Command, args []string) error {
			entity, _ := entityOf(args[0])
			if err := setStatuses(&filter, entity, statuses); err != nil {
				return err
			}
			if filter.Limit < 0 || filter.Before < 0 {
				return usagef("--limit and --before must not be negative")
			}
			return p.withOperator(cmd.Context(), func(op *operator.Operator) error {
				return p.list(cmd.Context(), op, entity, filter, asJSON)
			})
		},
	}
	cmd.Flags().StringSliceVar(&statuses, "status", nil, "only those with one of these `statuses`")
	cmd.Flags().StringVar(&filter.Text, "text", "", "only those with this `text` in the name or the details")
	cmd.Flags().IntVar(&filter.Limit, "limit", 50, "at most this `number`; 0 is all")
	cmd.Flags().Int64Var(&filter.Before, "before", 0, "only those before this `ID`, to go on from an earlier list")
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return cmd
}

// entityOf understands the singular and the plural of a kind.
func entityOf(word string) (pipeline.Entity, bool) {
	e := pipeline.Entity(strings.TrimSuffix(word, "s"))
	for _, m := range pipeline.Machines() {
		if m.Entity == e {
			return e, true
		}
	}
	return "", false
}

func knownKind(_ *cobra.Command, args []string) error {
	if _, ok := entityOf(args[0]); !ok {
		return usagef("there is no %q; there are requests, files, attempts, jobs and submits", args[0])
	}
	return nil
}

// setStatuses checks the statuses against the states of the entity.
func setStatuses(f *jobtracker.Filter, e pipeline.Entity, words []string) error {
	known := pipeline.MachineOf(e).Statuses()
	for _, w := range words {
		i := -1
		for j, s := range known {
			if string(s) == w {
				i = j
			}
		}
		if i < 0 {
			return usagef("no %s is ever %q; there are %s", e, w, joined(known))
		}
		f.Statuses = append(f.Statuses, known[i])
	}
	return nil
}

func joined(statuses []pipeline.Status) string {
	words := make([]string, len(statuses))
	for i, s := range statuses {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

func (p *program) list(ctx context.Context, op *operator.Operator, e pipeline.Entity, f jobtracker.Filter, asJSON bool) error {
	l, err := list(ctx, op.Store, e, f)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(p.stdout, l.views)
	}
	var out page
	if len(l.cells) == 0 {
		out.line("no such %ss", e)
		return out.writeTo(p.stdout)
	}
	out.table("", l.columns, l.cells)
	if len(l.cells) == f.Limit {
		out.line("the newest %d; for older ones: --before %s", f.Limit, l.cells[len(l.cells)-1][0])
	}
	return out.writeTo(p.stdout)
}

func list(ctx context.Context, s *jobtracker.Store, e pipeline.Entity, f jobtracker.Filter) (listing, error) {
	switch e {
	case pipeline.EntityRequest:
		rows, err := s.Requests(ctx, f)
		return newListing(rows, requestColumns(), operator.ViewRequest, requestCells), err
	case pipeline.EntityFile:
		rows, err := s.Files(ctx, f)
		return newListing(rows, fileColumns(), operator.ViewFile, fileCells), err
	case pipeline.EntityAttempt:
		rows, err := s.Attempts(ctx, f)
		return newListing(rows, attemptColumns(), operator.ViewAttempt, attemptCells), err
	case pipeline.EntityJob:
		rows, err := s.Jobs(ctx, f)
		return newListing(rows, jobColumns(), operator.ViewJob, jobCells), err
	default:
		rows, err := s.Submits(ctx, f)
		return newListing(rows, submitColumns(), operator.ViewSubmit, submitCells), err
	}
}

func requestColumns() []column {
	return []column{{"ID", true}, {"STATUS", false}, {"ASKED", true}, {"SIZE", true}, {"CREATED", false},
		{"UPDATED", false}, {"GUID", false}, {"DETAILS", false}}
}

func requestCells(r operator.RequestView) []string {
	return []string{fmt.Sprint(r.ID), string(r.Status), fmt.Sprint(r.Number), operator.Bytes(r.Size),
		operator.Stamp(r.CreatedAt), operator.Stamp(r.UpdatedAt), dash(r.GUID), cut(r.Details, detailsWidth)}
}

func fileColumns() []column {
	return []column{{"ID", true}, {"STATUS", false}, {"SIZE", true}, {"HERE", true}, {"TRIES", true},
		{"UPDATED", false}, {"NAME", false}, {"DETAILS", false}}
}

func fileCells(f operator.FileView) []string {
	return []string{fmt.Sprint(f.ID), string(f.Status), operator.Bytes(f.Size), percent(f.Bytes, f.Size),
		fmt.Sprint(f.Attempts), operator.Stamp(f.UpdatedAt), f.Filename, cut(f.Details, detailsWidth)}
}

func attemptColumns() []column {
	return []column{{"ID", true}, {"STATUS", false}, {"FILE", true}, {"FROM", true}, {"FETCHED", true},
		{"BEGAN", false}, {"UPDATED", false}, {"DETAILS", false}}
}

func attemptCells(a operator.AttemptView) []string {
	return []string{fmt.Sprint(a.ID), string(a.Status), fmt.Sprint(a.FileID), operator.Bytes(a.Offset),
		operator.Bytes(a.Bytes), operator.Stamp(a.CreatedAt), operator.Stamp(a.UpdatedAt), cut(a.Details, detailsWidth)}
}

func jobColumns() []column {
	return []column{{"ID", true}, {"STATUS", false}, {"STAGE", false}, {"TRIES", true}, {"SIZE", true},
		{"UPDATED", false}, {"NAME", false}, {"DETAILS", false}}
}

func jobCells(j operator.JobView) []string {
	return []string{fmt.Sprint(j.ID), string(j.Status), j.Stage, fmt.Sprint(j.Attempts), operator.Bytes(j.Size),
		operator.Stamp(j.UpdatedAt), j.Name, cut(j.Details, detailsWidth)}
}

func submitColumns() []column {
	return []column{{"ID", true}, {"STATUS", false}, {"JOB", true}, {"QUEUE ID", false}, {"NODE", false},
		{"SUBMITTED", false}, {"TOOK", true}, {"DETAILS", false}}
}

func submitCells(s operator.SubmitView) []string {
	took := "-"
	if !s.StartedAt.IsZero() && !s.EndedAt.IsZero() {
		took = operator.Span(s.EndedAt.Sub(s.StartedAt))
	}
	return []string{fmt.Sprint(s.ID), string(s.Status), fmt.Sprint(s.JobID), dash(s.QueueID), dash(s.Node),
		operator.Stamp(s.SubmittedAt), took, cut(s.Details, detailsWidth)}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

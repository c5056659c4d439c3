package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"longhaul/internal/operator"
	"longhaul/internal/pipeline"
)

func newShowCommand(p *program) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show [request|file|attempt|job|submit] ID",
		Short: "Everything about one thing, with its whole history",
		Long: `Shows all that the job-tracker knows about one request, file, download attempt,
job or submit, what belongs to it, and its whole history: what happened when, by
whom, and why. For a submit, also the end of its error log.

ID is the number that lists and mails give, after the kind of thing. A name will
do as well: that of a file or job, the queue ID of a submit, the GUID of a
request; then the kind may be left out.`,
		Example: `  longhaul show job 12
  longhaul show 4bit-p2030.20110409.G34.31+00.11.N.b1s1g0.00100.fits`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return aboutOne(cmd.Context(), p, args, asJSON, (*operator.Operator).Show, thingPage)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return cmd
}

// aboutOne asks about the row that a person means, and prints the answer.
func aboutOne[T any](ctx context.Context, p *program, args []string, asJSON bool,
	ask func(*operator.Operator, context.Context, operator.Ref) (T, error), asPage func(T) *page) error {
	return p.withOperator(ctx, func(op *operator.Operator) error {
		ref, err := meant(ctx, op, args)
		if err != nil {
			return err
		}
		answer, err := ask(op, ctx, ref)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(p.stdout, answer)
		}
		return asPage(answer).writeTo(p.stdout)
	})
}

// meant finds out which row a person means: a kind and a number, a kind and a
// name, or a name alone.
func meant(ctx context.Context, op *operator.Operator, args []string) (operator.Ref, error) {
	var entity pipeline.Entity
	name := args[0]
	if len(args) == 2 {
		var ok bool
		if entity, ok = entityOf(args[0]); !ok {
			return operator.Ref{}, usagef("there is no %q; there are request, file, attempt, job and submit", args[0])
		}
		name = args[1]
		if id, err := strconv.ParseInt(name, 10, 64); err == nil {
			return operator.Ref{Entity: entity, ID: id}, nil
		}
		return op.Find(ctx, entity, name)
	}
	if _, ok := entityOf(name); ok {
		return operator.Ref{}, usagef("which %s? name its ID", strings.TrimSuffix(name, "s"))
	}
	ref, err := op.Find(ctx, "", name)
	if _, notNumber := strconv.ParseInt(name, 10, 64); err != nil && notNumber == nil {
		return ref, usagef("%s of what? say request, file, attempt, job or submit before it", name)
	}
	return ref, err
}

// thingPage writes all about one row.
func thingPage(t operator.Thing) *page {
	var p page
	switch {
	case t.Request != nil:
		p.request(*t.Request)
	case t.File != nil:
		p.file(*t.File)
	case t.Attempt != nil:
		p.attempt(*t.Attempt)
	case t.Job != nil:
		p.job(*t.Job)
	case t.Submit != nil:
		p.submit(*t.Submit)
	}
	related(&p, "Files", fileColumns(), t.Files, fileCells)
	related(&p, "Download attempts", attemptColumns(), t.Attempts, attemptCells)
	related(&p, "Jobs", jobColumns(), t.Jobs, jobCells)
	related(&p, "Submits", submitColumns(), t.Submits, submitCells)
	p.history(t.Events)
	p.errorLog(t)
	return &p
}

func related[T any](p *page, title string, columns []column, rows []T, cells func(T) []string) {
	if len(rows) == 0 {
		return
	}
	all := make([][]string, len(rows))
	for i, r := range rows {
		all[i] = cells(r)
	}
	p.line("")
	p.line("%s", title)
	p.table("  ", columns, all)
}

func (p *page) request(r operator.RequestView) {
	p.line("request %d is %s", r.ID, r.Status)
	p.field("details", r.Details)
	p.field("GUID", r.GUID)
	p.field("asked for", fmt.Sprintf("%s, %d bits, type %s", operator.Count(r.Number, "observation"), r.Numbits, r.Datatype))
	p.field("size", operator.Bytes(r.Size))
	p.field("created", operator.Stamp(r.CreatedAt))
	p.field("updated", operator.Stamp(r.UpdatedAt))
}

func (p *page) file(f operator.FileView) {
	p.line("file %d is %s", f.ID, f.Status)
	p.field("name", f.Filename)
	p.field("details", f.Details)
	p.field("path", f.Path)
	p.field("on the server", f.RemoteFilename)
	if f.RequestID != 0 {
		p.field("request", fmt.Sprint(f.RequestID))
	}
	p.field("size", fmt.Sprintf("%d bytes (%s), of which %d are here", f.Size, operator.Bytes(f.Size), f.Bytes))
	if !f.ModTime.IsZero() {
		p.field("server's time", operator.Stamp(f.ModTime))
	}
	p.field("checksum", f.Checksum)
	p.field("digest", f.Digest)
	p.field("product", f.Product)
	p.field("group", f.GroupKey)
	p.field("metadata", pairs(f.Metadata))
	p.field("attempts", fmt.Sprint(f.Attempts))
	if !f.NextTry.IsZero() && f.Status == pipeline.Retrying {
		p.field("not before", operator.Stamp(f.NextTry))
	}
	if f.DeleteWanted && f.Status != pipeline.Deleted {
		p.field("to be deleted", "yes")
	}
	p.field("created", operator.Stamp(f.CreatedAt))
	p.field("updated", operator.Stamp(f.UpdatedAt))
}

func (p *page) attempt(a operator.AttemptView) {
	p.line("download attempt %d is %s", a.ID, a.Status)
	p.field("details", a.Details)
	p.field("file", fmt.Sprint(a.FileID))
	p.field("from byte", fmt.Sprint(a.Offset))
	p.field("fetched", fmt.Sprintf("%d bytes (%s)", a.Bytes, operator.Bytes(a.Bytes)))
	p.field("began", operator.Stamp(a.CreatedAt))
	p.field("updated", operator.Stamp(a.UpdatedAt))
}

func (p *page) job(j operator.JobView) {
	p.line("job %d is %s", j.ID, j.Status)
	p.field("name", j.Name)
	p.field("details", j.Details)
	p.field("stage", j.Stage)
	p.field("product", j.Product)
	p.field("group", j.GroupKey)
	p.field("metadata", pairs(j.Metadata))
	p.field("input", operator.Bytes(j.Size))
	p.field("attempts", fmt.Sprint(j.Attempts))
	if !j.NextTry.IsZero() && j.Status == pipeline.Retrying {
		p.field("not before", operator.Stamp(j.NextTry))
	}
	p.field("created", operator.Stamp(j.CreatedAt))
	p.field("updated", operator.Stamp(j.UpdatedAt))
}

func (p *page) submit(s operator.SubmitView) {
	p.line("submit %d is %s", s.ID, s.Status)
	p.field("name", s.Name)
	p.field("details", s.Details)
	p.field("job", fmt.Sprint(s.JobID))
	p.field("queue ID", s.QueueID)
	p.field("queue manager", s.Manager)
	p.field("node", s.Node)
	p.field("results", s.OutputDir)
	p.field("version", s.Version)
	p.field("submitted", operator.Stamp(s.SubmittedAt))
	p.field("started", operator.Stamp(s.StartedAt))
	p.field("ended", operator.Stamp(s.EndedAt))
	if !s.StartedAt.IsZero() && !s.EndedAt.IsZero() {
		p.field("took", operator.Span(s.EndedAt.Sub(s.StartedAt)))
	}
	p.field("updated", operator.Stamp(s.UpdatedAt))
}

func pairs(m map[string]string) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, k+"="+m[k])
	}
	return strings.Join(all, " ")
}

// history writes what happened, when, by whom and why.
func (p *page) history(events []operator.EventView) {
	p.line("")
	p.line("History")
	rows := make([][]string, len(events))
	for i, e := range events {
		rows[i] = []string{e.At.UTC().Format("2006-01-02 15:04:05.000"), e.Actor, change(e), strings.Join(strings.Fields(e.Note), " ")}
	}
	p.table("  ", []column{{"TIME", false}, {"BY", false}, {"CHANGE", false}, {"WHY", false}}, rows)
}

func change(e operator.EventView) string {
	switch {
	case e.Became == "":
		return "-"
	case e.Was == "":
		return "> " + string(e.Became)
	}
	return string(e.Was) + " > " + string(e.Became)
}

// errorLog quotes the end of a submit's standard error.
func (p *page) errorLog(t operator.Thing) {
	if t.ErrorLogPath == "" {
		return
	}
	p.line("")
	p.quoteLog(t.ErrorLogPath, t.ErrorLog, 40)
}

// quoteLog writes the last lines of an error log.
func (p *page) quoteLog(path, text string, most int) {
	text = strings.TrimRight(text, " \t\r\n")
	if text == "" {
		p.line("Error log %s is empty", path)
		return
	}
	lines := strings.Split(text, "\n")
	p.line("End of the error log %s", path)
	for _, line := range lines[max(len(lines)-most, 0):] {
		p.line("  | %s", strings.TrimRight(line, "\r"))
	}
}

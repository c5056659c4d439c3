package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"longhaul/internal/operator"
	"longhaul/internal/pipeline"
)

// statusLines is how many downloads, jobs and things to attend to are listed,
// each, so that all fits on a screen.
const statusLines = 6

func newStatusCommand(p *program) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "How things stand, on one screen",
		Long: `Shows which daemons run, which outside systems do not answer, how many requests,
files, jobs and submits are in which status, how the space for raw data is used,
what is being downloaded and processed now, and what needs a person.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withOperator(cmd.Context(), func(op *operator.Operator) error {
				s, err := op.Status(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(p.stdout, s)
				}
				return statusPage(s).writeTo(p.stdout)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return cmd
}

// statusView adds to a Status how it is written.
type statusView struct {
	operator.Status
	page
}

func statusPage(s operator.Status) *page {
	v := &statusView{Status: s}
	v.line("%-40s %39s", cut(s.Survey+" at "+s.Institution, 40), operator.Stamp(s.At)+" UTC")
	v.pauses()
	v.line("")
	v.daemons()
	v.outages()
	v.recent()
	v.counts()
	v.space()
	v.downloads()
	v.running()
	v.mail()
	v.attention()
	return &v.page
}

// section is the beginning of a line: a title, or blanks below one.
const sectionFormat = "%-11s"

func (v *statusView) title(i int, title string) string {
	if i > 0 {
		title = ""
	}
	return fmt.Sprintf(sectionFormat, title)
}

// pauses comes first: whoever wonders why nothing moves need not look further.
func (v *statusView) pauses() {
	for _, p := range v.Pauses {
		v.line("")
		v.line("%s%s since %s (%s), by %s", v.title(0, "PAUSED"), p.Kind, operator.Stamp(p.Since), v.ago(p.Since), p.By())
		if p.Reason != "" {
			v.wrapped(v.title(1, ""), cut(p.Reason, 3*(pageWidth-11)))
		}
		next := ""
		if p.Breaker {
			next = fmt.Sprintf("probe %d at %s, or: ", p.Probes+1, operator.Stamp(p.ProbeAt))
		}
		v.line("%s%slonghaul resume %s", v.title(1, ""), next, p.Kind)
	}
}

// recent is what happened of late, also what is over by now.
func (v *statusView) recent() {
	for i, e := range v.Recent {
		v.line("%s%s  %s", v.title(i, "Lately"), e.At.UTC().Format(time.TimeOnly), cut(e.Note, pageWidth-21))
	}
}

func (v *statusView) daemons() {
	for i, d := range v.Daemons {
		state := string(d.State)
		if d.State == operator.DaemonStopped {
			state = "NOT RUNNING"
		}
		if d.PID > 0 {
			state += fmt.Sprintf(", process %d", d.PID)
		}
		last := ""
		if !d.LastChange.IsZero() {
			last = "last change " + v.ago(d.LastChange) + " ago"
		}
		v.line("%s", strings.TrimRight(fmt.Sprintf("%s%-11s %-28s %s", v.title(i, "Daemons"), d.Name, state, last), " "))
	}
}

func (v *statusView) ago(t time.Time) string { return operator.Span(v.At.Sub(t)) }

func (v *statusView) outages() {
	for i, o := range v.Outages {
		v.line("%s%s does not answer the %s since %s (%s)", v.title(i, "Outages"),
			o.System, o.Daemon, operator.Stamp(o.Since), v.ago(o.Since))
		v.line("%s  %s", v.title(1, ""), cut(o.Error, pageWidth-13))
	}
}

// counts writes one line for each entity, its statuses in the order of their lives.
func (v *statusView) counts() {
	v.line("")
	for _, e := range []struct {
		title  string
		entity pipeline.Entity
		counts map[string]int
	}{
		{"Requests", pipeline.EntityRequest, v.Requests},
		{"Files", pipeline.EntityFile, v.Files},
		{"Attempts", pipeline.EntityAttempt, v.Attempts},
		{"Jobs", pipeline.EntityJob, v.Jobs},
		{"Submits", pipeline.EntitySubmit, v.Submits},
	} {
		var parts []string
		for _, s := range pipeline.MachineOf(e.entity).Statuses() {
			if n := e.counts[string(s)]; n > 0 {
				parts = append(parts, fmt.Sprintf("%s %d", s, n))
			}
		}
		if len(parts) == 0 {
			parts = []string{"none"}
		}
		v.listed(e.title, parts)
	}
}

// listed writes items after a title, in as many lines as they need.
func (v *statusView) listed(title string, items []string) {
	line := v.title(0, title)
	empty := true
	for _, item := range items {
		if !empty && len(line)+len(item)+2 > pageWidth {
			v.line("%s", line)
			line, empty = v.title(1, ""), true
		}
		if !empty {
			line += "  "
		}
		line, empty = line+item, false
	}
	v.line("%s", line)
}

func (v *statusView) space() {
	v.line("")
	if v.Room == nil {
		v.line("%scannot be found out: %s", v.title(0, "Space"), cut(v.RoomError, pageWidth-34))
		return
	}
	r := *v.Room
	v.line("%s%s %s of %s in use, %s to come", v.title(0, "Space"),
		bar(r.Used, r.SpaceToUse, 20), operator.Bytes(r.Used), operator.Bytes(r.SpaceToUse), operator.Bytes(r.Promised))
	v.line("%s%s free on the disk, %s kept free; room for %s more", v.title(1, ""),
		operator.Bytes(r.Free), operator.Bytes(r.MinFree), operator.Bytes(r.Left()))
}

// bar shows a part of a whole.
func bar(part, whole int64, width int) string {
	full := 0
	if whole > 0 {
		full = int(min(max(float64(part)/float64(whole), 0), 1) * float64(width))
	}
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", width-full) + "]"
}

func percent(part, whole int64) string {
	if whole <= 0 {
		return "0%"
	}
	return fmt.Sprintf("%d%%", int(100*float64(part)/float64(whole)))
}

func (v *statusView) downloads() {
	v.line("")
	v.line("%s%d running, at most %d", v.title(0, "Downloads"), len(v.Downloads), v.Slots)
	for i, d := range v.Downloads {
		if i == statusLines {
			v.line("  and %d more", len(v.Downloads)-i)
			break
		}
		rate, left := "-", "-"
		if d.Rate > 0 {
			rate = operator.Bytes(int64(d.Rate)) + "/s"
			left = operator.Span(time.Duration(d.Left*float64(time.Second))) + " left"
		}
		if quiet := v.At.Sub(d.LastWord); quiet > time.Minute {
			left = "silent " + operator.Span(quiet)
		}
		v.line("  %-34s %s %4s %10s %s", cutMiddle(d.Filename, 34), bar(d.Bytes, d.Size, 10),
			percent(d.Bytes, d.Size), rate, left)
	}
}

func (v *statusView) running() {
	waiting := 0
	for _, j := range v.Running {
		if j.Started.IsZero() {
			waiting++
		}
	}
	v.line("%s%d running, %d waiting in the queue, at most %d running", v.title(0, "In queue"),
		len(v.Running)-waiting, waiting, v.MaxRunning)
	for i, j := range v.Running {
		if i == statusLines {
			v.line("  and %d more", len(v.Running)-i)
			break
		}
		where := "waits " + v.ago(j.Submitted)
		if !j.Started.IsZero() {
			where = "runs " + v.ago(j.Started)
			if j.Node != "" {
				where += " on " + j.Node
			}
		}
		v.line("%s", strings.TrimRight(fmt.Sprintf("  job %-6d %-30s %-10s %s", j.JobID, cutMiddle(j.Name, 30),
			fmt.Sprintf("attempt %d", j.Attempt), cut(where, 25)), " "))
	}
}

func (v *statusView) mail() {
	m := v.Mail
	state := "nothing waits"
	switch {
	case !m.Enabled:
		state = "off (email.enabled)"
	case !m.Oldest.IsZero():
		state = fmt.Sprintf("%s and %s wait, the oldest for %s",
			operator.Count(m.Notices, "notice"), operator.Count(m.Unsent, "mail"), v.ago(m.Oldest))
	}
	v.line("%s%s", v.title(0, "Mail"), state)
}

func (v *statusView) attention() {
	v.line("")
	if len(v.Attention) == 0 {
		v.line("Nothing needs a person.")
		return
	}
	v.line("Needs a person:")
	for i, a := range v.Attention {
		if i == statusLines {
			v.line("  and %d more: longhaul status --json", len(v.Attention)-i)
			break
		}
		what := a.What
		if !a.Since.IsZero() {
			what += ", " + v.ago(a.Since) + " ago"
		}
		v.line("  %-42s %s", cut(what, 42), a.Command)
	}
}

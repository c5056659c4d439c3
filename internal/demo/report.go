package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"longhaul/internal/notice/smtptest"
	"longhaul/internal/pipeline"
	"longhaul/internal/site"
)

// Report is what the demo found at its end.
type Report struct {
	OK       bool                    `json:"ok"`
	Elapsed  float64                 `json:"elapsed_s"`
	Requests map[pipeline.Status]int `json:"requests"`
	Files    map[pipeline.Status]int `json:"files"`
	Jobs     map[pipeline.Status]int `json:"jobs"`
	Submits  map[pipeline.Status]int `json:"submits"`
	Mails    []string                `json:"mails"` // their subjects
	CommonDB map[string]int          `json:"commondb"`
	Restarts int                     `json:"restarts"` // daemons that died and were started again
	Checks   []Check                 `json:"checks"`
}

// Check is one thing that was compared.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Note string `json:"note,omitempty"` // what was found instead, or how much was compared
}

// report compares what is there with what was made up.
func (d *demo) report(ctx context.Context, finished bool, restarts int) (*Report, error) {
	counts, err := d.store.Counts(ctx)
	if err != nil {
		return nil, err
	}
	db, err := site.CommonDB(ctx, d.cfg)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.Counts(ctx)
	if err != nil {
		return nil, err
	}
	mails, err := smtptest.ReadDir(d.at.mails())
	if err != nil {
		return nil, err
	}
	r := &Report{
		Elapsed:  time.Since(d.started).Seconds(),
		Requests: counts[pipeline.EntityRequest], Files: counts[pipeline.EntityFile],
		Jobs: counts[pipeline.EntityJob], Submits: counts[pipeline.EntitySubmit],
		CommonDB: rows, Restarts: restarts,
	}
	for _, m := range mails {
		r.Mails = append(r.Mails, m.Subject)
	}
	r.Checks = d.check(ctx, finished, db, mails)
	r.OK = true
	for _, c := range r.Checks {
		r.OK = r.OK && c.OK
	}
	return r, nil
}

// WriteJSON writes the report as one object.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t)
	for _, e := range []struct {
		name   string
		entity pipeline.Entity
		counts map[pipeline.Status]int
	}{
		{"requests", pipeline.EntityRequest, r.Requests}, {"files", pipeline.EntityFile, r.Files},
		{"jobs", pipeline.EntityJob, r.Jobs}, {"submits", pipeline.EntitySubmit, r.Submits},
	} {
		fmt.Fprintf(t, "%s", e.name)
		for _, s := range pipeline.MachineOf(e.entity).Statuses() {
			if n := e.counts[s]; n > 0 {
				fmt.Fprintf(t, "\t%d %s", n, s)
			}
		}
		fmt.Fprintln(t)
	}
	fmt.Fprintln(t, "\nmails")
	for _, m := range r.Mails {
		fmt.Fprintf(t, "  %s\n", m)
	}
	fmt.Fprintln(t, "\nchecked")
	for _, c := range r.Checks {
		verdict := "ok   "
		if !c.OK {
			verdict = "WRONG"
		}
		fmt.Fprintf(t, "  %s  %s\t%s\n", verdict, c.Name, c.Note)
	}
	word := "The survey is processed: everything is as it should be."
	if !r.OK {
		word = "Something is WRONG: see above."
	}
	fmt.Fprintf(t, "\n%s %.1f s\n", word, r.Elapsed)
	return t.Flush()
}

package operator

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"time"

	"longhaul/internal/pipeline"
)

// FailureGroup is what went wrong in the same way.
type FailureGroup struct {
	Entity  pipeline.Entity `json:"entity"`
	Cause   string          `json:"cause"` // with # for whatever differs from one to the next
	Count   int             `json:"count"`
	GivenUp int             `json:"given_up"` // the others will be tried again by themselves
	First   time.Time       `json:"first"`
	Last    time.Time       `json:"last"`
	IDs     []int64         `json:"ids"` // the newest first
	Items   []Failure       `json:"items"`
}

// Failure is one thing that went wrong and is not mended.
type Failure struct {
	ID       int64           `json:"id"`
	Name     string          `json:"name"`
	Status   pipeline.Status `json:"status"`
	Details  string          `json:"details"`
	At       time.Time       `json:"at"`
	Attempts int             `json:"attempts"`
	// Only if asked for, of jobs: the end of the last submit's error log.
	ErrorLog     string `json:"error_log,omitempty"`
	ErrorLogPath string `json:"error_log_path,omitempty"`
}

// Failures groups by cause what went wrong since a time and is not mended: it
// was given up, or waits for another try. full adds the ends of the error logs.
func (o *Operator) Failures(ctx context.Context, since time.Time, full bool) ([]FailureGroup, error) {
	g := grouping{since: since, same: newSame(), groups: make(map[groupKey]*FailureGroup)}
	for _, collect := range []func(context.Context, *grouping) error{o.failedRequests, o.failedFiles, o.failedJobs} {
		if err := collect(ctx, &g); err != nil {
			return nil, err
		}
	}
	groups := g.sorted()
	if full {
		for i := range groups {
			if groups[i].Entity == pipeline.EntityJob {
				if err := o.addErrorLogs(ctx, groups[i].Items); err != nil {
					return nil, err
				}
			}
		}
	}
	return groups, nil
}

type groupKey struct {
	entity pipeline.Entity
	cause  string
}

type grouping struct {
	since  time.Time
	same   same
	groups map[groupKey]*FailureGroup
}

func (g *grouping) add(e pipeline.Entity, f Failure) {
	if f.At.Before(g.since) {
		return
	}
	key := groupKey{e, g.same.cause(f.Details)}
	group, ok := g.groups[key]
	if !ok {
		group = &FailureGroup{Entity: e, Cause: key.cause, First: f.At, Last: f.At}
		g.groups[key] = group
	}
	group.Count++
	if f.Status == pipeline.TerminalFailure || e == pipeline.EntityRequest {
		group.GivenUp++
	}
	group.First = earlier(group.First, f.At)
	if f.At.After(group.Last) {
		group.Last = f.At
	}
	group.Items = append(group.Items, f)
}

// sorted returns the groups by the way of the data, the largest first.
func (g *grouping) sorted() []FailureGroup {
	groups := make([]FailureGroup, 0, len(g.groups))
	for _, group := range g.groups {
		slices.SortFunc(group.Items, func(a, b Failure) int {
			return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.ID, a.ID))
		})
		for _, f := range group.Items {
			group.IDs = append(group.IDs, f.ID)
		}
		groups = append(groups, *group)
	}
	order := func(e pipeline.Entity) int {
		return slices.IndexFunc(pipeline.Machines(), func(m pipeline.Machine) bool { return m.Entity == e })
	}
	slices.SortFunc(groups, func(a, b FailureGroup) int {
		return cmp.Or(cmp.Compare(order(a.Entity), order(b.Entity)), cmp.Compare(b.Count, a.Count),
			b.Last.Compare(a.Last), cmp.Compare(a.Cause, b.Cause))
	})
	return groups
}

func (o *Operator) failedRequests(ctx context.Context, g *grouping) error {
	requests, err := o.Store.Requests(ctx, filterIn(pipeline.Failed))
	for _, r := range requests {
		g.add(pipeline.EntityRequest, Failure{ID: int64(r.ID), Name: r.GUID, Status: r.Status, Details: r.Details, At: r.UpdatedAt})
	}
	return err
}

func (o *Operator) failedFiles(ctx context.Context, g *grouping) error {
	files, err := o.Store.Files(ctx, filterIn(pipeline.Failed, pipeline.Retrying, pipeline.TerminalFailure))
	for _, f := range files {
		if f.Status != pipeline.Retrying || f.Attempts > 0 {
			g.add(pipeline.EntityFile, Failure{ID: int64(f.ID), Name: f.Filename, Status: f.Status, Details: f.Details,
				At: f.UpdatedAt, Attempts: f.Attempts})
		}
	}
	return err
}

func (o *Operator) failedJobs(ctx context.Context, g *grouping) error {
	jobs, err := o.Store.Jobs(ctx, filterIn(pipeline.Failed, pipeline.Retrying, pipeline.TerminalFailure))
	for _, j := range jobs {
		if j.Status != pipeline.Retrying || j.Attempts > 0 || j.SiteFaults > 0 {
			g.add(pipeline.EntityJob, Failure{ID: int64(j.ID), Name: j.Name, Status: j.Status, Details: j.Details,
				At: j.UpdatedAt, Attempts: j.Attempts})
		}
	}
	return err
}

func (o *Operator) addErrorLogs(ctx context.Context, items []Failure) error {
	for i := range items {
		sub, ok, err := o.lastSubmit(ctx, pipeline.JobID(items[i].ID))
		if err != nil {
			return err
		}
		if ok {
			items[i].ErrorLogPath, items[i].ErrorLog = o.errorLogPath(sub), o.errorLog(sub)
		}
	}
	return nil
}

// same finds what two errors have in common: it replaces what differs from one
// job, file, node or moment to the next.
type same struct{ path, name, hex, digits *regexp.Regexp }

func newSame() same {
	return same{
		path:   regexp.MustCompile(`\B/[^\s'":;,()\[\]]+`),                // of files and directories
		name:   regexp.MustCompile(`\b[\w-]+-\d+-[a-z2-7]{8}\b`),          // of submits
		hex:    regexp.MustCompile(`\b[0-9a-fA-F]{8,}(-[0-9a-fA-F]+)*\b`), // digests, GUIDs
		digits: regexp.MustCompile(`\d+`),
	}
}

func (s same) cause(details string) string {
	if details == "" {
		return "(no reason was recorded)"
	}
	text := s.path.ReplaceAllString(oneLine(details), "/#")
	text = s.name.ReplaceAllString(text, "#")
	text = s.hex.ReplaceAllString(text, "#")
	return s.digits.ReplaceAllString(text, "#")
}

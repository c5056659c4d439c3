package operator

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
)

// Ref names one row of the job-tracker.
type Ref struct {
	Entity pipeline.Entity `json:"entity"`
	ID     int64           `json:"id"`
}

func (r Ref) String() string { return fmt.Sprintf("%s %d", r.Entity, r.ID) }

// AmbiguousError says that a name fits several rows.
type AmbiguousError struct {
	Name string
	Refs []Ref
}

func (e *AmbiguousError) Error() string {
	const most = 5
	var names []string
	for i, r := range e.Refs {
		if i == most {
			names = append(names, fmt.Sprintf("%d more", len(e.Refs)-most))
			break
		}
		names = append(names, r.String())
	}
	return fmt.Sprintf("%q fits %s; name one of them", e.Name, strings.Join(names, ", "))
}

// maxFits is how many rows of a kind are looked at for a name.
const maxFits = 100

// Find returns what an operator means by a name: a file's (or a path that ends
// in it), a queue ID or the name of a submit, the GUID of a request, the name of
// a job. entity, if not empty, says of which kind it must be. It returns
// pipeline.ErrNotFound or an *AmbiguousError if it is not one thing.
func (o *Operator) Find(ctx context.Context, entity pipeline.Entity, name string) (Ref, error) {
	var all []Ref
	for _, find := range []struct {
		entity pipeline.Entity
		rows   func(context.Context, string) ([]int64, error)
	}{
		{pipeline.EntityFile, o.filesNamed},
		{pipeline.EntitySubmit, o.submitsNamed},
		{pipeline.EntityRequest, o.requestsNamed},
		{pipeline.EntityJob, o.jobsNamed},
	} {
		if entity != "" && entity != find.entity {
			continue
		}
		ids, err := find.rows(ctx, name)
		if err != nil {
			return Ref{}, err
		}
		for _, id := range ids {
			all = append(all, Ref{find.entity, id})
		}
	}
	switch len(all) {
	case 0:
		what := "nothing"
		if entity != "" {
			what = "no " + string(entity)
		}
		return Ref{}, fmt.Errorf("%s is called %q: %w", what, name, pipeline.ErrNotFound)
	case 1:
		return all[0], nil
	}
	return Ref{}, &AmbiguousError{name, all}
}

func (o *Operator) filesNamed(ctx context.Context, name string) ([]int64, error) {
	f, err := o.Store.FileByName(ctx, filepath.Base(name))
	if errors.Is(err, pipeline.ErrNotFound) {
		return nil, nil
	}
	return []int64{int64(f.ID)}, err
}

func (o *Operator) submitsNamed(ctx context.Context, name string) ([]int64, error) {
	found, err := o.Store.SubmitsByQueueID(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 { // the queue manager may never have answered
		if found, err = o.Store.Submits(ctx, jobtracker.Filter{Text: name, Limit: maxFits}); err != nil {
			return nil, err
		}
	}
	var ids []int64
	for _, s := range found {
		if s.QueueID == name || s.Name == name {
			ids = append(ids, int64(s.ID))
		}
	}
	return ids, nil
}

func (o *Operator) requestsNamed(ctx context.Context, name string) ([]int64, error) {
	found, err := o.Store.Requests(ctx, jobtracker.Filter{Text: name, Limit: maxFits})
	var ids []int64
	for _, r := range found {
		if r.GUID == name {
			ids = append(ids, int64(r.ID))
		}
	}
	return ids, err
}

func (o *Operator) jobsNamed(ctx context.Context, name string) ([]int64, error) {
	found, err := o.Store.Jobs(ctx, jobtracker.Filter{Text: name, Limit: maxFits})
	var ids []int64
	for _, j := range found {
		if j.Name == name {
			ids = append(ids, int64(j.ID))
		}
	}
	return ids, err
}

func filterIn(statuses ...pipeline.Status) jobtracker.Filter {
	return jobtracker.Filter{Statuses: statuses}
}

package commondb

import (
	"errors"
	"testing"

	"longhaul/internal/results"
)

// A job-tracker that was restored from an old backup submits work again that
// was uploaded since: under another name, perhaps with other content.
func TestTheSameWorkIsUploadedOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, b backend) {
		db := open(t, b.options(t))
		header := func(file string) []results.Record {
			return []results.Record{{Table: "headers", Values: map[string]any{"original_file": file},
				Refs: map[string]results.Record{"observation_id": {Table: "observations", Values: map[string]any{"obs_name": "a"}}}}}
		}
		first, err := db.Upload(t.Context(), Meta{Submit: "first", Work: "w"}, header("one"))
		if err != nil || first.Already {
			t.Fatalf("first upload: %+v, %v", first, err)
		}
		again, err := db.Upload(t.Context(), Meta{Submit: "second", Work: "w"}, header("another"))
		if err != nil || !again.Already || again.By != "first" {
			t.Errorf("the same work by another submit: %+v, %v, want Already, by the first", again, err)
		}
		other, err := db.Upload(t.Context(), Meta{Submit: "third", Work: "v"}, header("three"))
		if err != nil || other.Already {
			t.Errorf("other work: %+v, %v", other, err)
		}
		for _, submit := range []string{"fourth", "fifth"} { // work that is not known is never the same
			if r, err := db.Upload(t.Context(), Meta{Submit: submit}, header(submit)); err != nil || r.Already {
				t.Errorf("unknown work: %+v, %v", r, err)
			}
		}
		if n, err := db.Counts(t.Context()); err != nil || n["headers"] != 4 || n["uploads"] != 4 {
			t.Errorf("%v, %v, want four uploads with a header each", n, err)
		}
		if _, err := db.Upload(t.Context(), Meta{Submit: "first", Work: "w"}, header("changed")); !errors.Is(err, ErrMismatch) {
			t.Errorf("the same submit with other content: %v, want ErrMismatch", err)
		}
	})
}

package commondb

import (
	"fmt"
	"slices"
	"testing"

	"longhaul/internal/results"
)

func TestUploadsOfASiteAreListedInPages(t *testing.T) {
	everywhere(t, func(t *testing.T, b backend) {
		db := open(t, b.options(t))
		for i, site := range []string{"a", "b", "a", "a"} {
			m := Meta{Submit: fmt.Sprint("s", i), Job: "j", Stage: "look", Institution: site, Pipeline: "p", Survey: "v", Version: "1.0"}
			ref := map[string]results.Record{"observation_id": {Table: "observations", Values: map[string]any{"obs_name": "o"}}}
			_, err := db.Upload(t.Context(), m, []results.Record{
				{Table: "headers", Values: map[string]any{"original_file": fmt.Sprint("f", i)}, Refs: ref},
				{Table: "headers", Values: map[string]any{"original_file": "e"}, Refs: ref},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		var submits []string
		var last Uploaded
		for {
			page, err := db.Uploads(t.Context(), "a", "p", "v", last.ID, 2)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, u := range page {
				submits, last = append(submits, u.Submit), u
			}
		}
		if !slices.Equal(submits, []string{"s0", "s2", "s3"}) || last.Version != "1.0" || last.Job != "j" || last.At.IsZero() {
			t.Errorf("uploads of site a: %q, the last %+v", submits, last)
		}
		if files, err := db.OriginalFiles(t.Context(), last.ID); err != nil || !slices.Equal(files, []string{"e", "f3"}) {
			t.Errorf("its files: %q, %v", files, err)
		}
	})
}

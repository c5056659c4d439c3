package upload_test

import (
	"testing"

	"longhaul/internal/pipeline"
)

func TestPausedUploadsWait(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sub := r.processed(manifest(3))
	r.must(r.store.Pause(t.Context(), pipeline.PauseUploads, "the database moves"))
	r.pass()
	r.want(sub, pipeline.Processed, pipeline.Processed)
	r.rows("uploads", 0)
	if _, err := r.store.Resume(t.Context(), pipeline.PauseUploads, ""); err != nil {
		t.Fatal(err)
	}
	r.pass()
	r.want(sub, pipeline.Uploaded, pipeline.Uploaded)
	r.rows("uploads", 1)
}

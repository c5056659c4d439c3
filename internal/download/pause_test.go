package download_test

import (
	"testing"

	"longhaul/internal/pipeline"
)

func TestPausedDownloadsStartAndAskForNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	content := noise(1000, 1)
	s.enter("raw.1", content)
	check(t, s.store.Pause(t.Context(), pipeline.PauseDownloads, "the link is needed"))
	check(t, s.pass())
	s.wantStatus("raw.1", pipeline.New, 0)
	if n := len(s.requests()); n != 0 {
		t.Errorf("%d requests were made, want none", n)
	}
	must(s.store.Resume(t.Context(), pipeline.PauseDownloads, ""))(t)
	check(t, s.pass())
	s.wantWhole("raw.1", content)
}

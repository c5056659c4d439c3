package local

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// watchInterval is how often Watch looks; one look is one stat(2).
const watchInterval = 100 * time.Millisecond

// Watch calls wake soon after a job has ended, until ctx is done. It is a hint,
// so that nobody has to poll often: what it cannot see, the next Poll does.
func (m *Manager) Watch(ctx context.Context, wake func()) {
	ended := filepath.Join(m.spool.dir, endedDir)
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	var seen time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// Every job that ends is renamed into this directory.
		if st, err := os.Stat(ended); err == nil && !st.ModTime().Equal(seen) {
			seen = st.ModTime()
			wake()
		}
	}
}

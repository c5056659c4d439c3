package pipeline

import "time"

// PauseKind is a part of the work that can be stopped for a while.
type PauseKind string

// The kinds of pause, in the order in which data meets them. What is under way
// is not broken off: transfers and jobs go on to their end.
const (
	PauseDownloads   PauseKind = "downloads"   // no requests, and no new transfers
	PauseSubmissions PauseKind = "submissions" // no job is handed to the queue manager
	PauseUploads     PauseKind = "uploads"     // no results go to the common database
)

// PauseKinds returns all kinds of pause.
func PauseKinds() []PauseKind {
	return []PauseKind{PauseDownloads, PauseSubmissions, PauseUploads}
}

// Pause is a part of the work that stands still until somebody resumes it. The
// breaker is the jobpooler's own pause of submissions, after too many of them
// failed in a row; it tries single jobs, its probes, and ends when one of them
// goes well.
type Pause struct {
	Kind    PauseKind
	Since   time.Time
	Actor   string // a person, or the daemon
	Breaker bool   // by the breaker
	Reason  string
	ProbeAt time.Time // of the breaker: the next probe is not made before this
	Probes  int       // that were made
	Probe   SubmitID  // the last one; 0 if there was none
}

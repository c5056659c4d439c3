package pipeline

import "time"

// Request is one request to the archive to restore a number of observations.
type Request struct {
	ID RequestID
	// GUID names the request at the archive and its directory on the file
	// server. Empty until the archive has answered.
	GUID      string
	Number    int    // observations asked for
	Numbits   int    // bits per sample asked for
	Datatype  string // the archive's word for the kind of data, such as "mock"
	Size      int64  // of all files that were listed, bytes
	Status    Status
	Details   string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// File is one raw data file, from the listing on the server to its deletion here.
type File struct {
	ID             FileID
	RequestID      RequestID // 0 if no request brought it
	Filename       string    // its last element, unique among files not yet deleted
	RemoteFilename string    // path on the file server; empty if an operator added it
	Path           string    // absolute path of the whole file on this disk
	Size           int64     // as listed, bytes
	Bytes          int64     // here so far, bytes
	ModTime        time.Time // on the file server; zero if not known
	Checksum       string    // as the archive offers it, "sha256:<hex>" or "md5:<hex>"; empty if it offers none
	Digest         string    // "sha256:<hex>" of the verified bytes, kept before they get their name; empty before
	Product        string
	GroupKey       string            // equal for files that are processed together
	Metadata       map[string]string // the named groups of the product's pattern
	Attempts       int               // download attempts that count
	NextTry        time.Time         // not tried again before this
	DeleteWanted   bool              // its jobs are done: to be deleted
	Status         Status
	Details        string
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// Attempt is one try to fetch a file.
type Attempt struct {
	ID        AttemptID
	FileID    FileID
	Offset    int64 // bytes that were here when it began
	Bytes     int64 // bytes that it fetched
	Status    Status
	Details   string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Job is one complete group of files to be processed by a stage.
type Job struct {
	ID       JobID
	Name     string // of the observation, for people: the group's values joined
	Stage    string
	Product  string
	GroupKey string
	Metadata map[string]string // what the files' metadata agree in
	Size     int64             // of the input files, bytes
	Attempts int               // submits that count
	// SiteFaults counts the submits in a row, up to the last one, for whose end
	// the site is to blame.
	SiteFaults int
	NextTry    time.Time
	Status     Status
	Details    string
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Submit is one submission of a job to the queue manager.
type Submit struct {
	ID          SubmitID
	JobID       JobID
	Name        string // unique for ever; the batch system knows the job by it
	Manager     string // which queue manager has it
	QueueID     string // the queue manager's own name for it; empty before it answered
	OutputDir   string
	Status      Status
	Details     string
	Node        string // host that ran it, if known
	Version     string // of the software that made the results, once read
	SiteFault   bool   // the site is to blame for its end: it does not count
	SubmittedAt time.Time
	StartedAt   time.Time
	EndedAt     time.Time
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Event is one line of the history: a change of status, or something that an
// operator or a daemon did.
type Event struct {
	ID       int64
	At       time.Time
	Entity   Entity
	EntityID int64
	Was      Status
	Became   Status
	Actor    string // downloader, jobpooler, uploader, or an operator's user name
	Note     string
}

// Resource is what a job can have too little of, so that it asks for more when
// it is tried again.
type Resource string

// The resources.
const (
	Memory   Resource = "memory"
	WallTime Resource = "walltime"
)

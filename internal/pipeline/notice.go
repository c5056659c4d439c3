package pipeline

import "time"

// NoticeKind says what a notice is about; notices of one kind are put together
// into one digest when there are many.
type NoticeKind string

// The kinds of notice.
const (
	NoticeFailure         NoticeKind = "failure"          // a job or file failed and will be tried again
	NoticeTerminalFailure NoticeKind = "terminal_failure" // a job or file was given up
	NoticeRequestFailed   NoticeKind = "request_failed"   // a request to the archive was given up
	NoticeOutage          NoticeKind = "outage"           // an outside system does not answer
	NoticePause           NoticeKind = "pause"            // the breaker paused submissions, or they go on
	NoticeCrash           NoticeKind = "crash"            // a daemon ended with an error
)

// Notice is a message to the person in charge. It is written to the outbox in
// the transaction that caused it and mailed afterwards.
type Notice struct {
	Kind    NoticeKind
	Subject string // one line, without a prefix
	Body    string
}

// PendingNotices are the notices of one kind that no mail has carried yet.
type PendingNotices struct {
	Kind   NoticeKind
	Count  int       // all of them
	Oldest time.Time // when the first was written
	LastID int64     // the newest that is counted here
	First  []Notice  // the oldest few, for the text of a digest
}

// Mail is one message to the person in charge. It is written down before it
// is sent, and carries all notices of its kind up to a certain one.
type Mail struct {
	ID        int64
	Kind      NoticeKind
	Subject   string
	Body      string
	Count     int // notices that it carries
	CreatedAt time.Time
	SentAt    time.Time // zero while not sent
}

package archivetest

// Action is the way in which a retrieval goes wrong.
type Action int

// The actions. After is Fault.After: the number of bytes of this retrieval
// that are sent before it happens.
const (
	// None: all goes well, but for what Fault.Reply asks.
	None Action = iota
	// Cut ends the data connection after After bytes.
	Cut
	// Drop closes both connections after After bytes, as a server that crashes.
	Drop
	// Stall sends nothing more after After bytes, until the client gives up.
	// With After 0 under TLS not even the handshake is made.
	Stall
	// Corrupt sends the byte at After with all its bits turned over, and all
	// others as they are.
	Corrupt
	// Missing says that there is no such file.
	Missing
	// Unavailable says 421 and closes the control connection.
	Unavailable
)

// NoReply, as Fault.Reply, keeps the server silent at the end of a retrieval.
const NoReply = "-"

// Fault is what goes wrong with one retrieval.
type Fault struct {
	Action Action
	After  int64  // bytes, counted from the offset that was asked for
	Abrupt bool   // end the data connection without TLS's goodbye
	Reply  string // said at the end, in place of what would be right; or NoReply
}

// FaultFunc decides about one retrieval. It is called once for each, before
// anything is sent, possibly from several goroutines at once. The path is
// absolute on the server.
type FaultFunc func(path string, offset int64) Fault

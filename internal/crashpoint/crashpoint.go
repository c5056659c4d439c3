// Package crashpoint names every side effect of the three passes, so that tests
// can kill a daemon just before each of them.
//
// Reach is called right before a side effect. In an ordinary build it does
// nothing and costs nothing. Built with -tags crashpoints, a program counts the
// calls and kills itself at the one that the environment names; docs/reliability.md
// says how that is used.
package crashpoint

// Point is a kind of side effect.
type Point string

// The side effects of the passes: all that outlives a daemon.
const (
	Commit     Point = "job-tracker commit"     // of any transaction of the job-tracker
	Request    Point = "request"                // the restore service is asked to restore
	PartWrite  Point = "part-file write"        // bytes of a download
	PartSync   Point = "part-file fsync"        // before the job-tracker says how much is here
	PartRemove Point = "part-file unlink"       // wrong bytes, or a file that was given up
	Mark       Point = "disk marker"            // by which a directory is told from a disk that is not mounted
	Rename     Point = "rename"                 // a verified file gets its name
	Submit     Point = "submit"                 // a job is handed to the queue manager
	Find       Point = "find"                   // a submission without outcome is looked up
	Poll       Point = "poll"                   // the queue manager is asked about running jobs
	Delete     Point = "delete"                 // a job is taken out of the queue
	Spool      Point = "local queue record"     // a job of the local queue is put where it waits, runs or has ended
	Start      Point = "local queue start"      // a job of the local queue gets its supervisor
	Version    Point = "version number"         // is written beside the results
	Insert     Point = "common database insert" // the first row of an upload
	DBCommit   Point = "common database commit" // of an upload that was read back
	Unlink     Point = "raw data unlink"        // of a file whose job is done
	Backup     Point = "backup"                 // a copy of the job-tracker gets its name, or an old one goes
	Mail       Point = "mail"                   // is handed to the mail server
)

// Info describes one side effect for people.
type Info struct {
	Point   Point
	Daemon  string // who has it
	Settled string // what the next start does if the daemon died just before or after it
}

// All lists the side effects, in the order in which data meets them;
// docs/reliability.md shows this table and a test compares the two.
func All() []Info {
	return []Info{
		{Commit, "all", "the transaction is whole or absent; the pass begins again from what is there"},
		{Request, "downloader", "the same request is asked again; the archive drops a restore that nobody claims"},
		{PartWrite, "downloader", "the attempt is unknown: it is verified, and the next one goes on from the last synced byte"},
		{PartSync, "downloader", "the job-tracker never says more than is synced"},
		{PartRemove, "downloader", "the part file is removed, or begun again, by the next attempt"},
		{Mark, "all", "the marker is whole or absent; a directory that nothing was put into is marked again"},
		{Rename, "downloader", "the final name is there: it is verified again; it is not: the part file is"},
		{Submit, "jobpooler", "the queue manager is asked for the submit's name: adopted if it is there, submitted again if not"},
		{Find, "jobpooler", "it is asked again"},
		{Poll, "jobpooler", "it is asked again"},
		{Delete, "jobpooler", "it is found in the queue again, and taken out"},
		{Spool, "jobpooler", "the job is where it was, or where it goes; whoever looks next puts it there"},
		{Start, "jobpooler", "no process of the job lives: it goes back to the queue, and is started again"},
		{Version, "uploader", "the file is whole or absent; it is computed again if absent"},
		{Insert, "uploader", "the common database rolls back; the upload begins again"},
		{DBCommit, "uploader", "the upload is found by the submit's name, compared, and recorded"},
		{Unlink, "uploader", "the mark stays: a file that is gone already is recorded as deleted"},
		{Backup, "whoever has the backup's lock", "the copy is whole or has no name; the next one removes what is left, and what is too many"},
		{Mail, "whoever has the mailer's lock", "the mail is sent again under the same Message-ID"},
	}
}

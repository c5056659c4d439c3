// Package jobtracker keeps the state of the pipeline in a database that the
// three daemons and the operator's command share: an SQLite file for the daemons
// of one host, or a PostgreSQL database for those of several. It is the only
// package with SQL of the job-tracker; each noun has a file, and what differs
// between the two databases is in dialect.go and the files named after them.
//
// Every change of status goes through move, which checks the state machine of
// package pipeline, checks the status that the row leaves, and writes the
// event, all in the transaction of the change. A method is one transaction
// and holds the one write lock that all daemons share, so it touches nothing
// but the database.
//
// What to do next and why is decided by the passes (packages download, pool
// and upload); the store only refuses what the state machine does not allow.
package jobtracker

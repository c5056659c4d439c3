// Package jobtracker keeps the state of the pipeline in an SQLite database
// that the three daemons and the operator's command share. It is the only
// package with SQL of the job-tracker; each noun has a file.
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

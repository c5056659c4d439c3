// Package batch is what the queue managers for batch systems with a command
// line have in common: running one of their commands with a time-out and
// bounded output (Runner), the script that such a system runs as a job (Script),
// the record that a worker leaves of its own end (Record), and not asking too
// often (Cache, Pace).
//
// What the commands are called, and what their answers mean, is the business of
// the managers, packages slurm, gridengine, pbs, htcondor and exec.
package batch

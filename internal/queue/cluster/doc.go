// Package cluster makes a queue.Manager of a batch system's command line. The
// batch system's own package - gridengine, pbs, htcondor, exec - is a System:
// four commands and what their answers mean. What is alike for all is here:
//
//   - the order in which a submission's state is looked up: the list of what
//     waits and runs, which is one command for all; the record that the worker
//     left if it ended by itself; the batch system's history, which is slow and
//     asked only about what is in neither, a few at a time; else Unknown;
//   - what a batch system does not tell: whether a job that was killed had been
//     deleted by us, where its standard error is, which name an ID has;
//   - when Find may say that a submission never arrived: not before the batch
//     system had time to write its history;
//   - limits on how often it is asked.
//
// For this a directory that the nodes see too holds for each submission
//
//	NAME.sh         the script, which becomes the worker
//	NAME.job.json   what was submitted, and when
//	NAME.id         the ID that the batch system gave it
//	NAME.deleted    Delete was called
//	NAME.exit.json  how it ended, left by the worker
//	id.ID           the name of the submission with an ID
//
// until Prune. Jobs write to their Stdout and Stderr directly and not by way of
// the batch system, which would have its own ideas about commas, blanks and
// colons in paths, hold the job for ever if one cannot be opened, or bring the
// text to its place long after the end.
//
// It leaves to package batch how commands, scripts and records work.
package cluster

// Package htcondor is the queue manager for HTCondor, by its commands
// condor_submit, condor_q, condor_history and condor_rm.
//
// It was made from the documentation and has not been run against a pool: none
// can be had where this program is tested. The samples in testdata and the
// commands of the tests are written after the HTCondor Manual: the man pages
// condor_submit, condor_q, condor_history and condor_rm, and "Job ClassAd
// Attributes" with its tables of JobStatus and HoldReasonCode. Before relying
// on it, submit a job with each end by hand and compare.
//
// A submission is "condor_submit -terse -" with a submit description on its
// standard input, in the vanilla universe. Files are not transferred: nodes
// must share the file systems of submit host and data, which HTCondor checks by
// FileSystemDomain. All submissions are polled by one "condor_q -json"; those
// that are gone from it are looked up by one "condor_history -json".
//
// HTCondor by itself starts a job again that lost its node, keeps one that
// exceeded its memory on hold for ever, and has no time limit. So each
// submission has the requirement NumJobStarts == 0, and a periodic_remove for
// having waited again, for its time, and for that hold.
//
// What states and ends mean here:
//
//	JobStatus 1          queued
//	5                    held: queued, with HoldReason, until somebody releases it
//	2, 6, 7              running; 7 is suspended
//	3                    removed: still running as long as condor_q shows it
//	4                    exited with ExitCode, or a signal, ExitSignal
//	removed by periodic_remove
//	                     out of memory after that hold (HoldReasonCode 34);
//	                     preempted if it had been started before; else time limit
//	removed otherwise    cancelled
package htcondor

// Package gridengine is the queue manager for Grid Engine - Sun's, Son of,
// Open, Univa, Altair - by its commands qsub, qstat, qacct and qdel. It is
// tested against a real Son of Grid Engine 8.1.9.
//
// A submission is
//
//	qsub -terse -N NAME -S /bin/sh -wd / -r n -o /dev/null -j y \
//	     -q QUEUE -P PROJECT -A ACCOUNT -pe PE N -l h_rt=S,h_vmem=B EXTRA... NAME.sh
//
// with what is not asked for left out. All submissions are polled by one
// "qstat -xml -u USER". Grid Engine drops a job from that list when it ends, and
// what qacct then tells, seconds later, it finds by reading the accounting file
// from the beginning to the end: it is asked only about jobs that left no
// record of their end, a few at a time.
//
// What its states and ends mean here:
//
//	qw, hqw, Rq          queued; held and requeued jobs with a word on it
//	Eqw                  queued, and stuck until somebody clears the error
//	r, t, s, S, T, d     running
//	failed 0             exited with exit_status
//	failed 100           a signal, exit_status - 128; cancelled if we deleted it
//	failed 37            out of memory if maxvmem reached h_vmem, else time limit
//	failed 24, 25        preempted: moved or requeued
//	other failed         node failure, with Grid Engine's words for it
//
// A job that exits with 99 is started again by Grid Engine in spite of -r n, and
// one that exits with 100 is kept in the error state, unless the cluster has
// FORBID_RESCHEDULE and FORBID_APPERROR: a stage's command must use neither. Of
// a process that runs into h_vmem its own allocation fails, so that it ends as
// it likes; only jobs whose processes exceed it together are ended by Grid
// Engine, as out of memory.
package gridengine

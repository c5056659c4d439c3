// Package pbs is the queue manager for OpenPBS (and PBS Professional) and for
// Torque, by their commands qsub, qstat and qdel.
//
// It was made from their documentation and has not been run against a server:
// neither can be had where this program is tested. The samples in testdata and
// the commands of the tests are written after the man pages qsub(1B),
// qstat(1B), qdel(1B) and pbs_job_attributes(7B), the tables of job states and
// exit codes in the PBS Professional Administrator's Guide ("Job Exit Status
// Codes") and in the Torque Administrator Guide ("Job Exit Status"). Before
// relying on it, submit a job with each end by hand and compare.
//
// A submission is
//
//	qsub -N NAME -S /bin/sh -r n -j oe -o /dev/null -q QUEUE -A ACCOUNT \
//	     -l select=1:ncpus=N:mem=Bb:PROPERTY -l walltime=S ARGS... NAME.sh    OpenPBS, -P PROJECT too
//	     -l nodes=1:ppn=N:PROPERTY -l mem=Bb -l walltime=S ARGS... NAME.sh    Torque, -d / too
//
// with what is not asked for left out. All submissions are polled by one
// command: "qstat -f -F json" (OpenPBS) or "qstat -x" (Torque, which answers
// in XML and has ended jobs in it for keep_completed seconds). What is gone
// from it is looked up by "qstat -x -f -F json ID...", if the server keeps a
// history (job_history_enable); Torque has none.
//
// What states and ends mean here:
//
//	Q, W, H, T           queued; held and requeued jobs with a word on it
//	R, S, U, E, B        running
//	F, C, X, M           finished
//	Exit_status 0..255   exited
//	256 and above        a signal, Exit_status - 256; time limit or out of
//	                     memory if the limit was reached; cancelled if we
//	                     deleted it, or OpenPBS says so (substate 91)
//	-29, -27, -26        OpenPBS: time limit, out of memory
//	-11, -10             Torque: time limit, out of memory
//	other negative ones  node failure: the job was not started, or lost
//
// The name of a job must be taken whole: PBS before version 13 and Torque
// before 4 cut it after 15 characters, and are not supported. One job of
// anybody that has bytes in its environment which OpenPBS does not escape makes
// its JSON unreadable; then nothing is known until that job is gone.
package pbs

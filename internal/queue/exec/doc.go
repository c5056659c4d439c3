// Package exec is the queue manager for any batch system: by commands that the
// configuration gives, as lists of arguments and never by a shell. What such a
// command does not say in the way that follows, a small program of the site's
// says for it.
//
// # Commands
//
// In every argument the following stand for something. An argument stays one
// argument, whatever they stand for.
//
//	{script}        path of the script to run with /bin/sh, executable
//	{name}          the unique name of the submission
//	{id}            the batch system's ID of it
//	{user} {dir}    who asks; the directory for scripts
//	{cpus}          at least 1
//	{memory} {memory_mb}  bytes; MiB, rounded up
//	{walltime} {walltime_hms}  seconds; as HH:MM:SS
//	{stdout} {stderr}  where the job writes; the script does that by itself
//
// An argument with a resource that the job does not ask for is left out: write
// "-lwalltime={walltime}" and not "-l", "walltime={walltime}".
//
//	submit  {script} and {name} and the resources: takes the script as a job.
//	        Exit status 0: it was taken, and the last word of standard output is
//	        its ID. 65: this job will never be taken. 78: it was not taken, for
//	        a reason that has nothing to do with it. Anything else: who knows.
//	poll    tells of all the user's jobs that wait or run, and of any that have
//	        ended. Exit status 0, or nothing is known.
//	find    {name}: tells of the job of that name, whether it waits, runs or has
//	        ended, as poll does; nothing, if there surely is none.
//	delete  {id}: asks for the end of a job. Exit status 0, or 66 if there is none.
//	history {id}, may be left out: tells of a job that poll does not tell of any
//	        more; nothing, if it is not known.
//
// # What is told
//
// One job a line, as words or as a JSON object, in any mixture:
//
//	ID STATE [EXIT] [KEY=WORD]...
//	{"id": "17", "state": "finished", "exit": 3, "name": "longhaul-4-x7fuaq2k"}
//
// STATE is queued, held, running or finished; EXIT the exit status of one that
// has finished. The keys, as words and in JSON, are: name; exit; signal, the
// number of the signal that ended it; reason, one of "exited", "signal",
// "time-limit", "out-of-memory", "node-failure", "cancelled", "preempted" and
// "lost"; node; submitted, started and ended, in seconds since 1970; detail,
// in JSON only. A finished job without exit, signal and reason is lost. Empty
// lines and those that begin with # are passed over; any other line that is
// not as above makes the answer one from which nothing is known.
//
// # Moab
//
// Moab's msub prints the ID, so that no program of the site's is needed for it:
//
//	submit  = ["msub", "-N", "{name}", "-S", "/bin/sh", "-r", "n", "-j", "oe", "-o", "/dev/null",
//	           "-lnodes=1:ppn={cpus}", "-lmem={memory}b", "-lwalltime={walltime}", "{script}"]
//	delete  = ["/opt/longhaul/moab-delete", "{id}"]
//	poll    = ["/opt/longhaul/moab-poll", "{user}"]
//	find    = ["/opt/longhaul/moab-find", "{name}"]
//	history = ["/opt/longhaul/moab-history", "{id}"]
//
// The four others are for the site to write, a few lines each: moab-poll turns
// "showq --xml -w user=USER" into the lines above (job elements with JobID,
// JobName and State: Idle is queued; BatchHold, SystemHold, UserHold, Deferred
// and Blocked are held; Running, Starting and Suspended are running);
// moab-history does so with "checkjob --xml ID", which knows ended jobs for
// JOBCPURGETIME, and with their CompletionCode or EState Removed; moab-find looks
// through "showq --xml" and "showq -c --xml" for the name; moab-delete calls
// "canceljob ID" and turns its complaint about an unknown job into exit status
// 66. None of this was run against a Moab, which is not free software; where
// Moab schedules a Torque or a Slurm, the queue managers pbs and slurm can be
// used instead, at the cost of msub's own policies.
package exec

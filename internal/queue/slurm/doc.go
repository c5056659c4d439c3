// Package slurm is the queue manager for Slurm, by its commands: sbatch, squeue,
// sacct, scancel, scontrol. It was tested with Slurm 22.05.
//
// One squeue answers for all of our submissions, whatever is asked: those that
// wait, run, or have ended a short while ago (MinJobAge of slurm.conf, usually
// five minutes). What it does not know is looked up in the accounting by sacct,
// if the cluster has any, and then in the record that the worker leaves of its
// own end. A submission that none of them knows is unknown, which is no end:
// a slurmctld that is killed forgets what it was told in its last seconds, and
// gives the job's ID to another one. So a job is ours only if ID, name and time
// of submission agree. A command that fails, and an answer without its heading,
// is an outage: nothing is concluded from it.
//
// What Slurm does, and what is made of it:
//
//	COMPLETED                      ended by itself, 0
//	FAILED                         ended by itself or by a signal, as the exit status says
//	FAILED, 0:9, slurmstepd's line out of memory (clusters without cgroups)
//	FAILED, Slurm's own error      node failure: the job could not be started there
//	OUT_OF_MEMORY                  out of memory
//	TIMEOUT, DEADLINE              time limit
//	CANCELLED, REVOKED             cancelled
//	PREEMPTED                      preempted
//	NODE_FAIL, BOOT_FAIL           node failure
//	COMPLETING, SUSPENDED, ...     running
//	PENDING                        queued; State.Detail says if it will never start
//	PENDING, "requeued held"       lost: Slurm could not start it and holds it for ever,
//	                               so it is cancelled
//	any other word                 running, and State.Detail has the word: no end is guessed
//
// Jobs are submitted with --no-requeue, because a second run is the job pooler's
// decision, and with --export=NONE: they get the environment of the user's login
// on the node, then that of the Spec. Nodes on which jobs die at once are left
// out for a while (see Manager.Excluded).
//
// A submission that is found twice - sbatch can be told a lie about a lost
// connection and try again - is kept once, and the other cancelled by Poll.
package slurm

// Package local is the queue manager for one machine without a batch system.
// Jobs are processes of their own, which live on when the job pooler ends, and
// the queue moves on without it.
//
// Everything is kept in a spool directory, which must be on a local disk:
//
//	lock                    held while anything below is looked at or changed
//	settings.json           how many may run, and how a supervisor is started
//	queued/NUMBER.NAME/     a job that waits; the least number is the next
//	running/NAME/           a job that was started
//	ended/NAME/             a job that has ended, until Prune
//	tmp/                    what is being made or removed
//
// A job's directory holds spec.json (what was submitted), lock, started.json
// (who runs it), cancel (it is to end), exit.json (how it ended) and
// supervisor.log (empty when all is well). It passes from one place to the
// next by rename, so that a job is always in exactly one of them:
//
//	Submit ─▶ queued ─▶ running ─▶ ended
//	             ▲─────────┘ nothing was started: power or memory failed
//
// Each running job has a supervisor: a process in a session of its own that
// starts the command, waits for it, and writes exit.json. Supervisor and
// command hold the flock on the job's lock, which is inherited from before the
// supervisor exists. So "is it alive?" has an answer without a gap and without
// regard to process numbers, which are used again: a job whose lock is free
// has no process. If it has no exit.json then, it is Lost when started.json
// says that its command may have begun, and goes back to the queue when not.
// That is how a job runs at most once, whoever is killed at whatever moment.
//
// Whoever takes the spool's lock to act also settles what ended and starts
// what may start: Submit, Poll, Status, Delete, and each supervisor when its
// job has ended.
//
// The supervisor adopts whatever its job leaves behind and kills it when the
// command has ended, so that a Finished job has no process. A command whose
// supervisor was killed runs on to its end, counts as running, and is Lost
// then, because nobody was there to see its exit status.
//
// It enforces Resources.WallTime. CPUs and Memory are not looked at: a job that
// the kernel kills for want of memory is Signaled with 137. It leaves to the
// job pooler how many jobs wait and what becomes of one that failed.
package local

// Package worker is the compute node's side of a job: it brings the input to a
// workspace on the node, runs the stage's command there, and puts the results
// where they belong, all of them at once or none.
//
// What to do is in the environment, which the job pooler sets:
//
//	DATAFILES           absolute paths of the input files, separated by ';'
//	OUTDIR              absolute path of the results directory; must not exist
//	                    yet, and must be on a marked results disk (resultdir)
//	LONGHAUL_WORKSPACE  base working directory on the node; made if it is missing
//	LONGHAUL_SUBMIT     the submit's unique name
//
// The command finds itself in the workspace LONGHAUL_WORKSPACE/SUBMIT.RANDOM
// and there
//
//	data/     the input; DATAFILES are the copies
//	results/  empty; OUTDIR is this one
//	tmp/      TMPDIR
//
// and otherwise has the worker's environment, standard output and error. When
// it has exited with 0, results/ is copied to a hidden directory beside OUTDIR,
// written through to the disk and renamed to OUTDIR. So OUTDIR exists if and
// only if the job went well, and is whole. Files in it have mode 0640,
// directories 0750; symbolic links must be relative and lead to something in
// results/.
//
// The workspace is removed in every case. SIGTERM and SIGINT are passed on to
// the command's process group, which is killed if it does not end in time.
// After a SIGKILL, which leaves no time to clean up, the command dies with the
// worker and the next worker on that host removes the workspace.
//
// The exit status is the command's own, 128 + N if it was killed by signal N
// or the worker was told to stop by it, or
//
//	70  the command's own status was one of those below; the line on standard
//	    error has it
//	71  an input file cannot be read, or changed while it was copied
//	72  the workspace cannot be made or written
//	73  the results cannot be written, or OUTDIR exists already
//	74  the command cannot be started
//	75  there is not enough space now, for the input or the results
//	76  the command left no results, or something that is not a file of its own
//	77  a disk has failed, is read-only or is not mounted: that of the input, the
//	    workspace or the results
//	78  the environment is not as above
//	79  a disk is too small for the input or the results, even if it were empty
//
// with a line on standard error that names the host. 72, 75 and 77 are the
// site's fault and not the job's; a command that fails because it found a disk
// full itself cannot be told from one that fails. It leaves to the job
// pooler to decide what an end means, and to the command what results are.
package worker

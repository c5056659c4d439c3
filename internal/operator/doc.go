// Package operator is what a person asks of the pipeline and does to it: add
// and remove files, stop and kill jobs, see how things stand, and learn why
// something does not move.
//
// It looks at the job-tracker, the disk and, where that is needed, at the queue
// manager, and changes things only through the methods of package jobtracker,
// which write every change into the history under the operator's name. Flags,
// tables and exit statuses are left to the command (cmd/longhaul).
package operator

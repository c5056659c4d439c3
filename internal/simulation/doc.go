// Package simulation runs the passes of the downloader, the jobpooler, the
// uploader and the mailer, as they are, against a world that exists in memory:
// an archive, a batch system, a common database, a mail server, an operator and
// a clock. What goes wrong in that world is drawn from a seed, and so is when a
// daemon dies in the middle of what it does. The job-tracker is a real one, and
// so are the raw data and the results, on a disk in memory where there is one.
//
// After every pass the history in the job-tracker is compared with what the
// world knows to be true; at the end everything must have come to rest. A seed
// that breaks a promise is printed as the command that repeats it:
//
//	go test ./internal/simulation -run TestSimulation -seed=1234 -days=30
//	go test ./internal/simulation -run TestSimulation -v -timeout 0 -runs=5000
//
// The first tells more with -trace. The same seed is the same run: the clock
// stands still while a pass is made, transfers take turns, and waits that the
// passes vary by chance are rounded to the next tick. Time in which nothing can
// happen is skipped, so that a month takes about half a second; most of that is
// SQLite's.
//
// What it does not cover: a daemon dies before and after each thing that it asks
// of others and before each commit, but not between a commit and the unlink or
// rename that follows it. Protocols, time-outs and errors of the file system are
// not in it. The clock is one: durations that a daemon measures without the
// job-tracker would really not be touched when it is set. Real processes,
// servers and disks are in the tests of the packages, and in the torture.
//
// There is nothing here but tests, so that nothing can come to depend on it.
package simulation

// Package pipeline holds the words of the system: requests, files, download
// attempts, jobs and submits, the statuses they pass through, the transitions
// that are allowed, and the errors that callers decide by.
//
// It is data and rules only. Who performs a transition, and why, is the
// business of the passes (packages download, pool and upload); keeping it is
// that of package jobtracker. It imports nothing but the standard library.
package pipeline

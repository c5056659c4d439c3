// Package loop runs the periodic work of a daemon: a pass at once, then one at
// every interval, sooner when woken, later after errors. It keeps outages out
// of the log while they last, ends on fatal errors and panics, allows one
// instance of a kind (TryLock), and speaks to systemd (Service).
//
// What a pass does, and what is told to whom when an outside system is gone,
// is the business of its callers: the loop only calls their hooks.
package loop

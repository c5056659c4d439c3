// Package archivetest is an archive in one process: a restore service that
// speaks HTTP and a file server that speaks FTP, with TLS or without, both on
// real sockets of this machine. They serve what a test or the demo lays out,
// count what is asked of them, and misbehave on demand: cut, stall, corrupt,
// lose replies, vanish.
//
// What is asked of the clients is left to package archive and its tests.
package archivetest

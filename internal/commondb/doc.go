// Package commondb writes the results of jobs to the common database, so that
// an upload is there as a whole, once, and as it was sent, or not at all.
//
// An upload is one transaction: a row in uploads, whose submit is the key by
// which a second try is recognised; all records and blobs; then every row is
// read back and compared; then the commit. What may be uploaded is not fixed
// here. The tables, their columns and how rows refer to each other are learnt
// from the database's own schema, and every record is checked against it
// before any SQL is made of it.
//
// What differs between database systems is behind the interface dialect; each
// has a file of its own (sqlite.go) and a directory of migrations in schema/.
//
// Turning an output directory into records is the business of package results;
// when to upload, and what follows from an error, that of package upload.
package commondb

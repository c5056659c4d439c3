// Package commondb writes the results of jobs to the common database, so that
// an upload is there as a whole, once, and as it was sent, or not at all.
//
// An upload is one transaction: a row in uploads, whose submit is the key by
// which a second try is recognised, and whose work is that by which another
// submit of the same work is; all records and blobs; then every row is read back
// and compared; then the commit. What may be uploaded is not fixed here. The
// tables, their columns and how rows refer to each other are learnt from the
// database's own schema, and every record is checked against it, in a plan of
// all rows (plan.go), before any SQL is made of it.
//
// What differs between database systems is behind the interface dialect; each
// has files of its own: sqlite, postgres, and mysql, which is MariaDB too. The
// schema is one text for all of them, in schema/commondb, with words in braces
// that ddl.go translates.
//
// Two uploads that make the same rows at once are ordered by the unique columns
// of uploads and of shared rows: the second waits, is refused by the database as
// a duplicate, and begins again, when it finds what is there. Shared rows are
// written first and in one order, so that uploads do not wait for each other in
// a circle.
//
// Turning an output directory into records is the business of package results;
// when to upload, and what follows from an error, that of package upload.
package commondb

// Package schema holds the SQL migrations and the JSON Schema, embedded.
//
// It is text only. Applying the migrations is the business of the packages
// jobtracker and commondb, checking a file against the JSON Schema that of
// package results.
package schema

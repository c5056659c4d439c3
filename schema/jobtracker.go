package schema

import "embed"

// JobTracker holds the migrations of the job-tracker, one text for each kind of
// database: jobtracker/sqlite/NNN_name.sql and jobtracker/postgres/NNN_name.sql.
// They are applied in the order of their numbers; the job-tracker remembers the
// last one's, SQLite in PRAGMA user_version, PostgreSQL in the table tracker. A
// test holds what they make against each other.
//
//go:embed jobtracker/*/*.sql
var JobTracker embed.FS

package schema

import "embed"

// JobTracker holds the migrations of the job-tracker, jobtracker/NNN_name.sql,
// applied in the order of their numbers; PRAGMA user_version is the number of
// the last one.
//
//go:embed jobtracker/*.sql
var JobTracker embed.FS

package schema

import "embed"

// CommonDB holds the migrations of the common database, one directory for each
// kind of database system: commondb/sqlite/001_initial.sql and so on. They are
// applied in the order of their names and never edited once released.
//
//go:embed commondb
var CommonDB embed.FS

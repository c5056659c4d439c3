package schema

import "embed"

// CommonDB holds the migrations of the common database, commondb/NNN_name.sql:
// one text for all kinds of database systems, with words in braces for what
// differs, which package commondb translates. They are applied in the order of
// their names and never edited once released.
//
//go:embed commondb/*.sql
var CommonDB embed.FS

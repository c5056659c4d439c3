package schema

import _ "embed"

// ResultsSchema is the JSON Schema (draft 2020-12) of the results.json that a
// job of any survey can write.
//
//go:embed results.schema.json
var ResultsSchema []byte

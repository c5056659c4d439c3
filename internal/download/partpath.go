package download

import "longhaul/internal/pipeline"

// PartPath returns where a file grows while it is fetched.
func PartPath(f pipeline.File) string { return partPath(f) }

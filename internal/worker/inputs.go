package worker

import "strings"

// Inputs is the inverse of Environment: the paths of a job's data and the
// directory for its results. ok is false if these are not a worker's variables.
func Inputs(env map[string]string) (inputs []string, outDir string, ok bool) {
	data, outDir := env[dataFilesVar], env[outDirVar]
	if data == "" || outDir == "" {
		return nil, "", false
	}
	return strings.Split(data, ";"), outDir, true
}

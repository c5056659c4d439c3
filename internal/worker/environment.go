package worker

import "strings"

// The variables by which the job pooler tells a worker what to do; the first
// two are the original's.
const (
	dataFilesVar = "DATAFILES"
	outDirVar    = "OUTDIR"
	workspaceVar = "LONGHAUL_WORKSPACE"
	submitVar    = "LONGHAUL_SUBMIT"
)

// Environment returns the variables for one job, as the job pooler hands them to
// the queue manager. No input's path may contain a ';'.
func Environment(inputs []string, outDir, base, submit string) map[string]string {
	return map[string]string{
		dataFilesVar: strings.Join(inputs, ";"), outDirVar: outDir, workspaceVar: base, submitVar: submit,
	}
}

package preflight

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// CheckNode is what the test job does on a compute node: it tries the
// directories and looks for the programs, and says what is missing.
func CheckNode(w io.Writer, dirs, programs []string) error {
	var missing []error
	for _, dir := range dirs {
		if err := tryDir(dir); err != nil {
			missing = append(missing, fmt.Errorf("directory: %w", err))
		}
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing = append(missing, fmt.Errorf("program: %w", err))
		}
	}
	host, err := os.Hostname()
	if err := errors.Join(append(missing, err)...); err != nil {
		fmt.Fprintf(w, "missing on %s: %v\n", host, err)
		return err
	}
	_, err = fmt.Fprintf(w, "nothing is missing on %s\n", host)
	return err
}

package operator

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"

	"longhaul/internal/pipeline"
)

// File returns the file that an operator names by its number, its name, or a
// path whose last element is its name.
func (o *Operator) File(ctx context.Context, idOrName string) (pipeline.File, error) {
	if id, err := strconv.ParseInt(idOrName, 10, 64); err == nil {
		return o.Store.File(ctx, pipeline.FileID(id))
	}
	return o.Store.FileByName(ctx, filepath.Base(idOrName))
}

// RemoveFile marks a file for deletion and says what will happen. The uploader
// deletes it: there is one place only where raw data is deleted.
func (o *Operator) RemoveFile(ctx context.Context, idOrName, reason string) (done string, err error) {
	f, err := o.File(ctx, idOrName)
	if err != nil {
		return "", err
	}
	if f.Status == pipeline.Deleted {
		return fileName(f) + ": is deleted already", nil
	}
	if err := o.Store.WantFileDeleted(ctx, f.ID, reason); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: to be deleted, %s", fileName(f), Bytes(f.Bytes)), nil
}

// RetryFile lets a file that was given up be fetched again.
func (o *Operator) RetryFile(ctx context.Context, idOrName, reason string) (done string, err error) {
	f, err := o.File(ctx, idOrName)
	if err != nil {
		return "", err
	}
	if f.Status != pipeline.TerminalFailure {
		return "", fmt.Errorf("it is %s; only a file that was given up can be retried by hand", f.Status)
	}
	if err := o.Store.RetryFailedFile(ctx, f.ID, reason); err != nil {
		return "", err
	}
	return fileName(f) + ": will be fetched again, from the beginning", nil
}

func fileName(f pipeline.File) string { return fmt.Sprintf("file %d %s", f.ID, f.Filename) }

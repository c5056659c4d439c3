package queue

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// TailSize is how much of a job's standard error Errors returns, in bytes.
const TailSize = 16 << 10

// notAFile stands for what a job put in the place of its error log.
const notAFile = "[its error log is not a regular file]"

// Tail returns the last part, at most TailSize bytes, of the file at path; ""
// if there is none. Managers whose jobs write to files answer Errors with it.
func Tail(path string) (string, error) {
	// The job can put there what it likes: without O_NONBLOCK a FIFO would hold
	// us for ever, and a link would show what only we may read.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case errors.Is(err, syscall.ELOOP):
		return notAFile, nil
	case err != nil:
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !st.Mode().IsRegular() {
		return notAFile, nil
	}
	from := max(0, st.Size()-TailSize)
	text, err := io.ReadAll(io.NewSectionReader(f, from, TailSize))
	return string(text), err
}

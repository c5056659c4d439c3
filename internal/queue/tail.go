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

// Tail returns the last part, at most TailSize bytes, of the file at path; ""
// if there is none. Managers whose jobs write to files answer Errors with it.
func Tail(path string) (string, error) {
	// Without O_NONBLOCK a job that put a FIFO there would hold us for ever.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !st.Mode().IsRegular() {
		return "", &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	from := max(0, st.Size()-TailSize)
	text, err := io.ReadAll(io.NewSectionReader(f, from, TailSize))
	return string(text), err
}

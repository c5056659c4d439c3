package pipeline_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"longhaul/internal/pipeline"
)

func TestAnOutageKeepsItsSystemAndItsCause(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("list: %w", pipeline.Outage(pipeline.FileServer, io.ErrUnexpectedEOF))
	var out *pipeline.OutageError
	if !errors.As(err, &out) || out.System != pipeline.FileServer {
		t.Errorf("%v tells no system", err)
	}
	if !errors.Is(err, pipeline.ErrOutage) || !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, pipeline.ErrFatal) {
		t.Errorf("%v is not the outage with its cause", err)
	}
	if want := "list: file server: unexpected EOF"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}

func TestAFatalErrorKeepsItsCause(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("open: %w", pipeline.Fatal(io.EOF))
	if !errors.Is(err, pipeline.ErrFatal) || !errors.Is(err, io.EOF) || errors.Is(err, pipeline.ErrOutage) {
		t.Errorf("%v is not fatal with its cause", err)
	}
}

func TestNoErrorStaysNone(t *testing.T) {
	t.Parallel()
	if err := pipeline.Outage(pipeline.LocalDisk, nil); err != nil {
		t.Errorf("an outage of nothing: %v", err)
	}
	if err := pipeline.Fatal(nil); err != nil {
		t.Errorf("fatal nothing: %v", err)
	}
}

package jobtrackertest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
)

// fileSize is the size of the files that are made here, bytes.
const fileSize = 1000

// must stops the test at the first step that fails.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// got is must for a step that returns something.
func got[T any](t testing.TB) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		must(t, err)
		return v
	}
}

// NewFile returns a file as a listing would give it: the next of the two
// halves of Mock observations, 1000 bytes, to be put beside the tracker. It is
// not entered, and nothing is written to the disk.
func NewFile(t testing.TB, store *jobtracker.Store, change ...func(*pipeline.File)) pipeline.File {
	t.Helper()
	n := got[int64](t)(store.LastEvent(t.Context())) // each file makes an event, so no number comes twice
	name := fmt.Sprintf("4bit-P2030.20120414.G%d.b0s0g0.00100.fits", n)
	f := pipeline.File{
		Filename:       name,
		RemoteFilename: "guid/" + name,
		Path:           filepath.Join(Dir(t, store), "raw", name),
		Size:           fileSize,
		ModTime:        time.Date(2012, 4, 14, 1, 2, 3, 0, time.UTC),
		Product:        "mock",
		GroupKey:       fmt.Sprintf("P2030/20120414/G%d/0/00100", n),
		Metadata:       map[string]string{"projid": "P2030", "date": "20120414", "beam": "0"},
	}
	for _, fn := range change {
		fn(&f)
	}
	return f
}

// AddFile enters a file as an operator does; it is whole, and has the status added.
func AddFile(t testing.TB, store *jobtracker.Store, change ...func(*pipeline.File)) pipeline.File {
	t.Helper()
	return MakeFile(t, store, pipeline.Added, change...)
}

// WriteRaw writes as many bytes as a file has to its path.
func WriteRaw(t testing.TB, f pipeline.File) {
	t.Helper()
	must(t, disk.MakeDir(filepath.Dir(f.Path)))
	must(t, os.WriteFile(f.Path, make([]byte, f.Size), disk.FileMode))
}

// MakeFile makes a file of the wanted status.
func MakeFile(t testing.TB, store *jobtracker.Store, status pipeline.Status, change ...func(*pipeline.File)) pipeline.File {
	t.Helper()
	ctx, f := t.Context(), NewFile(t, store, change...)
	switch status {
	case pipeline.Added, pipeline.Deleted:
		must(t, store.AddFiles(ctx, []pipeline.File{f}, ""))
	default:
		got[int](t)(store.EnterFiles(ctx, []pipeline.File{f}, "listed"))
	}
	f = got[pipeline.File](t)(store.FileByName(ctx, f.Filename))
	switch status {
	case pipeline.New, pipeline.Added:
	case pipeline.Deleted:
		must(t, store.WantFileDeleted(ctx, f.ID, "test"))
		must(t, store.FileDeleted(ctx, f))
	default:
		drive(t, store, f, status)
	}
	return wanted(t, got[pipeline.File](t)(store.File(ctx, f.ID)), func(f pipeline.File) pipeline.Status { return f.Status }, status)
}

// drive takes a new file through its download.
func drive(t testing.TB, store *jobtracker.Store, f pipeline.File, status pipeline.Status) {
	t.Helper()
	ctx := t.Context()
	a := got[pipeline.Attempt](t)(store.StartAttempt(ctx, f, 0))
	switch status {
	case pipeline.Downloading:
	case pipeline.Unverified, pipeline.Downloaded:
		must(t, store.EndTransfer(ctx, a, pipeline.Complete, f.Size, "all bytes are here"))
	default:
		must(t, store.FailTransfer(ctx, a, pipeline.DownloadFailed, 0, "the connection broke", true))
	}
	switch status {
	case pipeline.Downloaded:
		a.Status = pipeline.Complete
		must(t, store.FileVerified(ctx, a, "sha256:00"))
	case pipeline.Retrying:
		must(t, store.RetryFile(ctx, f.ID, time.Time{}, "again"))
	case pipeline.TerminalFailure:
		must(t, store.GiveUpFile(ctx, f.ID, "given up", pipeline.Notice{}))
	}
}

// MakeAttempt makes a file with one download attempt of the wanted status.
func MakeAttempt(t testing.TB, store *jobtracker.Store, status pipeline.Status) pipeline.Attempt {
	t.Helper()
	ctx, f := t.Context(), MakeFile(t, store, pipeline.New)
	a := got[pipeline.Attempt](t)(store.StartAttempt(ctx, f, 0))
	switch status {
	case pipeline.DownloadFailed, pipeline.NoRemoteFile:
		must(t, store.FailTransfer(ctx, a, status, 0, "the transfer broke", true))
	case pipeline.Complete, pipeline.Downloaded, pipeline.VerificationFailed:
		must(t, store.EndTransfer(ctx, a, pipeline.Complete, f.Size, "all bytes are here"))
		a.Status = pipeline.Complete
	case pipeline.Unknown:
		must(t, store.EndTransfer(ctx, a, pipeline.Unknown, f.Size/2, "stopped"))
	}
	switch status {
	case pipeline.Downloaded:
		must(t, store.FileVerified(ctx, a, "sha256:00"))
	case pipeline.VerificationFailed:
		must(t, store.VerificationFailed(ctx, a, 0, "the checksum differs", true))
	}
	return wanted(t, got[pipeline.Attempt](t)(store.Attempt(ctx, a.ID)), func(a pipeline.Attempt) pipeline.Status { return a.Status }, status)
}

// MakeRequest makes a request of the wanted status. Its GUID is of its own.
func MakeRequest(t testing.TB, store *jobtracker.Store, status pipeline.Status) pipeline.Request {
	t.Helper()
	ctx := t.Context()
	id := got[pipeline.RequestID](t)(store.BeginRequest(ctx, 2, 4, "mock"))
	must(t, store.NameRequest(ctx, id, fmt.Sprintf("guid%d", id)))
	switch status {
	case pipeline.Finished:
		got[int](t)(store.FinishRequest(ctx, id, []pipeline.File{NewFile(t, store)}, "1 file"))
	case pipeline.Failed:
		must(t, store.FailRequest(ctx, id, "fail", pipeline.Notice{Kind: pipeline.NoticeRequestFailed, Subject: "request failed"}))
	}
	return wanted(t, got[pipeline.Request](t)(store.Request(ctx, id)), func(r pipeline.Request) pipeline.Status { return r.Status }, status)
}

// wanted checks that a row has got where it should.
func wanted[T any](t testing.TB, row T, statusOf func(T) pipeline.Status, status pipeline.Status) T {
	t.Helper()
	if is := statusOf(row); is != status {
		t.Fatalf("no way is known to make a %T %s; it is %s", row, status, is)
	}
	return row
}

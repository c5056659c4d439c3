package archive

import (
	"bytes"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// counted counts the questions.
type counted struct {
	*bytes.Reader
	n atomic.Int32
}

func (c *counted) ReadAt(p []byte, at int64) (int, error) {
	c.n.Add(1)
	return c.Reader.ReadAt(p, at)
}

func TestReadAheadGoesNoFurtherThanItMay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 1000*aheadBlock + 5
		content := make([]byte, size)
		for i := range content {
			content[i] = byte(i % 251)
		}
		file := &counted{Reader: bytes.NewReader(content)}
		a := readAhead(file, 3, size)
		synctest.Wait()
		if n := file.n.Load(); n != 0 {
			t.Errorf("%d questions before the first read", n)
		}
		if _, err := a.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := file.n.Load(); n > aheadDepth+2 {
			t.Errorf("%d questions with one answer taken, want about %d", n, aheadDepth)
		}
		got, err := io.ReadAll(a)
		if err != nil || !bytes.Equal(got, content[4:]) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if n := file.n.Load(); n != 1001 {
			t.Errorf("%d questions in all", n)
		}
		a.stop()
		early := readAhead(file, 0, size)
		if _, err := early.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		early.stop() // or the bubble would not end
	})
}

package archive

import (
	"fmt"
	"io"
)

// How far ahead of its reader a remote file is read. The product is what is
// under way to fill the line: 2 MiB are enough for 160 Mbit/s over 100 ms.
const (
	aheadBlock = 32 << 10 // bytes; the most that every server gives at once
	aheadDepth = 64       // requests
)

// ahead reads a part of a remote file with many requests at once, in order.
//
// The library for SFTP has such a thing, File.WriteTo, but takes it for granted
// that a server always sends as much as it is asked for. Some send less, and
// then bytes are missing in the middle; its ReadAt asks for the rest.
type ahead struct {
	begin   func()           // nil once it has been called
	answers chan chan answer // in the order of the file
	quit    chan struct{}
	rest    []byte // read, but not given out
	err     error  // after rest
}

type answer struct {
	data []byte
	err  error
}

// readAhead reads what lies between two offsets, beginning with the first Read:
// what comes before that would count as part of an earlier conversation, which
// may not be long. Requests that are under way at stop end with the connection.
func readAhead(file io.ReaderAt, from, to int64) *ahead {
	a := &ahead{answers: make(chan chan answer, aheadDepth), quit: make(chan struct{})}
	a.begin = func() { go a.ask(file, from, to) }
	return a
}

func (a *ahead) stop() { close(a.quit) }

// ask begins requests, aheadDepth before the reader.
func (a *ahead) ask(file io.ReaderAt, from, to int64) {
	defer close(a.answers)
	for at := from; at < to; at += aheadBlock {
		one := make(chan answer, 1)
		select {
		case a.answers <- one:
		case <-a.quit:
			return
		}
		buf := make([]byte, min(aheadBlock, to-at))
		go func() {
			n, err := file.ReadAt(buf, at)
			if err == nil && n < len(buf) {
				err = fmt.Errorf("%d bytes where %d were asked for", n, len(buf))
			}
			one <- answer{buf[:n], err}
		}()
	}
}

// Read implements io.Reader. A file that ends early looks like one that ends.
func (a *ahead) Read(p []byte) (int, error) {
	if a.begin != nil {
		a.begin()
		a.begin = nil
	}
	for len(a.rest) == 0 && a.err == nil {
		next, more := <-a.answers
		if !more {
			a.err = io.EOF
			break
		}
		got := <-next
		a.rest, a.err = got.data, got.err
	}
	if len(a.rest) == 0 {
		return 0, a.err
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

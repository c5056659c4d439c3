package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/time/rate"
)

// block is how much is read at once, in bytes.
const block = 64 << 10

// NewLimiter returns a bandwidth limit in bytes a second that any number of
// clients can share; nil, which limits nothing, for 0.
func NewLimiter(bytesPerSecond int64) *rate.Limiter {
	if bytesPerSecond <= 0 {
		return nil
	}
	// A quarter of a second at once: smooth, and few waits.
	return rate.NewLimiter(rate.Limit(bytesPerSecond), int(min(max(bytesPerSecond/4, 1), 1<<30)))
}

// throttle waits until n more bytes are within the limit.
func throttle(ctx context.Context, limiter *rate.Limiter, n int) error {
	for limiter != nil && n > 0 {
		part := min(n, max(limiter.Burst(), 1))
		n -= part
		reservation := limiter.ReserveN(time.Now(), part)
		if !reservation.OK() {
			return errors.New("bandwidth limit that lets nothing pass")
		}
		wait := time.NewTimer(reservation.Delay())
		select {
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		case <-wait.C:
		}
	}
	return nil
}

// meter holds a transfer to a least rate. Only the time spent waiting for the
// server counts: the bandwidth limit and our own disk are not its fault.
type meter struct {
	least int64         // bytes a second; 0: none
	over  time.Duration // measured over this long

	bytes int64
	spent time.Duration
}

func (m *meter) count(n int, took time.Duration) error {
	m.bytes += int64(n)
	m.spent += took
	if m.least <= 0 || m.spent < m.over {
		return nil
	}
	if got := float64(m.bytes) / m.spent.Seconds(); got < float64(m.least) {
		return fmt.Errorf("only %.0f bytes a second for %v, least allowed is %d",
			got, m.spent.Round(time.Millisecond), m.least)
	}
	m.bytes, m.spent = 0, 0
	return nil
}

// pump copies from read to w until io.EOF and returns how much w has taken.
func pump(ctx context.Context, w io.Writer, read func([]byte) (int, error), limiter *rate.Limiter, m *meter) (int64, error) {
	var total int64
	buf := make([]byte, block)
	for {
		start := time.Now()
		n, err := read(buf)
		slow := m.count(n, time.Since(start))
		if n > 0 {
			written, writeErr := w.Write(buf[:n])
			total += int64(written)
			if writeErr != nil {
				return total, fmt.Errorf("write: %w", writeErr)
			}
		}
		switch {
		case ctx.Err() != nil:
			return total, ctx.Err()
		case errors.Is(err, io.EOF):
			return total, nil
		case err != nil:
			return total, err
		case slow != nil:
			return total, slow
		}
		if err := throttle(ctx, limiter, n); err != nil {
			return total, err
		}
	}
}

// limitedBuffer keeps what is written to it, up to a limit.
type limitedBuffer struct {
	buf  bytes.Buffer
	most int   // bytes
	over error // what Write returns beyond that
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.buf.Len()+len(p) > b.most {
		return 0, b.over
	}
	return b.buf.Write(p)
}

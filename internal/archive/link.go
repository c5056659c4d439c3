package archive

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"time"

	"golang.org/x/time/rate"
)

// How much a server may say in one conversation, in bytes.
const (
	maxReply   = 1 << 20   // to a command; anything longer is not the protocol
	maxListing = 256 << 20 // a directory of a hundred thousand files takes 10 to 20 MB
	unlimited  = math.MaxInt64
)

// limits are what every client of a server is held to, and holds the server to.
type limits struct {
	connect     time.Duration // to be connected and greeted, and again to log in
	idle        time.Duration // longest silence of the server
	minRate     int64         // least rate of a transfer, bytes a second; 0: none
	minRateTime time.Duration // over which minRate is measured
	limiter     *rate.Limiter // nil: none
	log         *slog.Logger
}

// newLimits fills in what is not said.
func newLimits(connect, idle time.Duration, minRate int64, minRateTime time.Duration, limiter *rate.Limiter, log *slog.Logger) limits {
	positive := func(d, otherwise time.Duration) time.Duration {
		if d <= 0 {
			return otherwise
		}
		return d
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return limits{
		connect: positive(connect, 30*time.Second), idle: positive(idle, time.Minute),
		minRate: minRate, minRateTime: positive(minRateTime, time.Minute), limiter: limiter, log: log,
	}
}

// long is the longest that a conversation may take in which the server is never
// silent for too long: a listing of a hundred thousand files, or one block of a
// file on a slow line. It ends one that trickles for ever.
func (l limits) long() time.Duration { return 10 * l.idle }

func (l limits) meter() *meter { return &meter{least: l.minRate, over: l.minRateTime} }

// link is what a session of any protocol stands on: its connections, and the
// context of the operation under way. It belongs to one goroutine from take to
// put or drop.
type link struct {
	limits  limits
	sockets *sockets
	ctx     context.Context // of the operation under way; set by bind
	unbind  func() bool
	expire  *time.Timer
}

func newLink(ctx context.Context, l limits) *link {
	k := &link{limits: l, sockets: newSockets(l)}
	k.bind(ctx)
	return k
}

// bind makes the end of ctx close the session's connections.
func (k *link) bind(ctx context.Context) {
	k.ctx = ctx
	k.unbind = context.AfterFunc(ctx, func() { k.sockets.abort(ctx.Err()) })
}

// drop closes the connections without ceremony.
func (k *link) drop() {
	k.unbind()
	k.sockets.abort(net.ErrClosed)
}

// call runs one conversation with the server, and gives it up when the server
// is silent for the idle time-out, when limit is over, or when more than most
// bytes come. A server's answer can make a library panic ("227 )(" does that
// to the one for FTP); that must not end the daemon.
func (k *link) call(limit time.Duration, most int64, conversation func() error) error {
	return k.guard(k.limits.idle, limit, most, conversation)
}

// introduce runs a conversation that comes before any other, in which a server
// may be silent for as long as it may take to connect.
func (k *link) introduce(conversation func() error) error {
	return k.guard(k.limits.connect, k.limits.connect, maxReply, conversation)
}

func (k *link) guard(idle, limit time.Duration, most int64, conversation func() error) (err error) {
	k.sockets.left.Store(most)
	defer k.sockets.watch(idle, limit)()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("answer that cannot be understood: %v", p)
		}
	}()
	if err = conversation(); err == nil {
		return nil
	}
	if cause := k.sockets.aborted(); cause != nil {
		return cause
	}
	if k.sockets.left.Load() < 0 {
		return tooMuchError{most}
	}
	return err
}

// receive copies a file to w, read by read, and returns how much w has taken.
func (k *link) receive(read func([]byte) (int, error), w io.Writer) (int64, error) {
	guarded := func(p []byte) (n int, err error) {
		err = k.call(k.limits.long(), unlimited, func() (err error) {
			n, err = read(p)
			return err
		})
		return n, err
	}
	n, err := pump(k.ctx, w, guarded, k.limits.limiter, k.limits.meter())
	if err != nil {
		err = fmt.Errorf("after %d bytes: %w", n, err)
	}
	return n, err
}

package archive

import (
	"context"
	"sync"
	"time"
)

// keepIdle is how long a connection without work is kept.
const keepIdle = time.Minute

// session is one logged-in connection to a server. It is dropped after any
// error, because nobody knows then what the server will say next.
type session interface {
	line() *link
	// alive asks the server for a sign of life.
	alive() error
}

// pool hands out sessions, each to one operation at a time, and keeps those
// without work for a while.
type pool[S session] struct {
	open   func(context.Context) (S, error) // connects and logs in
	limits limits

	mu     sync.Mutex
	idle   []S // the last used comes last
	closed bool
}

// with runs an operation in a session of its own, which is used again by
// others only if all went well.
func (p *pool[S]) with(ctx context.Context, operation func(S) error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s, err := p.session(ctx)
	if err != nil {
		return outage(ctx, err)
	}
	if err := operation(s); err != nil {
		s.line().drop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	p.put(s)
	return nil
}

// session returns an idle session that still works, or a new one.
func (p *pool[S]) session(ctx context.Context) (s S, err error) {
	if s, ok := p.take(); ok {
		s.line().bind(ctx)
		err := s.line().introduce(s.alive)
		if err == nil {
			return s, nil
		}
		p.limits.log.Debug("idle connection to the file server had ended", "err", said(err))
		s.line().drop()
		p.clear(false) // the others have waited longer still
		if ctx.Err() != nil {
			return s, ctx.Err()
		}
	}
	return p.open(ctx)
}

// take returns the session that was used last, if there is one.
func (p *pool[S]) take() (s S, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return s, false
	}
	s = p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	s.line().expire.Stop()
	return s, true
}

// put gives back a session that is in order. It is closed if its operation's
// context has ended meanwhile, or the pool has.
func (p *pool[S]) put(s S) {
	k := s.line()
	if !k.unbind() {
		k.drop()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		k.drop()
		return
	}
	k.ctx = nil
	k.expire = time.AfterFunc(keepIdle, func() { p.remove(k) })
	p.idle = append(p.idle, s)
}

// remove closes a session that has been idle too long, unless it was taken.
func (p *pool[S]) remove(k *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.idle {
		if p.idle[i].line() == k {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			k.drop()
			return
		}
	}
}

// clear closes all idle sessions, and with them the pool if so wished.
func (p *pool[S]) clear(closePool bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = p.closed || closePool
	for _, s := range p.idle {
		s.line().expire.Stop()
		s.line().drop()
	}
	p.idle = nil
}

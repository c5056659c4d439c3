package archivetest

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/time/rate"
)

// retrieve answers RETR, with the fault that is due.
func (c *ftpSession) retrieve(argument string) {
	absolute, beneath := c.resolve(argument)
	offset := c.offset
	c.offset = 0
	fault := c.server.faultFor(absolute, offset)
	switch fault.Action {
	case Missing:
		c.reply(550, "no such file")
		return
	case Unavailable:
		c.reply(421, "service not available, closing control connection")
		c.over = true
		return
	}
	f, err := c.open(beneath, offset)
	if err != nil {
		c.say(err.Error())
		return
	}
	defer f.Close()
	d, err := c.acceptData()
	if err != nil {
		c.reply(425, "no data connection")
		return
	}
	c.reply(150, "here it comes")
	c.finish(d, fault, c.transfer(d, f, fault, c.server.retrieval(absolute, offset)))
}

// open opens a regular file at an offset. Its errors are replies.
func (c *ftpSession) open(beneath string, offset int64) (*os.File, error) {
	f, err := c.server.root.Open(beneath)
	if err != nil {
		return nil, errors.New("550 no such file")
	}
	info, err := f.Stat()
	switch {
	case err != nil || !info.Mode().IsRegular():
		err = errors.New("550 not a regular file")
	case offset > info.Size():
		err = errors.New("554 offset beyond the end of the file")
	default:
		if _, err = f.Seek(offset, io.SeekStart); err != nil {
			err = errors.New("451 no such offset")
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// errCut ends a transfer as its fault wants it.
var errCut = errors.New("cut")

// transfer sends a file, up to the fault.
func (c *ftpSession) transfer(d *dataConn, f io.Reader, fault Fault, sent func(int)) error {
	cut := fault.Action == Cut || fault.Action == Drop || fault.Action == Stall
	if fault.Action != Stall || fault.After > 0 {
		if err := d.handshake(c.server.ctx); err != nil {
			return err
		}
	}
	if cut {
		f = io.LimitReader(f, fault.After)
	}
	out := &paced{to: d, sent: sent, ctx: c.server.ctx}
	if n := c.server.opts.BytesPerSecond; n > 0 {
		out.limiter = rate.NewLimiter(rate.Limit(n), int(max(n/20, 1)))
	}
	if fault.Action == Corrupt {
		f = &corrupting{from: f, at: fault.After}
	}
	_, err := io.Copy(out, f)
	if fault.Action == Stall && err == nil {
		// Silence, until the client closes the connection, or the server does.
		_, err = io.Copy(io.Discard, d.raw)
	}
	if err == nil && cut {
		err = errCut
	}
	return err
}

// finish ends a retrieval and says how it went.
func (c *ftpSession) finish(d *dataConn, fault Fault, err error) {
	d.close(fault.Abrupt || fault.Action == Drop || fault.Action == Stall)
	switch {
	case fault.Action == Drop:
		c.raw.Close()
		c.over = true
	case fault.Reply == NoReply:
	case fault.Reply != "":
		c.say(fault.Reply)
	case errors.Is(err, errCut):
		c.reply(426, "transfer aborted: data connection closed")
	case err != nil:
		c.reply(425, "unable to build data connection: "+err.Error())
	default:
		c.reply(226, "transfer complete")
	}
}

// paced counts what is sent and holds it to a rate.
type paced struct {
	to      io.Writer
	sent    func(int)
	ctx     context.Context
	limiter *rate.Limiter // nil: none
}

func (p *paced) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		part := b[done:]
		if p.limiter != nil {
			part = part[:min(len(part), p.limiter.Burst())]
			if err := p.limiter.WaitN(p.ctx, len(part)); err != nil {
				return done, err
			}
		}
		n, err := p.to.Write(part)
		p.sent(n)
		if done += n; err != nil {
			return done, err
		}
	}
	return done, nil
}

// corrupting turns over the bits of one byte that passes.
type corrupting struct {
	from io.Reader
	at   int64 // bytes still to come before it
}

func (c *corrupting) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	if c.at >= 0 && c.at < int64(n) {
		p[c.at] ^= 0xff
	}
	c.at -= int64(n)
	return n, err
}

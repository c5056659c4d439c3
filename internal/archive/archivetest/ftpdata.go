package archivetest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"time"
)

// Ways to write a time: in machine-readable listings, and in those for people.
const (
	factTime   = "20060102150405"
	recentTime = "Jan _2 15:04"
	oldTime    = "Jan _2  2006"
)

// openPassive answers PASV and EPSV.
func (c *ftpSession) openPassive(name string) {
	if name == "EPSV" && c.server.opts.NoEPSV {
		c.reply(502, "EPSV is not offered here")
		return
	}
	c.closePassive()
	host, _, err := net.SplitHostPort(c.raw.LocalAddr().String())
	if err == nil {
		c.passive, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		c.passive = nil
		c.reply(425, "no port for a data connection")
		return
	}
	if !c.server.track(c.passive) {
		c.over = true
		return
	}
	port := c.passive.Addr().(*net.TCPAddr).Port
	if name == "EPSV" {
		c.reply(229, fmt.Sprintf("extended passive mode (|||%d|)", port))
		return
	}
	c.reply(227, fmt.Sprintf("passive mode (%s,%d,%d)", strings.ReplaceAll(host, ".", ","), port>>8, port&255))
}

func (c *ftpSession) closePassive() {
	if c.passive != nil {
		c.server.untrack(c.passive)
		c.passive = nil
	}
}

// dataConn is one data connection, as the server sees it.
type dataConn struct {
	net.Conn          // raw, or TLS over it
	raw      net.Conn // the socket
	server   *FileServer
}

// acceptData waits for the client's data connection. The TLS handshake, if
// there is to be one, comes later.
func (c *ftpSession) acceptData() (*dataConn, error) {
	if c.passive == nil {
		return nil, errors.New("no PASV or EPSV before")
	}
	defer c.closePassive()
	err := c.passive.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	if err != nil {
		return nil, err
	}
	raw, err := c.passive.Accept()
	if err != nil {
		return nil, err
	}
	if !c.server.track(raw) {
		return nil, net.ErrClosed
	}
	d := &dataConn{raw, raw, c.server}
	if c.private {
		d.Conn = tls.Server(raw, c.config)
	}
	return d, nil
}

// handshake makes sure that the connection belongs to the client of the
// control connection, if it must.
func (d *dataConn) handshake(ctx context.Context) error {
	secure, ok := d.Conn.(*tls.Conn)
	if !ok {
		return nil
	}
	if err := secure.HandshakeContext(ctx); err != nil {
		return err
	}
	if d.server.opts.RequireReuse && !secure.ConnectionState().DidResume {
		return errors.New("TLS session of the control connection was not resumed")
	}
	return nil
}

// close ends the connection, under TLS with a goodbye unless it is to be abrupt.
func (d *dataConn) close(abrupt bool) {
	if !abrupt {
		d.Conn.Close()
	}
	d.server.untrack(d.raw)
}

// list answers MLSD and LIST.
func (c *ftpSession) list(name, argument string) {
	if name == "MLSD" && (c.server.opts.NoMLSD || c.server.opts.FalseMLSD) {
		c.reply(500, "MLSD not understood")
		return
	}
	absolute, beneath := c.resolve(argument)
	entries, err := fs.ReadDir(c.server.root.FS(), beneath)
	if err != nil {
		c.reply(550, "no such directory")
		return
	}
	format := listLine
	if name == "MLSD" {
		format = factLine
	}
	c.send("226 listing complete", func(w io.Writer) error {
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				continue // gone meanwhile
			}
			if _, err := io.WriteString(w, format(info)+"\r\n"); err != nil {
				return err
			}
		}
		if c.server.opts.Extra == nil {
			return nil
		}
		for _, line := range c.server.opts.Extra(absolute) {
			if _, err := io.WriteString(w, line+"\r\n"); err != nil {
				return err
			}
		}
		return nil
	})
}

// send writes text to a data connection.
func (c *ftpSession) send(end string, write func(io.Writer) error) {
	d, err := c.acceptData()
	if err != nil {
		c.reply(425, "no data connection")
		return
	}
	c.reply(150, "here it comes")
	buffered := bufio.NewWriterSize(d, 64<<10)
	if err = d.handshake(c.server.ctx); err == nil {
		err = errors.Join(write(buffered), buffered.Flush())
	}
	d.close(false)
	if err != nil {
		c.reply(425, "data connection failed: "+err.Error())
		return
	}
	c.say(end)
}

// factLine is a line of MLSD.
func factLine(info fs.FileInfo) string {
	kind := "OS.unix=other"
	switch {
	case info.Mode().IsRegular():
		kind = "file"
	case info.IsDir():
		kind = "dir"
	case info.Mode()&fs.ModeSymlink != 0:
		kind = "OS.unix=symlink"
	}
	return fmt.Sprintf("type=%s;size=%d;modify=%s; %s",
		kind, info.Size(), info.ModTime().UTC().Format(factTime), info.Name())
}

// listLine is a line of LIST, as ls writes it.
func listLine(info fs.FileInfo) string {
	layout := recentTime
	if time.Since(info.ModTime()) > 180*24*time.Hour {
		layout = oldTime
	}
	kind, name := "-", info.Name()
	switch {
	case info.IsDir():
		kind = "d"
	case info.Mode()&fs.ModeSymlink != 0:
		kind, name = "l", name+" -> elsewhere"
	}
	return fmt.Sprintf("%srw-r--r--   1 archive  archive  %12d %s %s",
		kind, info.Size(), info.ModTime().UTC().Format(layout), name)
}
